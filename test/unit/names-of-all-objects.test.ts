import { describe, expect, test } from 'vitest'
import { Inventory } from '../../actors/authority/inventory.ts'
import type { AuthorityTables, HostRow, RecoveryRow } from '../../actors/authority/rows.ts'
import type { DelegationRow, RecallRow, RecoveryRow as RecoveryOfBroker } from '../../actors/broker/rows.ts'
import { fitsIn, minus } from '../../actors/leases/resources.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { own } from '../../actors/runtime/plain.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { Holder } from '../simulation/holder.ts'
import { openQuestionTo, restored, tells } from '../simulation/holder-store.ts'
import { cheapTrust } from '../simulation/identities.ts'
import { Stage, siteConfig } from './authority-stage.ts'
import { BrokerDesk, inShort, MINUTE, NAMES, NOW } from './broker-desk.ts'
import { configOf, decideOn, leaseOf, nodeOf, T0, unitOf, viewOf } from './groc-world.ts'

/** What every object has, so that a record that is asked for it seems to have it. */
const WORDS = ['constructor', 'valueOf', '__proto__', 'toString', 'hasOwnProperty']

const older = { reason: 'an older copy was put back', seenSeq: 9 }
const back = { kind: 'restored', restored: older } as unknown as Parameters<BrokerDesk['give']>[0]

