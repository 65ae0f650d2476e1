import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LedgerNote } from '../../actors/runtime/commit.ts'
import type { GuestIntent } from '../../controllers/controller.ts'
import { explainDecision } from '../../deploy/control/explain-decision.ts'
import { intentText, planOf, showPlans } from '../../deploy/control/plan.ts'
import { fakeSite, ledgerOf, SITE_YAML, T0, yamlIn } from './control-site.ts'
import { jobOf, pictureOf } from './groc-world.ts'

const BOUNDS = { jobsMax: 2, machinesMax: 2 }

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-plan-'))
  writeFileSync(yamlIn(dir), SITE_YAML)
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('a plan', () => {
  test('says what would be done and why, job by job, and does nothing', () => {
    const site = fakeSite(dir, yamlIn(dir))
    const jobs = [
      jobOf('17'),
      jobOf('18', { state: 'held' }),
      jobOf('19', { state: 'running' }),
      ...['20', '21'].map((id) => jobOf(id)),
    ]
    const batch = { ...site.guests.batch!, lastPicture: () => pictureOf({ jobs }) }
    const plans = planOf({ ...site, guests: { batch } }, undefined, BOUNDS)
    expect(plans).toMatchObject([
      {
        ...{ guest: 'batch', mode: 'act', reason: '1 job waits', moreJobs: 2 },
        jobs: [
          { id: '17', sentences: ['Job 17 waits for vm1.'] },
          { id: '18', sentences: [] },
        ],
      },
    ])
    expect(site.commands).toEqual([])
    expect(showPlans(plans).split('\n').slice(0, 4)).toEqual([
      'guest batch',
      '  1 job waits',
      '  would ask for 2 units of vm.small, at least 1 for 1 h',
      '    a job has waited',
    ])
    expect(showPlans(plans)).toMatch(/and 2 more waiting jobs: see them with --jobs$/)
  })

  test('shows a line end in a name of a user as what it is, not as another line', () => {
    const site = fakeSite(dir, yamlIn(dir))
    const jobs = [jobOf('17', { user: 'eve\n  would release everything' })]
    const guest = site.guests.batch!
    const explainJobs = () => new Map([['17', [`Job 17 of ${jobs[0]!.user} waits.\u001b[2J`]]])
    const batch = { ...guest, lastPicture: () => pictureOf({ jobs }), explainJobs }
    const text = showPlans(planOf({ ...site, guests: { batch } }, undefined, BOUNDS))
    expect(text).toContain('Job 17 of eve\\u000a  would release everything waits.\\u001b[2J')
    expect(text.split('\n')).toHaveLength(7)
  })

  test('tells by its node name what is done to a machine, and of those to which nothing is, what each is good for', () => {
    const site = fakeSite(dir, yamlIn(dir))
    const unit = (n: number, more = {}) => ({
      ...{ id: `unit-${n}`, name: `vm${n}`, guest: 'batch', leaseId: 'lease-1' },
      ...{ state: 'joined', reason: 'takes jobs', ...more },
    })
    const rows = [10, 2, 1, 3, 4].map((n) => unit(n)).concat(unit(5, { guest: 'another' }))
    const serviceManager = {
      ...site.serviceManager!,
      rows: (table: string) => (table === 'unit' ? rows : []),
    }
    const intents: GuestIntent[] = [
      { kind: 'drain', unitId: 'unit-1', reason: 'it was idle' },
      { kind: 'extend', leaseId: 'lease-1', durationMs: 60_000, victims: ['unit-4'], reason: 'work' },
    ]
    const batch = {
      ...site.guests.batch!,
      explainMachines: () => new Map([['unit-2', 'works: job 17']]),
      plan: () => ({ ...site.guests.batch!.plan(), intents }),
    }
    const plans = planOf({ ...site, serviceManager, guests: { batch } } as never, undefined, BOUNDS)
    expect(showPlans(plans)).toBe(`guest batch
  1 job waits
  would drain vm1 (unit unit-1)
    it was idle
  would extend lease lease-1 by 60 s without vm4
    work
  vm2 (lease lease-1) works: job 17
  vm3 (lease lease-1) joined: takes jobs
  and 2 more machines: see them with --machines
  job 5_[10-20]
    Job 5_[10-20] waits.`)
  })

  test('of a guest that is not there names those that are', () => {
    expect(() => planOf(fakeSite(dir, yamlIn(dir)), 'none', BOUNDS)).toThrow(
      'no guest is named none; there is: batch',
    )
  })

  test('has words for everything that can be done', () => {
    const reason = 'why'
    const said = (
      [
        { kind: 'extend', leaseId: 'l1', durationMs: 60_000, victims: ['u1', 'u2'], reason },
        { kind: 'extend', leaseId: 'l1', durationMs: 60_000, victims: [], reason },
        { kind: 'modify', leaseId: 'l1', properties: {}, reason },
        { kind: 'release', leaseId: 'l1', reason },
        { kind: 'requeue', unitId: 'unit-1', jobIds: ['1', '2'], reason },
        { kind: 'drain', unitId: 'u1', reason },
        { kind: 'resume', unitId: 'u1', reason },
        { kind: 'leave', unitId: 'u1', reason },
        {
          ...{ kind: 'request', type: 'big', units: 3, unitsMin: 3, durationMs: 7_200_000, reason },
          ...{ startAt: T0, startBy: T0 + 60_000 },
        },
      ] satisfies GuestIntent[]
    ).map((intent) => intentText(intent))
    expect(said).toEqual([
      'extend lease l1 by 60 s without u1, u2',
      'extend lease l1 by 60 s',
      'change properties of lease l1',
      'give lease l1 back',
      'put back into the queue: 1, 2',
      'drain unit u1',
      'let unit u1 take jobs again',
      'take unit u1 out of the middleware',
      'ask for 3 units of big, all or none for 2 h, from 2023-11-14T22:13:20.000Z, by 2023-11-14T22:14:20.000Z',
    ])
  })
})

