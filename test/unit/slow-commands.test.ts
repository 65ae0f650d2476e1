import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openpbs } from '../../adapters/openpbs/batch-system.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { torque } from '../../adapters/torque/batch-system.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import type { Answer, Asked } from '../emulated/answer.ts'
import { driven, handClock } from '../emulated/clocks.ts'
import { emulatedExecutor } from '../emulated/executor.ts'
import { answer as openpbsAnswer } from '../emulated/openpbs/commands.ts'
import { PbsServer } from '../emulated/openpbs/server.ts'
import { answer as torqueAnswer } from '../emulated/torque/commands.ts'
import { TorqueServer } from '../emulated/torque/server.ts'

/** Programs of a busy server: they take their time, each on a clock of its own. */
const lockFolder = mkdtempSync(join(tmpdir(), 'slow-'))
afterAll(() => rmSync(lockFolder, { recursive: true }))
const never = new AbortController().signal
const SECOND = 1000
const LIMIT = 20 * SECOND

const systems = {
  torque(commandTimeout: string) {
    const clock = handClock(Date.UTC(2026, 10, 21, 20))
    const server = new TorqueServer({ clock, version: '6.1.3' })
    server.queue.transit = true
    server.hosts.set('own', '10.77.0.9')
    server.createNode('own', 1, [], '')
    const ask = (asked: Asked): Promise<Answer> => torqueAnswer(server, asked)
    const exec = emulatedExecutor(ask, { clock, user: 'root' })
    const system = torque(torqueConfig.parse({ lockFolder, commandTimeout }), exec, { clock })
    return { clock, exec, system, ask, list: 'qstat -x' }
  },
  openpbs(commandTimeout: string) {
    const clock = handClock(Date.UTC(2026, 10, 21, 20))
    const server = new PbsServer({ clock })
    const ask = (asked: Asked): Promise<Answer> => openpbsAnswer(server, asked)
    const exec = emulatedExecutor(ask, { clock, user: 'root' })
    const system = openpbs(openpbsConfig.parse({ lockFolder, commandTimeout }), exec, { clock })
    return { clock, exec, system, ask, list: 'qstat -t' }
  },
}

function scene(kind: keyof typeof systems, commandTimeout = '20s') {
  const made = systems[kind](commandTimeout)
  const { clock, ask, system } = made
  return {
    ...made,
    qsub: async (...args: string[]) =>
      (await driven(clock, ask({ program: 'qsub', args, user: 'ann', input: 'sleep 1000' }))).stdout.trim(),
    observe: () => driven(clock, system.observe(never)),
  }
}

describe.each(['torque', 'openpbs'] as const)('%s', (kind) => {
  test('a reply that comes a second before the time limit is a reply, and the look tells how old it is', async () => {
    const { clock, exec, qsub, observe, list } = scene(kind)
    await qsub('-l', 'nodes=1')
    exec.lasts = (line) => (line.startsWith(list) ? LIMIT - SECOND : 0)
    const begun = clock.now()
    const { jobs, startedAt, at, trust } = await observe()
    expect([jobs.length, trust]).toEqual([1, 'confirmed'])
    // Whoever waits for a drain to show goes by when the look began.
    expect(startedAt).toBeLessThan(begun + SECOND)
    expect(at - startedAt).toBeGreaterThanOrEqual(LIMIT - SECOND)
  })

  test('one that comes a second after it is none, and the next look is as ever', async () => {
    const { exec, qsub, observe, list } = scene(kind)
    await qsub('-l', 'nodes=1')
    exec.lasts = (line) => (line.startsWith(list) ? LIMIT + SECOND : 0)
    await expect(observe()).rejects.toMatchObject({
      ...{ code: 'middleware-unreachable', message: expect.stringContaining('20 s') },
    })
    exec.lasts = () => 0
    expect((await observe()).jobs).toHaveLength(1)
  })

  test('where every command takes a minute, `commandTimeout: 90s` is enough', async () => {
    const { exec, qsub, observe } = scene(kind, '90s')
    await qsub('-l', 'nodes=1')
    exec.lasts = () => 60 * SECOND
    expect(await observe()).toMatchObject({ trust: 'confirmed', jobs: [{ state: 'pending' }] })
  })
})
