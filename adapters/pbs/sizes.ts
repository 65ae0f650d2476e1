import type { Millis } from '../../actors/runtime/clock.ts'
import { garbage } from './records.ts'

/** To bytes. A word (`w`) is eight of them. */
const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1024,
  m: 1024 ** 2,
  mb: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1024 ** 3,
  t: 1024 ** 4,
  tb: 1024 ** 4,
  p: 1024 ** 5,
  pb: 1024 ** 5,
  w: 8,
  kw: 8 * 1024,
  mw: 8 * 1024 ** 2,
  gw: 8 * 1024 ** 3,
}

/** `64mb`, `24684084kb`, `2gb` in MiB, rounded up; 0 for nothing. */
export function memoryMiB(text: string | undefined): number {
  if (text === undefined || text === '') return 0
  const [, amount, unit = ''] = /^(\d+)([a-z]*)$/i.exec(text.trim()) ?? []
  const bytes = BYTES[unit.toLowerCase()]
  if (amount === undefined || bytes === undefined) throw garbage(`a size is “${text.slice(0, 40)}”`)
  return Math.ceil((Number(amount) * bytes) / 1024 ** 2)
}

/** `64` as it is, `2gb` in bytes; undefined for what is no amount. */
export function amount(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+)([a-z]*)$/i.exec(text.trim()) ?? []
  const bytes = BYTES[unit.toLowerCase()]
  return digits === undefined || bytes === undefined ? undefined : Number(digits) * bytes
}

/** `HH:MM:SS`, `DD:HH:MM:SS`, `MM:SS` or seconds; undefined for nothing. */
export function walltimeMs(text: string | undefined): Millis | undefined {
  if (text === undefined || text === '') return undefined
  const parts = text.trim().split(':')
  if (parts.length > 4 || !parts.every((part) => /^\d+$/.test(part)))
    throw garbage(`a time is “${text.slice(0, 40)}”`)
  const [seconds = 0, minutes = 0, hours = 0, days = 0] = parts.map(Number).reverse()
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000
}

export function wholeNumber(text: string | undefined, what: string): number {
  if (text === undefined || !/^\d+$/.test(text)) throw garbage(`${what} is “${(text ?? '').slice(0, 40)}”`)
  return Number(text)
}
