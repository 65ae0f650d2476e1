import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Handler, UnitSpec } from '../../adapters/handler.ts'
import { eventually } from './eventually.ts'

/** A site with one kind of machine, and an observer that looks at its host without asking Sublet. */
export interface HandlerSite {
  readonly handler: Handler
  /** The handler as a Sublet that was started anew has it: the same site, nothing remembered. */
  restarted(): Handler
  /** A unit that this site can make; each with an id, name and slot of its own. */
  unit(over?: Partial<UnitSpec>): UnitSpec
  /** The machine's living processes, as the host sees them; a zombie has ended. */
  processes(unit: UnitSpec): Promise<readonly number[]>
  /** What else the host still has of it (folders, mounts, interfaces, cgroups), a few words each. */
  leftovers(unit: UnitSpec): Promise<readonly string[]>
  /** Starts work that this site counts as busy, and resolves when it runs. The answer ends it. */
  startWork(unit: UnitSpec): Promise<() => Promise<void>>
  /** Ends the machine as a cut of its power does. */
  powerCut(unit: UnitSpec): Promise<void>
  /** The lease's properties as programs on the machine find them. */
  properties(unit: UnitSpec): Promise<Readonly<Record<string, string>>>
  /** Deletes what Sublet wrote down about the unit; the machine goes on. */
  loseRecord(unit: UnitSpec): Promise<void>
  /** Lets another process begin the unit's setup, and kills that process with signal 9 after so long. */
  crashDuringSetup?(unit: UnitSpec, afterMs: number): Promise<void>
  /** Ends every machine and removes the site. */
  close(): Promise<void>
}

export interface LawOptions {
  /** Why the law cannot be run here; it is shown with each test. */
  readonly skip?: string | undefined
  /** One setup takes at most so long. */
  readonly setupMs?: number
}

const HOUR_MS = 3_600_000

