import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Parser } from 'xml2js'
import { systemClock } from '../actors/runtime/clock.ts'
import { readInSlices } from '../adapters/batch/slices.ts'
import type { BatchSystem } from '../adapters/batch-system.ts'
import type { Executor } from '../adapters/executor.ts'
import { gridengine } from '../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../adapters/gridengine/config.ts'
import { jobOf as openpbsJob } from '../adapters/openpbs/parse-jobs.ts'
import { pieces as openpbsPieces } from '../adapters/openpbs/parse-json.ts'
import { remembered } from '../adapters/pbs/remembered.ts'
import { slurm } from '../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../adapters/slurm/config.ts'
import { jobOf as torqueJob } from '../adapters/torque/parse-jobs.ts'
import { pieces as torquePieces } from '../adapters/torque/parse-xml.ts'
import { report } from './report.ts'
import { markdownTable } from './table.ts'

/**
 * npm run bench:parsing [-- slurm gridengine torque openpbs]
 *
 * One look at 10,000 jobs, as the programs of each batch system print them: all of a look of Slurm and of GridEngine,
 * but for the programs; of Torque and OpenPBS the reading of the jobs. Processor time of a first look, of the next when
 * nothing has changed, and the longest that the event loop is held. The floor reads the whole text at once.
 */
const JOBS = 10_000
const fixture = (path: string): string =>
  readFileSync(join(import.meta.dirname, '../test/fixtures', path), 'utf8')

const signal = new AbortController().signal
const usedMs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.threadCpuUsage(since)
  return (user + system) / 1_000
}

/** Processor time of this thread that the work takes, and the most of it between two turns of everybody else. */
async function held(work: () => Promise<void>): Promise<{ readonly ms: number; readonly longestMs: number }> {
  let longestMs = 0
  let isOver = false
  let turn = process.threadCpuUsage()
  const next = (): void => {
    longestMs = Math.max(longestMs, usedMs(turn))
    if (isOver) return
    turn = process.threadCpuUsage()
    setImmediate(next)
  }
  const begun = process.threadCpuUsage()
  setImmediate(next)
  await work()
  isOver = true
  const ms = usedMs(begun)
  await new Promise((resolve) => setImmediate(resolve))
  return { ms, longestMs }
}

const rows: { readonly what: string; readonly ms: number; readonly longest: number }[] = []
const line = (what: string, ms: number, longest: number): void => {
  rows.push({ what, ms, longest })
}

async function floor(what: string, text: string, read: (text: string) => unknown): Promise<void> {
  const { ms, longestMs } = await held(async () => void (await read(text)))
  line(`floor: ${what} over ${(text.length / 1e6).toFixed(1)} MB`, ms, longestMs)
}
const wholeXml = (text: string): Promise<unknown> => new Parser().parseStringPromise(text)

const LOOKS = ['first look', 'next look, nothing changed']

async function reads<R>(
  name: string,
  cut: () => Iterable<string>,
  readers: () => (piece: string) => R | undefined,
): Promise<void> {
  for (const what of LOOKS) {
    const { ms, longestMs } = await held(async () => {
      const { records } = await readInSlices(name, cut(), readers(), { clock: systemClock, signal })
      if (records.length !== JOBS) throw new Error(`${name}: ${records.length} of ${JOBS} jobs`)
    })
    line(`${name}: ${what}`, ms, longestMs)
  }
}

async function looks(name: string, system: BatchSystem): Promise<void> {
  for (const what of LOOKS) {
    const { ms, longestMs } = await held(async () => {
      const { jobs, warnings } = await system.observe(signal)
      if (jobs.length !== JOBS || warnings.length > 0)
        throw new Error(`${name}: ${jobs.length} of ${JOBS} jobs, ${warnings[0]}`)
    })
    line(`${name}: ${what}`, ms, longestMs)
  }
}

/** What each command prints, by the words that it begins with. */
const printing = (answers: Readonly<Record<string, string>>): Executor => ({
  name: 'printed',
  close: async () => undefined,
  async run(argv) {
    // A program takes longer than a turn.
    await new Promise((resolve) => setImmediate(resolve))
    const [rule] = Object.keys(answers)
      .filter((start) => argv.join(' ').startsWith(start))
      .sort((a, b) => b.length - a.length)
    if (rule === undefined) throw new Error(`nobody answers “${argv.join(' ')}”`)
    return { exitCode: 0, signal: null, stderr: '', stdout: answers[rule] ?? '' }
  },
})

async function benchSlurm(): Promise<void> {
  const recorded = (name: string): string => fixture(`slurm/${name}`)
  const [before = '', ...jobs] = recorded('squeue.json').split('\n    {\n')
  // One that waits and has all fields.
  const job = jobs.find((each) => each.includes('"job_id": 7,'))?.replace(/(?:,|\n {2}\]\n\}\n)$/, '') ?? ''
  const numbered = Array.from({ length: JOBS }, (_, at) =>
    job.replace('"job_id": 7,', `"job_id": ${at + 100},`),
  )
  const json = `${before}\n    {\n${numbered.join(',\n    {\n')}\n  ]\n}\n`
  const row =
    recorded('squeue.txt')
      .split('\n')
      .find((each) => each.startsWith('7|')) ?? ''
  const text = Array.from({ length: JOBS }, (_, at) => `${at + 100}${row.slice(1)}\n`).join('')
  const answers = {
    'squeue -a --json': json,
    'squeue -h -a -t PD': Array.from({ length: JOBS }, (_, at) => `${at + 100}|(null)|\n`).join(''),
    'squeue -h -a -t all': text,
    'sinfo -a --json': recorded('sinfo.json'),
    'scontrol -a -d -o show node': recorded('show-node.txt'),
    'scontrol show config': recorded('show-config.txt'),
    'scontrol -a -o show partition': recorded('show-partition.txt'),
    'scontrol -a -o show reservation': 'No reservations in the system\n',
    'id -un': 'root\n',
    'id -u': '0\n',
  }
  await floor('JSON.parse', json, JSON.parse)
  for (const format of ['json', 'text'] as const)
    await looks(
      `Slurm, ${format}`,
      slurm(slurmConfig.parse({ partition: 'dyn', format }), printing(answers), { clock: systemClock }),
    )
}

