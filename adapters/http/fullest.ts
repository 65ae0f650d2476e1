/** The oldest of whoever has most; undefined if nobody has any. Within each group the oldest comes first. */
export function oldestOfFullest<K, V>(groups: ReadonlyMap<string, ReadonlyMap<K, V>>): [K, V] | undefined {
  let most: ReadonlyMap<K, V> | undefined
  for (const group of groups.values()) if (group.size > (most?.size ?? 0)) most = group
  return most?.entries().next().value
}

/** Groups that lose their last member are forgotten. */
export function takeOut<K, V>(groups: Map<string, Map<K, V>>, name: string, key: K): void {
  const group = groups.get(name)
  group?.delete(key)
  if (group?.size === 0) groups.delete(name)
}
