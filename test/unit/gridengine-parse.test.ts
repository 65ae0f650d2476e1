import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseHosts } from '../../adapters/gridengine/parse-hosts.ts'
import { parseDetails, parseIds, parseJobs } from '../../adapters/gridengine/parse-jobs.ts'
import { parseReservations } from '../../adapters/gridengine/parse-reservations.ts'
import {
  parseAccounting,
  parseComplexes,
  parseEnvironment,
  parseObject,
  parseValues,
} from '../../adapters/gridengine/parse-text.ts'
import { parseQuotas, quotaAgainst } from '../../adapters/gridengine/quotas.ts'
import { bytesOf, countTasks, durationOf, leastOf, memoryMiBOf } from '../../adapters/gridengine/sizes.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/gridengine/${name}`, import.meta.url), 'utf8')

describe('jobs as qstat lists them', () => {
  test('each slot of a running job is a row, and what waits says what it asks for', async () => {
    const { records, warnings } = await parseJobs(recorded('jobs.xml'))
    expect(warnings).toEqual([])
    const wide = records.filter(({ id }) => id === '2')
    // The master's own row is none of the four slots.
    expect(wide.map(({ queueInstance }) => queueInstance).sort()).toEqual([
      ...['dyn@g1', 'dyn@g1', 'dyn@g1', 'dyn@g2', 'dyn@g2'],
    ])
    expect(wide[0]).toMatchObject({ environment: { name: 'two', slots: 4 }, grantedSlots: 4, word: 'r' })
    expect(wide[0]?.startedAt).toBe(Date.UTC(2026, 10, 30, 14, 30, 1))
    const waiting = records.find(({ id }) => id === '12')
    expect(waiting).toMatchObject({
      word: 'qw',
      queueInstance: '',
      environment: { name: 'fill', slots: 6 },
      grantedSlots: undefined,
      queues: ['dyn'],
      submittedAt: Date.UTC(2026, 10, 30, 14, 30, 2),
    })
    expect([...(waiting?.requests ?? [])]).toEqual([['h_vmem', '1500M']])
    expect(records.filter(({ id }) => id === '22').map(({ tasks }) => tasks)).toEqual(['1', '2-9:1'])
  })

  test('the filters of qstat -s name jobs and tasks', async () => {
    expect(await parseIds(recorded('holds-hu.xml'))).toEqual(['7.', '8.'])
    expect(await parseIds(recorded('holds-ha.xml'))).toEqual(['11.'])
  })

  test('one broken record is a warning, and its neighbours are read', async () => {
    const broken = recorded('jobs.xml').replace('<JB_job_number>12</JB_job_number>', '<JB_job_number>12<JB_')
    const { records, warnings } = await parseJobs(broken)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('qstat -xml')
    const ids = records.map(({ id }) => id)
    expect(ids).not.toContain('12')
    expect(ids).toContain('13')
    expect(records).toHaveLength(20)
  })

  test.each([
    0, 1, 50, 2_000, 11_000, 11_580,
  ])('a list that was cut off after %i characters is refused', async (length) => {
    await expect(parseJobs(recorded('jobs.xml').slice(0, length))).rejects.toMatchObject({
      code: 'middleware-garbage',
    })
  })

  test('bytes that are no UTF-8, or no XML, cost nothing', async () => {
    const bytes = Buffer.from(recorded('jobs.xml'), 'utf8')
    const at = bytes.indexOf('nobody')
    bytes[at] = 0xff
    bytes[at + 1] = 0x01
    const { records, warnings } = await parseJobs(bytes.toString('utf8').replace('1500M', '1500M & more'))
    expect(warnings).toEqual([])
    expect(records.some(({ user }) => user === '\uFFFD\uFFFDbody')).toBe(true)
    expect(records.find(({ id }) => id === '12')?.requests.get('h_vmem')).toBe('1500M & more')
  })

  test('a form of which no record can be read is another version’s', async () => {
    await expect(parseJobs(recorded('jobs.xml').replaceAll('JB_job_number', 'job_number'))).rejects.toThrow(
      /none readable/,
    )
  })

  test('others have their turn while thousands of records are read', async () => {
    const [, one = ''] = /(<job_list state="pending">[\s\S]*?<\/job_list>)/.exec(recorded('jobs.xml')) ?? []
    const many = Array.from({ length: 2_000 }, (_, at) =>
      one.replace(/<JB_job_number>\d+/, `<JB_job_number>${at + 1}`),
    )
    const printed = `<job_info>${many.join('\n')}</job_info>`
    let turns = 0
    let isReading = true
    const count = (): void => {
      turns += 1
      if (isReading) setImmediate(count)
    }
    setImmediate(count)
    const memory = { last: new Map() }
    const { records } = await parseJobs(printed, undefined, memory)
    isReading = false
    expect(records).toHaveLength(2_000)
    // A turn after every few records, each of which takes some tenths of a millisecond.
    expect(turns).toBeGreaterThan(2_000 / 30)
    // What has not changed is not read again.
    const again = await parseJobs(printed.replaceAll('0.60500', '0.70000'), undefined, memory)
    expect(again.records[7]).toBe(records[7])
  })

  test('reading ends when the look is given up', async () => {
    const giveUp = new AbortController()
    const reason = new Error('too late')
    const one = '<job_list><JB_job_number>1</JB_job_number><state>qw</state></job_list>'
    const reading = parseJobs(`<job_info>${one.repeat(500)}</job_info>`, giveUp.signal)
    giveUp.abort(reason)
    await expect(reading).rejects.toBe(reason)
  })
})

