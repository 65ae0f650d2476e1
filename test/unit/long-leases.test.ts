import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { request } from '../scenarios/scene.ts'
import { Stage as Scene } from '../scenarios/stage.ts'
import { Holder } from '../simulation/holder.ts'
import { restored } from '../simulation/holder-store.ts'
import { Stage as Site } from './authority-stage.ts'
import { HOUR, MINUTE, NOW } from './broker-desk.ts'

/** Terms of a lease that goes on and on, by its site: it shrinks from 4 to 2 and grows again, every five minutes. */
class Flexing {
  readonly site = new Site()
  ticket
  /** Whether its holder says what has left. */
  says = true

  constructor() {
    const { site } = this
    site.settle()
    site.lease({ units: 4, term: { start: site.now, end: site.now + 5 * MINUTE } })
    this.ticket = site.row().ticket
  }

  goesOn(rounds: number): void {
    for (let i = 0; i < rounds; i++) this.#round()
  }

  #round(): void {
    const { site, ticket } = this
    const units = ticket.units === 4 ? 2 : 4
    const { end } = ticket.term
    const next = site.ticket({ predecessor: ticket.id, units, term: { start: end, end: end + 5 * MINUTE } })
    const live = site.units('lease-1').filter(({ state }) => state === 'active')
    const victims = live.slice(0, Math.max(0, live.length - units)).map(({ id }) => id)
    site.tell('extend-lease', 'lease-1', { ticket: next, victims })
    this.ticket = next
    site.pass(end - site.now, 30_000)
    const over = site.lastUpdate().units.filter(({ report }) => report === 'ended')
    if (this.says) site.tell('vacate', 'lease-1', { units: over.map(({ id }) => id), reason: 'out' })
    site.settle()
  }
}

describe('a site with a lease that lives long', () => {
  test('remembers and names what has ended for about an hour, and no more', () => {
    const flexing = new Flexing()
    const { site } = flexing
    flexing.goesOn(20)
    const [first] = site.units('lease-1')
    flexing.goesOn(60)
    // Two of them end every ten minutes.
    const known = site.units('lease-1')
    expect(known.length).toBeLessThanOrEqual(4 + 2 * 8)
    expect(site.row().units).toEqual(known.map(({ id }) => id))
    expect(site.lastUpdate().units.map(({ id }) => id)).toEqual(site.row().units)
    expect(site.row().units).not.toContain(first?.id)
    const names = site.notes.filter(({ kind }) => kind === 'unit assigned').map(({ subject }) => subject)
    expect(new Set(names).size).toBe(names.length)
    const live = known.filter(({ state }) => state === 'active')
    expect(live).toHaveLength(flexing.ticket.units)
  })

  test('names each that has ended until its holder has said that it is out', () => {
    const flexing = new Flexing()
    const { site } = flexing
    flexing.says = false
    flexing.goesOn(40)
    const names = new Set(
      site.notes.filter(({ kind }) => kind === 'unit assigned').map(({ subject }) => subject),
    )
    expect(new Set(site.lastUpdate().units.map(({ id }) => id))).toEqual(names)
    flexing.says = true
    flexing.goesOn(2)
    expect(site.row().units.length).toBeLessThanOrEqual(4 + 2 * 8)
  })
})

describe('a site that has forgotten what ended long ago', () => {
  /** It goes on with one of its two units, half an hour at a time; how each extension was answered. */
  function goesOn(site: Site, rounds: number, victims: (round: number) => readonly string[]): unknown[] {
    return Array.from({ length: rounds }, (_, round) => {
      const { id: predecessor, term } = site.row().ticket
      const next = { start: term.end, end: term.end + 30 * MINUTE }
      const ticket = site.ticket({ predecessor, units: 1, term: next })
      site.tell('extend-lease', 'lease-1', { ticket, victims: [...victims(round)] })
      const { extensionRefused } = site.lastUpdate()
      site.pass(term.end - site.now, 30_000)
      return extensionRefused
    })
  }

  function shrunk(): { site: Site; gone: string } {
    const site = new Site()
    site.settle()
    site.lease({ units: 2, term: { start: site.now, end: site.now + 30 * MINUTE } })
    const [{ id: gone } = { id: '' }] = site.units('lease-1')
    site.tell('vacate', 'lease-1', { units: [gone], reason: 'out' })
    site.settle()
    return { site, gone }
  }

  test('goes on granting extensions to a holder who names it as he always did', () => {
    const { site, gone } = shrunk()
    expect(goesOn(site, 8, () => [gone, gone])).toEqual(Array(8).fill(null))
    expect(site.row()).toMatchObject({ victims: [], state: 'active' })
    expect(site.row().units).not.toContain(gone)
    expect(site.notes.findLast(({ kind }) => kind === 'extended')?.reason).not.toContain('without')
  })

  test('counts among those that stay each that is there, however many are named that it does not know', () => {
    const { site, gone } = shrunk()
    goesOn(site, 4, () => [gone])
    site.lease({ leaseId: 'lease-2', units: 1, term: { start: site.now, end: site.now + HOUR } })
    const [other] = site.units('lease-2')
    const { id: predecessor, term } = site.row().ticket
    const next = { predecessor, units: 2, term: { start: term.end, end: term.end + 5 * MINUTE } }
    site.tell('extend-lease', 'lease-1', { ticket: site.ticket(next), victims: [other!.id] })
    expect(site.lastUpdate().extensionRefused).toBe('a victim is not a unit of the lease')
    site.tell('extend-lease', 'lease-1', { ticket: site.ticket(next), victims: [] })
    site.pass(term.end - site.now, 30_000)
    expect(site.live('lease-1')).toHaveLength(2)
    expect(goesOn(site, 1, () => [gone, 'unit-nobody-knows'])).toEqual([
      '2 units would stay, but the ticket is for 1',
    ])
    expect(site.live('lease-2')).toHaveLength(1)
  })

  test('says so to its holder when an extension begins', () => {
    const { site, gone } = shrunk()
    const named = Array.from({ length: 5 }, () => {
      goesOn(site, 1, () => [])
      return site.lastUpdate().units.some(({ id }) => id === gone)
    })
    expect(named).toEqual([true, false, false, false, false])
  })

  test('and its holder agree: he names it no more, and each of his extensions is granted', async () => {
    const silent = { debug() {}, info() {}, warn() {}, error() {} }
    const stage = new Scene({ units: 4, parts: () => ({ log: silent }), authority: { termMsMax: 2 * HOUR } })
    await stage.begins()
    await stage.wishes([request({ units: 2, durationMs: 40 * MINUTE })])
    await stage.runs(20)
    const [{ id: leaseId, held } = { id: '', held: [] }] = stage.leases()
    await stage.wishes([{ kind: 'leave', unitId: held[0]!.id, reason: 'not needed' }])
    await stage.runs(30 * 60)
    for (let round = 0; round < 5; round++) {
      const reason = `extension ${round}`
      await stage.wishes([{ kind: 'extend', leaseId, victims: [], durationMs: 40 * MINUTE, reason }])
      await stage.runs(40 * 60)
    }
    const answers = stage.ledger('site').filter(({ kind }) => /^exten/.test(kind))
    expect(answers.map(({ kind, reason }) => `${kind}${/, .*/.exec(reason) ?? ''}`)).toEqual([
      ...['extended, without 1 unit', 'extended, without 1 unit'],
      ...['extended', 'extended', 'extended'],
    ])
  })
})

