import { expect, test } from 'vitest'
import type { Answer } from '../emulated/answer.ts'
import { type HandClock, handClock } from '../emulated/clocks.ts'
import { type RecordedRow, recorded } from '../emulated/recordings.ts'
import { answer } from '../emulated/torque/commands.ts'
import { MEASURED } from '../emulated/torque/model.ts'
import { TorqueServer } from '../emulated/torque/server.ts'

/**
 * The emulated Torque is held against the recordings: the same commands at the same hours, beside the same
 * events, with the same exit status, the same words of complaint, and the same form and states on stdout.
 */
const rows = recorded('torque-6.1.3')
const hour = (text: string): number => Date.parse(`2026-11-21T${text}Z`)
const HOSTS = { vm01: '10.77.0.11', vm02: '10.77.0.12', vm03: '10.77.0.13', vm04: '10.77.0.14' }

function server(start: number): { torque: TorqueServer; clock: HandClock } {
  const clock = handClock(start)
  const torque = new TorqueServer({ clock, unscheduled: true })
  for (const [name, address] of Object.entries(HOSTS)) torque.hosts.set(name, address)
  return { torque, clock }
}

/** Runs to its end, however long that takes by the server's clock. */
async function run(
  torque: TorqueServer,
  clock: HandClock,
  argv: readonly string[],
  options: { readonly user?: string; readonly input?: string; readonly takesMs?: number } = {},
): Promise<Answer> {
  const [program = '', ...args] = argv
  const { user = 'root', input = '', takesMs = 200_000 } = options
  let done: Answer | undefined
  const asked = answer(torque, { program, args, user, input }).then((given) => {
    done = given
  })
  await clock.moveTo(clock.now())
  if (done === undefined) await clock.moveTo(clock.now() + takesMs)
  await asked
  return done!
}

/** Beside the recorded commands; see the last table of the index. */
const EVENTS: readonly (readonly [string, (torque: TorqueServer, clock: HandClock) => unknown])[] = [
  ['19:57:37.9', (torque) => torque.startMom('vm01', HOSTS.vm01)],
  ['19:59:00', (torque) => torque.startMom('vm02', HOSTS.vm02)],
  ['19:59:00', (torque) => torque.startMom('vm03', HOSTS.vm03)],
  [
    '20:01:20.5',
    (torque) => {
      torque.isScheduled = true
      torque.schedule()
    },
  ],
  [
    '20:01:25',
    (torque, clock) =>
      run(torque, clock, ['qsub', '-N', 'dep', '-W', 'depend=afterok:1.tqsrv', '-l', 'nodes=1:ppn=1'], {
        ...{ user: 'tquser1', input: 'sleep 1' },
      }),
  ],
  [
    '20:02:24',
    async (torque, clock) => {
      for (const id of ['13.tqsrv', '7[].tqsrv', '8.tqsrv', '5.tqsrv', '6.tqsrv', '1.tqsrv'])
        await run(torque, clock, ['qdel', id])
    },
  ],
  ['20:02:25.5', (torque, clock) => run(torque, clock, ['qdel', '9.tqsrv'])],
  [
    '20:02:30',
    async (torque, clock) => {
      await run(torque, clock, ['pbsnodes', '-o', 'vm01', 'vm02', 'vm03'])
      await run(torque, clock, ['qmgr', '-c', 'delete node vm04'], { takesMs: 2_100 })
    },
  ],
  [
    '20:02:50',
    async (torque, clock) => {
      for (const nodes of ['nodes=1', 'nodes=2'])
        await run(torque, clock, ['qsub', '-l', nodes], { user: 'tquser1', input: 'sleep 600' })
    },
  ],
]

/** How long the jobs of the recording ran by themselves. */
const SLEEPS: Readonly<Record<string, string>> = { probe: '40', single: '600', multi: '60' }

/** Names and states of nodes, ids and states of jobs. */
function states(stdout: string): readonly string[] {
  return [...stdout.matchAll(/<(?:name|Job_Id)>([^<]*)<.*?<(?:state|job_state)>([^<]*)</g)].map(
    ([, name, state]) => `${name} ${state}`,
  )
}

