import type { Millis } from '../../actors/runtime/clock.ts'

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  k: 1000,
  K: 1024,
  m: 1000 ** 2,
  M: 1024 ** 2,
  g: 1000 ** 3,
  G: 1024 ** 3,
  t: 1000 ** 4,
  T: 1024 ** 4,
}

/** `1G`, `512M`, `1.5g`, `1048576`; undefined if it is no amount, such as INFINITY. */
export function bytesOf(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([kKmMgGtT]?)$/.exec(text.trim()) ?? []
  return amount === undefined
    ? undefined
    : Math.min(Number.MAX_SAFE_INTEGER, Number(amount) * (BYTES[unit] ?? 1))
}

export const memoryMiBOf = (text: string): number => Math.ceil((bytesOf(text) ?? 0) / 1024 ** 2)

/** `600`, `0:10:0`, `1:0:0:0`; undefined for no limit. */
export function durationOf(text: string): Millis | undefined {
  const parts = text.trim().split(':')
  if (parts.length > 4 || !parts.every((part) => /^\d*(?:\.\d+)?$/.test(part)) || text.trim() === '')
    return undefined
  const [seconds = 0, minutes = 0, hours = 0, days = 0] = parts.reverse().map(Number)
  return Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
}

/** More slots than any cluster has. */
const SLOTS_MAX = 1e9

/** The least number in a range of slots such as `4`, `3-8`, `2,4` or `4-`; users write ranges as long as they like. */
export function leastOf(range: string): number {
  let least: number | undefined
  for (const [number] of range.matchAll(/[0-9]+/g)) least = Math.min(least ?? SLOTS_MAX, Number(number))
  return Math.max(1, least ?? 1)
}

/** How many tasks `4-9:1`, `3`, `1-7:2,9` are. */
export function countTasks(tasks: string): number {
  let count = 0
  for (const part of tasks.split(',')) {
    const [, first, last = first, step = '1'] = /^(\d+)(?:-(\d+))?(?::(\d+))?$/.exec(part.trim()) ?? []
    if (first === undefined) continue
    count += Math.max(0, Math.floor((Number(last) - Number(first)) / Math.max(1, Number(step))) + 1)
  }
  return count
}
