import { describe, expect, test } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { readInSlices } from '../../adapters/batch/slices.ts'
import { readEach as readGridengine } from '../../adapters/gridengine/parse-xml.ts'
import { jobOf as openpbsJob } from '../../adapters/openpbs/parse-jobs.ts'
import { pieces as openpbsPieces } from '../../adapters/openpbs/parse-json.ts'
import { type Frame, jobsOf } from '../../adapters/pbs/picture.ts'
import { clausesOf } from '../../adapters/slurm/constraint.ts'
import { jobOf as torqueJob } from '../../adapters/torque/parse-jobs.ts'
import { pieces as torquePieces } from '../../adapters/torque/parse-xml.ts'
import { byHand } from '../../controllers/guests/by-hand/by-hand.ts'
import { jobOf, T0, viewOf } from './groc-world.ts'

/** What one user writes into a job costs that job, and not the look at all others. */

const once = { clock, signal: new AbortController().signal }
const NINES = '9'.repeat(400)

const openpbs = (...selects: readonly string[]) => {
  const records = selects.map(
    (select, i) =>
      `\t\t"${i}.s":\t{\n\t\t\t"Job_Owner":\t"eve@h",\n\t\t\t"job_state":\t"Q",\n\t\t\t"queue":\t"workq",\n\t\t\t"qtime":\t"Sat Nov 21 20:14:02 2026",\n\t\t\t"Resource_List":\t{\n\t\t\t\t"select":\t"${select}"\n\t\t\t}\n\t\t}`,
  )
  const printed = `{\n\t"timestamp":\t1,\n\t"Jobs":\t{\n${records.join(',\n')}\n\t}\n}`
  return readInSlices('qstat', openpbsPieces(printed, 'Jobs'), (piece) => openpbsJob(piece, 4), once)
}

const torque = (...asked: readonly string[]) => {
  const jobs = asked.map(
    (words, i) =>
      `<Job><Job_Id>${i}.s</Job_Id><Job_Owner>eve@h</Job_Owner><job_state>Q</job_state><queue>batch</queue><qtime>1795000000</qtime><Resource_List>${words}</Resource_List></Job>`,
  )
  const reading = { scheduler: 'maui', cpusOfMachine: 4 } as const
  const printed = `<Data>${jobs.join('')}</Data>`
  return readInSlices('qstat -x', torquePieces(printed, 'Job'), (piece) => torqueJob(piece, reading), once)
}

const frame = {
  settings: {
    scheduling: true,
    queues: new Map(),
    limits: [],
    defaultWalltimeMs: undefined,
  },
  drainTag: 'sublet',
  now: T0,
} as unknown as Frame

const many = (word: string): string => Array.from({ length: 200_000 }, () => word).join('+')

describe('a sum of very many parts is read', () => {
  test('OpenPBS', async () => {
    const { records, warnings } = await openpbs('2:ncpus=3', many('1'))
    expect(warnings).toEqual([])
    expect(records.map(({ demand }) => [demand.nodes, demand.cpusPerNode])).toEqual([
      [2, 3],
      [50_000, 4],
    ])
  })

  test('Torque', async () => {
    const { records, warnings } = await torque('<nodes>2:ppn=3</nodes>', `<nodes>${many('1')}</nodes>`)
    expect(warnings).toEqual([])
    expect(records.map(({ demand }) => [demand.nodes, demand.cpusPerNode])).toEqual([
      [2, 3],
      [200_000, 1],
    ])
  })
})