describe('what only qstat -j tells', () => {
  test('start time, reservation of hosts, limit of tasks, rerun, and why a start failed', async () => {
    const { records, warnings } = await parseDetails(recorded('details.xml'))
    expect(warnings).toEqual([])
    const job = new Map(records.map((each) => [each.id, each]))
    expect(job.get('2')?.rerun).toBe('yes')
    expect(job.get('15')).toMatchObject({
      rerun: 'no',
      error: "can't chdir to /no/such/dir: No such file or directory",
      messages: ['Job is in error state'],
    })
    expect(job.get('11')?.notBefore).toBe(Date.UTC(2027, 0, 1))
    expect(job.get('12')).toMatchObject({ reserves: true, rerun: 'queue' })
    expect(job.get('22')?.tasksAtOnce).toBe(2)
    expect(job.get('7')?.messages).toEqual(['Job is in hold state'])
  })

  test('an environment of five megabytes, with whatever bytes, is not even looked at', async () => {
    const [before = '', after = ''] = recorded('details.xml').split('</JB_env_list>', 2)
    const noise = `<VA_value>${'<&\u0001 not XML at all '.repeat(250_000)}</VA_value>`
    const rest = recorded('details.xml').slice(before.length + '</JB_env_list>'.length)
    expect(after.length).toBeGreaterThan(0)
    const { records, warnings } = await parseDetails(`${before}${noise}</JB_env_list>${rest}`)
    expect(warnings).toEqual([])
    expect(records).toHaveLength(16)
  })

  test('jobs that are gone are nobody', async () => {
    expect(await parseDetails(recorded('details-unknown.xml'))).toEqual({ records: [], warnings: [] })
  })
})

test('hosts come with their queue instances, marks and consumables; the global host is apart', async () => {
  const { records, global } = await parseHosts(recorded('hosts.xml'))
  expect(records.map(({ name, known }) => `${name} ${known}`)).toEqual([
    ...['g1 true', 'g2 true', 'g3 false', 'head false', 'static1 true'],
  ])
  const [g1, g2, g3] = records
  expect(g1?.values.get('sublet')).toEqual({ value: 'lease-7f3a/unit-g1', from: 'hf' })
  expect(g1?.memoryMiB).toBe(24_105)
  expect(g2?.values.get('sublet_drain')?.value).toBe('lease_20ends')
  expect(g3?.queues).toEqual([{ queue: 'dyn', slots: 4, slotsUsed: 0, slotsReserved: 0, letters: 'u' }])
  expect(global?.values.get('licence')).toEqual({ value: '0.000000', from: 'gc' })
})

