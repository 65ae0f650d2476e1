import { expect, test } from 'vitest'
import { type HandClock, handClock } from '../emulated/clocks.ts'
import { answer } from '../emulated/openpbs/commands.ts'
import { PbsServer } from '../emulated/openpbs/server.ts'
import { recorded } from '../emulated/recordings.ts'

/** The emulated OpenPBS is held against the recordings: exit status, complaint, and the form of what is printed. */
const rows = recorded('openpbs-23.06.06')
const hour = (text: string): number => Date.parse(`2026-11-21T${text}Z`)

/** Beside the recorded commands; see the last table of the index. */
const EVENTS: readonly (readonly [string, (server: PbsServer) => void])[] = [
  ['20:14:50', (server) => server.startMom('vm01', '10.77.1.11')],
  ['20:14:50', (server) => server.startMom('vm02', '10.77.1.12')],
  ['20:14:50', (server) => void server.createNode('vm02', { ncpus: '2' })],
  [
    '20:14:50',
    (server) => {
      server.settings.history = true
    },
  ],
]

/** How long the jobs of the recording ran by themselves. */
const SLEEPS: Readonly<Record<string, string>> = { zero: '2.2', zero2: '600', multi: '600', memjob: '20' }

const words = (text: string | undefined): string =>
  (text ?? '')
    .trim()
    .split(/\s*\n\s*/)
    .join(' / ')

type Json = Readonly<Record<string, unknown>>
const keysOf = (record: Json): string =>
  Object.keys(record)
    .filter((key) => !NOT_EMULATED.has(key))
    .sort()
    .join(' ')
const NOT_EMULATED = new Set([
  ...['resources_used', 'Error_Path', 'Output_Path', 'Join_Path', 'Keep_Files', 'Mail_Points', 'schedselect'],
  ...[
    'session_id',
    'jobdir',
    'hashname',
    'queue_rank',
    'queue_type',
    'etime',
    'run_version',
    'eligible_time',
  ],
  ...[
    'license',
    'last_state_change_time',
    'last_used_time',
    'comment',
    'Stageout_status',
    'history_timestamp',
  ],
  ...[
    'array_indices_remaining',
    'pcpus',
    'stime',
    'run_count',
    'exec_host',
    'exec_vnode',
    'Hold_Types',
    'jobs',
  ],
])

test('every recorded command about nodes that have no mom, and about jobs that wait', async () => {
  const clock: HandClock = handClock(hour('20:13:50'))
  const server = new PbsServer({ clock })
  server.hosts.set('vm01', '10.77.1.11').set('vm02', '10.77.1.12')
  const events = [...EVENTS]
  const known = rows.filter(({ file, argv }) => {
    const at = Number(file.slice(0, 3))
    return at <= 29 && !argv.includes('-Q')
  })
  expect(known.length).toBeGreaterThan(22)
  for (const row of known) {
    while (events[0] !== undefined && hour(events[0][0]) <= row.endedAt) {
      const [at, happens] = events.shift()!
      await clock.moveTo(hour(at))
      happens(server)
    }
    await clock.moveTo(row.endedAt)
    const [program = '', ...args] = row.argv
    const name = row.argv[row.argv.indexOf('-N') + 1] ?? ''
    const input = `sleep ${SLEEPS[name] ?? '600'}`
    const given = await answer(server, { program, args, user: row.user, input })
    expect([row.file, given.exitCode, words(given.stderr)]).toEqual([
      row.file,
      row.exitCode,
      words(row.stderr),
    ])
    if (row.stdout.startsWith('{')) {
      const [mine, theirs] = [JSON.parse(given.stdout), JSON.parse(row.stdout)] as [Json, Json]
      expect(keysOf(mine), row.file).toBe(keysOf(theirs))
      for (const section of ['Jobs', 'nodes']) {
        const own = (mine[section] ?? {}) as Readonly<Record<string, Json>>
        const real = (theirs[section] ?? {}) as Readonly<Record<string, Json>>
        expect(Object.keys(own), row.file).toEqual(Object.keys(real))
        for (const [id, record] of Object.entries(real)) {
          expect([row.file, id, keysOf(own[id]!)]).toEqual([row.file, id, keysOf(record)])
          for (const key of ['job_state', 'state', 'Resource_List', 'resources_available'])
            expect([row.file, id, own[id]?.[key]]).toEqual([row.file, id, record[key]])
        }
      }
      // Tabs, blanks and line ends as the real one has them: the adapter cuts by them.
      const shape = (text: string): string =>
        text.replaceAll(/"[^"\n]*"|\d+/g, '_').replaceAll(/_:\t.*/g, '_:')
      const outer = (text: string): Set<string> =>
        new Set(
          shape(text)
            .split('\n')
            .filter((line) => !line.startsWith('\t\t\t')),
        )
      expect([row.file, outer(given.stdout)]).toEqual([row.file, outer(row.stdout)])
    } else if (/^\d+(\[\])?\.opsrv\n$/.test(row.stdout)) expect(given.stdout, row.file).toBe(row.stdout)
    else expect(given.stdout === '', row.file).toBe(row.stdout === '')
  }
})

