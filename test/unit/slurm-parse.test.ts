import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gresOf } from '../../adapters/slurm/gres.ts'
import { countTasks, expandHosts } from '../../adapters/slurm/hostlist.ts'
import { parseJobsJson, parseNodesJson } from '../../adapters/slurm/parse-json.ts'
import { parseConfig, parseJobsText, parseNodesText, parseWords } from '../../adapters/slurm/parse-text.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/slurm/${name}`, import.meta.url), 'utf8')

const codeOf = (act: () => unknown): unknown => {
  try {
    act()
    return 'read'
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}

const changed = (name: string, change: (text: string) => string): string => change(recorded(name))

describe('Slurm’s JSON', () => {
  const { records, warnings } = parseJobsJson(recorded('squeue.json'))
  const job = (id: string) => records.find((each) => each.id === id)

  test('every job is read', () => {
    expect(warnings).toEqual([])
    expect(records.map(({ id }) => id).sort()).toEqual(
      [
        '1',
        '10',
        '11',
        '12',
        '13',
        '14_[1,3,5,10,15,20]',
        '15',
        '16',
        '17',
        '18',
        '2_1',
        '2_2',
        '2_3',
        '2_[4-9%3]',
        '3',
        '7',
        '8',
        '9',
      ].sort(),
    )
  })

  test('a job’s demand, times and rights are read', () => {
    expect(job('7')).toMatchObject({
      state: 'PENDING',
      reason: 'Resources',
      partitions: ['dyn'],
      nodes: 2,
      cpus: 4,
      memoryMiBPerNode: 500,
      walltimeMs: 3_600_000,
      submittedAt: 1_795_299_856_000,
      requeueable: true,
    })
    expect(job('15')).toMatchObject({
      requeueable: false,
      requiredNodes: 'static1',
      nodeNames: ['static1'],
      walltimeMs: undefined,
    })
    expect(job('1')).toMatchObject({ state: 'COMPLETING', restarts: 1 })
    expect(job('8')).toMatchObject({ memoryMiBPerCpu: 100, memoryMiBPerNode: 0, tasks: 4 })
  })

  test('the nodes’ states, features and comments are read', () => {
    const nodes = parseNodesJson(recorded('sinfo.json')).records
    expect(nodes.find(({ name }) => name === 'n5')).toEqual({
      name: 'n5',
      states: ['idle', 'drain', 'dynamic_norm'],
      features: ['dynf', 'sublet_lease-7f3a_unit-5'],
      comment: 'sublet:lease=lease-7f3a,unit=unit-5',
      reason: 'sublet: lease ends',
      partitions: ['dyn'],
      cpus: 2,
      cpusInUse: 0,
      memoryMiB: 1000,
      memoryMiBInUse: 0,
      gres: {},
      gresInUse: {},
    })
  })

  test('a list that was cut off is no list', () => {
    expect(codeOf(() => parseJobsJson(changed('squeue.json', (text) => text.slice(0, 20_000))))).toBe(
      'middleware-garbage',
    )
    expect(codeOf(() => parseNodesJson(''))).toBe('middleware-garbage')
    expect(codeOf(() => parseNodesJson('slurm_load_node error'))).toBe('middleware-garbage')
  })

  test('a schema that is not known is refused as such, whatever it holds', () => {
    for (const schema of ['openapi/v0.0.40', 'data_parser/v0.0.41', ''])
      expect(
        codeOf(() =>
          parseJobsJson(changed('squeue.json', (text) => text.replace('openapi\\/v0.0.38', schema))),
        ),
      ).toBe('middleware-schema')
    expect(codeOf(() => parseJobsJson('{"jobs":[]}'))).toBe('middleware-schema')
    expect(codeOf(() => parseJobsJson('[]'))).toBe('middleware-schema')
  })

  test('an error inside the answer is an error', () => {
    const answer = changed('squeue.json', (text) =>
      text.replace('"errors": [\n  ]', '"errors": [{"error": "half"}]'),
    )
    expect(answer).toContain('half')
    expect(codeOf(() => parseJobsJson(answer))).toBe('middleware-garbage')
  })

  test('no list is not an empty list', () => {
    expect(
      codeOf(() => parseJobsJson(changed('squeue.json', (text) => text.replace('"jobs"', '"job"')))),
    ).toBe('middleware-garbage')
    const empty = '{"meta":{"plugin":{"type":"openapi/v0.0.38"}},"errors":[],"jobs":[]}'
    expect(parseJobsJson(empty)).toEqual({ records: [], warnings: [], unread: [] })
  })

  test('one broken record costs a warning, not the look', () => {
    const broken = changed('squeue.json', (text) => text.replace('"job_id": 7,', '"job_id": "seven",'))
    const read = parseJobsJson(broken)
    expect(read.records).toHaveLength(records.length - 1)
    expect(read.warnings).toHaveLength(1)
    expect(read.warnings[0]).toContain('job_id')
  })
})

describe('Slurm’s text', () => {
  test('tells the same jobs as the JSON of the same moment', () => {
    const byId = (list: ReturnType<typeof parseJobsText>) =>
      new Map(list.records.map((each) => [each.id, each]))
    const text = byId(parseJobsText(recorded('squeue.txt')))
    const json = byId(parseJobsJson(recorded('squeue.json')))
    expect([...text.keys()].sort()).toEqual([...json.keys()].sort())
    for (const [id, fromJson] of json) {
      const {
        state,
        partitions,
        nodes,
        user,
        submittedAt,
        nodeNames,
        requeueable,
        restarts,
        walltimeMs,
        arrayTasks,
        arrayLimit,
      } = fromJson
      const isWaitingArray = arrayTasks > 0
      expect(text.get(id)).toMatchObject({
        state,
        partitions,
        nodes,
        user,
        submittedAt,
        nodeNames,
        requeueable,
        restarts,
        walltimeMs,
        arrayTasks,
        ...(isWaitingArray && { arrayLimit }),
      })
    }
  })

  test('tells the same nodes as the JSON of the same moment, whatever a comment says', () => {
    const sorted = (list: ReturnType<typeof parseNodesText>) =>
      list.records
        .map((node) => ({ ...node, states: [...node.states].sort() }))
        .sort((a, b) => a.name.localeCompare(b.name))
    expect(sorted(parseNodesText(recorded('show-node.txt')))).toEqual(
      sorted(parseNodesJson(recorded('sinfo.json'))),
    )
  })

  test('an empty list is empty, a list of nothing readable is garbage', () => {
    expect(parseJobsText('')).toEqual({ records: [], warnings: [], unread: [] })
    expect(parseNodesText('No nodes in the system\n')).toEqual({ records: [], warnings: [], unread: [] })
    expect(codeOf(() => parseJobsText('JOBID PARTITION NAME\n'))).toBe('middleware-garbage')
    expect(codeOf(() => parseNodesText('slurm_load_node error: whatever\n'))).toBe('middleware-garbage')
  })

  test('a line that was cut off costs a warning', () => {
    const read = parseJobsText(recorded('squeue.txt').slice(0, -20))
    expect(read.records).toHaveLength(17)
    expect(read.warnings).toHaveLength(1)
  })

  test('bytes that are not UTF-8 harm nobody', () => {
    const line = `${Buffer.from('3|RUNNING|None|caf\xe9|dyn|1|1|1|0|1:00|1|1|1|1|n3||1|0|(null)|OK|N/A|N/A|N/A|N/A|(null)|', 'latin1').toString('utf8')}\n`
    expect(parseJobsText(line).records[0]).toMatchObject({ id: '3', user: 'caf\ufffd', nodeNames: ['n3'] })
  })

  test('random bytes are refused or warned of, never anything else', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (noise) => {
        for (const parse of [parseJobsText, parseNodesText, parseJobsJson, parseNodesJson])
          expect(codeOf(() => parse(noise))).toMatch(/^(read|middleware-garbage|middleware-schema)$/)
      }),
      { numRuns: 300 },
    )
  })

  test('the configuration and the partition are read', () => {
    const config = parseConfig(recorded('show-config.txt'))
    expect(config.get('ClusterName')).toBe('lab')
    expect(config.get('SLURM_VERSION')).toBe('22.05.8')
    expect(config.get('SlurmUser')).toBe('root(0)')
    expect(parseWords(recorded('show-partition.txt')).get('DefaultTime')).toBe('01:00:00')
  })
})

