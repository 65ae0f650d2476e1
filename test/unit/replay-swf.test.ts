import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { JOBS_MAX } from '../../deploy/replay/bounds.ts'
import { linesOf } from '../../deploy/replay/lines.ts'
import { readSwf, SwfReader } from '../../deploy/replay/swf.ts'

const dir = mkdtempSync(join(tmpdir(), 'swf-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const PLAIN = `; Version: 2.2
; UnixStartTime: 1000
; MaxProcs: 100
; Queue:  1  [short:1]
;
;   a note that says nothing

1  0  10  60  4 -1 -1  8  3600  2048 1 7 1 -1 1 -1 -1 -1
2  5  -1   0  1 -1 -1 -1    -1    -1 1 7 1 -1 2 -1 -1 -1
not a job
3  6   0  -1  1 -1 -1  1    60    -1 5 7 1 -1 1 -1 -1 -1
4  7   0  30 -1 -1 -1 -1    60    -1 1 7 1 -1 1 -1 -1 -1
5  3   0  30  2 -1 -1 -1    60    -1 1 9 1 -1 1 -1 -1 -1`

const TORQUE = `0 1356996147 0 56011 64 1 1024 64 86400 8589934592 1 62 1 1 -1 1 1 1 {12,13} q_1d 8:ppn=8:x86_64:cl_zegox
1 1356996148 0 60 2 1 1024 2 86400 1048576 1 62 1 1 -1 1 1 1 {12} q_2h 1:ppn=1.5:brno#excl
`

const readText = async (name: string, text: string | Buffer) => {
  const file = join(dir, name)
  writeFileSync(file, text)
  return readSwf(file)
}

describe('a trace in the Standard Workload Format', () => {
  test('says of each job when it came, how long it ran, and what it asked for', async () => {
    const { jobs, header, name } = await readText('plain.swf', PLAIN)
    expect(name).toBe('plain')
    expect(header.get('MaxProcs')).toBe('100')
    expect(jobs[0]).toEqual({
      id: '1',
      submittedAt: 1_000_000,
      runMs: 60_000,
      walltimeMs: 3_600_000,
      processors: 8,
      spread: undefined,
      memoryMiBPerProcessor: 2,
      memoryMiBPerNode: 0,
      queue: '[short:1]',
      user: '7',
      succeeded: true,
    })
    const [failed] = (await readText('failed.swf', PLAIN.replace('2048 1 7', '2048 0 7'))).jobs
    expect(failed).not.toHaveProperty('succeeded')
  })

  test('has a warning for a line that is none, with its number, and leaves out what never ran or has no size', async () => {
    const { jobs, warnings, warningCount, leftOut } = await readText('bad.swf', PLAIN)
    expect(jobs.map(({ id }) => id)).toEqual(['1', '5', '2'])
    expect(warnings).toEqual([
      ...['line 10: not a job of 15 numbers or more', 'jobs are not in order of submission, and were sorted'],
    ])
    expect([warningCount, leftOut]).toEqual([2, 2])
  })

  test('ran for a second at least, and may say no time that it asked for', async () => {
    const { jobs } = await readText('short.swf', PLAIN)
    expect(jobs.at(-1)).toMatchObject({ id: '2', runMs: 1000, walltimeMs: undefined, queue: '2' })
  })

  test('is the same when compressed', async () => {
    const plain = await readText('one.swf', PLAIN)
    expect(await readText('one.swf.gz', gzipSync(PLAIN))).toEqual(plain)
  })

  test('of Torque names its queue, its nodes with their processors, and memory by node', async () => {
    const { jobs } = await readText('torque.swf', TORQUE)
    expect(jobs[0]).toMatchObject({
      ...{ queue: 'q_1d', processors: 64, spread: { nodes: 8, cpusPerNode: 8 } },
      ...{ memoryMiBPerNode: 8192, memoryMiBPerProcessor: 0, submittedAt: 1_356_996_147_000 },
    })
    expect(jobs[1]).toMatchObject({ processors: 2, spread: { nodes: 1, cpusPerNode: 2 } })
  })

  test('that is not there, or no gzip, is an error with its name', async () => {
    await expect(readSwf(join(dir, 'none.swf'))).rejects.toMatchObject({ code: 'usage' })
    await expect(readText('no.swf.gz', 'plain text')).rejects.toThrow(/no\.swf\.gz cannot be read/)
  })

  test('without an end of line is read without keeping it', async () => {
    const { jobs, warningCount } = await readText('long.swf', `${'x'.repeat(3_000_000)}\n${PLAIN}`)
    expect([jobs.length, warningCount]).toEqual([3, 3])
  })
})

describe('a trace beyond all bounds', () => {
  const line = (
    id: string | number,
    at: string | number,
    ran: string | number,
    processors: string | number = 1,
  ) => `${id} ${at} -1 ${ran} ${processors} -1 -1 ${processors} 1e300 -1 1 7 1 1 1 -1 -1 -1`

  test('costs the lines of it, with a warning each, and no replay without end', async () => {
    const { jobs, warnings } = await readText(
      'odd.swf',
      [
        '; UnixStartTime: 99999999999999999999',
        line(1, 0, 60),
        line(2, 10, '1000000000000'),
        line(3, '1e20', 60),
        line(4, 20, 60, '1e30'),
        line('1'.repeat(300), 30, 60),
      ].join('\n'),
    )
    expect(jobs).toMatchObject([{ id: '1', submittedAt: 0, walltimeMs: undefined }])
    expect(warnings).toEqual([
      'line 1: UnixStartTime is no instant there is, and was not used',
      'line 3: the job was left out, for it ran for longer than 366 days',
      'line 4: the job was left out, for it was submitted at no instant there is',
      'line 5: the job was left out, for it takes more than a thousand million processors',
      'line 6: the job was left out, for a name in it is longer than 200 characters',
    ])
  })

  test('is read without the jobs that lie decades from the others', async () => {
    const text = [line(1, 0, 60), ...[2, 3, 4].map((id) => line(id, 1_700_000_000 + id, 60))].join('\n')
    const { jobs, warnings } = await readText('far.swf', text)
    expect(jobs.map(({ id }) => id)).toEqual(['2', '3', '4'])
    expect(warnings).toEqual([
      '1 job left out, for more than ten years lie between them and the middle of the trace',
    ])
  })

  test('is refused at the job that is one too many', () => {
    expect(JOBS_MAX).toBe(1_000_000)
    const reader = new SwfReader(100)
    for (let i = 0; i < 100; i++) reader.take(line(i, i, 60))
    expect(() => reader.take(line(100, 100, 60))).toThrow('it has more than 100 jobs')
  })

  test.each([
    ['bytes', 'x'.repeat(1_000_000), { bytesMax: 900_000 }, 'more than 900000 bytes'],
    ['lines', '\n'.repeat(1_000_000), { linesMax: 10_000 }, 'more than 10000 lines'],
  ])('is refused when too many %s were unpacked, whatever they say', async (what, text, limits, sentence) => {
    const file = join(dir, `${what}.swf.gz`)
    writeFileSync(file, gzipSync(text))
    let lines = 0
    const all = async (): Promise<void> => {
      for await (const line of linesOf(file, 'latin1', { lengthMax: 100, ...limits }))
        if (line !== 'end') lines += 1
    }
    await expect(all()).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(sentence) })
    expect(lines).toBeLessThanOrEqual(10_000)
  })
})
