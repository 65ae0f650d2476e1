import { SubletError } from '../../actors/runtime/errors.ts'

/** A fixed number of seats; who finds none waits in a bounded row, first come first served. */
export interface Seats {
  /** Resolves with the function that gives the seat back; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<() => void>
}

export function seats(count: number, waitingMax: number): Seats {
  let free = count
  const waiting: (() => void)[] = []
  const leaveOnce = (): (() => void) => {
    let left = false
    return () => {
      if (left) return
      left = true
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
  return {
    take: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        if (free > 0) {
          free -= 1
          return resolve(leaveOnce())
        }
        if (waiting.length >= waitingMax)
          return reject(
            new SubletError('exec-failed', `${waitingMax} commands wait already for one of ${count} seats`),
          )
        const sit = (): void => {
          signal.removeEventListener('abort', giveUp)
          resolve(leaveOnce())
        }
        const giveUp = (): void => {
          waiting.splice(waiting.indexOf(sit), 1)
          reject(signal.reason)
        }
        waiting.push(sit)
        signal.addEventListener('abort', giveUp, { once: true })
      }),
  }
}