/** The elements of each record, without those that tell what a real machine measures. */
const elements = (stdout: string): readonly string[] =>
  stdout
    .split(/(?=<Job>|<Node>)/)
    .slice(1)
    .map((record) =>
      [...new Set([...record.matchAll(/<(\w+)>/g)].map(([, name = '']) => name))]
        .filter((name) => !NOT_EMULATED.has(name))
        .sort()
        .join(' '),
    )

const NOT_EMULATED = new Set([
  ...['resources_used', 'cput', 'vmem', 'mem', 'energy_used', 'queue_rank', 'hashname', 'session_id'],
  ...[
    'total_runtime',
    'Walltime',
    'Remaining',
    'etime',
    'exit_status',
    'comment',
    'depend',
    'status',
    'walltime',
  ],
])

function sameForm(given: string, { file, stdout }: RecordedRow): void {
  if (stdout.includes('<Data>') || given.includes('<Data>')) {
    const order = (all: readonly string[]): readonly string[] => [...all].sort()
    expect(order(states(given)), file).toEqual(order(states(stdout)))
    expect(order(elements(given)), file).toEqual(order(elements(stdout)))
    expect(given.startsWith('<?xml'), file).toBe(stdout.startsWith('<?xml'))
    expect(given.endsWith('\n'), file).toBe(stdout.endsWith('\n'))
  } else if (/^\d+(\[\])?\.tqsrv\n$/.test(stdout)) expect(given, file).toBe(stdout)
  else if (stdout.startsWith('Job ID'))
    expect(
      given.split('\n').map((line) => line.split(/\s+/).toSpliced(3, 1)),
      file,
    ).toEqual(stdout.split('\n').map((line) => line.split(/\s+/).toSpliced(3, 1)))
  else expect(given === '', file).toBe(stdout === '')
}

test('every recorded command until the list of nodes is taken apart, at its hour and after its predecessors', async () => {
  const { torque, clock } = server(hour('19:57:15'))
  const events = [...EVENTS]
  const known = rows.filter(
    ({ file, argv }) => Number(file.slice(0, 3)) <= 124 && !argv.includes('-Q') && argv[0] !== 'qmgr -l',
  )
  expect(known.length).toBeGreaterThan(75)
  for (const row of known) {
    const begins = Math.max(clock.now(), row.endedAt + 900 - row.ms)
    while (events[0] !== undefined && hour(events[0][0]) <= begins) {
      const [at, happens] = events.shift()!
      await clock.moveTo(Math.max(clock.now(), hour(at)))
      await happens(torque, clock)
    }
    await clock.moveTo(begins)
    const name = row.argv[row.argv.indexOf('-N') + 1] ?? ''
    const given = await run(torque, clock, row.argv, {
      ...{ user: row.user, input: `sleep ${SLEEPS[name] ?? '600'}`, takesMs: row.ms },
    })
    expect([row.file, given.exitCode, given.stderr.trim()]).toEqual([
      row.file,
      row.exitCode,
      row.stderr.trim(),
    ])
    sameForm(given.stdout, row)
  }
})

const stateOf = async (torque: TorqueServer, clock: HandClock, name: string): Promise<string> =>
  /<state>([^<]*)</.exec((await run(torque, clock, ['pbsnodes', '-x', name])).stdout)?.[1] ?? 'none'

test('T1 to T3: a new node is down,offline,MOM-list-not-sent, then down, and free with its mom’s next word', async () => {
  const { torque, clock } = server(0)
  await run(torque, clock, ['qmgr', '-c', 'create node vm01 np=2'])
  expect(await stateOf(torque, clock, 'vm01')).toBe('down,offline,MOM-list-not-sent')
  await clock.moveTo(18_000)
  expect(await stateOf(torque, clock, 'vm01')).toBe('down')
  torque.startMom('vm01', HOSTS.vm01)
  await clock.moveTo(18_300)
  expect(await stateOf(torque, clock, 'vm01')).toBe('free')
  await clock.moveTo(20_000)
  await run(torque, clock, ['qmgr', '-c', 'delete node vm01'])
  await clock.moveTo(300_000)
  const again = clock.now()
  await run(torque, clock, ['qmgr', '-c', 'create node vm01 np=2'])
  while ((await stateOf(torque, clock, 'vm01')) !== 'free') await clock.moveTo(clock.now() + 1000)
  expect(clock.now() - again).toBeLessThanOrEqual(MEASURED.report)
})