describe.each(WORDS)('a peer calls things %s', (word) => {
  test('a record has under it only what was put there', () => {
    expect(own({}, word)).toBeUndefined()
    expect(own(Object.fromEntries([[word, 1]]), word)).toBe(1)
    expect(fitsIn(Object.fromEntries([[word, 1]]), {})).toBe(false)
    expect(Object.entries(minus({}, Object.fromEntries([[word, 1]])))).toEqual([[word, -1]])
  })

  test('a lease and a recall: it is asked back, promised back and given to another', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4, {}, 'site')
    expect(desk.granted(word).units).toBe(4)
    const by = NOW + 10 * MINUTE
    const order = { recallId: word, type: 't', units: 3, by, reason: 'mine' }
    const asked = desk.tell('site', 'recall-units', 'offer-t', order).filter(({ kind }) => kind === 'recall')
    expect(asked).toMatchObject([{ to: 'manager', subject: word, body: { recallId: word, units: 3 } }])
    const { asked: open } = desk.rows.get('recall', word) as RecallRow
    expect(Object.entries(open!)).toEqual([[word, 3]])
    const plan = { recallId: word, units: 3, by, reason: 'yes' }
    desk.tell('manager', 'recall-plan', word, plan)
    expect(desk.notes.at(-1)).toMatch(/^recall planned .*: manager gives 3 units back/)
    expect(Object.entries((desk.rows.get('recall', word) as RecallRow).asked!)).toEqual([])
    // Once more nothing of it is asked back.
    desk.tell('manager', 'recall-plan', word, plan)
    expect(desk.notes.at(-1)).toContain(`manager gives 3 units back, and 0 of it are asked back for ${word}`)
    const { id } = desk.row(word).tickets[0]!
    desk.offer(4, { settledRecalls: [word], back: [{ ticketId: id, units: 3 }] })
    desk.ask('lease-2', { units: 3, start: by })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 3'])
  })

  test('a recall of which nobody was asked: nothing is promised back for it', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    desk.granted('lease-1')
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId: word, units: 1, by: NOW, reason: 'mine' })
    expect(desk.notes.at(-1)).toMatch(/^message refused lease-1: manager gives 1 unit back, and 0 of it/)
    expect(desk.row('lease-1').reduced).toBeUndefined()
  })

  test('a ticket, as an older store has it: it holds units back', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    desk.granted('lease-1')
    const plan = { recallId: 'recall-1', units: 4, by: NOW + MINUTE, reason: 'yes' }
    const order = { recallId: 'recall-1', type: 't', units: 4, by: NOW + MINUTE, reason: 'mine' }
    desk.tell('site', 'recall-units', 'offer-t', order)
    desk.tell('manager', 'recall-plan', 'lease-1', plan)
    const row = desk.row('lease-1')
    const named = { ...row, tickets: row.tickets.map((one) => ({ ...one, id: word })) }
    desk.rows.set('ticket', 'lease-1', { ...named, reduced: { ...row.reduced!, tickets: [word] } } as Row)
    desk.offer(0, { settledRecalls: ['recall-1'] })
    desk.offer(4)
    expect((desk.rows.get('delegation', 'site/t') as DelegationRow).back).toEqual({})
    desk.ask('lease-2', { units: 4, start: NOW + 2 * MINUTE, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
  })

  test('itself: a restored broker asks it, hears it, and tells it what it asks', () => {
    const desk = new BrokerDesk({ peers: [word], sites: ['site'], holders: [word] }, [...NAMES, word])
    desk.offer(4)
    const query = desk.give(back).find(({ to, kind }) => to === word && kind === 'holdings-query')
    desk.tell(word, 'holdings-query', 'query-1', { page: 0 })
    const nothing = { page: 0, pages: 1, holdings: [] }
    desk.tell(word, 'holdings', query!.subject, nothing)
    const { peers, waiting } = desk.rows.get('recovery', 'recovery') as RecoveryOfBroker
    expect(own(peers, word)?.state).toBe('answered')
    expect(own(waiting, word)?.subject).toBe('query-1')
    const { subject } = own(peers, 'site')!
    desk.tell('site', 'holdings', subject, nothing)
    expect(desk.rows.get('recovery', 'recovery')).toBeUndefined()
    expect(desk.due('waiting', word)).toMatchObject([{ to: word, kind: 'holdings', subject: 'query-1' }])
  })

  test('itself, and was not known: a restored broker asks it when it speaks', () => {
    const desk = new BrokerDesk({ peers: ['manager'], sites: ['site'] }, [...NAMES, word])
    desk.give(back)
    const said = desk.tell(word, 'query', 'query-1', { about: 'types' })
    // Of this broker it is nobody who may hold something.
    expect(said.map(({ kind }) => kind)).not.toContain('holdings-query')
    const open = new BrokerDesk({ sites: ['site'] }, [...NAMES, word])
    open.give(back)
    const asked = open.tell(word, 'relinquish', 'lease-1', { reason: 'done' })
    expect(asked.map(({ to, kind }) => `${kind} ${to}`)).toContain(`holdings-query ${word}`)
  })

  test('itself: a restored site asks it, and keeps and counts what it says', () => {
    const stage = Object.assign(new Stage({ peers: [word] }), { trust: cheapTrust(['duke', 'broker', word]) })
    stage.give({ kind: 'restored', restored: older } as never)
    stage.tell('close', 'lease-1', { reason: 'done' }, word)
    const row = stage.rows.get('recovery', 'recovery') as RecoveryRow
    expect(own(row.waiting!.of, word)).toBe(1)
    expect(own(row.waiting!.chars, word)).toBeGreaterThan(100)
    const { subject } = own(row.asked, word)!
    stage.tell('holdings', subject, { page: 0, pages: 1, holdings: [] }, word)
    const after = stage.rows.get('recovery', 'recovery') as RecoveryRow
    expect(own(after.asked, word)?.state).toBe('answered')
    expect(own(after.amounts, word)).toEqual({ chars: 0, unproven: 0, names: [] })
  })

  test('a lease, a type and a dimension of a site: it is lent, taken from a host, and back', () => {
    // No message has a key that is taken for a prototype.
    const dimension = word === '__proto__' ? 'cpu' : word
    const vector = { [dimension]: 1 }
    const capacity = { [dimension]: 2 }
    const types = Object.fromEntries([[word, { ...siteConfig.types['vm.small']!, vector, units: 4 }]])
    const hosts = ['a', 'b'].map((name) => ({ name, capacity }))
    const stage = new Stage({ types, hosts })
    const chain = [stage.claim(word)]
    const ticket = stage.ticket({ leaseId: word, type: word, units: 2, proof: { vector } as never }, chain)
    stage.tell('redeem', word, { ticket, properties: {} })
    stage.settle()
    expect(stage.live(word)).toHaveLength(2)
    const draft = new Draft<AuthorityTables>(stage.rows, 'duke', NOW, idSource(seededRandom(1)))
    const used = ['a', 'b'].map((host) => own(new Inventory(draft).free(host, capacity), dimension)!)
    expect(used.reduce((sum, left) => sum + left)).toBe(2)
    stage.command('maintain', { host: 'a', by: NOW + MINUTE, reason: 'new memory' })
    const { withheld } = stage.rows.get('host', 'a') as HostRow
    expect(Object.entries(withheld)).toEqual([[word, 2]])
    expect(() => stage.command('lend again', { type: word, units: 1, reason: 'mine' })).toThrow(
      /0 of .* are withheld/,
    )
    stage.command('maintained', { host: 'a' })
    stage.tell('close', word, { reason: 'done' })
    stage.settle()
    expect(stage.lastUpdate(word).state).toBe('closed')
  })

  test('a unit: the controller of a guest drains it when it was idle, or silent, for long', () => {
    const looks = (change: object, at: number) => {
      const [end, extendBy] = [T0 + 600 * MINUTE, T0 + 590 * MINUTE]
      const leases = [leaseOf('l1', [unitOf(word)], { term: { start: T0, end }, extendBy })]
      const nodes = [nodeOf(word, change)]
      const first = decideOn(viewOf(leases, { nodes }))
      expect(first.intents).toEqual([])
      const memory = JSON.parse(JSON.stringify(first.memory))
      return decideOn(viewOf(leases, { nodes, startedAt: at, at }), configOf(), memory, at)
    }
    const idle = looks({}, T0 + 30 * MINUTE)
    expect(idle.intents).toMatchObject([{ kind: 'drain', unitId: word }])
    expect(own(idle.memory.drains, word)).toBe('idle')
    // After longer without a look nothing would be known of the time between.
    const silent = looks({ responding: false }, T0 + 3 * MINUTE)
    expect(silent.intents).toMatchObject([{ kind: 'drain', unitId: word }])
    expect(own(silent.memory.missingSince, word)).toBe(T0)
  })

  test('a question of a restored manager: what answers it is not heard', () => {
    const holder = new Holder()
    restored(holder, () => void holder.ask())
    const { notes } = tells(holder, 'broker', word, [])
    expect(notes.at(-1)?.reason).toBe('broker says what it holds, and is not asked (any more)')
    expect(openQuestionTo(holder, 'broker')).not.toBe('none')
  })
})