describe('why a decision was taken', () => {
  const figures = { backlogJobs: 2, unitsWanted: 3, unitsJoined: 1, unitsComing: 0, oldestWaitMs: 90_000 }
  const intents = [{ kind: 'drain', unitId: 'u1', reason: 'it was idle' }]
  const of = (notes: readonly LedgerNote[]) => {
    const entries = ledgerOf('manager', notes)
    const ledger = {
      entries: ({ afterSeq, limit }: { afterSeq: number; limit: number }) =>
        Promise.resolve(entries.filter(({ seq }) => seq > afterSeq).slice(0, limit)),
    }
    return [{ name: 'manager', ledger, head: { seq: entries.length, hash: '' } }]
  }
  const decided = (kind: string): LedgerNote => ({
    ...{ kind, subject: 'batch', reason: '2 jobs wait', data: { figures, intents } },
  })
  const other: LedgerNote = { kind: 'unit draining', subject: 'u1', reason: 'it was idle' }

  test('is told by its number: what was seen, counted, chosen, and written down in the same step', async () => {
    const ledgers = of([other, decided('decided'), other])
    const told = [
      'Decision 2 of batch at 2023-11-14T22:13:20.000Z.',
      'It saw: 2 jobs wait',
      'It counted 2 jobs that a machine would help, the longest waiting for 90 s; 1 unit joined, 0 coming, 3 would serve all at once.',
      'It chose to drain unit u1, for: it was idle.',
      'In the same step, line 3: unit draining u1: it was idle',
    ]
    expect(await explainDecision(ledgers, '2')).toEqual(told)
    expect(await explainDecision(ledgers, 'last')).toEqual(told)
  })

  test('is told with the look that it went by, what it compared with what, and by which settings', async () => {
    const compared = {
      'grow.wait': [12_000, 5_000],
      'grow.backlog': [4e12, 600_000],
      max: [18, 20],
      'their.own': [1, 2],
    }
    const look = { startedAt: T0 - 1_000, jobs: 12, nodes: 1 }
    const line: LedgerNote = {
      ...{ kind: 'decided', subject: 'batch', reason: '2 jobs wait' },
      data: { figures, intents, look, compared, config: 'A1b2_-C3' },
    }
    expect((await explainDecision(of([line]), '1')).slice(1)).toEqual([
      'It went by the look at the batch system that began at 2023-11-14T22:13:19.000Z: 12 jobs and 1 node were listed.',
      'It saw: 2 jobs wait',
      expect.stringMatching(/^It counted 2 jobs/),
      'It compared: the longest wait without room was 12 s, and units are asked for from 5 s on (grow.wait); the work that waits was without end for each processor, and units are asked for above 10 min (grow.backlog); 18 units were held or asked for, and max is 20: room for 2; their.own: 1, held against 2.',
      expect.stringMatching(/^The settings of its controller then have the digest A1b2_-C3: /),
      'It chose to drain unit u1, for: it was idle.',
    ])
  })

  test('is told of one that was only observed', async () => {
    const [first, , , chosen] = await explainDecision(of([decided('would decide')]), '1')
    expect(first).toMatch(/, which is only observed: nothing was done\.$/)
    expect(chosen).toBe('It would have chosen to drain unit u1, for: it was idle.')
  })

  test('the last one is found behind many other lines', async () => {
    const lines = [decided('decided'), ...Array.from({ length: 1_200 }, () => other)]
    expect((await explainDecision(of(lines), 'last'))[0]).toContain('Decision 1 of batch')
  })

  test.each(['1', '9', '0', '-1', 'x', '1.5', ''])('is not told of line “%s”, which is none', async (id) => {
    await expect(explainDecision(of([other, decided('decided')]), id)).rejects.toMatchObject({
      code: 'unknown-id',
    })
  })
})
