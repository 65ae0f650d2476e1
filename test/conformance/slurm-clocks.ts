import { existsSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'

/** Debian's libfaketime. */
export const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

/** A clock that is so far off, such as `+600s`, for a process. Waits are counted by the monotonic one, which stays. */
export function clockOff(by: string): Readonly<Record<string, string>> {
  if (!existsSync(FAKETIME)) throw new SubletError('exec-missing', 'libfaketime is not installed')
  return { LD_PRELOAD: FAKETIME, FAKETIME: by, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
}

/** The same as words before a command. */
export const throughClockOff = (by: string): readonly string[] => [
  'env',
  ...Object.entries(clockOff(by)).map(([key, value]) => `${key}=${value}`),
]
