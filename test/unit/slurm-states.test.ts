import { describe, expect, test } from 'vitest'
import { drainReason, isOurReason, markComment, markFeature, readMark } from '../../adapters/slurm/marks.ts'
import { jobState, nodeFitness, shortReason, type Waiting } from '../../adapters/slurm/states.ts'

const waiting = (reason: string, more: Partial<Waiting> = {}): Waiting => ({
  reason,
  nodes: 1,
  nodesMaxOfPartition: Number.POSITIVE_INFINITY,
  namesItsNodes: false,
  later: false,
  ...more,
})
const judged = (reason: string, more: Partial<Waiting> = {}) =>
  jobState('PENDING', waiting(reason, more), false)

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
    'Dependency',
    'DependencyNeverSatisfied',
    'JobHeldUser',
    'JobHeldAdmin',
    'BeginTime',
    'Licenses',
    'Reservation',
    'JobArrayTaskLimit',
    'PartitionTimeLimit',
    'PartitionDown',
    'BadConstraints',
    'AssocGrpCpuLimit',
    'QOSMaxJobsPerUserLimit',
    'MaxRequeue',
    'ReqNodeNotAvail, Reserved for maintenance',
  ])('is held: %s', (reason) => {
    expect(judged(reason)).toEqual({ state: 'held' })
  })

  test('that names its node waits for that node, not for a machine', () => {
    expect(judged('ReqNodeNotAvail', { namesItsNodes: true })).toEqual({ state: 'held' })
  })

  test('that is wider than its partition allows is held', () => {
    expect(judged('PartitionNodeLimit', { nodes: 9, nodesMaxOfPartition: 8 })).toEqual({ state: 'held' })
  })

  test('whose time has not come is held, whatever its reason', () => {
    expect(judged('None', { later: true })).toEqual({ state: 'held' })
  })

  test('with a reason that nobody knows is held, and said so', () => {
    expect(judged('FullMoon')).toEqual({ state: 'held', unknown: 'the reason “FullMoon” for waiting' })
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
    expect(jobState('LEVITATING', waiting(''), false).state).toBe('held')
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
