import type { ApprovalRule } from '../../actors/broker/config.ts'
import type { Conditions } from '../../actors/leases/conditions.ts'
import type { Vector } from '../../actors/leases/resources.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { priorityConfig, weightedShareConfig } from '../../controllers/brokers/config.ts'
import type { PolicySettings } from '../../controllers/brokers/policies.ts'
import { CALM, type Faults, faultsOf, without } from './faults.ts'

export const ROLES = ['service-manager', 'broker', 'authority'] as const
export type Role = (typeof ROLES)[number]

export interface TypePlan {
  readonly units: number
  readonly vector: Vector
  /** Who gives them away. */
  readonly broker: string
}

/** What of each actor may be otherwise. */
interface Told {
  /** Leases on one page of what it tells an actor that was restored. */
  readonly holdingsMax?: number | undefined
}

export interface SitePlan extends Told {
  readonly name: string
  readonly broker: string
  readonly namePrefix: string
  readonly hosts: number
  readonly types: Readonly<Record<string, TypePlan>>
  readonly conditions: Conditions
  /** Units that no recall takes, so that whatever waits can run at last. */
  readonly kept: number
}

export interface BrokerPlan extends Told {
  readonly name: string
  readonly policy: PolicySettings
  /** What somebody has to approve. */
  readonly approval?: ApprovalRule | undefined
}

export interface ManagerPlan extends Told {
  readonly name: string
  readonly broker: string
  /** A batch system with its GROC, or a guest that asks for this and that. */
  readonly guest: 'groc' | 'rover'
  readonly types: readonly string[]
  readonly jobs: number
}

/** Who takes part, and how long what happens. The same seed and size give the same plan. */
export interface Plan {
  readonly sites: readonly SitePlan[]
  readonly brokers: readonly BrokerPlan[]
  readonly managers: readonly ManagerPlan[]
  readonly faults: Faults
  /** Jobs arrive and faults happen; then faults stop and everything has to end. */
  readonly stormMs: Millis
  /** It goes on until so many leases were granted, at most this many times as long. */
  readonly leases: number
  readonly stormsMax: number
  readonly quietMs: Millis
  readonly pace: Pace
}

/** How often what is done again and again is done: slower, more happens for the same work. */
export interface Pace {
  readonly retryMs: Millis
  readonly probeEveryMs: Millis
  readonly sweepEveryMs: Millis
}

const CLOSE_PACE: Pace = { retryMs: 500, probeEveryMs: 10_000, sweepEveryMs: 15_000 }
const WIDE_PACE: Pace = { retryMs: 2_000, probeEveryMs: 60_000, sweepEveryMs: 90_000 }

/** What makes a plan smaller than its seed says, so that a failure is easier to read. */
export interface PlanOptions {
  readonly seed: number
  /** One of each role, or a federation. */
  readonly size?: 'small' | 'federation' | undefined
  readonly sites?: number | undefined
  readonly brokers?: number | undefined
  readonly managers?: number | undefined
  readonly jobs?: number | undefined
  readonly stormMs?: Millis | undefined
  /** The storm goes on until there were so many. */
  readonly leases?: number | undefined
  /** No faults at all. */
  readonly calm?: boolean | undefined
  /** Names of faults that do not happen. */
  readonly without?: readonly string[] | undefined
  /** How often stores are set back, instead of what the seed says. */
  readonly restores?: number | undefined
}

export const FEDERATION = { sites: 8, brokers: 3, managers: 20 }
/** One manager in so many has a batch system. */
const GROC_EVERY = 7

const POLICIES: readonly PolicySettings[] = [
  { kind: 'first-come' },
  { kind: 'earliest-deadline' },
  { kind: 'priority', ...priorityConfig.parse({ guests: { 'manager-1': { class: 2 } } }) },
  {
    kind: 'weighted-share',
    ...weightedShareConfig.parse({ guests: { 'manager-2': { weight: 2, min: 1 } } }),
  },
]

const SMALL_VECTOR: Vector = { cpu: 1, memoryMiB: 1024 }
const LARGE_VECTOR: Vector = { cpu: 2, memoryMiB: 2048 }

export function planOf(options: PlanOptions, random: Random): Plan {
  const drawn = options.calm === true ? CALM : faultsOf(random.child('faults'))
  const bad = { ...drawn, restores: options.restores ?? drawn.restores }
  const faults = without(bad, options.without ?? [])
  const make = options.size === 'federation' ? federation : small
  return someTellFew(make(options, faults, random.child('plan')), random.child('pages'))
}