describe('Slurm’s abbreviations', () => {
  test('a list of hosts is written out', () => {
    expect(expandHosts('')).toEqual([])
    expect(expandHosts('n1')).toEqual(['n1'])
    expect(expandHosts('n[1-3,07],gpu2')).toEqual(['n1', 'n2', 'n3', 'n07', 'gpu2'])
    expect(expandHosts('n[08-11]')).toEqual(['n08', 'n09', 'n10', 'n11'])
    expect(expandHosts('r[1-2]c[1-2]-x')).toEqual(['r1c1-x', 'r1c2-x', 'r2c1-x', 'r2c2-x'])
    expect(expandHosts('dynamic-node-without-number')).toEqual(['dynamic-node-without-number'])
  })

  test('a list that would fill the memory is refused', () => {
    expect(codeOf(() => expandHosts('n[1-99999999]'))).toBe('middleware-garbage')
    expect(codeOf(() => expandHosts('n[3-1]'))).toBe('middleware-garbage')
    expect(codeOf(() => expandHosts('a[1-9999]b[1-9999]'))).toBe('middleware-garbage')
    expect(codeOf(() => expandHosts(`a[${'1-90000,'.repeat(10_000)}1]`))).toBe('middleware-garbage')
    expect(codeOf(() => expandHosts('a[1-90000],'.repeat(10_000)))).toBe('middleware-garbage')
    expect(codeOf(() => expandHosts(`n[${'0'.repeat(1_000_000)}-9]`))).toBe('middleware-garbage')
  })

  // With a look ahead at each comma or bracket these take minutes.
  test('lists of any length are read in one pass', () => {
    const names = Array.from({ length: 90_000 }, (_, i) => `node-of-the-cluster-${i}`)
    expect(expandHosts(names.join(','))).toEqual(names)
    expect(expandHosts('['.repeat(300_000))).toEqual([''])
    expect(codeOf(() => gresOf(`gpu:1${'('.repeat(300_000)}`))).toBe('middleware-garbage')
  })

  test('the tasks of an array are counted', () => {
    expect(countTasks('4-9')).toBe(6)
    expect(countTasks('0')).toBe(1)
    expect(countTasks('1,3,5-20:5')).toBe(6)
    expect(codeOf(() => countTasks('1-...'))).toBe('middleware-garbage')
  })
})
