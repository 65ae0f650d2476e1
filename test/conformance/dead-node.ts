import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import { type LeaveOutcome, Membership } from '../../actors/service-manager/membership.ts'
import type { Job } from '../../adapters/batch-system.ts'
import type { GuestIntent, HeldUnit } from '../../controllers/controller.ts'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { BatchBench } from './batch-system.ts'

export interface DeadNodeBench extends BatchBench {
  /** Its node daemon ends at once; the machine and what runs there go on. */
  killDaemon(name: string): Promise<void>
  /** Epilogs that begin from now on hang, until `clear`. Absent where none of its own state tells of them. */
  hangEpilogs?(): void
}

/** What is not so of a batch system has no case. */
export interface DeadNodeOptions {
  readonly skip?: string | undefined
  readonly runsMs: number
  /** For each case. */
  readonly patienceMs?: number
  /** What may not start again stays as it is where no daemon answers. */
  readonly leavesJobs: boolean
  /** The same machine may be started again under its node. */
  readonly startsAgain: boolean
  /** Epilogs can be made to hang, and a job whose node is taken out meanwhile is over, or stays listed as it was. */
  readonly hung?: 'over' | 'stays'
}

const HOUR_MS = 3_600_000

/** A node daemon dies while jobs run there: what GROC decides on real looks, done by the production verbs. */
export function deadNodeCases(
  name: string,
  open: () => Promise<DeadNodeBench>,
  { skip, runsMs, leavesJobs, startsAgain, hung, patienceMs = 60_000 }: DeadNodeOptions,
): void {
  describe.skipIf(skip !== undefined)(
    `${name}: a node daemon dies under its jobs`,
    { timeout: patienceMs + 10_000 },
    () => {
      let bench: DeadNodeBench
      let inTime: AbortSignal
      beforeAll(async () => {
        bench = await open()
      }, 180_000)
      beforeEach(() => {
        inTime = AbortSignal.timeout(patienceMs)
      })
      afterEach(() => bench.clear(), 120_000)
      afterAll(() => bench?.close(), 60_000)

      /** One lease of which the named machines are, and GROC, which decides about them. */
      function holder() {
        const { system } = bench
        const config = grocConfig.parse({
          ...{
            type: 'small',
            unit: { cpus: 2, memoryMiB: 1000 },
            max: 2,
            grow: { wait: '0s' },
            shrink: { idle: '50m' },
          },
          ...{
            settle: '1s',
            missing: '1s',
            completing: '3s',
            dead: '2s',
            every: '1s',
            ownNodes: 'ignore',
            retry: { first: '2s', most: '5s' },
          },
        })
        const join = {
          join: async () => undefined,
          leave: async () => undefined,
          close: async () => undefined,
        }
        const membership = new Membership(system, join, systemClock)
        const units = new Map<string, HeldUnit>()
        const done: string[] = []
        let memory = groc.firstMemory
        let reason = ''

        const stand = (unit: HeldUnit, state: HeldUnit['state']): void => {
          units.set(unit.name, { ...unit, state, since: systemClock.now() })
        }
        async function act(intent: GuestIntent): Promise<void> {
          if (intent.kind === 'requeue') {
            const kept = await system.requeue(intent.jobIds, intent.reason, inTime)
            done.push(
              `requeue ${intent.jobIds.join(' ')}${kept.length === 0 ? '' : `, not ${JSON.stringify(kept)}`}`,
            )
          }
          if (intent.kind !== 'drain' && intent.kind !== 'resume' && intent.kind !== 'leave') return
          const unit = [...units.values()].find(({ id }) => id === intent.unitId)!
          done.push(`${intent.kind} ${unit.name}`)
          const { leaseId, unitId } = bench.node(unit.name).mark
          const there = { unitId, leaseId, name: unit.name, vector: {}, facts: {} }
          const args = { guest: 'grid', unit: there, reason: intent.reason, requeue: false, wasIn: true }
          const outcome = await membership.perform(intent.kind, args, inTime)
          if (intent.kind === 'leave')
            stand(unit, (outcome as LeaveOutcome).kind === 'left' ? 'left' : 'draining')
          else stand(unit, intent.kind === 'drain' ? 'draining' : 'joined')
        }
        return {
          done,
          reason: () => reason,
          async letIn(machine: string): Promise<void> {
            const node = bench.node(machine)
            await Promise.all([bench.startMachine(machine), system.expect(node, inTime)])
            const now = systemClock.now()
            const unit = { id: node.mark.unitId, name: machine, state: 'joined' as const, joinedAt: now }
            units.set(machine, { ...unit, since: now, suspect: undefined })
          },
          /** Looks and decides each second, until it is so. */
          async until(what: string, wanted: (jobs: readonly Job[]) => boolean): Promise<void> {
            for (;;) {
              const observation = await system.observe(inTime).catch((error: unknown) => {
                throw new Error(`in vain until ${what}: ${done.join(', ')}; ${reason}`, { cause: error })
              })
              const now = systemClock.now()
              const term = { start: now - HOUR_MS, end: now + HOUR_MS }
              const [first] = [...units.keys()]
              const lease = {
                ...{
                  id: bench.node(first!).mark.leaseId,
                  state: 'active' as const,
                  type: 'small',
                  units: units.size,
                  term,
                },
                ...{
                  requestedAt: term.start,
                  extending: false,
                  extendBy: term.end,
                  extendRefused: undefined,
                },
                ...{ recall: undefined, held: [...units.values()] },
              }
              const view = { observation, blind: undefined, leases: [lease], refusals: [], hold: undefined }
              const decision = groc.decide(view, memory, config, now)
              memory = decision.memory
              reason = decision.reason
              for (const intent of decision.intents) await act(intent)
              if (wanted(observation.jobs)) return
              await sleep(systemClock, 500)
            }
          },
        }
      }
      const stands = (jobs: readonly Job[], id: string): Job | undefined => jobs.find((job) => job.id === id)
      const runs = (id: string, machine: string) => (jobs: readonly Job[]) =>
        stands(jobs, id)?.state === 'running' && stands(jobs, id)?.nodeNames.join() === machine

      test('the job ends on another machine, and the node leaves', async () => {
        const [one = '', other = ''] = bench.names
        const pool = holder()
        await pool.letIn(one)
        const id = await bench.submit({ runsMs, requeueable: true })
        await pool.until('it runs', runs(id, one))
        await bench.killDaemon(one)
        await pool.letIn(other)
        await pool.until(
          'it has ended elsewhere',
          (jobs) => stands(jobs, id)?.state === 'ended' && stands(jobs, id)?.nodeNames.join() === other,
        )
        await pool.until('the node has left', () => pool.done.includes(`leave ${one}`))
        expect(pool.done).toEqual([`drain ${one}`, `requeue ${id}`, `leave ${one}`])
        expect((await bench.system.observe(inTime)).nodes.map((node) => node.name)).not.toContain(one)
      })

      if (leavesJobs)
        test('a job that may not start again stays, and is named; the others are put back', async () => {
          const [one = '', other = ''] = bench.names
          const pool = holder()
          await pool.letIn(one)
          const may = await bench.submit({ runsMs, requeueable: true })
          const mayNot = await bench.submit({ runsMs, requeueable: false })
          await pool.until('both run', (jobs) => runs(may, one)(jobs) && runs(mayNot, one)(jobs))
          await bench.killDaemon(one)
          await pool.letIn(other)
          await pool.until('one has ended elsewhere', (jobs) => stands(jobs, may)?.nodeNames.join() === other)
          await pool.until(
            'the other is named',
            (jobs) => runs(mayNot, one)(jobs) && pool.reason().includes(`start again: ${mayNot} of `),
          )
          expect(pool.done).toEqual([`drain ${one}`, `requeue ${may}`])
        })

      if (startsAgain)
        test('a daemon that comes back in time has its node work again, and nothing is put back', async () => {
          const [one = ''] = bench.names
          const pool = holder()
          await pool.letIn(one)
          const id = await bench.submit({ runsMs, requeueable: true })
          await pool.until('it runs', runs(id, one))
          await bench.killDaemon(one)
          await pool.until('it is drained', () => pool.done.includes(`drain ${one}`))
          await bench.startMachine(one)
          await pool.until('it works again', () => pool.done.includes(`resume ${one}`))
          expect(pool.done).toEqual([`drain ${one}`, `resume ${one}`])
        })

      if (hung !== undefined)
        test('a job that has ended and does not let go of its node is named, and the node drained', async () => {
          const [one = ''] = bench.names
          const pool = holder()
          await pool.letIn(one)
          bench.hangEpilogs?.()
          const id = await bench.submit({ runsMs: 200 })
          await pool.until('it completes', (jobs) => stands(jobs, id)?.state === 'completing')
          await pool.until('it is named', () =>
            pool.reason().includes('1 job ended and does not let go of a node'),
          )
          expect(pool.reason()).toContain(`${id} of `)
          expect(pool.done).toEqual([`drain ${one}`])
          await bench.system.remove(one, bench.node(one).mark, { lost: true }, inTime)
          const { jobs, nodes } = await bench.system.observe(inTime)
          expect(nodes.map(({ name: node }) => node)).not.toContain(one)
          expect(stands(jobs, id)?.state ?? 'ended').toBe(hung === 'over' ? 'ended' : 'completing')
        })
    },
  )
}
