import { InvalidArgumentError } from 'commander'
import type { Millis } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'

/** Arguments of commands as they are typed; what cannot be read is said with what was expected. */

export const wholeNumber = (text: string): number => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (value < 1) throw new InvalidArgumentError('Expected a whole number of at least 1.')
  return value
}

export const duration = (text: string): Millis => {
  const ms = parseDuration(text)
  if (ms === undefined || ms < 1) throw new InvalidArgumentError('Expected a duration such as 20m or 8h.')
  return ms
}
