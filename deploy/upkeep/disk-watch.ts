import { statfsSync } from 'node:fs'
import type { Log } from '../../actors/runtime/actor.ts'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'

/**
 * Looks after the room on the disk of the work folder:
 *
 *   enough ──free < min──▶ low: nothing new is taken, granted or assigned ──free ≥ min + a quarter──▶ enough
 *
 * Who asks for something new is told to come again (actors/leases/paused.ts). What is held goes on, and is released as
 * ever: that needs little room, and none is granted for it.
 */
export interface DiskWatchParts {
  readonly dir: string
  /** 0: never low. */
  readonly freeBytesMin: number
  readonly clock: Clock
  readonly log: Log
  /** Tells the actors: a sentence, or undefined when there is room again. */
  readonly tell: (paused: string | undefined) => Promise<void>
  /** Bytes that an ordinary user may still write. */
  readonly freeBytes?: (dir: string) => number
}

const LOOK_MS: Millis = 10_000
const MIB = 1024 * 1024

const freeBytesOf = (dir: string): number => {
  const { bavail, bsize } = statfsSync(dir)
  return bavail * bsize
}

/** Looks at once, and then again and again; returns how to end it. */
export async function watchDisk(parts: DiskWatchParts): Promise<() => void> {
  const { dir, freeBytesMin, clock, log, freeBytes = freeBytesOf } = parts
  let low: boolean | undefined
  let cancel: Cancel = () => undefined
  let ended = false

  async function look(): Promise<void> {
    try {
      const free = freeBytes(dir)
      const isLow = free < (low === true ? freeBytesMin * 1.25 : freeBytesMin)
      if (isLow !== low) {
        low = isLow
        const sentence = `only ${Math.floor(free / MIB)} MiB are free in ${dir}: nothing new is granted until room is made there`
        if (isLow) log.warn({ free, dir }, 'the disk is nearly full: nothing new is granted')
        await parts.tell(isLow ? sentence : undefined)
      }
    } catch (error) {
      // Whoever was not told is told at the next look.
      low = undefined
      log.warn({ reason: inOneLine(error) }, 'the room on the disk is not known')
    }
    if (!ended) cancel = clock.after(LOOK_MS, () => void look())
  }

  await look()
  return () => {
    ended = true
    cancel()
  }
}
