import { authority } from '../../actors/authority/authority.ts'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import type { Guest } from '../../actors/service-manager/config.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { serviceManager } from '../../actors/service-manager/service-manager.ts'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import { policyOf } from '../../controllers/brokers/policies.ts'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { HOST_CAPACITY } from './machines.ts'
import type { BrokerPlan, ManagerPlan, Pace, Plan, SitePlan } from './plan.ts'
import { rover } from './rover.ts'

/** The minds of a run are those of production, configured so that much happens in little time. */

export const SKEW_MS_MAX: Millis = 2_000
const SETUP_MS: Millis = 15_000
const TERM_MS: Millis = 90_000
const ANSWER_MS: Millis = 3_600_000
/** Of a site after a power cut. */
export const STARTS_PER_MINUTE = 10

export function brokerMind(
  { name, policy, approval, holdingsMax }: BrokerPlan,
  { sites, managers }: Plan,
  identity: Identity,
  trust: Trust,
): Mind<BrokerTables> {
  return broker(
    {
      policy: policyOf(policy),
      sites: sites
        .filter(({ types }) => Object.values(types).some(({ broker }) => broker === name))
        .map((site) => site.name),
      ...{ peers: managers.map((manager) => manager.name), holders: managers.map((manager) => manager.name) },
      ...{ batchMs: 50, quarantineMs: 5_000, answerMs: ANSWER_MS, approval, holdingsMax },
    },
    identity,
    trust,
  )
}

/** How a life of a site is configured: now and then otherwise than the plan says. */
export interface SiteConfig {
  /** Units of the small type that are not lent. */
  readonly fewer: number
  readonly graceMs: Millis
  /** It has types at all. */
  readonly typed: boolean
}

export function authorityMind(
  { broker, hosts, types, conditions, namePrefix, holdingsMax }: SitePlan,
  { fewer, graceMs, typed }: SiteConfig,
  pace: Pace,
  identity: Identity,
  trust: Trust,
): Mind<AuthorityTables> {
  const lent = Object.entries(types).map(([type, { units, vector, broker: whose }]) => [
    type,
    { vector, broker: whose, image: 'plain', units: type === 'vm.small' ? units - fewer : units },
  ])
  return authority(
    {
      broker,
      hosts: Array.from({ length: hosts }, (_, i) => ({
        name: `host-${i + 1}`,
        capacity: HOST_CAPACITY,
      })),
      types: typed ? Object.fromEntries(lent) : {},
      images: ['plain'],
      probe: [],
      conditions: { ...conditions, graceMs },
      termMsMax: 10 * TERM_MS,
      ...{ delegationMs: 20 * TERM_MS, repair: true, repairMinMs: TERM_MS / 3, recoverMs: 60_000 },
      holdingsMax,
      placement: bestFit,
      namePrefix,
      slots: 40,
      setupMs: SETUP_MS,
      probeMs: 2_000,
      modifyMs: 2_000,
      teardownMs: 5_000,
      probeEveryMs: pace.probeEveryMs,
      sweepEveryMs: pace.sweepEveryMs,
      failuresMax: 4,
      backoffMs: 500,
      retryMs: pace.retryMs,
      answerMs: ANSWER_MS,
      powerCut: { startsPerMinute: STARTS_PER_MINUTE, patienceMs: 120_000 },
    },
    identity,
    trust,
  )
}

/** Without `there` the guest is not configured. */
export function serviceManagerMind(
  { name, broker, guest, types, holdingsMax }: ManagerPlan,
  seed: number,
  there: boolean,
  { pace, sites }: Plan,
  trust: Trust,
): Mind<ServiceManagerTables> {
  return serviceManager(
    {
      guests: there ? { [guest]: guest === 'groc' ? GROC : roverGuest(`${seed} ${name}`, types) } : {},
      ...{ broker, peers: sites.map((site) => site.name) },
      skewMsMax: SKEW_MS_MAX,
      leaveBudgetMs: 5_000,
      askMs: 20_000,
      joinMs: 3_000,
      leaveMs: 5_000,
      retryMs: pace.retryMs,
      joinFailuresMax: 3,
      quarantineMs: 60_000,
      answerMs: ANSWER_MS,
      holdingsMax,
    },
    trust,
  )
}

const GROC = {
  controller: groc,
  config: grocConfig.parse({
    type: 'vm.small',
    unit: { cpus: 1, memoryMiB: 1024 },
    max: 6,
    grow: { wait: '0s' },
    shrink: { idle: '5s' },
    term: `${TERM_MS}ms`,
    termMin: '30s',
    retry: { first: '1s', most: '10s' },
    settle: '50ms',
    missing: '30s',
    every: '5s',
  }),
  properties: { image: 'plain' },
} as Guest

const roverGuest = (seed: string, types: readonly string[]): Guest =>
  ({ controller: rover, config: { seed, types }, properties: { image: 'plain' } }) as Guest
