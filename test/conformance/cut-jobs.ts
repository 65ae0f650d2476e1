import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { Membership } from '../../actors/service-manager/membership.ts'
import { type BatchBench, until } from './batch-system.ts'

/** Jobs that still run when their machine has to go: what the production verbs do with them, and say. */
export function cutJobsCases(name: string, open: () => Promise<BatchBench>, skip?: string): void {
  describe.skipIf(skip !== undefined)(`${name}: jobs whose machine has to go`, { timeout: 120_000 }, () => {
    let bench: BatchBench
    beforeAll(async () => {
      bench = await open()
    }, 180_000)
    afterEach(() => bench.clear(), 120_000)
    afterAll(() => bench?.close(), 60_000)

    test('are put back where they may be; the others are named, each with its reason, and again when they are cut', async () => {
      const inTime = AbortSignal.timeout(110_000)
      const { system, patienceMs, names } = bench
      const node = bench.node(names[0] ?? '')
      const daemons = {
        join: async () => undefined,
        leave: async () => undefined,
        close: async () => undefined,
      }
      const membership = new Membership(system, daemons, systemClock)
      await Promise.all([bench.startMachine(node.name), system.expect(node, inTime)])
      const may = await bench.submit({ runsMs: 60_000 })
      const mayNot = await bench.submit({ runsMs: 60_000, requeueable: false })
      const stateOf = async (id: string): Promise<string | undefined> =>
        (await system.observe(inTime)).jobs.find((job) => job.id === id)?.state
      for (const id of [may, mayNot])
        await until(
          `${id} runs`,
          patienceMs,
          () => stateOf(id),
          (state) => state === 'running',
        )
      const unit = { ...node.mark, name: node.name, vector: {}, facts: {} }
      const args = { guest: 'grid', unit, reason: 'the site wants it back', requeue: true, wasIn: true }
      const kept = [{ id: mayNot, reason: expect.stringMatching(/./) }]
      expect(await membership.perform('leave', args, inTime)).toEqual({
        ...{ kind: 'busy', jobs: [mayNot], back: [may], kept },
      })
      await until(
        `${may} is back`,
        patienceMs,
        () => stateOf(may),
        (state) => state === 'pending' || state === 'held',
      )
      expect(await stateOf(mayNot)).toBe('running')
      await bench.killMachine(node.name)
      const reason = 'it may not start again'
      expect(await membership.perform('lost', args, inTime)).toEqual({ cut: [{ id: mayNot, reason }] })
      await until(
        `${mayNot} is over`,
        patienceMs,
        () => stateOf(mayNot),
        (state) => state === undefined || state === 'ended',
      )
    })
  })
}