const scene = async () => {
  const clock = handClock(hour('20:15:00'))
  const server = new PbsServer({ clock })
  server.hosts.set('vm01', '10.77.1.11')
  server.createNode('vm01', { ncpus: '2' })
  server.startMom('vm01', '10.77.1.11')
  await clock.moveTo(clock.now() + 3_000)
  const run = (...argv: string[]) => {
    const [program = '', ...args] = argv
    const user = program === 'qsub' ? 'tquser1' : 'root'
    return answer(server, { program, args, user, input: 'sleep 600' })
  }
  return { clock, server, run }
}
const row = (file: string) => rows.find((each) => each.file.startsWith(file))

test('a mom is free within three seconds and down within one, and a busy node is not deleted', async () => {
  const { clock, server, run } = await scene()
  const state = async () =>
    /"state":\t"([^"]*)"/.exec((await run('pbsnodes', '-F', 'json', 'vm01')).stdout)?.[1]
  expect(await state()).toBe('free')
  await run('qsub', '-l', 'select=1:ncpus=2')
  await clock.moveTo(clock.now() + 1_000)
  expect(await state()).toBe('job-busy')
  const refused = await run('qmgr', '-c', 'delete node vm01')
  expect([refused.exitCode, words(refused.stderr.replace('vm01', 'vm02'))]).toEqual([
    179,
    words(row('043')?.stderr),
  ])
  await run('pbsnodes', '-o', '-C', 'groc: draining', 'vm01')
  expect(await state()).toBe('offline,job-busy')
  await run('pbsnodes', '-r', 'vm01')
  server.killMom('vm01')
  await clock.moveTo(clock.now() + 1_000)
  expect(await state()).toBe('down,job-busy')
})

test('what is refused, unknown or finished has the recorded exit status', async () => {
  const { server, run } = await scene()
  const as = (user: string, program: string, ...args: string[]) =>
    answer(server, { program, args, user, input: '' })
  const cases = [
    ['041', await as('tquser1', 'qmgr', '-c', 'create node vm03')],
    ['042', await as('tquser1', 'pbsnodes', '-o', 'vm01')],
    ['052', await run('qdel', '999')],
    ['053', await run('qstat', '999')],
  ] as const
  for (const [file, given] of cases)
    expect([file, given.exitCode, given.stderr.trim()]).toEqual([
      file,
      row(file)?.exitCode,
      row(file)?.stderr.trim(),
    ])
  await run('qsub', '-l', 'select=1:ncpus=1')
  await run('qdel', '0')
  const finished = await run('qstat', '0')
  expect([finished.exitCode, finished.stderr]).toEqual([row('054')?.exitCode, row('054')?.stderr])
  expect((await run('pbsnodes', '-x')).exitCode).toBe(row('040')?.exitCode)
})
