import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import { gresOf } from '../../adapters/slurm/gres.ts'
import { countTasks, expandHosts } from '../../adapters/slurm/hostlist.ts'
import { parseJobsJson, parseNodesJson } from '../../adapters/slurm/parse-json.ts'
import { parseConfig, parseJobsText, parseNodesText, parseWords } from '../../adapters/slurm/parse-text.ts'
import type { JobRecord, NodeRecord, Records } from '../../adapters/slurm/records.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/slurm/${name}`, import.meta.url), 'utf8')

const codeOf = async (act: () => unknown): Promise<unknown> => {
  try {
    await act()
    return 'read'
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}

const turn = { clock: systemClock, signal: new AbortController().signal }
const jobsIn = (text: string) => parseJobsJson(text, turn)
const nodesIn = (text: string) => parseNodesJson(text, turn)
const jobsOfText = (text: string) => parseJobsText(text, turn)
const nodesOfText = (text: string) => parseNodesText(text, turn)

const changed = (name: string, change: (text: string) => string): string => change(recorded(name))

const { records, warnings } = await jobsIn(recorded('squeue.json'))

describe('Slurm’s JSON', () => {
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

  test('the nodes’ states, features and comments are read', async () => {
    const nodes = (await nodesIn(recorded('sinfo.json'))).records
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

  test('a list that was cut off is no list', async () => {
    expect(await codeOf(() => jobsIn(changed('squeue.json', (text) => text.slice(0, 20_000))))).toBe(
      'middleware-garbage',
    )
    expect(await codeOf(() => nodesIn(''))).toBe('middleware-garbage')
    expect(await codeOf(() => nodesIn('slurm_load_node error'))).toBe('middleware-garbage')
  })

  test('a schema that is not known is refused as such, whatever it holds', async () => {
    for (const schema of ['openapi/v0.0.40', 'data_parser/v0.0.41', ''])
      expect(
        await codeOf(() =>
          jobsIn(changed('squeue.json', (text) => text.replace('openapi\\/v0.0.38', schema))),
        ),
      ).toBe('middleware-schema')
    expect(await codeOf(() => jobsIn('{"jobs":[]}'))).toBe('middleware-schema')
    expect(await codeOf(() => jobsIn('[]'))).toBe('middleware-schema')
  })

  test('an error inside the answer is an error', async () => {
    const answer = changed('squeue.json', (text) =>
      text.replace('"errors": [\n  ]', '"errors": [{"error": "half"}]'),
    )
    expect(answer).toContain('half')
    expect(await codeOf(() => jobsIn(answer))).toBe('middleware-garbage')
  })

  test('no list is not an empty list', async () => {
    expect(
      await codeOf(() => jobsIn(changed('squeue.json', (text) => text.replace('"jobs"', '"job"')))),
    ).toBe('middleware-garbage')
    const empty = '{"meta":{"plugin":{"type":"openapi/v0.0.38"}},"errors":[],"jobs":[]}'
    expect(await jobsIn(empty)).toEqual({ records: [], warnings: [], unread: [] })
  })

  test('one broken record costs a warning, not the look', async () => {
    const broken = changed('squeue.json', (text) => text.replace('"job_id": 7,', '"job_id": "seven",'))
    const read = await jobsIn(broken)
    expect(read.records).toHaveLength(records.length - 1)
    expect(read.warnings).toHaveLength(1)
    expect(read.warnings[0]).toContain('job_id')
  })
})

describe('a list of Slurm’s, cut into its records', () => {
  /** As 22.05 lays it out, with these records of the recording. */
  const [before = '', ...each] = recorded('squeue.json').split('\n    {\n')
  const one = (change: (text: string) => string = (text) => text): string =>
    `\n    {\n${change((each[0] ?? '').replace(/,$/, ''))}`
  const printed = (...jobs: readonly string[]): string => `${before}${jobs.join(',')}\n  ]\n}\n`

  test('is read as a whole where it is laid out in another way', async () => {
    const compact = JSON.stringify(JSON.parse(recorded('squeue.json')))
    expect(await jobsIn(compact)).toEqual({ records, warnings, unread: [] })
    const tabs = JSON.stringify(JSON.parse(recorded('sinfo.json')), null, '\t')
    expect((await nodesIn(tabs)).records).toEqual((await nodesIn(recorded('sinfo.json'))).records)
  })

  test('loses one that is no JSON, and tells whose it is', async () => {
    const broken = one((text) => text.replace('"billable_tres": 1.0', '"billable_tres": NaN'))
    const read = await jobsIn(printed(one(), broken, one()))
    expect(read.records).toHaveLength(2)
    expect(read.warnings).toEqual([
      expect.stringMatching(/^Record 2 of squeue --json could not be read: it is no JSON: .*NaN.* \(1\)$/),
    ])
  })

  test.each([
    ['within a record', (text: string) => text.slice(0, -200)],
    ['after a record', (text: string) => text.slice(0, -'\n  ]\n}\n'.length)],
    ['after a comma', (text: string) => `${text.slice(0, -'\n  ]\n}\n'.length)},`],
    ['before its own end', (text: string) => text.slice(0, -'}\n'.length)],
    ['by what is no record', (text: string) => text.replace('\n  ]\n}', ',\n    7\n  ]\n}')],
  ])('is none if it was cut off %s', async (_, cut) => {
    const whole = printed(one(), one())
    expect((await jobsIn(whole)).records).toHaveLength(2)
    expect(await codeOf(() => jobsIn(cut(whole)))).toBe('middleware-garbage')
  })

  test('is none if an error stands behind it', async () => {
    const text = printed(one()).replace('\n  ]\n}', '\n  ],\n  "errors": [{ "error": "half" }]\n}')
    expect(await codeOf(() => jobsIn(text))).toBe('middleware-garbage')
  })

  test('is read in slices, and others have their turn between them', async () => {
    let at = 0
    let turns = 0
    // Every record takes a millisecond of this clock.
    const clock: Clock = {
      ...{ now: () => at, monotonic: () => at++ },
      after(_delayMs, callback) {
        turns += 1
        setImmediate(callback)
        return () => undefined
      },
    }
    const counted = async (read: Promise<Records<unknown>>): Promise<number> => {
      turns = 0
      expect((await read).records).toHaveLength(1_000)
      return turns
    }
    const slow = { ...turn, clock }
    const line = recorded('squeue.txt').split('\n')[0]
    const nodeLine = recorded('show-node.txt').split('\n')[0]
    const times = (text: string | undefined): string => `${text}\n`.repeat(1_000)
    const many = printed(...Array.from({ length: 1_000 }, () => one()))
    expect(await counted(parseJobsJson(many, slow))).toBeGreaterThan(80)
    expect(await counted(parseJobsText(times(line), slow))).toBeGreaterThan(80)
    expect(await counted(parseNodesText(times(nodeLine), slow))).toBeGreaterThan(80)
    const stop = new AbortController()
    const stopped = parseJobsJson(many, { clock, signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(stopped).rejects.toThrow('enough')
  })
})

describe('Slurm’s text', () => {
  test('tells the same jobs as the JSON of the same moment', async () => {
    const byId = (list: Records<JobRecord>) => new Map(list.records.map((each) => [each.id, each]))
    const text = byId(await jobsOfText(recorded('squeue.txt')))
    const json = byId(await jobsIn(recorded('squeue.json')))
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

  test('tells the same nodes as the JSON of the same moment, whatever a comment says', async () => {
    const sorted = (list: Records<NodeRecord>) =>
      list.records
        .map((node) => ({ ...node, states: [...node.states].sort() }))
        .sort((a, b) => a.name.localeCompare(b.name))
    expect(sorted(await nodesOfText(recorded('show-node.txt')))).toEqual(
      sorted(await nodesIn(recorded('sinfo.json'))),
    )
  })

  test('an empty list is empty, a list of nothing readable is garbage', async () => {
    expect(await jobsOfText('')).toEqual({ records: [], warnings: [], unread: [] })
    expect(await nodesOfText('No nodes in the system\n')).toEqual({ records: [], warnings: [], unread: [] })
    expect(await codeOf(() => jobsOfText('JOBID PARTITION NAME\n'))).toBe('middleware-garbage')
    expect(await codeOf(() => nodesOfText('slurm_load_node error: whatever\n'))).toBe('middleware-garbage')
  })

  test('a line that was cut off costs a warning', async () => {
    const read = await jobsOfText(recorded('squeue.txt').slice(0, -20))
    expect(read.records).toHaveLength(17)
    expect(read.warnings).toHaveLength(1)
  })

  test('bytes that are not UTF-8 harm nobody', async () => {
    const line = `${Buffer.from('3|RUNNING|None|caf\xe9|dyn|1|1|1|0|1:00|1|1|1|1|n3||1|0|(null)|OK|N/A|N/A|N/A|N/A|(null)|', 'latin1').toString('utf8')}\n`
    expect((await jobsOfText(line)).records[0]).toMatchObject({
      id: '3',
      user: 'caf\ufffd',
      nodeNames: ['n3'],
    })
  })

  test('random bytes are refused or warned of, never anything else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 300 }), async (noise) => {
        for (const parse of [jobsOfText, nodesOfText, jobsIn, nodesIn])
          expect(await codeOf(() => parse(noise))).toMatch(/^(read|middleware-garbage|middleware-schema)$/)
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

  test('a list that would fill the memory is refused', async () => {
    expect(await codeOf(() => expandHosts('n[1-99999999]'))).toBe('middleware-garbage')
    expect(await codeOf(() => expandHosts('n[3-1]'))).toBe('middleware-garbage')
    expect(await codeOf(() => expandHosts('a[1-9999]b[1-9999]'))).toBe('middleware-garbage')
    expect(await codeOf(() => expandHosts(`a[${'1-90000,'.repeat(10_000)}1]`))).toBe('middleware-garbage')
    expect(await codeOf(() => expandHosts('a[1-90000],'.repeat(10_000)))).toBe('middleware-garbage')
    expect(await codeOf(() => expandHosts(`n[${'0'.repeat(1_000_000)}-9]`))).toBe('middleware-garbage')
  })

  // With a look ahead at each comma or bracket these take minutes.
  test('lists of any length are read in one pass', async () => {
    const names = Array.from({ length: 90_000 }, (_, i) => `node-of-the-cluster-${i}`)
    expect(expandHosts(names.join(','))).toEqual(names)
    expect(expandHosts('['.repeat(300_000))).toEqual([''])
    expect(await codeOf(() => gresOf(`gpu:1${'('.repeat(300_000)}`))).toBe('middleware-garbage')
  })

  test('the tasks of an array are counted', async () => {
    expect(countTasks('4-9')).toBe(6)
    expect(countTasks('0')).toBe(1)
    expect(countTasks('1,3,5-20:5')).toBe(6)
    expect(await codeOf(() => countTasks('1-...'))).toBe('middleware-garbage')
  })
})
