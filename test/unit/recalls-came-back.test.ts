import { describe, expect, test } from 'vitest'
import type { DrawnRow } from '../../actors/authority/rows.ts'
import { BACK_MAX, type Body, readBody } from '../../actors/leases/messages.ts'
import { MINUTE, Stage } from './authority-stage.ts'

/** A lease of so many, of which some are recalled in two seconds. */
class Recalled {
  readonly stage = new Stage()
  readonly ticketId: string

  constructor(units: number) {
    this.ticketId = this.stage.lease({ leaseId: 'lease-1', units }).ticket.id
  }

  recall(units: number): void {
    const by = this.stage.now + 2_000
    this.stage.command('recall', { type: 'vm.small', units, by, reason: 'needed' })
    this.stage.pass(2_000)
  }

  give(count: number): void {
    const units = this.stage
      .live('lease-1')
      .slice(0, count)
      .map(({ id }) => id)
    this.stage.tell('vacate', 'lease-1', { units, reason: 'recalled', recalled: units })
    this.stage.pass(2_000)
  }

  offers(): Body<'delegation'>[] {
    return this.stage.sent.filter(({ kind }) => kind === 'delegation').map(({ body }) => body) as never
  }

  back(): unknown {
    return this.offers().at(-1)!.back
  }
}

describe('units that come back for a recall are told to their broker', () => {
  test('where a host that was worked on has made the site lend more meanwhile', () => {
    const site = new Recalled(4)
    const { stage } = site
    stage.command('maintain', { host: 'c', by: stage.now + 30 * MINUTE, reason: 'a fan' })
    expect(site.offers().at(-1)!.units).toBe(4)
    site.recall(2)
    expect(site.offers().at(-1)!.units).toBe(2)
    stage.command('maintained', { host: 'c' })
    expect(site.offers().at(-1)!.units).toBe(4)
    site.give(2)
    expect(site.back()).toEqual([{ ticketId: site.ticketId, units: 2 }])
  })

  test('where they are taken by force after some were lent again', () => {
    const site = new Recalled(6)
    site.recall(4)
    site.stage.command('lend again', { type: 'vm.small', units: 2, reason: 'no longer' })
    site.stage.pass(20_000)
    expect(site.stage.live('lease-1')).toHaveLength(4)
    expect(site.back()).toEqual([{ ticketId: site.ticketId, units: 2 }])
  })

  test('where their type was withdrawn, and is offered again meanwhile', () => {
    const site = new Recalled(4)
    site.recall(2)
    site.stage.command('withdraw', { type: 'vm.small', reason: 'for a moment' })
    site.stage.command('lend again', { type: 'vm.small', units: 0, reason: 'over' })
    site.give(2)
    expect(site.back()).toEqual([{ ticketId: site.ticketId, units: 2 }])
  })

  test('of so many tickets at once as an offer may name', () => {
    const site = new Recalled(1)
    const { rows } = site.stage
    const { term } = site.stage.row().ticket
    for (let i = 0; i < BACK_MAX + 5; i++) {
      const id = `t-${i}`
      const drawn: DrawnRow = {
        id,
        claimId: '',
        leaseId: id,
        type: 'vm.small',
        units: 0,
        back: 1,
        term,
        due: term.end,
      }
      rows.set('drawn', id, drawn)
    }
    site.stage.command('withdraw', { type: 'vm.small', reason: 'for a moment' })
    expect(site.back()).toHaveLength(BACK_MAX)
    expect(readBody('delegation', site.offers().at(-1))).toMatchObject({ ok: true })
  })

  test('and not where nothing more was ever lent: it knows that they are kept', () => {
    const site = new Recalled(4)
    site.recall(2)
    const before = site.offers().length
    site.give(2)
    expect(site.offers()).toHaveLength(before)
  })
})
