import { readFileSync } from 'node:fs'
import type { Cancel, Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { writeDurably } from '../durable-file.ts'
import { asFields, count } from './fields.ts'

/**
 *            endsAt                      endsAt + grace
 *   ───────────┼──────────────────────────────┼────▶
 *     works on │ ends as soon as no work runs │ ends
 *
 * The end is kept on the disk as an instant of the wall clock. Once learned it is counted in monotonic
 * time, so that a step of the wall clock ends no machine.
 */
export interface LeaseEnd {
  readonly endsAt: Instant
  readonly graceMs: Millis
}

export interface Deadman {
  /** On the disk when it returns. */
  modify(end: LeaseEnd): void
  /** Work has ended, perhaps the last. */
  look(): void
}

export function deadman(deps: {
  readonly file: string
  readonly clock: Clock
  readonly isBusy: () => boolean
  readonly onEnd: (why: string) => void
}): Deadman {
  const { file, clock } = deps
  let due: { readonly soft: Millis; readonly hard: Millis }
  let cancel: Cancel = () => undefined
  let over = false

  function learn({ endsAt, graceMs }: LeaseEnd): void {
    const soft = clock.monotonic() + (endsAt - clock.now())
    due = { soft, hard: soft + graceMs }
    look()
  }

  function look(): void {
    cancel()
    if (over) return
    const now = clock.monotonic()
    const busy = deps.isBusy()
    if (now >= due.hard || (now >= due.soft && !busy)) {
      over = true
      deps.onEnd(busy ? 'the lease has ended and the grace is over' : 'the lease has ended')
    } else cancel = clock.after((now < due.soft ? due.soft : due.hard) - now, look)
  }

  const kept = asFields(file, JSON.parse(readFileSync(file, 'utf8')))
  learn({ endsAt: count(kept, 'endsAt'), graceMs: count(kept, 'graceMs') })
  return {
    modify(end) {
      writeDurably(file, end)
      learn(end)
    },
    look,
  }
}