describe('no or infinitely many nodes, processors or anything else are held as impossible', () => {
  const heldOf = (records: Parameters<typeof jobsOf>[0]) =>
    jobsOf(records, frame).jobs.map((job) => {
      const { nodes, cpusPerNode, memoryMiBPerNode, consumablesPerNode = {} } = job
      const figures = [nodes, cpusPerNode, memoryMiBPerNode, ...Object.values(consumablesPerNode)]
      return [job.state, job.heldBy, figures.every(Number.isSafeInteger)]
    })

  test('OpenPBS', async () => {
    const { records, warnings } = await openpbs(
      '1:ncpus=1',
      ...['0:ncpus=1', `${NINES}:ncpus=1`, `1:ncpus=${NINES}`, `1:ncpus=1:mem=${NINES}gb`],
      `${NINES}+${NINES}`,
    )
    expect(warnings).toEqual([])
    expect(heldOf(records)).toEqual([
      ['pending', undefined, true],
      ...Array.from({ length: 5 }, () => ['held', 'impossible', true]),
    ])
  })

  test('Torque', async () => {
    const { records, warnings } = await torque(
      '<nodes>1:ppn=1</nodes>',
      ...[`<nodes>${NINES}</nodes>`, '<nodes>0</nodes>', `<nodes>1:ppn=${NINES}</nodes>`],
      ...[`<procs>${NINES}</procs>`, `<nodes>0</nodes><mem>1gb</mem>`],
    )
    expect(warnings).toEqual([])
    expect(heldOf(records)).toEqual([
      ['pending', undefined, true],
      ...Array.from({ length: 5 }, () => ['held', 'impossible', true]),
    ])
  })
})

describe('whatever goes wrong with one record is one warning with its id', () => {
  const stumble = (record: unknown): string => {
    if (String(record).includes('17') || (record as { job_id?: number }).job_id === 17)
      throw new RangeError('Maximum call stack size exceeded')
    return 'read'
  }

  test('OpenPBS', async () => {
    const { records, warnings } = await readInSlices(
      'qstat',
      ['\t\t"17.s":\t{}', '\t\t"2.s":\t{}'],
      stumble,
      once,
    )
    expect([records, warnings]).toEqual([
      ['read'],
      ['Record 1 of qstat could not be read: Maximum call stack size exceeded (17.s)'],
    ])
  })

  test('GridEngine', async () => {
    const element = (id: number): string => `<job_list><JB_job_number>${id}</JB_job_number></job_list>`
    const { records, warnings } = await readGridengine('qstat', [element(17), element(2)], stumble)
    expect(records).toEqual(['read'])
    expect(warnings).toEqual([expect.stringContaining('(17)')])
  })

  test('Slurm', async () => {
    const record = (id: number): string =>
      `\n    {\n      "account": "",\n      "job_id": ${id},\n      "name": "x"\n    }`
    const { records, warnings } = await readInSlices('squeue', [17, 2].map(record), stumble, once)
    expect(records).toEqual(['read'])
    expect(warnings).toEqual([expect.stringContaining('(17)')])
    const lines = await readInSlices('squeue', ['17|PENDING|', '2|PENDING|'], stumble, once)
    expect(lines.warnings).toEqual([expect.stringContaining('(17)')])
  })
})

describe('a constraint of Slurm', () => {
  test('of a depth or length that nobody writes asks for nothing that can be read', () => {
    expect(clausesOf(`${'('.repeat(20_000)}a${')'.repeat(20_000)}`)).toBeUndefined()
    expect(clausesOf(`${'('.repeat(1_000)}a${')'.repeat(1_000)}`)).toBeUndefined()
    expect(clausesOf(Array.from({ length: 20_000 }, (_, i) => `f${i}`).join('|'))).toBeUndefined()
  })

  test('of a hundred names, or in some brackets, is read as ever', () => {
    const names = Array.from({ length: 100 }, (_, i) => `f${i}`)
    expect(clausesOf(names.join('|'))).toEqual([names.toSorted().join('|')])
    expect(clausesOf(`${'('.repeat(50)}a${')'.repeat(50)}`)).toEqual(['a'])
  })
})

test('a guest by hand is told how long of 200,000 jobs the oldest waits', () => {
  const jobs = Array.from({ length: 200_000 }, (_, i) => jobOf(`${i}`, { submittedAt: T0 - i }))
  const { figures } = byHand.decide(viewOf([], { jobs }), null, {}, T0)
  expect(figures.oldestWaitMs).toBe(199_999)
})
