import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { torque } from '../../adapters/torque/batch-system.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { markProperty } from '../../adapters/torque/marks.ts'
import type { GuestView, HeldLease, HeldUnit } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import { controlServer } from '../../deploy/control/control.ts'
import { driven, handClock } from '../emulated/clocks.ts'
import { emulatedExecutor } from '../emulated/executor.ts'
import { answer } from '../emulated/torque/commands.ts'
import { TorqueServer } from '../emulated/torque/server.ts'
import { fakeSite, SITE_YAML, yamlIn } from '../unit/control-site.ts'
import { configOf, leaseOf, MINUTE, SECOND, unitOf } from '../unit/groc-world.ts'

/**
 * `sublet explain job ID` as a user of a Torque reads it, of a job in each state that there is: the jobs are those of the
 * emulated server, read by the adapter, explained by GROC, asked for by the command itself. What is kept is to be read
 * as somebody would who has never heard of Sublet: does it say why, when, and what to do?
 */
const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname
const T0 = Date.UTC(2026, 10, 21, 20)
const never = new AbortController().signal
const dir = mkdtempSync(join(tmpdir(), 'sublet-explained-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** 94 s at the median, 114 s for nine of ten. */
const BOOTS = [85, 88, 90, 92, 94, 99, 103, 108, 114, 130].map((seconds) => seconds * SECOND)

const transcript: string[] = []

function sublet(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args, '--dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    child.on('error', reject)
    child.on('close', () => resolve(said))
  })
}

/** A Torque of its own, with machines of ours in it and others on their way. */
async function cluster() {
  const clock = handClock(T0)
  const server = new TorqueServer({
    clock,
    version: '6.1.3',
    keepCompletedMs: 10 * MINUTE,
    epilogMs: 90 * SECOND,
  })
  const exec = emulatedExecutor((asked) => answer(server, asked), { clock })
  const system = torque(torqueConfig.parse({ lockFolder: dir }), exec, { clock })
  server.queue.transit = true
  server.hosts.set('front', '10.77.0.9')
  server.createNode('front', 1, [], '')
  Object.assign(server.nodes.get('front')!, { isBusy: true, isOffline: false })
  server.startMom('front', '10.77.0.9')
  for (const at of [1, 2, 3]) server.hosts.set(`vm0${at}`, `10.77.0.1${at}`)
  await clock.moveTo(T0 + SECOND)

  const run = async (program: string, args: readonly string[], { user = 'ada', sleeps = 100_000 } = {}) => {
    const done = await driven(clock, answer(server, { program, args, user, input: `sleep ${sleeps}` }))
    await clock.moveTo(clock.now() + SECOND)
    return done.stdout.trim()
  }
  const qsub = (args: string, sleeps?: number): Promise<string> =>
    run('qsub', args.split(' ').filter(Boolean), sleeps === undefined ? {} : { sleeps })
  const joins = async (name: string): Promise<void> => {
    const address = server.hosts.get(name)!
    const mark = { leaseId: `lease-${name}`, unitId: `unit-${name}` }
    server.createNode(name, 2, [markProperty(mark, address)], '')
    server.nodes.get(name)!.isOffline = false
    server.startMom(name, address)
    await clock.moveTo(clock.now() + 15 * SECOND)
  }
  const lease = (name: string, unit: Partial<HeldUnit>, over: Partial<HeldLease> = {}): HeldLease =>
    leaseOf(`lease-${name}`, [unitOf(`unit-${name}`, { name, since: T0, joinedAt: T0, ...unit })], {
      ...{ requestedAt: T0, term: { start: T0, end: T0 + 60 * MINUTE }, extendBy: T0 + 50 * MINUTE },
      ...over,
    })
  const coming = (name: string): HeldLease =>
    lease(name, { state: 'awaited', since: clock.now(), joinedAt: undefined }, { requestedAt: clock.now() })

  /** How many steps a look takes is not to show. */
  const onTheMinute = (): Promise<void> => clock.moveTo(Math.floor(clock.now() / MINUTE) * MINUTE + MINUTE)

  /** What people ask, and what they are told. */
  async function told(
    questions: readonly (readonly [title: string, id: string])[],
    leases: readonly HeldLease[],
    over: { config?: object; memory?: Partial<GrocMemory>; view?: Partial<GuestView<never>> } = {},
  ): Promise<void> {
    await onTheMinute()
    const picture = await driven(clock, system.observe(never))
    await onTheMinute()
    const config = configOf({ unit: { cpus: 2, memoryMiB: 1000 }, max: 6, queues: ['batch'], ...over.config })
    const view = {
      observation: picture,
      blind: undefined,
      leases,
      refusals: [],
      hold: undefined,
      ...over.view,
    }
    const boots = { tookMs: BOOTS, lastAt: T0 - MINUTE }
    let memory: GrocMemory = { ...groc.firstMemory, boots, ...over.memory }
    const now = clock.now()
    memory = groc.decide(view, memory, config, now).memory
    const site = fakeSite(dir, yamlIn(dir))
    const batch = {
      ...site.guests.batch!,
      lastPicture: () => picture,
      explainJobs: (ids: readonly string[]) => groc.explainJobs!(ids, view, memory, config, now),
    }
    const control = await controlServer(
      { ...site, guests: { batch } },
      {
        ...{ socket: join(dir, 'control.sock'), auth: join(dir, 'auth'), clock: systemClock, startedAt: T0 },
        log: { debug() {}, info() {}, warn() {}, error() {} },
        ...{ metrics: () => '', stop: () => undefined },
      },
    )
    try {
      for (const [title, id] of questions) {
        const said = await sublet(['explain', 'job', id])
        transcript.push(`# ${title}\n$ sublet explain job ${id}\n${said}`)
      }
    } finally {
      await control.close()
    }
  }
  return { clock, server, system, run, qsub, joins, lease, coming, told }
}

