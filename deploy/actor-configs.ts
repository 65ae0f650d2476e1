import type { AuthorityConfig } from '../actors/authority/config.ts'
import type { BrokerConfig } from '../actors/broker/config.ts'
import type { Millis } from '../actors/runtime/clock.ts'
import { bestFit } from '../controllers/authorities/best-fit.ts'
import { policyOf, readsHoldings } from '../controllers/brokers/policies.ts'
import type { BrokerSettings, ServiceManagerSettings, SiteSettings } from './settings/config.ts'

const DELEGATION_MS_MIN: Millis = 7 * 86_400_000
const STARTS_PER_MINUTE_MIN = 30

/** What the minds of the actors want to know, from what the configuration says. */
export function managerTimes(times: ServiceManagerSettings, skewMsMax: Millis) {
  return {
    skewMsMax,
    leaveBudgetMs: times.leaveBudget,
    askMs: times.ask,
    joinMs: times.join,
    leaveMs: times.leave,
    retryMs: times.retry,
    joinFailuresMax: times.joinFailuresMax,
    quarantineMs: times.quarantine,
    recoverMs: times.recover,
    answerMs: times.answer,
  }
}

export function brokerConfig(settings: BrokerSettings): BrokerConfig {
  const { unitsOver, durationOver: durationOverMs, types } = settings.approval
  return {
    policy: policyOf(settings.policy),
    holdings: readsHoldings(settings.policy),
    batchMs: settings.batch,
    quarantineMs: settings.quarantine,
    recoverMs: settings.recover,
    answerMs: settings.answer,
    approval: { unitsOver, durationOverMs, types },
  }
}

export function authorityConfig(site: SiteSettings): AuthorityConfig {
  const { timing, terms } = site
  return {
    broker: site.broker,
    hosts: site.hosts,
    types: site.types,
    images: site.images,
    probe: site.probe,
    conditions: { recallable: terms.recallable, noticeMs: terms.notice, graceMs: terms.grace },
    termMsMax: terms.max,
    delegationMs: terms.delegation ?? Math.max(2 * terms.max, DELEGATION_MS_MIN),
    repair: terms.repair,
    repairMinMs: terms.repairMin,
    recoverMs: timing.recover,
    placement: bestFit,
    namePrefix: site.names.prefix,
    slots: site.names.slots,
    setupMs: timing.setup,
    probeMs: timing.probe,
    modifyMs: timing.modify,
    teardownMs: timing.teardown,
    probeEveryMs: timing.probeEvery,
    sweepEveryMs: timing.sweepEvery,
    failuresMax: timing.failuresMax,
    backoffMs: timing.backoff,
    retryMs: timing.retry,
    answerMs: timing.answer,
    powerCut: {
      startsPerMinute: site.powerCut.startsPerMinute ?? startsPerMinute(site),
      patienceMs: site.powerCut.patience,
    },
  }
}

/** A small site is up again at once, a large one within ten minutes. */
function startsPerMinute({ types }: SiteSettings): number {
  const units = Object.values(types).reduce((sum, type) => sum + type.units, 0)
  return Math.max(STARTS_PER_MINUTE_MIN, Math.ceil(units / 10))
}
