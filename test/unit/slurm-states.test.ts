import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { drainReason, isOurReason, markComment, markFeature, readMark } from '../../adapters/slurm/marks.ts'
import { shortReason, type Waiting } from '../../adapters/slurm/reasons.ts'
import { jobState, nodeFitness } from '../../adapters/slurm/states.ts'

const waiting = (reason: string, more: Partial<Waiting> = {}): Waiting => ({
  reason,
  nodes: 1,
  nodesMaxOfPartition: Number.POSITIVE_INFINITY,
  isReserved: false,
  othersReserved: false,
  later: false,
  ...more,
})
const judged = (reason: string, more: Partial<Waiting> = {}) =>
  jobState('PENDING', waiting(reason, more), false)
const heldBy = (reason: string, more: Partial<Waiting> = {}) => judged(reason, more).heldBy

describe('a waiting job', () => {
  test.each([
    'None',
    'Resources',
    'Priority',
    'PartitionConfig',
    'PartitionNodeLimit',
    'Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions',
    'ReqNodeNotAvail, UnavailableNodes:n[4-6]',
  ])('waits for a machine: %s', (reason) => {
    expect(judged(reason)).toEqual({ state: 'pending' })
  })

  test.each([
    ['JobHeldUser', 'user'],
    ['JobHeldAdmin', 'operator'],
    ['launch failed requeued held', 'system'],
    ['JobHoldMaxRequeue', 'system'],
    ['Dependency', 'dependency'],
    ['DependencyNeverSatisfied', 'impossible'],
    ['BeginTime', 'start-time'],
    ['JobArrayTaskLimit', 'limit'],
    ['AssocGrpCpuLimit', 'limit'],
    ['QOSMaxJobsPerUserLimit', 'limit'],
    ['MaxJobsPerAccount', 'limit'],
    ['Licenses', 'licence'],
    ['BurstBufferResources', 'licence'],
    ['Reservation', 'reservation'],
    ['ReqNodeNotAvail, Reserved for maintenance', 'reservation'],
    ['PartitionDown', 'queue'],
    ['PartitionInactive', 'queue'],
    ['PartitionTimeLimit', 'impossible'],
    ['BadConstraints', 'impossible'],
    ['QOSNotAllowed', 'impossible'],
  ])('is held: %s, by %s', (reason, by) => {
    expect(judged(reason)).toEqual({ state: 'held', heldBy: by })
  })

  test('is judged for every reason that Slurm 22.05 has, and counted for eight of them', () => {
    const words = readFileSync(new URL('../fixtures/slurm/reasons.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n')
    expect(words.filter((word) => judged(word).unknown !== undefined)).toEqual([])
    const counted = words.filter((word) => judged(word).state === 'pending')
    expect(counted).toEqual([
      'None',
      'Priority',
      'Resources',
      'PartitionNodeLimit',
      'ReqNodeNotAvail',
      'SchedDefer',
      'NodeDown',
      'PartitionConfig',
    ])
    // Limits are known by their beginning; everything else by its name.
    const limits = words.filter((word) => heldBy(word) === 'limit')
    expect(limits.filter((word) => !/^(Assoc|QOS|Max)/.test(word))).toEqual([
      'JobArrayTaskLimit',
      'PowerNotAvail',
      'PowerReserved',
      'AccountingPolicy',
    ])
    expect(words.filter((word) => /^(Assoc|QOS|Max)/.test(word) && heldBy(word) !== 'limit')).toEqual([
      'QOSNotAllowed',
    ])
  })

  test('that is wider than its partition allows can never run', () => {
    expect(judged('PartitionNodeLimit', { nodes: 9, nodesMaxOfPartition: 8 })).toEqual({
      state: 'held',
      heldBy: 'impossible',
    })
  })

  test('whose time has not come is held, whatever its reason; but who holds it is told first', () => {
    expect(judged('None', { later: true })).toEqual({ state: 'held', heldBy: 'start-time' })
    expect(heldBy('JobHeldUser', { later: true })).toBe('user')
  })

  test('that may be blocked by a reservation is so only where there is one', () => {
    const words = 'ReqNodeNotAvail, May be reserved for other job'
    expect(judged(words)).toEqual({ state: 'pending' })
    expect(heldBy(words, { othersReserved: true })).toBe('reservation')
  })

  test('of a reservation waits for that, whatever is free elsewhere', () => {
    expect(judged('Resources', { isReserved: true })).toEqual({ state: 'held', heldBy: 'reservation' })
  })

  test('with a reason that nobody knows is held, and said so', () => {
    expect(judged('FullMoon')).toEqual({
      state: 'held',
      heldBy: 'unknown',
      unknown: 'the reason “FullMoon” for waiting',
    })
  })
})

describe('a job', () => {
  test('keeps its nodes while it runs, is suspended or configures', () => {
    for (const state of ['RUNNING', 'SUSPENDED', 'CONFIGURING', 'STOPPED', 'RESIZING'])
      expect(jobState(state, waiting(''), true)).toEqual({ state: 'running' })
    expect(jobState('COMPLETING', waiting(''), true)).toEqual({ state: 'completing' })
  })

  test('in a state that nobody knows runs if it has nodes, and else is held', () => {
    expect(jobState('LEVITATING', waiting(''), true)).toEqual({
      state: 'running',
      unknown: 'the job state LEVITATING',
    })
    expect(jobState('LEVITATING', waiting(''), false)).toMatchObject({ state: 'held', heldBy: 'unknown' })
  })

  test('that is being put back waits for its time, unless its reason says who holds it', () => {
    const between = (state: string, reason: string) => jobState(state, waiting(reason), false)
    expect(between('REQUEUED', 'None')).toEqual({ state: 'held', heldBy: 'start-time' })
    expect(between('REQUEUE_HOLD', 'JobHeldUser')).toEqual({ state: 'held', heldBy: 'user' })
    expect(between('SPECIAL_EXIT', '')).toEqual({ state: 'held', heldBy: 'operator' })
    expect(between('RESV_DEL_HOLD', 'None')).toEqual({ state: 'held', heldBy: 'reservation' })
  })

  test('has a short reason', () => {
    expect(shortReason('ReqNodeNotAvail, UnavailableNodes:n4')).toBe('ReqNodeNotAvail')
    expect(shortReason('Resources')).toBe('Resources')
  })
})

describe('a node', () => {
  test.each([
    [['idle', 'dynamic_norm'], 'works'],
    [['mixed', 'completing'], 'works'],
    [['idle', 'planned'], 'works'],
    [['idle', 'drain'], 'refuses'],
    [['idle', 'reserved'], 'refuses'],
    [['idle', 'maintenance'], 'refuses'],
    [['down'], 'refuses'],
    [['idle', 'not_responding'], 'silent'],
    [['down', 'not_responding', 'drain'], 'silent'],
    [['idle', 'cloud', 'powered_down'], 'silent'],
    [['unknown'], 'silent'],
  ])('%s %s', (states, fitness) => {
    expect(nodeFitness(states)).toEqual({ fitness, unknown: [] })
  })

  test('in a state that nobody knows takes no jobs of ours', () => {
    expect(nodeFitness(['idle', 'haunted'])).toEqual({ fitness: 'refuses', unknown: ['haunted'] })
  })
})

describe('a mark', () => {
  const mark = { leaseId: 'lease-7f3a', unitId: 'unit-3k9f' }

  test('is read from the features, or else from the comment', () => {
    expect(readMark(['dynf', markFeature(mark)], '')).toEqual(mark)
    expect(readMark(['dynf'], markComment(mark))).toEqual(mark)
    expect(readMark([markFeature(mark)], markComment({ leaseId: 'lease-1', unitId: 'unit-1' }))).toEqual(mark)
  })

  test('is not read from what merely looks like one', () => {
    for (const feature of ['sublet', 'sublet_x', 'sublet_a_b_c', 'xsublet_a_b', 'sublet_a_'])
      expect(readMark([feature], feature)).toBeUndefined()
  })

  test('cannot be made of ids that Slurm would read as something else', () => {
    for (const unitId of ['a_b', 'a,b', '', 'a b', 'a=b', 'ä'])
      expect(() => markFeature({ ...mark, unitId })).toThrow()
  })

  test('a drain of ours begins with our tag, or is the one a node of ours is born with', () => {
    expect(isOurReason('sublet', drainReason('sublet', 'lease ends'))).toBe(true)
    expect(isOurReason('sublet', '')).toBe(true)
    expect(isOurReason('sublet', 'subletting is forbidden')).toBe(false)
    expect(isOurReason('sublet', 'smells of smoke')).toBe(false)
  })

  test('a reason is cut and cleaned of what Slurm does not bear', () => {
    expect(drainReason('sublet', 'a "quoted"\nword')).toBe('sublet: a  quoted word')
    expect(drainReason('sublet', 'x'.repeat(500))).toHaveLength(128)
  })
})