test('a job in each state is explained so that its owner knows why, when, and what to do', async () => {
  writeFileSync(yamlIn(dir), SITE_YAML)
  transcript.push(
    '`sublet explain job ID` of a job in each state, at a Torque 6.1 (emulated). Times are UTC; machines here took 94 s to come.\n',
  )

  const one = await cluster()
  await one.joins('vm01')
  const running = await one.qsub('-l nodes=1:ppn=2,walltime=00:30:00')
  const served = await one.qsub('-l nodes=1:ppn=2')
  const ordered = await one.qsub('-l nodes=1:ppn=2')
  const held = await one.qsub('-h')
  const byOperator = await one.qsub('-h')
  one.server.jobs.get(byOperator)!.holds = 'o'
  const bySystem = await one.qsub('-h')
  Object.assign(one.server.jobs.get(bySystem)!, {
    holds: 's',
    comment: 'Not Running: PBS Error: Execution server rejected request',
  })
  const dependent = await one.qsub(`-W depend=afterany:${running}`)
  const later = await one.qsub('-a 202611212200 -l nodes=1:ppn=2')
  await one.qsub('-t 1-6%1 -l nodes=1:ppn=1,walltime=00:10:00')
  const limited = await one.qsub('-l nodes=1:ppn=2')
  const reserved = await one.qsub('-l nodes=1:ppn=2')
  const large = await one.qsub('-l nodes=1:ppn=16')
  const wide = await one.qsub('-l nodes=20:ppn=2')
  await one.clock.moveTo(one.clock.now() + 5 * SECOND)
  // The words of pbs_sched; a scheduler that knows reservations says the second.
  one.server.jobs.get(limited)!.comment = 'Not Running: User has reached queue running limit.'
  one.server.jobs.get(reserved)!.comment = 'Not Running: Job would conflict with reservation or top job'
  const leases = [one.lease('vm01', {}), one.coming('vm02')]
  const array = [...one.server.jobs.keys()].find((id) => /\[6\]/.test(id))!
  await one.told(
    [
      ['It runs', running],
      ['It waits, and a machine is coming', served],
      ['It waits for a machine that is still to be asked for', ordered],
      ['Its owner holds it', held],
      ['An operator holds it', byOperator],
      ['The batch system itself holds it', bySystem],
      ['Another job has to end first', dependent],
      ['It may begin at ten o’clock', later],
      ['The first task of an array of which one may run at once', array.replace('[6]', '[1]')],
      ['... and its last', array],
      ['Its user is over a limit', limited],
      ['A reservation has what it needs', reserved],
      ['It is too large for any machine', large],
      ['It is too wide', wide],
      ['Nobody knows it', '4711'],
    ],
    leases,
  )

  const two = await cluster()
  await two.joins('vm01')
  await two.qsub('-l nodes=1:ppn=2,walltime=00:20:00')
  const three = await two.qsub('-l nodes=3:ppn=2')
  const behind = await two.qsub('-l nodes=1:ppn=2')
  const ours = [two.lease('vm01', {}), two.coming('vm02'), two.coming('vm03')]
  await two.told([['A wide one waits for the last of its machines', three]], ours)
  await two.told([['A wide one waits until others have ended, for max leaves no room', three]], ours, {
    config: { max: 3 },
  })
  await two.told([['It waits, and max leaves no room', behind]], ours.slice(0, 1), { config: { max: 1 } })
  await two.told([['It waits, and the controller is frozen', behind]], ours, {
    view: { hold: 'frozen since 2026-11-21T19:00:00Z by uid 1004 (the room is hot)', still: 'frozen' },
  })
  await two.told([['It waits, and the batch system cannot be looked at', behind]], ours, {
    view: { blind: { since: T0 + 20 * SECOND, reason: 'qstat: cannot connect to server' } },
  })
  await two.told([['It waits in a queue that is not served', behind]], ours, { config: { queues: ['long'] } })

  const stopped = await cluster()
  stopped.server.queue.started = false
  const shut = await stopped.qsub('-l nodes=1:ppn=2')
  await stopped.told([['Its queue is stopped', shut]], [])

  const third = await cluster()
  await third.joins('vm01')
  const quick = await third.qsub('-l nodes=1:ppn=2', 0.2)
  await third.told([['It is completing', quick]], [third.lease('vm01', {})])
  await third.clock.moveTo(third.clock.now() + 60 * SECOND)
  await third.told([['It has ended', quick]], [third.lease('vm01', {})])

  const fourth = await cluster()
  const many: string[] = []
  for (let i = 0; i < 5; i++) many.push(await fourth.qsub('-l nodes=1:ppn=2'))
  await fourth.told([['Others of the same user come first', many.at(-1)!]], [], { config: { userMax: 3 } })
  const now = fourth.clock.now()
  const row = { inRow: 10, since: T0, lastAt: now, lastJobs: [], nodes: ['vm01', 'vm02'] }
  await fourth.told([['Jobs of its user end at once, and come again', many[0]!]], [], {
    ...{ config: { userMax: 3 }, memory: { users: { ada: row } } },
  })

  await expect(transcript.join('\n')).toMatchFileSnapshot('transcripts/explain-job.txt')
}, 300_000)