test('reservations are told by host', async () => {
  expect([...(await parseReservations(recorded('reservation.xml')))]).toEqual([
    ['g1', { id: '1', slots: 2, startsAt: Date.UTC(2026, 11, 1), endsAt: Date.UTC(2026, 11, 1, 1) }],
  ])
})

test('a quota that is used up is against the jobs of its user in its queue', async () => {
  const quotas = await parseQuotas(recorded('quota.xml'))
  const { records } = await parseJobs(recorded('jobs.xml'))
  const against = (id: string, queue: string) =>
    quotaAgainst(records.find((each) => each.id === id)!, queue, quotas)?.rule
  expect(against('17', 'dyn')).toBe('peruser/1')
  expect(against('17', 'other.q')).toBeUndefined()
  expect(against('6', 'dyn')).toBeUndefined()
  const ofHosts = recorded('quota.xml').replace('<queues>', '<hosts>g1</hosts><queues>')
  expect(await parseQuotas(ofHosts)).toEqual([])
})

describe('the texts of qconf', () => {
  test('are read in one line or wrapped', () => {
    expect(parseObject(recorded('sq.txt')).get('hostlist')).toBe('@sublet head')
    expect(parseObject('load_values  a=1, \\\n             b=2\n').get('load_values')).toBe('a=1, b=2')
    expect([...parseValues('slots=0,sublet=l/u')]).toEqual([
      ['slots', '0'],
      ['sublet', 'l/u'],
    ])
    expect(parseValues('NONE').size).toBe(0)
    expect(parseEnvironment(recorded('sp-two.txt'))).toEqual({ name: 'two', slots: 999, rule: '2' })
    const complexes = parseComplexes(recorded('sc.txt'))
    expect(complexes.get('gpu')).toMatchObject({ type: 'INT', consumable: 'YES' })
    expect(complexes.get('licence')?.consumable).toBe('JOB')
    expect(() => parseComplexes('arch a STRING\n')).toThrow(/qconf -sc/)
  })

  test('the accounting file names what ended, and not what was put back', () => {
    const jobs = parseAccounting(recorded('accounting.txt'))
    expect(jobs.map(({ id, task, host }) => `${id}.${task} ${host}`)).toEqual(['4.1 g1', '4.2 g2', '1. g1'])
    expect(jobs[2]).toMatchObject({ user: 'root', queue: 'dyn', slots: 1, endedAt: 1_796_049_026_000 })
    expect(parseAccounting('cut:off\n:::\n')).toEqual([])
  })

  test('sizes, times, ranges and patterns', () => {
    expect(memoryMiBOf('1.5G')).toBe(1536)
    expect(memoryMiBOf('23.540G')).toBe(24_105)
    expect(bytesOf('2k')).toBe(2000)
    expect(bytesOf('INFINITY')).toBeUndefined()
    expect(durationOf('600')).toBe(600_000)
    expect(durationOf('0:20:0')).toBe(1_200_000)
    expect(durationOf('1:0:0:0')).toBe(86_400_000)
    expect(durationOf('INFINITY')).toBeUndefined()
    expect(durationOf('')).toBeUndefined()
    expect([leastOf('4'), leastOf('3-8'), leastOf('6,2'), leastOf('4-'), leastOf('')]).toEqual([
      4, 3, 2, 4, 1,
    ])
    expect([countTasks('3'), countTasks('2-9:1'), countTasks('1-7:2,9'), countTasks('')]).toEqual([
      1, 8, 5, 0,
    ])
  })
})
