import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { MachineType } from '../../adapters/finding.ts'
import { torque } from '../../adapters/torque/batch-system.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { handClock } from '../emulated/clocks.ts'
import { emulatedExecutor } from '../emulated/executor.ts'
import { recorded } from '../emulated/recordings.ts'
import { answer } from '../emulated/torque/commands.ts'
import type { Version } from '../emulated/torque/model.ts'
import { TorqueServer } from '../emulated/torque/server.ts'
import { configOf, jobOf, T0, viewOf } from './groc-world.ts'

const dir = mkdtempSync(join(tmpdir(), 'sublet-hung-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const START = Date.UTC(2026, 10, 21, 20)
const MINUTE = 60_000
const VM: MachineType = {
  ...{ type: 'vm', units: 3, cpus: 1, memoryMiB: 1000 },
  ...{ consumables: {}, features: [] },
}

/** Two nodes that are up; `lose` makes the second one a sister that cannot be reached, before anybody notices. */
async function world(version: Version) {
  const clock = handClock(START)
  const server = new TorqueServer({ clock, version })
  for (const [name, address] of [
    ['vm1', '10.77.0.1'],
    ['vm2', '10.77.0.2'],
  ] as const) {
    server.hosts.set(name, address)
    server.createNode(name, 1, [], '')
    server.startMom(name, address)
    Object.assign(server.nodes.get(name) ?? {}, { isOffline: false })
  }
  await clock.moveTo(START + MINUTE)
  const exec = emulatedExecutor((asked) => answer(server, asked), { clock })
  const system = torque(torqueConfig.parse({ lockFolder: dir }), exec, { clock })
  const { signal } = new AbortController()
  return {
    ...{ clock, server },
    lose: () => server.killMom('vm2'),
    submit: async (nodes: number) => {
      const args = ['-l', `nodes=${nodes},walltime=00:05:00`]
      const { stdout } = await answer(server, { program: 'qsub', args, user: 'ann', input: 'sleep 7200' })
      return stdout.trim()
    },
    job: async (id: string) => (await system.observe(signal)).jobs.find((each) => each.id === id),
    hung: async (machines: readonly MachineType[] = [VM]) =>
      ((await system.examine?.({ names: [], machines, skewMsMax: 2000 }, signal)) ?? []).filter(
        ({ sentence }) => /never be/.test(sentence),
      ),
  }
}

describe.each([
  '6.1.3',
  '4.2.10',
] as const)('a job over two nodes of Torque %s whose sister is not reached', (version) => {
  test('holds both, far beyond its walltime, and is called so once a start cannot take that long', async () => {
    const { clock, submit, job, lose, hung } = await world(version)
    lose()
    const id = await submit(2)
    await clock.moveTo(START + 10 * MINUTE)
    expect(await job(id)).toMatchObject({ state: 'running', nodeNames: ['vm1', 'vm2'] })
    expect((await job(id))?.neverBegan).toBeUndefined()
    await clock.moveTo(START + 60 * MINUTE)
    expect(await job(id)).toMatchObject({ state: 'running', neverBegan: true })
    const found = (await hung()).filter(({ severity }) => severity === 'missing')
    expect(found).toMatchObject([
      {
        sentence: `A job holds nodes as running and never began: ${id} on vm1, vm2.`,
        cure: expect.stringContaining(`qrerun -f ${id}`),
      },
    ])
  })

  test('is no such job where the sister is reached', async () => {
    const { clock, submit, job, hung } = await world(version)
    const id = await submit(2)
    await clock.moveTo(START + 4 * MINUTE)
    expect(await job(id)).toMatchObject({ state: 'running', nodeNames: ['vm1', 'vm2'] })
    await clock.moveTo(START + 60 * MINUTE)
    expect((await job(id))?.neverBegan).toBeUndefined()
    expect((await hung()).filter(({ severity }) => severity === 'missing')).toEqual([])
  })
})

test('4.2 is said to do that before it happens, where jobs may be that wide and machines that many', async () => {
  const old = await world('4.2.10')
  expect(await old.hung()).toMatchObject([
    {
      severity: 'unwise',
      sentence: expect.stringContaining('moms of Torque 4.2.10 do not learn of new nodes'),
    },
  ])
  expect(await old.hung([{ ...VM, units: 1 }])).toEqual([])
  expect(await (await world('6.1.3')).hung()).toEqual([])
})

test('a real Torque shows a job without its session only while it starts', () => {
  const running = recorded('torque-6.1.3')
    .flatMap(({ stdout, endedAt }) =>
      [...stdout.matchAll(/<Job>.*?<\/Job>/gs)].map(([job]) => ({ job, endedAt })),
    )
    .filter(({ job }) => job.includes('<job_state>R</job_state>') && job.includes('<exec_host>'))
  const starting = running.filter(({ job }) => !/<session_id>[1-9]\d*<\/session_id>/.test(job))
  expect(running.length).toBeGreaterThan(8)
  expect(starting.length).toBeGreaterThan(0)
  for (const { job, endedAt } of starting) {
    const startedAt = Number(/<start_time>(\d+)/.exec(job)?.[1]) * 1000
    expect(endedAt - startedAt).toBeLessThan(MINUTE)
  }
})

test('GROC raises an alarm for it, and for no other', () => {
  const job = jobOf('17.tqsrv', {
    ...{ state: 'running', user: 'ann', startedAt: T0, nodeNames: ['vm1', 'vm2'] },
  })
  const reason = (neverBegan: boolean): string => {
    const view = viewOf([], { jobs: [neverBegan ? { ...job, neverBegan } : job] })
    return groc.decide(view, groc.firstMemory, configOf({}), T0).reason
  }
  expect(reason(true)).toMatch(
    /Alarm: a job that never began holds nodes for ever, .*17\.tqsrv of ann since .* on vm1, vm2\. An administrator/,
  )
  expect(reason(false)).not.toContain('Alarm')
})
