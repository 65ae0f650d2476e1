/**
 * The least and the most of a list of any length: `Math.max(...list)` throws where the list is longer than the arguments
 * that a call may have, some hundred thousand, and lists that others fill are.
 */
export const largest = (values: Iterable<number>, atLeast: number): number => {
  let found = atLeast
  for (const value of values) if (value > found) found = value
  return found
}

export const smallest = (values: Iterable<number>, atMost: number): number => {
  let found = atMost
  for (const value of values) if (value < found) found = value
  return found
}