describe('a holder with a lease that lives long', () => {
  const term = { start: NOW, end: NOW + 1_000 * HOUR }
  const long = (units: number): { holder: Holder; leaseId: string } => {
    const holder = new Holder()
    return { holder, leaseId: holder.active({ units, unitsMin: units, durationMs: term.end - term.start }) }
  }

  test('takes new units for ever, and forgets those that are over and are named no more', () => {
    const { holder, leaseId } = long(10)
    let current = [...holder.lease(leaseId).units]
    let over: string[] = []
    for (let round = 0; round < 600; round++) {
      holder.desk.now += 5 * MINUTE
      const fresh = current.map((_, i) => `unit-${round}-${i}`)
      const named = [...over, ...current].map((id) => holder.report(id, 'ended'))
      const coming = fresh.map((id) => holder.report(id, 'coming'))
      holder.update(leaseId, {}, [...named, ...coming])
      for (const id of current) holder.done(id, 'lost')
      holder.update(leaseId, {}, [...named, ...fresh.map((id) => holder.report(id, 'active'))])
      for (const id of fresh) holder.done(id, 'join')
      // The site forgets in an hour.
      over = [...over, ...current].slice(-13 * 10)
      current = fresh
    }
    expect(current.map((id) => holder.unit(id).state)).toEqual(Array(10).fill('joined'))
    expect(holder.lease(leaseId).units.length).toBeLessThanOrEqual(16 * 10)
    expect([...holder.desk.rows.all('unit')]).toHaveLength(holder.lease(leaseId).units.length)
  })

  test('leaves what serves, and was given up alive, where it is, though it is not named', () => {
    const { holder, leaseId } = long(2)
    const [first, second] = holder.lease(leaseId).units as [string, string]
    holder.desk.rows.set('unit', second, {
      ...holder.unit(second),
      state: 'lost',
      settled: true,
      alive: true,
    } as never)
    holder.desk.now += 3 * HOUR
    const draft = holder.update(leaseId, {}, [])
    expect(draft.notes).toEqual([])
    expect(holder.lease(leaseId).units).toEqual([first, second])
    expect(holder.unit(first).state).toBe('joined')
  })

  test('that was restored, while the site was silent, lets go what the site has forgotten since', () => {
    const { holder, leaseId } = long(2)
    const [first, second] = holder.lease(leaseId).units as [string, string]
    restored(holder, () => {
      holder.update(leaseId, {}, [holder.report(first, 'active'), holder.report(second, 'ended')])
      holder.done(second, 'lost')
    })
    holder.desk.now += 10 * MINUTE
    holder.desk.due('recovery', 'recovery')
    expect(holder.lease(leaseId).unsure).toBe(true)
    holder.desk.now += 2 * HOUR
    holder.update(leaseId, {}, [holder.report(first, 'active')])
    expect([first, second].map((id) => holder.unit(id)?.state)).toEqual(['joined', 'lost'])
    expect(holder.unit(second)).toMatchObject({ doing: 'lost' })
    holder.done(second, 'lost')
    holder.desk.now += 2 * HOUR
    holder.update(leaseId, {}, [holder.report(first, 'active')])
    expect(holder.lease(leaseId).units).toEqual([first])
  })
})

test('a site names first what is there, for a thousand units are all that it may name of a lease', () => {
  const site = new Site()
  site.settle()
  const [one] = site.units(site.lease().id)
  const ended = Array.from({ length: 1_000 }, (_, i) => ({ ...one!, id: `unit-${i}`, state: 'ended' }))
  for (const unit of ended) site.rows.set('unit', unit.id, unit as never)
  const { units } = site.row()
  site.rows.set('lease', 'lease-1', {
    ...site.row(),
    units: [...ended.map(({ id }) => id), ...units],
  } as never)
  site.tell('holdings-query', 'question', { page: 0 })
  const told = site.sent.at(-1)!.body as Body<'holdings'>
  expect(told.holdings[0]!.units.slice(0, 2).map(({ id }) => id)).toEqual(units)
  expect(told.holdings[0]!.units).toHaveLength(1_000)
})
