import { describe, expect, test } from 'vitest'
import { namesFindings } from '../../adapters/slurm/check-names.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { expandHosts } from '../../adapters/slurm/hostlist.ts'
import {
  type Listing,
  returningWords,
  type Standing,
  standingOf,
  takingWords,
} from '../../adapters/slurm/listed.ts'
import { listedLike } from '../../adapters/slurm/privileges.ts'
import type { NodeRecord } from '../../adapters/slurm/records.ts'

/** As it is read of `scontrol -F -a -d -o show node`; `free` is what comes last there. */
const record = (state: string, free = '', features = 'rack1'): NodeRecord => ({
  name: 'c2',
  states: state.toLowerCase().split('+'),
  features: features.split(','),
  comment: /Comment=(.*)$/.exec(free)?.[1] ?? '',
  reason: /Reason=(.*?)(?: \[| Comment=|$)/.exec(free)?.[1] ?? '',
  partitions: ['dyn'],
  ...{ cpus: 2, cpusInUse: 0, memoryMiB: 1000, memoryMiBInUse: 0, gres: {}, gresInUse: {} },
})
const OURS = 'Reason=sublet: no machine [root@2026-12-01T11:38:13]'
const MARK = 'Comment=sublet:lease=lease-7,unit=unit-3'
const mark = { leaseId: 'lease-7', unitId: 'unit-3' }
const node = { name: 'vm8', address: '10.0.0.8', mark, cpus: 2, memoryMiB: 1000 }

test.each<[Standing, string, string, string?]>([
  ['free', 'FUTURE', ''],
  ['theirs', 'FUTURE', 'Comment=for the course'],
  ['marked', 'FUTURE', MARK],
  ['marked', 'FUTURE', '', 'rack1,sublet_lease-7_unit-3'],
  ['theirs', 'IDLE', ''],
  ['theirs', 'IDLE+DYNAMIC_FUTURE', ''],
  ['theirs', 'DOWN+NOT_RESPONDING', OURS],
  ['free', 'IDLE+CLOUD+DRAIN+POWERED_DOWN', OURS],
  // One that was lost keeps its base state.
  ['free', 'DOWN+CLOUD+DRAIN+POWERED_DOWN', OURS],
  ['marked', 'IDLE+CLOUD+DRAIN+POWERED_DOWN', `${OURS} ${MARK}`],
  // Slurm powers it up for a job whenever it likes.
  ['theirs', 'IDLE+CLOUD+POWERED_DOWN', ''],
  ['theirs', 'IDLE+CLOUD+POWERED_DOWN', OURS],
  ['theirs', 'IDLE+CLOUD+DRAIN+POWERED_DOWN', 'Reason=smells of smoke [root@2026-12-01T11:38:13]'],
  ['theirs', 'IDLE+CLOUD+DRAIN+POWERED_DOWN', `${OURS} Comment=for the course`],
  ['theirs', 'MIXED+CLOUD+DRAIN+POWERED_DOWN', OURS],
  ['theirs', 'IDLE+CLOUD+DRAIN', OURS],
  ['going', 'IDLE+CLOUD+DRAIN+POWER_DOWN', OURS],
  ['going', 'IDLE+CLOUD+DRAIN+POWERING_DOWN', OURS],
])('a listed name is %s when it is %s (%s)', (standing, state, free, features) => {
  expect(standingOf(record(state, free, features), 'sublet')).toBe(standing)
})

test('a name is given in one command, and put back in one', () => {
  const [comment, none] = ['Comment=sublet:lease=lease-7,unit=unit-3', 'Comment=']
  expect(takingWords(record('FUTURE'), node)).toEqual(['NodeName=c2', comment])
  const parked = record('IDLE+CLOUD+DRAIN+POWERED_DOWN', OURS)
  expect(takingWords(parked, node)).toEqual([...['NodeName=c2', comment, 'NodeAddr=10.0.0.8']])
  const used = record('IDLE+DRAIN+DYNAMIC_FUTURE', MARK, 'rack1,sublet_lease-7_unit-3')
  expect(returningWords(used, 'sublet')).toEqual([
    ...['NodeName=c2', none, 'AvailableFeatures=rack1', 'ActiveFeatures=rack1', 'State=FUTURE'],
  ])
  const back = ['NodeName=c2', none, 'NodeAddr=c2', 'State=DRAIN']
  const down = (reason: string) =>
    returningWords(record('IDLE+CLOUD+POWERING_DOWN', `Reason=${reason}`), 'sublet')
  expect(down('sublet: leaves')).toEqual([...back, 'Reason=sublet: no machine'])
  // Powering down took it away.
  expect(down('smells of smoke')).toEqual([...back, 'Reason=smells of smoke'])
})

describe('the names that are asked for', () => {
  const parse = (names: string) => slurmConfig.safeParse({ partition: 'dyn', nodes: 'listed', names }).success
  test('are a list as slurm.conf writes it', () => {
    expect(['cloud[1-100]', 'a1,b[01-20,30]', 'r[1-2]c[1-4]'].map(parse)).toEqual([true, true, true])
    const wrong = ['', ',', 'cloud[1-]', 'cloud[5-1]', 'c[1-10001]', 'c 1', 'c1;id', 'c[1-9999999999999999]']
    expect(wrong.map(parse)).toEqual(wrong.map(() => false))
  })
  test('are told to a wrapper one by one, for the admin has others of that shape', () => {
    expect(listedLike('gpu[1-4],a1,gpu2')).toBe('gpu1|gpu2|gpu3|gpu4|a1')
    expect(listedLike('n[1-2].a,c_[08-09]')).toBe('n1[.]a|n2[.]a|c_08|c_09')
  })
  test('are told by their ranges where they are many', () => {
    expect(listedLike('n[8-511].a,gpu1')).toBe(
      'n([89]|[123456789][0-9]|[1234][0-9][0-9]|50[0-9]|51[01])[.]a|gpu1',
    )
  })
  test.each([
    'n[8-1211]',
    'c[08-642]x',
    'r[1-30]c[1-40]',
    'n[0995-1600,7]',
    'n[0-9,3-700]',
    'n[000-999]',
  ])('ranges are like their names and no others: %s', (list) => {
    const pattern = new RegExp(`^(?:${listedLike(list)})$`)
    const names = new Set(expandHosts(list))
    expect([...names].filter((name) => !pattern.test(name))).toEqual([])
    const [head = '', tail = ''] = list.split(/\[.*\]/)
    const numbers = Array.from({ length: 2_000 }, (_, at) =>
      [1, 2, 3, 4, 5].map((wide) => `${at}`.padStart(wide, '0')),
    )
    const like = numbers.flat().map((number) => head + number + tail)
    expect(like.filter((name) => !names.has(name) && pattern.test(name))).toEqual([])
  })
})

describe('the check of the names', () => {
  const power = { isOn: true, sparedPartitions: ['dyn'] }
  const findings = (records: readonly NodeRecord[], more: Partial<typeof power> = {}, pattern = 'c2') => {
    const listed = new Map(
      records.map((each): [string, Listing] => [
        each.name,
        { record: each, standing: standingOf(each, 'sublet') },
      ]),
    )
    const asked = { names: expandHosts(pattern), pattern, partition: 'dyn', drainTag: 'sublet' }
    return namesFindings(asked, listed, { power: { ...power, ...more } }).map(
      ({ severity, sentence, cure }) => `${severity}: ${sentence} ${cure}`,
    )
  }
  const parked = record('IDLE+CLOUD+DRAIN+POWERED_DOWN', OURS)

  test('is content with free and with marked ones', () => {
    expect(findings([record('FUTURE')])).toEqual([])
    expect(findings([record('FUTURE', MARK)], { isOn: false })).toEqual([])
    expect(findings([parked])).toEqual([])
  })
  test.each<[string, readonly NodeRecord[], string, Partial<typeof power>?]>([
    ['are not shown', [], 'missing: Slurm shows no node c2 of c2 (batch.names). List them in slurm.conf'],
    ['Slurm uses by itself', [record('IDLE+CLOUD+POWERED_DOWN')], 'missing: Slurm itself gives jobs to c2'],
    ['somebody else uses', [record('IDLE')], 'unwise: No machine gets the name c2'],
    [
      'are in another partition',
      [{ ...record('FUTURE'), partitions: [] }],
      'missing: The partition dyn has no c2',
    ],
    ['would stay up', [parked], 'missing: Power saving is off', { isOn: false }],
    [
      'would be powered down',
      [parked],
      'missing: Power saving is not kept from',
      { sparedPartitions: ['x'] },
    ],
  ])('tells of names that %s', (_, records, sentence, more) => {
    const found = findings(records, more)
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(sentence)
  })
})
