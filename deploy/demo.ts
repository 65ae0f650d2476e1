import type { Clock } from '../actors/runtime/clock.ts'
export async function demo(_options: object, _clock: Clock): Promise<number> {
  return 0
}
