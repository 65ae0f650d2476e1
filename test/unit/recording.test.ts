import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BatchPicture, Job } from '../../adapters/batch-system.ts'
import { Differences } from '../../deploy/recording/events.ts'
import { filesIn } from '../../deploy/recording/parts.ts'
import { RecordingReader, readRecording } from '../../deploy/recording/reading.ts'
import { Recording } from '../../deploy/recording/recording.ts'
import { jobOf, nodeOf, pictureOf, SECOND, T0 } from './groc-world.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-recording-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const DAY = 86_400 * SECOND
const look = (at: number, jobs: readonly Job[], nodes: BatchPicture['nodes'] = []): BatchPicture =>
  pictureOf({ startedAt: at, at, jobs, nodes })
const at = (seconds: number): number => T0 + seconds * SECOND
const waiting = (id: string, over: Partial<Job> = {}): Job =>
  jobOf(id, { cpusPerNode: 2, memoryMiBPerNode: 512, ...over })
const running = (id: string, start: number, over: Partial<Job> = {}): Job =>
  waiting(id, { state: 'running', startedAt: at(start), nodeNames: ['n1'], ...over })
const ended = (id: string, start: number, end: number): Job =>
  running(id, start, { state: 'ended', endedAt: at(end) })

const bytesIn = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

describe('what is different between two looks', () => {
  const told = (...pictures: readonly BatchPicture[]): readonly string[] => {
    const differences = new Differences()
    return pictures.flatMap((picture) =>
      differences.take(picture).map((event) => {
        const { e, at: when, ...rest } = event
        const what = 'job' in rest ? rest.job : 'node' in rest ? `${rest.node} ${rest.state}` : ''
        return `${(when - T0) / SECOND} ${e} ${what}${'ranMs' in rest ? ` ran ${rest.ranMs / SECOND}` : ''}`
      }),
    )
  }

  test('a job comes, starts and ends, each once, however often it is seen', () => {
    const pictures = [
      look(at(1), [waiting('1')]),
      look(at(2), [waiting('1')]),
      look(at(10), [running('1', 5)]),
      look(at(12), [running('1', 5, { state: 'completing' })]),
      look(at(20), [ended('1', 5, 15)]),
      look(at(30), [ended('1', 5, 15)]),
      look(at(40), []),
    ]
    expect(told(...pictures)).toEqual(['0 submitted 1', '5 started 1', '15 ended 1 ran 10'])
  })

  test('a job that comes and goes between two looks is whole', () => {
    expect(told(look(at(1), [waiting('1')]), look(at(60), [ended('1', 3, 50)]))).toEqual([
      '0 submitted 1',
      '3 started 1',
      '50 ended 1 ran 47',
    ])
  })

  test('one that had ended before the first look is not there, one that ran is from its start on', () => {
    expect(
      told(look(at(1), [ended('1', -9, -1), running('2', -5)]), look(at(9), [ended('2', -5, 8)])),
    ).toEqual(['-5 started 2', '0 submitted 2', '8 ended 2 ran 13'])
  })

  test('one that is put back into the queue starts again', () => {
    const pictures = [
      look(at(1), [running('1', 0)]),
      look(at(5), [waiting('1', { restarts: 1 })]),
      look(at(9), [running('1', 8, { restarts: 1 })]),
      look(at(20), [ended('1', 8, 18)]),
    ]
    expect(told(...pictures)).toEqual(['0 submitted 1', '0 started 1', '8 started 1', '18 ended 1 ran 10'])
  })

  test('one that leaves the list is taken to have ended, or never to have run', () => {
    expect(told(look(at(1), [waiting('1'), running('2', 0)]), look(at(7), []))).toEqual([
      '0 submitted 1',
      '0 submitted 2',
      '0 started 2',
      '7 gone 1',
      '7 ended 2 ran 7',
    ])
  })

  test('one that was held is eligible when it is let go, one that may not begin yet at its time', () => {
    const held = (id: string, over: Partial<Job> = {}) =>
      waiting(id, { state: 'held', heldBy: 'user', ...over })
    const later = (id: string, when: number) => held(id, { heldBy: 'start-time', notBefore: at(when) })
    const pictures = [
      look(at(1), [held('1'), later('2', 55), held('3'), held('4'), later('5', 90)]),
      look(at(60), [waiting('1'), waiting('2'), running('3', 40), later('5', 90)]),
      look(at(70), [held('1'), waiting('2'), running('3', 40), later('5', 90)]),
      look(at(80), [running('1', 78), waiting('2'), running('3', 40), running('5', 75)]),
    ]
    expect(told(...pictures).filter((line) => !line.includes('submitted'))).toEqual([
      '40 eligible 3',
      '40 started 3',
      '55 eligible 2',
      '60 eligible 1',
      // Never let go: it was taken back.
      '60 gone 4',
      '75 eligible 5',
      '75 started 5',
      '78 eligible 1',
      '78 started 1',
    ])
  })

  test('tasks that wait together come each when it starts', () => {
    const together = waiting('7_[0-9]', { tasks: 10 })
    expect(told(look(at(1), [together]), look(at(4), [together, running('7_0', 3)]))).toEqual([
      '0 submitted 7_0',
      '3 started 7_0',
    ])
  })

  test('nodes come, are drained, fall silent and go', () => {
    const node = (over = {}) => [nodeOf('u1', over)]
    const pictures = [
      look(at(1), [], node()),
      look(at(2), [], node()),
      look(at(3), [], node({ drained: 'ours', accepting: false })),
      look(at(4), [], node({ responding: false })),
      look(at(5), [], []),
    ]
    expect(told(...pictures)).toEqual([
      '1 node node-u1 works',
      '3 node node-u1 drained',
      '4 node node-u1 silent',
      '5 node node-u1 gone',
    ])
  })

  test('of users there is a number, the same for the same one', () => {
    const jobs = [waiting('1', { user: 'ada' }), waiting('2', { user: 'bob' }), waiting('3', { user: 'ada' })]
    const events = new Differences().take(look(at(1), jobs))
    expect(events.map((event) => (event.e === 'submitted' ? event.user : 0))).toEqual([1, 2, 1])
    expect(JSON.stringify(events)).not.toContain('ada')
  })
})

