import { type Promised, supplyOf } from '../actors/leases/calendar.ts'
import { seededRandom } from '../actors/runtime/random.ts'
import { earliestDeadline } from '../controllers/brokers/earliest-deadline.ts'
import { firstCome } from '../controllers/brokers/first-come.ts'
import { priority } from '../controllers/brokers/priority.ts'
import { weightedShare } from '../controllers/brokers/weighted-share.ts'
import type { BrokerPolicy, Holding, TicketRequest } from '../controllers/controller.ts'

/**
 * npm run bench:policies       one batch of 1,000 open requests over 100,000 holdings, under each policy
 *
 * 100 holders, 4 sites, terms of up to a day; half of the room is held on the average, one request in ten is an
 * extension, and half of the others can wait. Processor time, median of 3. The floor is the same number of `free`, `earliest` and `take`.
 */
const [NOW, HOUR] = [Date.UTC(2026, 0, 5, 8), 3_600_000]
const [HOLDINGS, REQUESTS, SITES, RUNS] = [100_000, 1_000, 4, 3]
const random = seededRandom('policies')
const siteOf = (i: number): string => `s${i % SITES}`
const holderOf = (i: number): string => `h${i % 100}`

const held = Array.from({ length: HOLDINGS }, (_, i): Holding => {
  const start = NOW - random.int(12 * HOUR)
  const term = { start, end: NOW + 1 + random.int(24 * HOUR) }
  return {
    leaseId: `l${i}`,
    holder: holderOf(i),
    site: siteOf(i),
    type: 'vm',
    units: 1 + random.int(4),
    term,
  }
})
const promises: readonly Promised[] = held
const inUse = held.reduce((sum, { units }) => sum + units, 0)
const offers = Array.from({ length: SITES }, (_, i) => ({
  ...{ site: siteOf(i), type: 'vm', term: undefined },
  // Nearly full now, with room later.
  units: Math.ceil(inUse / SITES) + 60,
}))
const requests = Array.from({ length: REQUESTS }, (_, i): TicketRequest => {
  const common = {
    type: 'vm',
    units: 1 + random.int(40),
    durationMs: HOUR + random.int(6 * HOUR),
    arrivedAt: NOW - REQUESTS + i,
  }
  const of = held[i]!
  if (i % 10 === 0)
    return {
      ...common,
      ...{ leaseId: of.leaseId, holder: of.holder, units: of.units, unitsMin: 1 },
      ...{ start: of.term.end, startBy: of.term.end, extends: { site: of.site, units: of.units } },
    }
  const startBy = i % 2 === 0 ? NOW : NOW + random.int(12 * HOUR)
  const unitsMin = i % 3 === 0 ? 1 : common.units
  return {
    ...common,
    leaseId: `n${i}`,
    holder: holderOf(i),
    unitsMin,
    start: NOW,
    startBy,
    extends: undefined,
  }
})
const guests = Object.fromEntries(
  Array.from({ length: 50 }, (_, i) => [`h${i}`, { weight: 1 + (i % 5), min: i % 3, class: i % 5 }]),
)

const policies: Record<string, BrokerPolicy> = {
  'first-come': firstCome,
  priority: priority({
    guests: Object.fromEntries(Object.entries(guests).map(([name, one]) => [name, { class: one.class }])),
    otherwise: { class: 0 },
  }),
  'earliest-deadline': earliestDeadline,
  'weighted-share': weightedShare({
    guests: Object.fromEntries(
      Object.entries(guests).map(([name, { weight, min }], i) => [
        name,
        { weight, min, ...(i % 10 === 0 ? { max: 5000 } : {}) },
      ]),
    ),
    otherwise: { weight: 1, min: 0 },
  }),
}

function timed<Value>(name: string, work: () => Value): Value {
  let value = work()
  const tookMs: number[] = []
  for (let i = 0; i < RUNS; i++) {
    const begun = process.cpuUsage()
    value = work()
    tookMs.push(process.cpuUsage(begun).user / 1000)
  }
  const [, median] = tookMs.sort((a, b) => a - b)
  process.stdout.write(`${name.padEnd(28)} ${median!.toFixed(0).padStart(6)} ms`)
  return value
}

const supply = timed('the supply itself', () => supplyOf(offers, promises))
process.stdout.write('\n')
timed('floor: so many look-ups', () => {
  let left = supply
  for (const { units, durationMs } of requests) {
    for (const site of left.sites) left.free(site, 'vm', { start: NOW, end: NOW + durationMs })
    for (const site of left.sites) left.earliest(site, 'vm', units, durationMs, NOW, NOW + 24 * HOUR)
    left = left.take('s0', 'vm', units, { start: NOW, end: NOW + durationMs })
  }
})
process.stdout.write('\n')
for (const [name, policy] of Object.entries(policies)) {
  const answers = timed(name, () => policy(requests, supply, NOW, held))
  const count = (kind: string): number => answers.filter((one) => one.kind === kind).length
  process.stdout.write(`   ${count('grant')} granted, ${count('wait')} wait, ${count('refuse')} refused\n`)
}
