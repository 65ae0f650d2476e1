import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import { until } from './batch-system.ts'

/** A join handler on the workbench, with one machine that is up and may be killed. */
export interface JoinBench {
  readonly join: JoinHandler
  readonly patienceMs: Millis
  /** Its machines know no unit: what runs there may be another one's. */
  readonly anyUnit?: boolean
  /** A machine that is up and in no middleware. */
  machine(): Promise<JoinUnit>
  /** Nothing of the machine runs on. */
  killMachine(unit: JoinUnit): Promise<void>
  /** How many node daemons of this unit the middleware hears, by the name and mark of the unit. */
  registered(unit: JoinUnit): Promise<number>
  /** After each case: takes its nodes and machines away. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** The law of adapters/join.ts. `skip`: a one-line reason why it cannot run here. */
export function joinLaw(
  name: string,
  open: () => Promise<JoinBench>,
  options: { readonly skip?: string | undefined; readonly openMs?: Millis; readonly caseMs?: Millis } = {},
): void {
  const { skip, openMs = 60_000, caseMs = 60_000 } = options
  describe.skipIf(skip !== undefined)(`${name} keeps the law of join handlers`, { timeout: caseMs }, () => {
    let bench: JoinBench
    const never = new AbortController().signal

    beforeAll(async () => {
      bench = await open()
    }, openMs)
    afterEach(() => bench.clear(), caseMs)
    afterAll(() => bench?.close(), openMs)

    const daemons = (unit: JoinUnit, wanted: number): Promise<number> =>
      until(
        `${wanted} daemons of ${unit.name} are heard`,
        bench.patienceMs,
        () => bench.registered(unit),
        (seen) => seen === wanted,
      )

    test('a joined machine registers under its name and with its mark', async () => {
      const unit = await bench.machine()
      expect(await bench.registered(unit)).toBe(0)
      await bench.join.join(unit, never)
      await daemons(unit, 1)
    })

    test('joining twice is joining once', async () => {
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await daemons(unit, 1)
      await bench.join.join(unit, never)
      await daemons(unit, 1)
    })

    test('a machine that left is heard no more, and leaving twice is leaving once', async () => {
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await daemons(unit, 1)
      await bench.join.leave(unit, never)
      await daemons(unit, 0)
      await bench.join.leave(unit, never)
    })

    test('a machine that left may join again', async () => {
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await daemons(unit, 1)
      await bench.join.leave(unit, never)
      await daemons(unit, 0)
      await bench.join.join(unit, never)
      await daemons(unit, 1)
    })

    test('leaving a machine that never joined resolves', async () => {
      await bench.join.leave(await bench.machine(), never)
    })

    test('leaving a machine that is gone resolves', async () => {
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await bench.killMachine(unit)
      await bench.join.leave(unit, never)
    })

    test('joining a machine that is gone says that it is unreachable', async () => {
      const unit = await bench.machine()
      await bench.killMachine(unit)
      await expect(bench.join.join(unit, never)).rejects.toMatchObject({
        code: expect.stringMatching(/^(machine-unreachable|ssh-unreachable)$/),
      })
    })

    test('a daemon of another lease is ended neither by a join nor by a leave', async () => {
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await daemons(unit, 1)
      for (const unitId of ['unit-of-liar', unit.leaseId, unit.facts.address ?? unit.name]) {
        const liar = { ...unit, leaseId: 'lease-of-liar', unitId }
        await expect(bench.join.join(liar, never)).rejects.toMatchObject({
          code: expect.stringMatching(/^machine-(setup|unreachable)$/),
        })
        await bench.join.leave(liar, never).catch(() => undefined)
      }
      await daemons(unit, 1)
    })

    test('what a lease left behind is ended by the next one there, if it is over', async (t) => {
      if (bench.anyUnit !== true) return t.skip('its machines know their unit')
      const unit = await bench.machine()
      await bench.join.join(unit, never)
      await daemons(unit, 1)
      const next = { ...unit, leaseId: 'lease-next', unitId: 'unit-next' }
      await bench.join.join({ ...next, over: [{ leaseId: unit.leaseId, unitId: unit.unitId }] }, never)
      // The id of the unit alone says nothing.
      const later = { ...next, leaseId: 'lease-later' }
      await expect(bench.join.join(later, never)).rejects.toMatchObject({ code: 'machine-setup' })
      await bench.join.join({ ...later, over: [{ leaseId: next.leaseId, unitId: next.unitId }] }, never)
      // Late, after the next lease has begun.
      await bench.join.leave(next, never)
      await expect(bench.join.join(unit, never)).rejects.toMatchObject({ code: 'machine-setup' })
      await bench.join.leave(later, never)
      await bench.join.join(unit, never)
      await daemons(unit, 1)
    })

    test('an aborted join rejects with the reason given', async () => {
      const unit = await bench.machine()
      const reason = new Error('no longer wanted')
      await expect(bench.join.join(unit, AbortSignal.abort(reason))).rejects.toBe(reason)
    })
  })
}