const log = () => {
  const warnings: object[] = []
  return { warnings, debug() {}, info() {}, warn: (told: object) => void warnings.push(told), error() {} }
}

describe('a recording', () => {
  test('is read back as the jobs that ended, in the order in which they came', async () => {
    const recording = new Recording(dir, log())
    recording.take(
      look(at(1), [
        waiting('1'),
        waiting('2', { nodes: 3, walltimeMs: 60_000, queue: 'long' }),
        waiting('3'),
      ]),
    )
    recording.take(look(at(20), [running('1', 5), ended('2', 6, 16), waiting('3')]))
    recording.take(look(at(90), [ended('1', 5, 85), waiting('3')]))
    await recording.flushed()
    writeFileSync(join(dir, readdirSync(dir)[0]!), '{"e":"ended"\n\n', { flag: 'a' })
    const trace = await readRecording(dir)
    expect(trace.jobs).toMatchObject([
      {
        id: '1',
        submittedAt: T0,
        runMs: 80_000,
        processors: 2,
        spread: undefined,
        memoryMiBPerNode: 512,
        queue: 'batch',
      },
      {
        ...{ id: '2', runMs: 10_000, processors: 6, spread: { nodes: 3, cpusPerNode: 2 } },
        ...{ walltimeMs: 60_000, queue: 'long' },
      },
    ])
    expect([trace.leftOut, trace.warningCount, trace.warnings.length]).toEqual([1, 1, 1])
  })

  test('keeps what jobs ask for besides processors, and from when on they could have run', async () => {
    const recording = new Recording(dir, log())
    const asks = { consumablesPerNode: { gpu: 2, disk: 0 }, features: ['ssd'], exclusive: true }
    recording.take(
      look(at(1), [waiting('1', { state: 'held', heldBy: 'dependency', ...asks }), waiting('2')]),
    )
    recording.take(look(at(40), [waiting('1', asks), ended('2', 6, 16)]))
    recording.take(look(at(90), [ended('1', 45, 85)]))
    await recording.flushed()
    const { jobs } = await readRecording(dir)
    expect(jobs).toMatchObject([
      { id: '2', submittedAt: T0 },
      {
        ...{ id: '1', submittedAt: at(40), runMs: 40_000 },
        extras: { consumables: { gpu: 2 }, features: ['ssd'], exclusive: true },
      },
    ])
    expect(jobs[0]).not.toHaveProperty('extras')
  })

  test('of figures beyond all bounds is read without these jobs, with a warning each', async () => {
    const submitted = (job: string, when: number, over: object = {}) => ({
      ...{
        e: 'submitted',
        at: when,
        job,
        user: 1,
        queue: 'q',
        nodes: 1,
        cpus: 1,
        memoryMiB: 1,
        walltimeMs: 1e300,
      },
      ...over,
    })
    const ended = (job: string, ranMs: number) => ({ e: 'ended', at: at(9), job, ranMs })
    const events = [
      ...[
        submitted('1', at(1)),
        submitted('2', at(2)),
        submitted('3', 1e20),
        submitted('4', at(3), { nodes: 1e30 }),
        submitted('5', at(3), { consumables: { gpu: -1 } }),
        submitted('6', at(3), { features: Array.from({ length: 300 }, (_, i) => `f${i}`) }),
      ],
      ...[ended('1', 1_000), ended('2', 1e300), ended('3', 1_000), ended('4', 1_000)],
      ...[ended('5', 1_000), ended('6', 1_000)],
    ]
    writeFileSync(join(dir, '2026-03-02.jsonl'), events.map((event) => JSON.stringify(event)).join('\n'))
    const { jobs, warnings } = await readRecording(dir)
    expect(jobs).toMatchObject([{ id: '1', walltimeMs: undefined }])
    expect(warnings).toEqual([
      '2026-03-02.jsonl:8: job 2 was left out, for it ran for longer than 366 days',
      '2026-03-02.jsonl:9: job 3 was left out, for it was submitted at no instant there is',
      '2026-03-02.jsonl:10: job 4 was left out, for it takes more than a thousand million processors',
      '2026-03-02.jsonl:11: job 5 was left out, for it asks for less than nothing, or for more than a thousand million, of something',
      '2026-03-02.jsonl:12: job 6 was left out, for it asks for more than 256 things by name',
    ])
  })

  test('of more jobs than are replayed is refused at the one that is too many', () => {
    const reader = new RecordingReader(2)
    const come = (job: string) =>
      reader.take(
        JSON.stringify({
          ...{ e: 'submitted', at: at(1), job, user: 1, queue: 'q', nodes: 1, cpus: 1, memoryMiB: 1 },
        }),
        job,
      )
    come('1')
    come('2')
    expect(() => come('3')).toThrow('it has more than 2 jobs')
  })

  test('begins a file each day, and lets the oldest go when there is too much', async () => {
    const recording = new Recording(dir, log(), { bytesMax: 2_000, waitingMax: 1_000_000 })
    for (let day = 0; day < 6; day++) {
      recording.take(
        look(
          at(1) + day * DAY,
          Array.from({ length: 8 }, (_, i) => waiting(`${day}-${i}`)),
        ),
      )
      await recording.flushed()
    }
    const files = readdirSync(dir).toSorted()
    expect(files.some((file) => file.startsWith('2026-03-07'))).toBe(true)
    expect(files).not.toContain('2026-03-02.jsonl')
    expect(bytesIn(dir)).toBeLessThanOrEqual(2_000)
    expect(statSync(join(dir, files[0]!)).mode & 0o777).toBe(0o600)
  })

  test('keeps to its bytes within one day, in parts that are read in their order', async () => {
    const bytesMax = 100_000
    const long = { features: ['x'.repeat(200)] }
    let recording = new Recording(dir, log(), { bytesMax, waitingMax: 8_000_000 })
    for (let i = 0; i < 60; i++) {
      if (i === 30) recording = new Recording(dir, log(), { bytesMax, waitingMax: 8_000_000 })
      recording.take(
        look(
          at(i),
          Array.from({ length: 50 }, (_, k) => ({ ...waiting(`${i}-${k}`), ...long })),
        ),
      )
      await recording.flushed()
      expect(bytesIn(dir)).toBeLessThanOrEqual(bytesMax)
    }
    expect(bytesIn(dir)).toBeGreaterThan(bytesMax / 2)
    const names = filesIn(dir)
    const numbers = names.map((name) => Number(name.split('.')[1]))
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(numbers.length).toBeGreaterThan(5)
    expect(numbers.at(-1)).toBeGreaterThan(99)
    const lines = names.flatMap((name) => readFileSync(join(dir, name), 'utf8').trimEnd().split('\n'))
    const rounds = lines
      .map((line) => JSON.parse(line) as { e: string; job: string })
      .flatMap(({ e, job }) => (e === 'submitted' ? [Number(job.split('-')[0])] : []))
    expect(rounds.at(-1)).toBe(59)
    expect(rounds).toEqual(rounds.toSorted((a, b) => a - b))
  })

  test('an event that is longer than a part is left out, and said', async () => {
    const { warnings, ...said } = log()
    const recording = new Recording(dir, said, { bytesMax: 8_000, waitingMax: 8_000_000 })
    recording.take(look(at(1), [{ ...waiting('1'), features: ['x'.repeat(2_000)] }]))
    await recording.flushed()
    expect(warnings).toMatchObject([{ reason: expect.stringContaining('longer than a part') }])
    recording.take(look(at(2), [waiting('2')]))
    await recording.flushed()
    expect(bytesIn(dir)).toBeGreaterThan(0)
  })

  test('an event that is longer than a part costs that one only, not those that are written with it', async () => {
    const { warnings, ...said } = log()
    const recording = new Recording(dir, said, { bytesMax: 8_000, waitingMax: 8_000_000 })
    const long = { features: ['x'.repeat(2_000)] }
    recording.take(look(at(1), [waiting('1'), waiting('2', long), waiting('3'), waiting('4', long)]))
    await recording.flushed()
    const text = filesIn(dir).map((name) => readFileSync(join(dir, name), 'utf8'))
    expect(text.join('').match(/"job":"\d"/g)).toEqual(['"job":"1"', '"job":"3"'])
    expect(warnings).toHaveLength(1)
    expect(warnings).toMatchObject([
      { reason: expect.stringMatching(/^an event of 2\d\d\d bytes is left out/) },
    ])
  })

  test('that cannot be written is said once, stops nothing, and goes on when it can', async () => {
    const folder = join(dir, 'a')
    writeFileSync(folder, 'a file where the folder should be')
    const { warnings, ...said } = log()
    const recording = new Recording(folder, said)
    for (let i = 0; i < 3; i++) {
      recording.take(look(at(i), [waiting(`${i}`)]))
      await recording.flushed()
    }
    expect(warnings).toHaveLength(1)
    rmSync(folder)
    mkdirSync(folder)
    recording.take(look(at(9), [waiting('9')]))
    await recording.flushed()
    expect(readFileSync(join(folder, readdirSync(folder)[0]!), 'utf8')).toContain('"job":"9"')
  })

  test('keeps no more waiting than it may', async () => {
    const { warnings, ...said } = log()
    const recording = new Recording(dir, said, { bytesMax: 1_000_000, waitingMax: 500 })
    recording.take(
      look(
        at(1),
        Array.from({ length: 50 }, (_, i) => waiting(`${i}`)),
      ),
    )
    await recording.flushed()
    expect(warnings).toMatchObject([{ reason: expect.stringContaining('50 events are left out') }])
    expect(existsSync(join(dir, '2026-03-02.jsonl'))).toBe(false)
  })

  test.each([
    ['that is not there', 'none', 'there is no recording'],
    ['without a day', '.', 'holds no recording'],
  ])('%s is refused', async (_, name, sentence) => {
    await expect(readRecording(join(dir, name))).rejects.toThrow(sentence)
  })
})