async function benchGridengine(): Promise<void> {
  const recorded = (name: string): string => fixture(`gridengine/${name}`)
  const printed = recorded('jobs.xml')
  const jobs = printed.match(/<job_list state="pending">.*?<\/job_list>/gs) ?? []
  const job = jobs.find((each) => !each.includes('<tasks>')) ?? ''
  const id = /<JB_job_number>(\d+)</.exec(job)?.[1]
  const many = Array.from({ length: JOBS }, (_, at) =>
    job.replace(`<JB_job_number>${id}<`, `<JB_job_number>${at + 100}<`),
  )
  const xml = `<?xml version='1.0'?>\n<job_info>\n  <queue_info>\n  </queue_info>\n  <job_info>\n${many.join('\n')}\n  </job_info>\n</job_info>\n`
  const none = '<job_info>\n  <queue_info>\n  </queue_info>\n  <job_info>\n  </job_info>\n</job_info>\n'
  const parallel = ['smp', 'one', 'two', 'fill', 'round']
  const answers = {
    ...{ 'qstat -u * -s prs -r -g t -xml': xml, 'qstat -u * -s': none, 'qhost -q -F': recorded('hosts.xml') },
    ...{ 'qstat -j': recorded('details.xml'), 'qrstat -u *': '<qrstat></qrstat>', tail: '' },
    ...{ 'qquota -u *': recorded('quota.xml'), 'qconf -sc': recorded('sc.txt') },
    ...{ 'qconf -ssconf': recorded('ssconf.txt'), 'qconf -sconf': recorded('sconf.txt') },
    'qconf -sq dyn': recorded('sq.txt'),
    ...Object.fromEntries(parallel.map((name) => [`qconf -sp ${name}`, recorded(`sp-${name}.txt`)])),
  }
  await floor('xml2js', xml, wholeXml)
  await looks(
    'GridEngine',
    gridengine(gridengineConfig.parse({ queue: 'dyn' }), printing(answers), { clock: systemClock }),
  )
}

async function benchTorque(): Promise<void> {
  const recorded = fixture('torque-6.1.3/157-qstat-x-200-jobs.out')
  const jobs = [...torquePieces(recorded, 'Job')].length
  const body = recorded.slice(recorded.indexOf('<Job>'), recorded.lastIndexOf('</Data>'))
  const copies = Array.from({ length: JOBS / jobs }, (_, at) =>
    body.replaceAll(/<Job_Id>(\d+)/g, (_whole, id) => `<Job_Id>${at * 1_000 + Number(id)}`),
  )
  const xml = `<Data>${copies.join('')}</Data>`
  await floor('xml2js', xml, wholeXml)
  const reader = remembered((piece: string) =>
    torqueJob(piece, { scheduler: 'pbs_sched', cpusOfMachine: undefined }),
  )
  await reads('Torque', () => torquePieces(xml, 'Job'), reader)
}

async function benchOpenpbs(): Promise<void> {
  const one = [...openpbsPieces(fixture('openpbs-23.06.06/032-qstat-f-json-mixed.out'), 'Jobs')][1] ?? ''
  const records = Array.from({ length: JOBS }, (_, id) => one.replace(/"\d+\.opsrv"/, `"${id}.opsrv"`))
  const json = `{\n\t"pbs_version":\t"23.06.06",\n\t"Jobs":\t{\n${records.join(',\n')}\n\t}\n}\n`
  await floor('JSON.parse', json, JSON.parse)
  const reader = remembered((piece: string) => openpbsJob(piece, undefined))
  await reads('OpenPBS', () => openpbsPieces(json, 'Jobs'), reader)
}

const BENCHES = { slurm: benchSlurm, gridengine: benchGridengine, torque: benchTorque, openpbs: benchOpenpbs }
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'))
for (const [name, bench] of Object.entries(BENCHES))
  if (only.length === 0 || only.includes(name)) await bench()

const GOAL_MS = 50
const inMs = (ms: number): string => `${ms.toFixed(1)} ms`
report(
  'parsing',
  `# Reading what batch systems print

${markdownTable(
  ['', 'processor time', 'longest hold of the event loop'],
  rows.map(({ what, ms, longest }) => [what, inMs(ms), inMs(longest)]),
)}

${JOBS.toLocaleString('en')} jobs. All of a look of Slurm and GridEngine but for the programs; of Torque and OpenPBS the reading of the jobs. Floors read the whole text at once.
`,
  rows.flatMap(({ what, longest }, i) => {
    const floorOf = rows.slice(0, i).findLast((row) => row.what.startsWith('floor'))
    if (!what.includes('first look') || floorOf === undefined) return []
    const goal = { words: `< ${GOAL_MS} ms`, reached: longest < GOAL_MS }
    return [
      { what: `${what}: the loop is held for`, measured: inMs(longest), floor: inMs(floorOf.longest), goal },
    ]
  }),
)