const FEW_HOLDINGS = 2

/** What they hold takes several pages, and changes between two of them. */
function someTellFew(plan: Plan, random: Random): Plan {
  const few = <T extends { readonly name: string }>(of: T): T =>
    random.child(of.name).next() < plan.faults.fewHoldings ? { ...of, holdingsMax: FEW_HOLDINGS } : of
  const { sites, brokers, managers } = plan
  return { ...plan, sites: sites.map(few), brokers: brokers.map(few), managers: managers.map(few) }
}

/** What somebody has to approve at a broker, if anything. */
const approvalOf = ({ approvals }: Faults, random: Random): ApprovalRule | undefined =>
  random.child('approval').next() < approvals ? { unitsOver: 2 } : undefined

/** One of each, for tests that look closely. */
function small({ calm, jobs = 25, stormMs }: PlanOptions, faults: Faults, random: Random): Plan {
  return {
    sites: [
      {
        ...{ name: 'authority', broker: 'broker', namePrefix: 'n', hosts: 3, kept: 3 },
        types: { 'vm.small': { units: 6, vector: SMALL_VECTOR, broker: 'broker' } },
        conditions: { recallable: true, noticeMs: 20_000, graceMs: 120_000 },
      },
    ],
    brokers: [{ name: 'broker', policy: { kind: 'first-come' }, approval: approvalOf(faults, random) }],
    managers: [{ name: 'service-manager', broker: 'broker', guest: 'groc', types: ['vm.small'], jobs }],
    faults,
    ...{ pace: CLOSE_PACE, leases: 0, stormsMax: 1 },
    ...(calm === true
      ? { stormMs: stormMs ?? 3 * 60_000, quietMs: 7 * 60_000 }
      : { stormMs: stormMs ?? 10 * 60_000, quietMs: 20 * 60_000 }),
  }
}

/** Each broker has managers of its own, and the small type of some sites, the large one of others. */
function federation(options: PlanOptions, faults: Faults, random: Random): Plan {
  const count = { ...FEDERATION }
  for (const key of ['sites', 'brokers', 'managers'] as const) count[key] = options[key] ?? count[key]
  const brokers = Array.from({ length: Math.min(count.brokers, count.sites) }, (_, i) => ({
    name: `broker-${i + 1}`,
    policy: POLICIES[random.child(`broker ${i + 1}`).int(POLICIES.length)]!,
    approval: approvalOf(faults, random.child(`broker ${i + 1}`)),
  }))
  const brokerOf = (i: number): string => brokers[i % brokers.length]!.name
  const sites = Array.from({ length: count.sites }, (_, i): SitePlan => {
    const own = random.child(`site ${i + 1}`)
    const smalls = 8 + own.int(6)
    return {
      ...{ name: `site-${i + 1}`, broker: brokerOf(i), namePrefix: `s${i + 1}n` },
      ...{ hosts: Math.ceil(smalls / 2) + 2, kept: 4 },
      types: {
        'vm.small': { units: smalls, vector: SMALL_VECTOR, broker: brokerOf(i) },
        ...(own.next() < 0.5
          ? { 'vm.large': { units: 2, vector: LARGE_VECTOR, broker: brokerOf(i + 1) } }
          : {}),
      },
      conditions: {
        recallable: own.next() < 0.7,
        noticeMs: 20_000,
        graceMs: own.next() < 0.5 ? 60_000 : 120_000,
      },
    }
  })
  const managers = Array.from({ length: count.managers }, (_, i): ManagerPlan => {
    const own = random.child(`manager ${i + 1}`)
    const lent = sites.flatMap(({ types }) => Object.entries(types))
    const mine = lent.filter(([, { broker }]) => broker === brokerOf(i)).map(([type]) => type)
    return {
      ...{ name: `manager-${i + 1}`, broker: brokerOf(i) },
      guest: i % GROC_EVERY === GROC_EVERY - 1 ? 'groc' : 'rover',
      types: [...new Set(mine)],
      jobs: options.jobs ?? 5 + own.int(15),
    }
  })
  return {
    ...{ sites, brokers, managers, faults, pace: WIDE_PACE },
    ...{ stormMs: options.stormMs ?? 4 * 60_000, leases: options.leases ?? 200, stormsMax: 25 },
    quietMs: 15 * 60_000,
  }
}
