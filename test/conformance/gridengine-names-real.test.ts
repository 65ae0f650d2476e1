import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { Membership } from '../../actors/service-manager/membership.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import type { JoinHandler } from '../../adapters/join.ts'
import type { GridengineLab } from '../../deploy/labs/gridengine/lab.ts'
import { closeLab, gridengineSkip, labMachines, never, openLab, title } from './gridengine-bench.ts'

/** SUBLET_REAL=1 vitest run test/conformance/gridengine-names-real.test.ts */
describe.skipIf(gridengineSkip !== undefined)(title('names of hosts in a real GridEngine'), () => {
  let lab: GridengineLab
  beforeAll(async () => {
    lab = await openLab('names')
  }, 180_000)
  afterAll(() => closeLab(lab), 60_000)

  /** Units are named by their site, a peer; names of hosts differ in no case for GridEngine. */
  test('a unit called STATIC1 does not take the admin’s own host static1', async () => {
    const { root, bin, queue, hostGroup, dir } = lab
    const config = gridengineConfig.parse({ root, bin, queue, hostGroup, lockFolder: dir })
    const system = gridengine(config, lab.onHead, { clock })
    const show = () => lab.shell('qconf -shgrp @sublet | tail -1; qconf -sq dyn | grep ^slots', never)
    const before = await show()
    const mark = { leaseId: 'lease-7f3a', unitId: 'unit-1' }
    for (const [name, code] of [
      ['STATIC1', 'node-name'],
      ['static1', 'node-not-ours'],
    ] as const) {
      const node = { name, address: '10.0.0.9', cpus: 8, memoryMiB: 1000, mark }
      await expect(system.expect(node, AbortSignal.timeout(3_000))).rejects.toMatchObject({ code })
      await expect(system.remove('STATIC1', mark, { lost: true }, never)).rejects.toMatchObject({
        code: 'node-not-ours',
      })
    }
    expect(await show()).toBe(before)
  })

  /** Its record carries the mark; only the name is written otherwise (case, domain, host_aliases), as from a peer of another version. */
  test('a unit that GridEngine shows under another spelling is not left while a job runs on it', async () => {
    const { root, bin, queue, hostGroup, dir } = lab
    const config = gridengineConfig.parse({ root, bin, queue, hostGroup, lockFolder: dir })
    const machines = labMachines(lab)
    await machines.boot('g1')
    const real = machines.unit('g1')
    const ended: string[] = []
    const handler: JoinHandler = {
      join: (_, signal) => machines.handler.join(real, signal),
      leave: async ({ name }, signal) => {
        ended.push(name)
        await machines.handler.leave(real, signal)
      },
      close: async () => undefined,
    }
    const membership = new Membership(gridengine(config, lab.onHead, { clock }), handler, clock)
    const as = (name: string) => ({ guest: 'g', unit: { ...real, name }, reason: 'it goes', requeue: false })
    try {
      await membership.perform('join', as('g1'), AbortSignal.timeout(12_000))
      await lab.submit('sleep 300', ['-q', 'dyn@g1'], never)
      const end = clock.now() + 15_000
      while (!/ r /.test(await lab.shell('qstat -u "*" -s r', never)) && clock.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 500))
      const outcome = await membership
        .perform('leave', as('G1'), AbortSignal.timeout(15_000))
        .catch((error: unknown) => error)
      expect(outcome).toMatchObject({ kind: 'busy', jobs: [expect.stringMatching(/^\d+$/)] })
      expect(ended).toEqual([])
    } finally {
      await machines.killAll()
    }
  }, 180_000)
})