/** The law of adapters/handler.ts, for one kind of machine. */
export function handlerLaw(
  name: string,
  open: () => Promise<HandlerSite>,
  { skip, setupMs = 10_000 }: LawOptions = {},
): void {
  describe.skipIf(skip !== undefined)(`${name} keeps the law of handlers${skip ? ` (${skip})` : ''}`, () => {
    let site: HandlerSite
    beforeAll(async () => {
      site = await open()
    }, 30_000)
    afterAll(async () => {
      await site?.close()
    }, 60_000)

    const soon = (): AbortSignal => AbortSignal.timeout(setupMs)
    const setUp = async (over: Partial<UnitSpec> = {}) => {
      const unit = site.unit({ endsAt: systemClock.now() + HOUR_MS, ...over })
      return { unit, facts: await site.handler.setup(unit, soon()) }
    }
    const end = (unit: UnitSpec) => site.handler.teardown(unit, { force: true }, soon())
    const found = async (unit: UnitSpec, handler = site.handler) =>
      (await handler.list(soon())).filter(({ unitId }) => unitId === unit.unitId)
    const expectGone = async (unit: UnitSpec) => {
      expect(await site.processes(unit)).toEqual([])
      expect(await site.leftovers(unit)).toEqual([])
      expect(await found(unit)).toEqual([])
    }
    const ended = (unit: UnitSpec, withinMs: number) =>
      eventually(async () => (await site.processes(unit)).length === 0, withinMs)
    const anyProbe = { argv: ['true'], timeoutMs: 5000 } as const

    test('nothing is missing on this machine', async () => {
      expect(await site.handler.check(soon())).toEqual([])
    })

    test('a machine that was set up runs, is listed and passes its probe', async () => {
      const { unit, facts } = await setUp({ probe: [anyProbe] })
      expect(Object.keys(facts)).not.toEqual([])
      expect(await site.processes(unit)).not.toEqual([])
      const { unitId, leaseId, name, slot, host, vector, endsAt, graceMs } = unit
      const listed = { unitId, leaseId, name, running: true, slot, host, vector, endsAt, graceMs }
      expect(await found(unit)).toEqual([listed])
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toEqual({ kind: 'passed' })
      expect(await end(unit)).toEqual({ kind: 'gone' })
      await expectGone(unit)
    }, 30_000)

    test('setup of a machine that runs adopts it, also after a restart, and never makes a second one', async () => {
      const { unit, facts } = await setUp()
      const first = await site.processes(unit)
      expect(await site.handler.setup(unit, soon())).toEqual(facts)
      expect(await site.restarted().setup(unit, soon())).toEqual(facts)
      // The first of its processes is the machine; what else was there may have been a command that is over.
      expect(await site.processes(unit)).toContain(Math.min(...first))
      expect(await found(unit)).toHaveLength(1)
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('teardown of what never was is gone, and so is a second teardown', async () => {
      const never = site.unit()
      expect(await site.handler.teardown(never, { force: false }, soon())).toEqual({ kind: 'gone' })
      const { unit } = await setUp()
      expect(await end(unit)).toEqual({ kind: 'gone' })
      expect(await end(unit)).toEqual({ kind: 'gone' })
      await expectGone(unit)
    }, 30_000)

    test('a setup that was aborted rejects with the reason, and the next one makes exactly one machine', async () => {
      for (const afterMs of [0, 10, 40, 120]) {
        const unit = site.unit({ endsAt: systemClock.now() + HOUR_MS })
        const abort = new AbortController()
        const reason = new Error('changed our mind')
        const begun = site.handler.setup(unit, abort.signal).then(
          () => 'was quicker',
          (error: unknown) => error,
        )
        await sleep(systemClock, afterMs)
        abort.abort(reason)
        const outcome = await begun
        if (outcome !== 'was quicker') expect(outcome).toBe(reason)
        const again = site.restarted()
        await again.setup(unit, soon())
        expect(await found(unit, again)).toHaveLength(1)
        expect(await again.teardown(unit, { force: true }, soon())).toEqual({ kind: 'gone' })
        await expectGone(unit)
      }
    }, 60_000)

    test('a verb whose signal is aborted already rejects with the reason and touches nothing', async () => {
      const unit = site.unit()
      const reason = new Error('too late')
      const signal = AbortSignal.abort(reason)
      await expect(site.handler.setup(unit, signal)).rejects.toBe(reason)
      await expect(site.handler.probe(unit, { onlyIdle: false }, signal)).rejects.toBe(reason)
      await expect(site.handler.modify(unit, signal)).rejects.toBe(reason)
      await expect(site.handler.teardown(unit, { force: true }, signal)).rejects.toBe(reason)
      await expectGone(unit)
    }, 30_000)

    test('setup after a crash in the middle of it ends the half and makes one machine', async (t) => {
      if (site.crashDuringSetup === undefined) return t.skip('this site cannot crash a setup')
      for (const afterMs of [0, 15, 40, 80, 150]) {
        const unit = site.unit({ endsAt: systemClock.now() + HOUR_MS })
        await site.crashDuringSetup(unit, afterMs)
        const again = site.restarted()
        await again.setup(unit, soon())
        expect(await found(unit, again)).toEqual([expect.objectContaining({ running: true })])
        expect(await again.teardown(unit, { force: true }, soon())).toEqual({ kind: 'gone' })
        await expectGone(unit)
      }
    }, 90_000)

    test('teardown after a crash in the middle of setup leaves nothing', async (t) => {
      if (site.crashDuringSetup === undefined) return t.skip('this site cannot crash a setup')
      for (const afterMs of [0, 30, 100]) {
        const unit = site.unit({ endsAt: systemClock.now() + HOUR_MS })
        await site.crashDuringSetup(unit, afterMs)
        expect(await site.restarted().teardown(unit, { force: true }, soon())).toEqual({ kind: 'gone' })
        await expectGone(unit)
      }
    }, 60_000)

    test('several machines are set up and torn down side by side', async () => {
      const four = await Promise.all([1, 2, 3, 4].map(() => setUp()))
      expect(new Set(four.map(({ facts }) => JSON.stringify(facts))).size).toBe(4)
      expect(await Promise.all(four.map(({ unit }) => end(unit)))).toEqual(four.map(() => ({ kind: 'gone' })))
      for (const { unit } of four) await expectGone(unit)
    }, 60_000)

    test('the probe stops at the first command that fails, and names it', async () => {
      const failing = { argv: ['sh', '-c', 'echo no disk >&2; exit 3'], timeoutMs: 5000 } as const
      const { unit } = await setUp({ probe: [anyProbe, failing, { argv: ['false'], timeoutMs: 5000 }] })
      const outcome = await site.handler.probe(unit, { onlyIdle: false }, soon())
      expect(outcome).toMatchObject({ kind: 'failed', command: expect.stringContaining('echo no disk') })
      expect(outcome.kind === 'failed' && outcome.reason).toContain('no disk')
      await end(unit)
    }, 30_000)

    test('a probe command past its time, or not there, fails', async () => {
      const slow = { argv: ['sleep', '60'], timeoutMs: 300 } as const
      const absent = { argv: ['no-such-program-here'], timeoutMs: 5000 } as const
      const { unit } = await setUp({ probe: [slow] })
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toMatchObject({ kind: 'failed' })
      expect(
        await site.handler.probe({ ...unit, probe: [absent] }, { onlyIdle: false }, soon()),
      ).toMatchObject({
        kind: 'failed',
        command: 'no-such-program-here',
      })
      await end(unit)
    }, 30_000)

    test('a machine that has ended fails its probe and cannot be modified', async () => {
      const { unit } = await setUp({ probe: [anyProbe] })
      await site.powerCut(unit)
      await ended(unit, 5000)
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toMatchObject({ kind: 'failed' })
      const refused = await site.handler.modify(unit, soon()).catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(SubletError)
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('work makes the machine busy: it is not probed, not torn down gently, and goes on', async () => {
      const { unit } = await setUp({ probe: [anyProbe] })
      const stop = await site.startWork(unit)
      expect(await site.handler.probe(unit, { onlyIdle: true }, soon())).toEqual({ kind: 'busy' })
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toEqual({ kind: 'passed' })
      expect(await site.handler.teardown(unit, { force: false }, soon())).toMatchObject({ kind: 'busy' })
      expect(await site.processes(unit)).not.toEqual([])
      await stop()
      expect(await site.handler.probe(unit, { onlyIdle: true }, soon())).toEqual({ kind: 'passed' })
      expect(await site.handler.teardown(unit, { force: false }, soon())).toEqual({ kind: 'gone' })
      await expectGone(unit)
    }, 30_000)

    test('force tears a busy machine down', async () => {
      const { unit } = await setUp()
      await site.startWork(unit)
      expect(await end(unit)).toEqual({ kind: 'gone' })
      await expectGone(unit)
    }, 30_000)

    test('after a power cut the machine is found dead, and setup makes a new one', async () => {
      const { unit } = await setUp()
      const first = await site.processes(unit)
      await site.powerCut(unit)
      await ended(unit, 5000)
      expect((await found(unit)).filter(({ running }) => running)).toEqual([])
      await site.handler.setup(unit, soon())
      const second = await site.processes(unit)
      expect(second).not.toEqual([])
      expect(second.filter((pid) => first.includes(pid))).toEqual([])
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('a machine whose record was lost is found, and torn down', async () => {
      const { unit } = await setUp()
      await site.loseRecord(unit)
      const again = site.restarted()
      expect(await found(unit, again)).toEqual([
        expect.objectContaining({ unitId: unit.unitId, leaseId: unit.leaseId, running: true }),
      ])
      expect(await again.teardown(unit, { force: true }, soon())).toEqual({ kind: 'gone' })
      await expectGone(unit)
    }, 30_000)

    test('the dead-man ends an idle machine after its end, without Sublet', async () => {
      const { unit } = await setUp({ endsAt: systemClock.now() + 2000, graceMs: HOUR_MS })
      await ended(unit, 8000)
      expect(systemClock.now()).toBeGreaterThanOrEqual(unit.endsAt)
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('the dead-man lets work finish', async () => {
      const { unit } = await setUp({ endsAt: systemClock.now() + HOUR_MS, graceMs: HOUR_MS })
      const stop = await site.startWork(unit)
      // Not before work is there, however slow the machine is that this runs on.
      await site.handler.modify({ ...unit, endsAt: systemClock.now() + 200 }, soon())
      await sleep(systemClock, 1_700)
      expect(await site.processes(unit)).not.toEqual([])
      await stop()
      await ended(unit, 8000)
      await end(unit)
    }, 30_000)

    test('the dead-man ends even a busy machine when the grace is over', async () => {
      const { unit: early } = await setUp({ endsAt: systemClock.now() + HOUR_MS, graceMs: 1000 })
      await site.startWork(early)
      const unit = { ...early, endsAt: systemClock.now() + 200 }
      await site.handler.modify(unit, soon())
      await ended(unit, 8000)
      expect(systemClock.now()).toBeGreaterThanOrEqual(unit.endsAt + unit.graceMs)
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('modify moves the end: the machine lives past the old one, and ends at the new one', async () => {
      const { unit } = await setUp({ endsAt: systemClock.now() + 1500 })
      const longer = systemClock.now() + HOUR_MS
      await site.restarted().modify({ ...unit, endsAt: longer }, soon())
      expect(await found(unit)).toMatchObject([{ endsAt: longer, graceMs: unit.graceMs }])
      await sleep(systemClock, Math.max(0, unit.endsAt - systemClock.now()) + 1500)
      expect(await site.processes(unit)).not.toEqual([])
      await site.handler.modify({ ...unit, endsAt: systemClock.now() + 200 }, soon())
      await ended(unit, 8000)
      await end(unit)
    }, 30_000)

    test('modify changes the properties in place, and what runs there goes on', async () => {
      const { unit } = await setUp({ properties: { owner: 'anna', queue: 'short' } })
      expect(await site.properties(unit)).toEqual({ owner: 'anna', queue: 'short' })
      const before = await site.processes(unit)
      const stop = await site.startWork(unit)
      await site.restarted().modify({ ...unit, properties: { owner: 'berta' } }, soon())
      expect(await site.properties(unit)).toEqual({ owner: 'berta' })
      // The first of its processes is the machine; what else is there may have been a command that is over.
      expect(await site.processes(unit)).toContain(Math.min(...before))
      await stop()
      await end(unit)
      await expectGone(unit)
    }, 30_000)

    test('who watches is told of a machine that ended by itself', async (t) => {
      if (site.handler.watch === undefined) return t.skip('this kind of machine is not watched')
      const { unit } = await setUp()
      const stop = new AbortController()
      const told = new Promise<string>((resolve) =>
        site.handler.watch?.((unitId) => unitId === unit.unitId && resolve(unitId), stop.signal),
      )
      await site.powerCut(unit)
      expect(await Promise.race([told, sleep(systemClock, 8000).then(() => 'nobody told us')])).toBe(
        unit.unitId,
      )
      stop.abort()
      await end(unit)
    }, 30_000)
  })
}
