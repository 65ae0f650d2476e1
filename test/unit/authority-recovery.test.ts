import { describe, expect, test } from 'vitest'
import { HELD_BACK_MAX } from '../../actors/authority/recovery.ts'
import type { DrawnRow, HeldBackRow, RecoveryRow } from '../../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { issueTicket, type Ticket, withoutChain } from '../../actors/leases/ticket.ts'
import { verifyHolds } from '../../actors/ledger/verify.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { cheapIdentity, cheapKey } from '../simulation/identities.ts'
import { type Holding, held, OldStage } from './authority-old-stage.ts'
import { conditions, givenBackBy, MINUTE, NOW, type Stage } from './authority-stage.ts'

/** As its broker tells of one that its holder gave back. */
const givenBack = (stage: OldStage, told: Holding): Holding => ({
  ...{ ...told, state: 'closed', closed: true, ticket: null, units: [] },
  proof: givenBackBy('manager', told.leaseId, stage.now),
})

const hostIn = (data: unknown): unknown => (data as { host?: unknown } | undefined)?.host

const kinds = (stage: Stage): string[] => stage.notes.map(({ kind }) => kind)

describe('a site whose store was put back from an older copy', () => {
  test('adopts a lease that it has forgotten, with its machines, and gives no unit of it to anybody else', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket({ units: 4 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const before = stage.live().map(({ id, name, slot, host }) => ({ id, name, slot, host }))
    const told = held(stage, ticket)
    back()
    stage.restored()
    const other = stage.ticket({ leaseId: 'lease-2', units: 4 })
    stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
    stage.settle()
    expect(stage.row('lease-2')).toBeUndefined()
    expect(stage.machines.size).toBe(4)
    stage.says('manager', [told])
    stage.says('broker', [])
    const after = stage.live('lease-1').map(({ id, name, slot, host }) => ({ id, name, slot, host }))
    expect(after.toSorted((a, b) => a.slot - b.slot)).toEqual(before.toSorted((a, b) => a.slot - b.slot))
    expect(stage.row()).toMatchObject({ state: 'active', ticket: { id: ticket.id } })
    // Together they are more than was lent.
    expect(stage.row('lease-2')).toBeUndefined()
    expect(stage.lastUpdate('lease-2').reason).toMatch(/more than the 2 left of claim/)
    expect(stage.machines.size).toBe(4)
    expect(kinds(stage)).not.toContain('orphan found')
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
  })

  test('holds nothing whose ticket was given back, whatever its holder, who was restored, too, still says', () => {
    for (const isInTheStore of [true, false]) {
      const stage = new OldStage()
      const before = stage.copy()
      const ticket = stage.ticket({ units: 2 })
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      stage.settle()
      const told = held(stage, ticket)
      const active = stage.copy()
      stage.tell('close', 'lease-1', { reason: 'done' })
      stage.settle()
      ;(isInTheStore ? active : before)()
      stage.restored()
      stage.says('manager', [told], { unsure: true })
      stage.says('broker', [givenBack(stage, told)])
      stage.pass(MINUTE)
      expect(stage.row()?.state).toBe(isInTheStore ? 'closed' : undefined)
      expect(stage.live()).toEqual([])
    }
  })

  test('waits for those whom it asked in an earlier recovery in vain, and asks now', () => {
    const stage = new OldStage()
    stage.restored()
    const [earlier] = stage.sent.filter(({ kind }) => kind === 'holdings-query')
    stage.give({ kind: 'started', epoch: 2, restored: { reason: 'once more', seenSeq: 0 } as never })
    const reason = 'it did not acknowledge in time'
    stage.give({ kind: 'undelivered', envelope: earlier as never, code: 'peer-silent', reason })
    const asked = (stage.rows.get('recovery', 'recovery') as RecoveryRow).asked[earlier!.to]
    expect(asked).toMatchObject({ state: 'asked' })
    expect(asked!.subject).not.toBe(earlier!.subject)
  })

  test('ends no unit of a first ticket that is to go with an extension which is only asked for', () => {
    const stage = new OldStage()
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const victims = stage.live().map(({ id }) => id)
    const told = { ...held(stage, ticket), victims: victims.slice(0, 1) }
    stage.copy()()
    stage.restored()
    stage.says('broker', [])
    stage.says('manager', [told])
    expect(stage.live().map(({ id }) => id)).toEqual(victims)
  })

  test('lets a lease of protocol 1 go on by its extension, though it lends fewer than that is for since', () => {
    const stage = new OldStage()
    const plain = (change: Partial<Ticket>) =>
      withoutChain(
        issueTicket({ ...stage.ticket(change), proof: undefined } as never, cheapIdentity('broker')),
      )
    const first = plain({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket: first, properties: {} })
    stage.settle()
    const back = stage.copy()
    const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
    const next = plain({ units: 2, term, predecessor: first.id })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.settle()
    const told = { ...held(stage, first), next }
    back()
    const small = stage.config.types['vm.small']!
    Object.assign(stage.config, { types: { 'vm.small': { ...small, units: 1 } } })
    stage.restored()
    stage.says('broker', [])
    stage.says('manager', [told])
    expect(stage.row()).toMatchObject({ state: 'active', term: { end: term.end }, next: { id: next.id } })
  })

  test('hears of each ticket that is given back while it asks', () => {
    const stage = new OldStage()
    const tickets = ['lease-1', 'lease-2'].map((leaseId) => stage.ticket({ leaseId, units: 2 }))
    for (const ticket of tickets) stage.tell('redeem', ticket.leaseId, { ticket, properties: {} })
    stage.settle()
    const told = tickets.map((ticket) => held(stage, ticket))
    stage.copy()()
    stage.restored()
    stage.says(
      'broker',
      told.map((one) => ({ ...one, units: [] })),
    )
    for (const [i, { id: ticketId, leaseId, term }] of tickets.entries())
      stage.tell(
        'tickets-returned',
        'returned',
        {
          tickets: [
            { ticketId, leaseId, until: term.end, proof: givenBackBy('manager', leaseId, stage.now) },
          ],
        },
        'broker',
        undefined,
        i + 1,
      )
    stage.says('manager', told)
    stage.pass(MINUTE)
    expect(tickets.map(({ leaseId }) => stage.row(leaseId).state)).toEqual(['closed', 'closed'])
  })

  test('has the units of a ticket that was given back for others while work there may still end', () => {
    const stage = new OldStage()
    stage.isBusy = true
    const ticket = stage.ticket({ units: 6 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const told = held(stage, ticket)
    stage.copy()()
    stage.restored()
    stage.says('manager', [told], { unsure: true })
    stage.says('broker', [givenBack(stage, told)])
    expect(stage.row().state).toBe('closing')
    const other = stage.ticket({ leaseId: 'lease-2', units: 6 })
    stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
    stage.settle()
    expect(stage.row('lease-2').state).toBe('pending')
  })

  test('believes of nobody but the broker of its ticket that a lease was given back', () => {
    const stage = new OldStage()
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    const holderKey = cheapKey('manager-2')
    const other = stage.ticket({
      leaseId: 'lease-2',
      holder: 'manager-2',
      proof: { holderKey } as Ticket['proof'],
    })
    stage.tell('redeem', 'lease-2', { ticket: other, properties: {} }, 'manager-2')
    stage.settle()
    expect(stage.row('lease-2').state).toBe('active')
    const told = held(stage, ticket)
    stage.copy()()
    stage.restored()
    stage.says('manager', [told])
    stage.says('manager-2', [
      held(stage, other),
      { ...told, state: 'closed', closed: true, ticket: null, units: [] },
    ])
    stage.says('broker', [])
    expect(stage.row().state).toBe('active')
  })

  test('goes on with the ticket that was agreed since, and pushes no older end', () => {
    const stage = new OldStage()
    const first = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket: first, properties: {} })
    stage.settle()
    const back = stage.copy()
    const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
    const next = stage.ticket({ predecessor: first.id, term })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.settle()
    const told = held(stage, next)
    back()
    stage.now = first.term.end + conditions.graceMs + MINUTE
    stage.restored()
    stage.pass(MINUTE)
    expect([...stage.machines.values()].map(({ endsAt }) => endsAt)).toEqual([term.end, term.end])
    stage.says('manager', [told])
    stage.says('broker', [])
    expect(stage.row()).toMatchObject({ state: 'active', ticket: { id: next.id }, next: undefined })
    expect([...stage.machines.values()].map(({ endsAt }) => endsAt)).toEqual([term.end, term.end])
    expect(stage.lastUpdate().units.map(({ report }) => report)).toEqual(['active', 'active'])
  })

  test('believes no ticket that its broker has not signed, and ends the machines of nobody in the end', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const told = held(stage, { ...ticket, units: 6 })
    back()
    stage.restored()
    stage.says('manager', [told])
    expect(stage.machines.size).toBe(2)
    stage.says('broker', [])
    expect(stage.row()).toBeUndefined()
    expect(kinds(stage)).toEqual(expect.arrayContaining(['not adopted', 'orphan found']))
    stage.pass(MINUTE)
    expect(stage.machines.size).toBe(0)
  })

  test('shuts what its holder has closed, and what he does not know', () => {
    const stage = new OldStage()
    stage.lease()
    stage.lease({ leaseId: 'lease-2' })
    const back = stage.copy()
    const told = held(stage, stage.row().ticket, { closed: true, units: [] })
    back()
    stage.restored()
    stage.says('manager', [told])
    stage.says('broker', [])
    // The grace runs from now on, also should he know it after all.
    const told2 = stage.sent.find(({ kind, subject }) => kind === 'lease-update' && subject === 'lease-2')
    expect((told2!.body as Body<'lease-update'>).term.end).toBeLessThanOrEqual(stage.now + 1)
    stage.pass(MINUTE)
    expect([stage.row(), stage.row('lease-2')].map((row) => row.closeReason)).toEqual([
      'its holder has closed it',
      'its holder does not know it (any more)',
    ])
    expect(stage.machines.size).toBe(0)
  })

  test('counts machines that are gone as dead, and replaces them', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const told = held(stage, ticket)
    stage.machines.delete(told.units[0]!.id)
    back()
    stage.restored()
    stage.says('manager', [told])
    stage.says('broker', [])
    stage.pass(MINUTE)
    expect(stage.live()).toHaveLength(2)
    expect(stage.live().some(({ id }) => id === told.units[1]!.id)).toBe(true)
    expect(stage.units().find(({ id }) => id === told.units[0]!.id)).toMatchObject({ state: 'ended' })
    const placed = stage.notes.filter(({ kind, data }) => kind === 'unit assigned' && hostIn(data) === '')
    expect(placed).toEqual([])
  })

  test('lets go what was not to see the ticket that has begun since', () => {
    const stage = new OldStage()
    const first = stage.lease().ticket
    const back = stage.copy()
    const [victim, other] = stage.live().map(({ id }) => id)
    const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
    const next = stage.ticket({ predecessor: first.id, term, units: 1 })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [victim!] })
    stage.settle()
    const told = held(stage, next, { victims: [victim!] })
    back()
    stage.now = term.start + 1
    stage.restored()
    stage.says('manager', [told])
    stage.says('broker', [])
    expect(stage.row()).toMatchObject({ ticket: { id: next.id }, next: undefined, victims: [] })
    expect(stage.live().map(({ id }) => id)).toEqual([other])
  })

  test('keeps no more than the ticket is for: what was taken for dead goes', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const all = held(stage, ticket)
    const single = stage.ticket({ id: ticket.id, units: 1 })
    const units = all.units.map((unit, i) => ({ ...unit, report: i === 0 ? 'suspect' : 'active' }) as const)
    back()
    stage.restored()
    stage.says('manager', [{ ...all, ticket: withoutChain(single), units }])
    stage.says('broker', [])
    expect(stage.live().map(({ id }) => id)).toEqual([units[1]!.id])
  })

  test('ends nothing because a holder does not name it who was restored, too', () => {
    const stage = new OldStage()
    stage.lease()
    const back = stage.copy()
    const ticket = stage.ticket({ leaseId: 'lease-2' })
    stage.tell('redeem', 'lease-2', { ticket, properties: {} })
    stage.settle()
    back()
    stage.restored()
    stage.says('manager', [], { unsure: true })
    stage.says('broker', [{ ...held(stage, ticket), state: 'granted', units: [] }])
    expect(stage.row().state).toBe('active')
    expect(stage.live('lease-2')).toHaveLength(2)
    // He may work there: that it has ended is said when it has.
    stage.world = () => undefined
    stage.now = ticket.term.end
    stage.settle()
    expect(stage.lastUpdate('lease-2').units.map(({ report }) => report)).toEqual(['suspect', 'suspect'])
  })

  test('goes on with an extension that its holder has forgotten and its broker remembers', () => {
    const stage = new OldStage()
    const first = stage.lease().ticket
    const back = stage.copy()
    const before = held(stage, first)
    const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
    const next = stage.ticket({ predecessor: first.id, term })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.settle()
    back()
    stage.restored()
    stage.says('manager', [before], { unsure: true })
    stage.says('broker', [held(stage, first, { state: 'granted', units: [], next: withoutChain(next) })])
    expect(stage.row()).toMatchObject({ next: { id: next.id }, term: { end: term.end } })
  })

  test('gives nobody the place of a machine that its holder has left, while it is there', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket({ units: 1 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const all = held(stage, ticket)
    const told = { ...all, units: all.units.map((unit) => ({ ...unit, report: 'ended' as const })) }
    back()
    const happens = stage.world
    stage.world = (effect) => (effect.verb === 'teardown' ? undefined : happens(effect))
    stage.restored()
    const other = stage.ticket({ leaseId: 'lease-2', units: 5 })
    stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
    stage.says('manager', [told])
    stage.says('broker', [])
    const places = stage.units().filter(({ state }) => state !== 'ended')
    expect(places.map(({ slot }) => slot).sort()).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('keeps the end that its machines were told, if nobody says for certain what was agreed', () => {
    const stage = new OldStage()
    const first = stage.lease().ticket
    const back = stage.copy()
    const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
    const next = stage.ticket({ predecessor: first.id, term })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.settle()
    back()
    stage.now = first.term.end + conditions.graceMs + MINUTE
    stage.restored()
    stage.says('broker', [])
    stage.says('manager', [], { unsure: true })
    expect(stage.row()).toMatchObject({ state: 'active', term: { end: term.end } })
    expect(stage.live()).toHaveLength(2)
  })

  test('lets work of nobody go on as long as its machine was told, also if it is said not to run', () => {
    const stage = new OldStage()
    const happens = stage.world
    stage.world = (effect) => {
      if (effect.verb !== 'teardown' || (effect.args as UnitEffectArgs).force) return happens(effect)
      return { kind: 'done', value: { kind: 'busy', what: 'job 1' } }
    }
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const [first, found] = [...stage.machines][0]!
    back()
    stage.machines.set(first, { ...found, running: false })
    stage.restored()
    stage.says('broker', [])
    stage.says('manager', [])
    expect(kinds(stage)).toContain('orphan found')
    // Should its holder ask after it, he hears as long.
    stage.tell('vacate', 'lease-1', { units: [], reason: 'none' })
    expect(stage.lastUpdate()).toMatchObject({ state: 'closing', term: { end: ticket.term.end } })
    stage.pass(ticket.term.end + conditions.graceMs - 1_000 - stage.now, 30_000)
    expect(stage.machines.size).toBe(2)
    stage.pass(2_000)
    expect(stage.machines.size).toBe(0)
  })

  test('tells a holder who may have forgotten it also of a machine that has died', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const [dead, alive] = [...stage.machines.keys()]
    back()
    stage.machines.set(dead!, { ...stage.machines.get(dead!)!, running: false })
    stage.restored()
    stage.says('broker', [held(stage, ticket, { state: 'granted', units: [] })])
    stage.says('manager', [], { unsure: true })
    expect(stage.units('lease-1').map(({ id }) => id)).toEqual(expect.arrayContaining([dead, alive]))
    expect(stage.lastUpdate().units.find(({ id }) => id === dead)).toMatchObject({ report: 'ended' })
  })

  test('cuts no work off because a machine is said not to run', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket({ units: 1 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const told = held(stage, ticket)
    const [id, found] = [...stage.machines][0]!
    back()
    stage.machines.set(id, { ...found, running: false })
    stage.isBusy = true
    stage.restored()
    stage.says('manager', [told])
    stage.says('broker', [])
    expect(stage.units().find((unit) => unit.id === id)).toMatchObject({
      state: 'teardown',
      forceFrom: ticket.term.end + conditions.graceMs,
    })
  })

  test('cuts no work off because the probe of a machine fails that it has found', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket({ units: 1 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    back()
    const [found] = stage.machines.keys()
    const happens = stage.world
    stage.world = (effect) => {
      if (effect.key !== found) return happens(effect)
      if (effect.verb === 'probe')
        return { kind: 'done', value: { kind: 'failed', command: 'true', reason: 'exit 1' } }
      if (effect.verb !== 'teardown') return happens(effect)
      expect((effect.args as UnitEffectArgs).force).toBe(false)
      return { kind: 'done', value: { kind: 'busy', what: 'job 1' } }
    }
    stage.restored()
    stage.says('broker', [held(stage, ticket, { state: 'granted', units: [] })])
    stage.says('manager', [], { unsure: true })
    stage.pass(MINUTE)
    expect(stage.units().find(({ id }) => id === found)).toMatchObject({ state: 'teardown', wasActive: true })
  })

  test('tells others who were restored what it holds when it knows', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    back()
    stage.restored()
    stage.tell('holdings-query', 'holdings-1', { page: 0 })
    stage.says('manager', [], { unsure: true })
    const answers = () => stage.sent.filter(({ kind }) => kind === 'holdings')
    expect(answers()).toEqual([])
    stage.says('broker', [held(stage, ticket, { state: 'granted', units: [] })])
    expect(answers()).toMatchObject([{ to: 'manager', body: { holdings: [{ leaseId: 'lease-1' }] } }])
  })

  test('hears whoever first speaks while the machines are listed, and ends nothing of his', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket({ holder: 'manager-2' })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} }, 'manager-2')
    stage.settle()
    const told = held(stage, ticket)
    back()
    stage.restored()
    const happens = stage.world
    stage.world = (effect) => (effect.verb === 'list' ? undefined : happens(effect))
    stage.says('manager', [])
    stage.says('broker', [])
    expect(stage.rows.get('recovery', 'recovery')).toMatchObject({ phase: 'listing' })
    stage.peers.push('manager-2')
    stage.tell('query', 'query-1', { about: 'types' }, 'manager-2')
    stage.world = happens
    stage.says('manager-2', [told])
    expect(stage.row()).toMatchObject({ state: 'active', ticket: { id: ticket.id } })
    expect(stage.live()).toHaveLength(2)
    expect(kinds(stage)).not.toContain('orphan found')
  })

  test('waits neither for one who is no peer any more nor for an observer', () => {
    const stage = new OldStage()
    for (const id of ['manager-2', 'manager-gone']) stage.rows.set('$peer', id, { id })
    stage.restored()
    stage.tell('query', 'query-1', { about: 'types' }, 'manager-2')
    const asked = stage.sent.filter(({ kind }) => kind === 'holdings-query').map(({ to }) => to)
    expect(asked.sort()).toEqual(['broker', 'manager'])
    const unknown = stage.notes.filter(({ kind }) => kind === 'holdings unknown')
    expect(unknown).toMatchObject([
      { subject: 'manager-gone', reason: expect.stringContaining('it is no peer (any more)') },
    ])
    for (const peer of ['manager', 'broker']) stage.says(peer, [])
    const recovered = stage.notes.find(({ kind }) => kind === 'recovered')
    expect(recovered?.reason).toContain('without the word of manager-gone')
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
  })

  test('draws nothing anew that was given back for a recall, be it in the copy or not', () => {
    for (const copied of ['before the lease', 'before the recall', 'after it']) {
      const stage = new OldStage()
      const copies = [stage.copy()]
      const { ticket } = stage.lease({ units: 4 })
      const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
      const next = stage.ticket({ predecessor: ticket.id, units: 4, term })
      stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
      copies.push(stage.copy())
      stage.command('recall', { type: 'vm.small', units: 1, by: stage.now + 5_000, reason: 'ours' })
      stage.settle()
      const gone = stage.live()[0]!.id
      stage.pass(3_000)
      stage.tell('vacate', 'lease-1', { units: [gone], reason: 'recalled', recalled: [gone] })
      stage.pass(3_000)
      copies.push(stage.copy())
      const left = { id: gone, name: 'n', report: 'ended' as const, facts: {} }
      const there = held(stage, ticket).units
      const told = held(stage, ticket, { next: withoutChain(next), units: [...there, left] })
      copies[['before the lease', 'before the recall', 'after it'].indexOf(copied)]!()
      stage.restored()
      stage.says('manager', [told])
      stage.says('broker', [{ ...told, units: [] }])
      stage.pass(MINUTE)
      const drawn = (id: string) => (stage.rows.get('drawn', id) as DrawnRow).units
      expect(drawn(ticket.id)).toBe(3)
      if (copied === 'after it') expect(drawn(next.id)).toBe(3)
      // An honest broker has given it to somebody else: the ticket is honoured.
      const other = stage.ticket({ leaseId: 'lease-2', units: 3, term: ticket.term })
      stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
      stage.settle()
      expect(stage.row('lease-2')).toBeDefined()
    }
  })

  test('writes that units have ended of which nothing is there, before it takes over what has their place', () => {
    const stage = new OldStage()
    stage.lease({ units: 6 })
    const back = stage.copy()
    const lines = stage.notes.length
    stage.tell('close', 'lease-1', { reason: 'done' })
    stage.settle()
    const ticket = stage.ticket({ leaseId: 'lease-2', units: 6 })
    stage.tell('redeem', 'lease-2', { ticket, properties: {} })
    stage.settle()
    const closed = held(stage, stage.row().ticket, { closed: true, units: [] })
    const told = held(stage, ticket)
    back()
    stage.notes.splice(lines)
    stage.restored()
    stage.says('manager', [closed, told])
    stage.says('broker', [])
    expect(stage.live('lease-2')).toHaveLength(6)
    expect(stage.row()).toMatchObject({ state: 'closed' })
    const ledger = stage.notes.map((note, i) => ({
      ...note,
      seq: i + 1,
      at: 0,
      actor: 'duke',
      prev: '',
      hash: '',
    }))
    expect(verifyHolds(ledger).map(({ sentence }) => sentence)).toEqual([])
  })

  test('does not wait for ever: of those who stay silent the own rows and the broker are believed', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    back()
    stage.restored()
    stage.says('broker', [held(stage, ticket, { state: 'granted', units: [], ticket })])
    stage.pass(5 * MINUTE)
    expect(stage.row()?.state).toBeUndefined()
    stage.pass(6 * MINUTE)
    expect(kinds(stage)).toContain('recovered')
    expect(stage.row()).toMatchObject({ ticket: { id: ticket.id } })
    expect(kinds(stage)).not.toContain('orphan found')
  })

  test('takes what is given back while it recovers, and honours what it granted before', () => {
    const stage = new OldStage()
    stage.lease()
    const back = stage.copy()
    // Something changed, so there was another claim.
    stage.command('withdraw', { type: 'vm.small', reason: 'an exercise' })
    stage.command('lend again', { type: 'vm.small', units: 0, reason: 'it is over' })
    const late = stage.ticket({ leaseId: 'lease-2' })
    back()
    expect(stage.rows.get('claim', late.chain![0]!.id)).toBeUndefined()
    stage.restored()
    stage.tell('close', 'lease-1', { reason: 'done' })
    stage.settle()
    expect(stage.machines.size).toBe(0)
    stage.says('manager', [])
    stage.says('broker', [])
    expect(stage.lastUpdate().state).toBe('closed')
    stage.tell('redeem', 'lease-2', { ticket: late, properties: {} })
    stage.settle()
    expect(stage.row('lease-2').state).toBe('active')
  })

  test('holds a message back once, in the order in which each was said last', () => {
    const stage = new OldStage()
    const tickets = [stage.ticket({ units: 1 }), stage.ticket({ leaseId: 'lease-2', units: 1 })] as const
    stage.restored()
    for (const ticket of [...tickets, tickets[0]])
      stage.tell('redeem', ticket.leaseId, { ticket, properties: {} })
    const kept = [...stage.rows.all('heldBack')] as HeldBackRow[]
    const inOrder = kept.sort((a, b) => a.place - b.place)
    expect(inOrder.map(({ envelope }) => envelope.subject)).toEqual(['lease-2', 'lease-1'])
    expect(stage.rows.get('recovery', 'recovery')).toMatchObject({
      waiting: { of: { manager: 2 }, places: 3 },
    })
  })

  test('keeps what others say however much one peer says', () => {
    const stage = new OldStage()
    stage.peers.push('manager-2')
    stage.restored()
    for (let i = 0; i < 3_000; i++)
      stage.tell('vacate', `lease-${i}`, { units: [], reason: 'noise' }, 'manager-2')
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.says('manager', [])
    stage.says('manager-2', [])
    stage.says('broker', [])
    expect(stage.row().state).toBe('active')
  })

  test('throws nothing away that has to wait: of whom too much waits, he is told to come again', () => {
    const stage = new OldStage()
    const [returned, asked] = ['lease-1', 'lease-2'].map((leaseId) => stage.ticket({ leaseId, units: 2 }))
    const giveBack = (ticketId: string, leaseId: string, number: number) =>
      stage.tell(
        'tickets-returned',
        'returned',
        { tickets: [{ ticketId, leaseId, until: NOW + 60 * MINUTE }] },
        ...(['broker', undefined, number] as const),
      )
    const redeem = (ticket = asked!) => stage.tell('redeem', ticket.leaseId, { ticket, properties: {} })
    stage.restored()
    for (let i = 1; i <= HELD_BACK_MAX; i++) {
      expect(giveBack(`t-${i}`, `l-${i}`, i)).toBe('received')
      stage.tell('vacate', `l-${i}`, { units: [], reason: 'noise' })
    }
    const isOnTop = () => giveBack(returned!.id, returned!.leaseId, HELD_BACK_MAX + 1)
    expect([isOnTop(), redeem()]).toEqual(['busy', 'busy'])
    // What waits already may be said anew.
    expect(stage.tell('vacate', 'l-1', { units: [], reason: 'more noise' })).toBe('received')
    stage.says('manager', [])
    stage.says('broker', [])
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
    expect([isOnTop(), redeem(), redeem(returned)]).toEqual(['received', 'received', 'received'])
    expect([stage.row('lease-1'), stage.row('lease-2')?.state]).toEqual([undefined, 'pending'])
  })

  test('honours no ticket of a lease that its holder says is over: his old message may come once more', () => {
    const stage = new OldStage()
    const ticket = stage.ticket()
    stage.restored()
    stage.says('manager', [{ ...held(stage, ticket), closed: true, units: [] }])
    stage.says('broker', [])
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    expect(stage.row()).toBeUndefined()
    expect(stage.lastUpdate()).toMatchObject({
      state: 'closed',
      reason: expect.stringContaining('given back'),
    })
  })

  test('believes nobody who says that the lease of another is his', () => {
    const unsigned = { signature: 'of nobody', holder: 'manager-2' }
    for (const isInTheStore of [true, false]) {
      const stage = new OldStage()
      const before = stage.copy()
      const ticket = stage.ticket()
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      stage.settle()
      const told = held(stage, ticket)
      const now = stage.copy()
      ;(isInTheStore ? now : before)()
      stage.peers.push('manager-2')
      stage.restored()
      stage.says('manager', [told])
      stage.says('broker', [{ ...told, ticket, units: [] }])
      stage.says('manager-2', [
        { ...told, closed: true, units: [], ticket: { ...told.ticket!, ...unsigned } },
      ])
      stage.pass(MINUTE)
      expect(stage.row().state).toBe('active')
      expect(stage.live()).toHaveLength(2)
    }
  })

  test('adopts by a ticket without claims no more than it would honour', () => {
    const year = 365 * 24 * 60 * MINUTE
    for (const change of [
      { term: { start: NOW, end: NOW + year } },
      { conditions: { ...conditions, recallable: false } },
      { units: 1_000 },
    ]) {
      const stage = new OldStage()
      const ticket = stage.ticket(change)
      stage.restored()
      const told = { ...held(stage, ticket), ticket: withoutChain({ ...ticket, proof: undefined }) }
      const signed = issueTicket({ ...told.ticket, proof: undefined } as never, cheapIdentity('broker'))
      stage.says('manager', [{ ...told, ticket: signed }])
      stage.says('broker', [])
      expect(stage.row()).toBeUndefined()
      expect(kinds(stage)).toContain('not adopted')
    }
  })

  test('tells a broker that was restored what is lent to it, anew', () => {
    const stage = new OldStage()
    stage.sent.length = 0
    stage.tell('holdings-query', 'holdings-1', { page: 0 }, 'broker')
    expect(stage.sent.map(({ to, kind }) => `${to} ${kind}`).sort()).toEqual([
      'broker delegation',
      'broker holdings',
    ])
  })

  test('does not say that a lease is closed which it has forgotten while work runs on its machines', () => {
    const stage = new OldStage()
    const back = stage.copy()
    const ticket = stage.ticket()
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const busy = stage.world
    stage.world = (effect) =>
      effect.verb === 'teardown' && !(effect.args as { force: boolean }).force
        ? { kind: 'done', value: { kind: 'busy', what: 'a job' } }
        : busy(effect)
    back()
    stage.restored()
    stage.says('manager', [], { unsure: true })
    stage.says('broker', [])
    expect(stage.machines.size).toBe(2)
    stage.tell('vacate', 'lease-1', { units: [], reason: 'test' })
    expect(stage.lastUpdate()).toMatchObject({ state: 'closing', units: [] })
    // Nor where it is asked for with a ticket that is refused.
    const redeem = { ticket: stage.ticket({ predecessor: ticket.id }), properties: {} }
    const end = ticket.term.end
    stage.tell('redeem', 'lease-1', redeem)
    expect(stage.lastUpdate()).toMatchObject({ state: 'closing', term: { end }, units: [] })
    expect(stage.lastUpdate().reason).toMatch(/^the ticket extends another one.*its machines are ended/)
    stage.pass(ticket.term.end + conditions.graceMs + MINUTE - stage.now, 30_000)
    expect(stage.machines.size).toBe(0)
    stage.tell('vacate', 'lease-1', { units: [], reason: 'test' })
    expect(stage.lastUpdate()).toMatchObject({ state: 'closed' })
    stage.tell('redeem', 'lease-1', redeem)
    expect(stage.lastUpdate()).toMatchObject({ state: 'closed', ticketId: redeem.ticket.id })
  })

  test('begins no lease whose holder has not heard yet that it was refused', () => {
    const stage = new OldStage()
    const ticket = stage.ticket()
    const letter = { to: 'manager', kind: 'lease-update', subject: 'lease-1', body: { state: 'closed' } }
    stage.rows.set('$out', 'message-1', {
      ...{ id: 'message-1', letter, overtakes: false, seq: 1, generation: 0 },
    } as Row)
    stage.restored()
    stage.rows.set('$out', 'message-1', undefined)
    stage.says('manager', [
      {
        ...{ leaseId: 'lease-1', state: 'ticket held, lease redeeming', closed: false, ticket, next: null },
        ...{ properties: {}, units: [] },
      },
    ])
    stage.says('broker', [])
    expect(stage.rows.get('lease', 'lease-1')).toBeUndefined()
    expect(kinds(stage)).toContain('not adopted')
  })

  test('gives no more units than are lent while work is let end on machines of nobody', () => {
    const stage = new OldStage()
    stage.isBusy = true
    const back = stage.copy()
    const ticket = stage.ticket({ units: 4 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    back()
    stage.restored()
    stage.says('manager', [])
    stage.says('broker', [])
    expect(stage.machines.size).toBe(4)
    stage.command('recall', { type: 'vm.small', units: 2, by: stage.now, reason: 'ours' })
    stage.settle()
    const next = stage.ticket({ leaseId: 'lease-2', units: 2 })
    stage.tell('redeem', 'lease-2', { ticket: next, properties: {} })
    stage.pass(MINUTE)
    expect(stage.live('lease-2')).toEqual([])
    stage.isBusy = false
    stage.pass(3 * MINUTE)
    expect(stage.live('lease-2')).toHaveLength(2)
  })

  describe('and has orders in it whose time has come since', () => {
    /** The order is carried out and undone, then another lease begins, and all that is forgotten again. */
    function undone(name: string, order: object, undo: [string, object]): OldStage {
      const stage = new OldStage()
      stage.isBusy = true
      stage.command(name, { by: stage.now + 5 * MINUTE, reason: 'ours', ...order })
      const back = stage.copy()
      stage.pass(10 * MINUTE)
      stage.command(...undo)
      const ticket = stage.ticket({ units: 6, term: { start: stage.now, end: stage.now + 50 * MINUTE } })
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      stage.pass(MINUTE)
      const told = held(stage, ticket)
      back()
      stage.restored()
      stage.says('manager', [told])
      stage.says('broker', [])
      stage.pass(MINUTE)
      expect(stage.live('lease-1')).toHaveLength(6)
      return stage
    }
    const disk = { host: 'a', reason: 'a new disk' }

    test('takes no busy unit for maintenance that may be over, nor says that it wants one back', () => {
      const stage = undone('maintain', disk, ['maintained', { host: 'a' }])
      expect(stage.forced).toEqual([])
      expect(stage.lastUpdate().units.filter(({ leaveBy }) => leaveBy != null)).toEqual([])
      expect(kinds(stage)).toContain('order lapsed')
    })

    test('takes none for it where the lease is extended either', () => {
      const stage = undone('maintain', disk, ['maintained', { host: 'a' }])
      const { ticket } = stage.row()
      const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
      const victims = stage.live().filter(({ host }) => host === 'b')
      const next = stage.ticket({ units: 4, predecessor: ticket.id, term })
      stage.tell('extend-lease', 'lease-1', { ticket: next, victims: victims.map(({ id }) => id) })
      stage.now = term.start
      stage.settle()
      expect(stage.live().map(({ host }) => host)).toEqual(['a', 'a', 'c', 'c'])
    })

    test('takes them when it is ordered anew, with its own notice', () => {
      const stage = undone('maintain', disk, ['maintained', { host: 'a' }])
      stage.command('maintain', disk)
      const by = stage.now + conditions.noticeMs + MINUTE
      const wanted = { leaveBy: by, leaveOrderedAt: stage.now }
      expect(stage.lastUpdate().units.filter(({ leaveBy }) => leaveBy != null)).toMatchObject([
        wanted,
        wanted,
      ])
      stage.pass(by + conditions.graceMs - stage.now - 1_000)
      expect(stage.forced).toEqual([])
      stage.pass(2_000)
      expect(stage.forced).toHaveLength(2)
    })

    test('takes no busy unit for a recall that may be over, and lends less', () => {
      const recalled = { type: 'vm.small', units: 4 }
      const stage = undone('recall', recalled, ['lend again', { ...recalled, reason: 'yours' }])
      expect(stage.forced).toEqual([])
      expect(stage.claim().units).toBe(2)
      expect(stage.sent.filter(({ kind }) => kind === 'recall-units')).toEqual([])
      const told = stage.sent.filter(({ kind }) => kind === 'delegation').slice(1)
      expect(new Set(told.map(({ body }) => (body as Body<'delegation'>).units))).toEqual(new Set([2]))
      expect([...stage.rows.all('recall')]).toEqual([])
    })
  })
})