test('T4 and T6: a dead mom is seen after minutes; a busy node is deleted with all its jobs', async () => {
  const { torque, clock } = server(0)
  torque.isScheduled = true
  await run(torque, clock, ['qmgr', '-c', 'create node vm02 np=2'])
  torque.startMom('vm02', HOSTS.vm02)
  await clock.moveTo(1_000)
  const user = 'tquser1'
  const input = 'sleep 100000'
  await run(torque, clock, ['qsub', '-r', 'n', '-l', 'nodes=1'], { user, input })
  await run(torque, clock, ['qsub', '-l', 'nodes=1'], { user, input })
  await clock.moveTo(34_200)
  const before = await stateOf(torque, clock, 'vm02')
  torque.killMom('vm02')
  await clock.moveTo(34_200 + 220_000)
  expect([before, await stateOf(torque, clock, 'vm02')]).toEqual(['job-exclusive', 'job-exclusive'])
  await clock.moveTo(34_200 + 228_000)
  expect(await stateOf(torque, clock, 'vm02')).toBe('down,job-exclusive')

  const row = rows.find(({ file }) => file.startsWith('128-'))!
  const begun = clock.now()
  const given = await run(torque, clock, row.argv, { takesMs: row.ms })
  expect(clock.now() - begun).toBe(row.ms)
  expect([given.exitCode, given.stderr]).toEqual([row.exitCode, row.stderr])
  const forgotten = await run(torque, clock, ['qstat', '0.tqsrv', '1.tqsrv'])
  expect([forgotten.exitCode, forgotten.stderr.split('\n').length]).toEqual([153, 3])
  expect(await run(torque, clock, ['pbsnodes', '-x'])).toEqual({
    ...{ exitCode: 2, stdout: '' },
    stderr: rows.find(({ file }) => file.startsWith('139-'))?.stderr,
  })
})

test('T5: a busy node whose job may run again is deleted in four seconds, and the job waits again', async () => {
  const { torque, clock } = server(0)
  torque.isScheduled = true
  await run(torque, clock, ['qmgr', '-c', 'create node vm01 np=2'])
  torque.startMom('vm01', HOSTS.vm01)
  await clock.moveTo(1_000)
  await run(torque, clock, ['qsub', '-l', 'nodes=1'], { user: 'tquser1', input: 'sleep 1000' })
  await clock.moveTo(3_000)
  const given = await run(torque, clock, ['qmgr', '-c', 'delete node vm01'], { takesMs: 4_101 })
  expect([given.exitCode, clock.now()]).toEqual([0, 7_101])
  expect(torque.jobs.get('0.tqsrv')).toMatchObject({ letter: 'Q', starts: 1 })
})

test('T8 and T10: a walltime ends late, and a mom with a new address is not heard', async () => {
  const { torque, clock } = server(0)
  torque.isScheduled = true
  await run(torque, clock, ['qmgr', '-c', 'create node vm01 np=2'])
  torque.startMom('vm01', HOSTS.vm01)
  await clock.moveTo(1_000)
  await run(torque, clock, ['qsub', '-l', 'nodes=1,walltime=00:00:10'], {
    ...{ user: 'tquser1', input: 'sleep 1000' },
  })
  await clock.moveTo(57_000)
  expect(torque.jobs.get('0.tqsrv')?.letter).toBe('R')
  await clock.moveTo(60_000)
  expect(torque.jobs.get('0.tqsrv')).toMatchObject({ letter: 'C', exitStatus: -11 })
  torque.startMom('vm01', '10.77.0.24')
  await clock.moveTo(61_000)
  expect(torque.log.at(-1)).toContain('bad attempt to connect from 10.77.0.24 (address not trusted')
  expect(await stateOf(torque, clock, 'vm01')).toBe('free')
})
