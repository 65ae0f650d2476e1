import { authority } from '../../actors/authority/authority.ts'
import type { AuthorityConfig } from '../../actors/authority/config.ts'
import type { AuthorityTables, LeaseRow, UnitRow } from '../../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import { type Claim, hashOfClaim, issueClaim } from '../../actors/leases/claim.ts'
import type { Body, MessageKind } from '../../actors/leases/messages.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { signable } from '../../actors/runtime/canonical.ts'
import { Draft, type Intended } from '../../actors/runtime/draft.ts'
import { seal } from '../../actors/runtime/envelope.ts'
import { ComeAgain } from '../../actors/runtime/errors.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import type { EffectOutcome, Input } from '../../actors/runtime/mind.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'

export const NOW = Date.UTC(2026, 0, 5, 8)
export const MINUTE = 60_000

const vector = { cpu: 1, memoryMiB: 1024 }
export const conditions = { recallable: true, noticeMs: 1_000, graceMs: 10_000 }

export const siteConfig: AuthorityConfig = {
  broker: 'broker',
  hosts: ['a', 'b', 'c'].map((name) => ({ name, capacity: { cpu: 2, memoryMiB: 2048 } })),
  types: { 'vm.small': { vector, image: 'plain', units: 6 } },
  images: ['plain'],
  probe: [],
  conditions,
  termMsMax: 60 * MINUTE,
  delegationMs: 600 * MINUTE,
  ...{ repair: true, repairMinMs: MINUTE, recoverMs: 10 * MINUTE },
  placement: bestFit,
  namePrefix: 'n',
  slots: 20,
  setupMs: MINUTE,
  probeMs: 1_000,
  modifyMs: 1_000,
  teardownMs: 1_000,
  probeEveryMs: 10 * MINUTE,
  sweepEveryMs: 60 * MINUTE,
  failuresMax: 3,
  backoffMs: 500,
  retryMs: 500,
  answerMs: 60 * MINUTE,
}

/** What the world makes of a verb; undefined: it has not answered yet. */
export type World = (effect: Intended) => EffectOutcome | undefined

const done = (value: unknown = undefined): EffectOutcome => ({ kind: 'done', value })

/** Every machine comes up, is well, hears what it is told and goes. */
export const wellBehaved: World = ({ verb }) =>
  verb === 'list'
    ? undefined
    : done({ setup: {}, probe: { kind: 'passed' }, teardown: { kind: 'gone' } }[verb])

/** A site authority on rows of its own, at an hour that the test sets. */
export class Stage {
  rows = new RowSet()
  now = NOW
  world: World = wellBehaved
  readonly sent: { to: string; kind: string; subject: string; body: unknown }[] = []
  readonly notes: { kind: string; subject: string; reason: string; data?: unknown }[] = []
  readonly under = new Map<string, Intended>()
  /** So many messages counted as refused. */
  turnedDown = 0
  #seed = 1
  #number = 0
  readonly config: AuthorityConfig
  readonly trust = cheapTrust(['duke', 'broker', 'other-broker', 'manager', 'manager-2'])

  constructor(config: Partial<AuthorityConfig> = {}) {
    this.config = { ...siteConfig, ...config }
    this.give({ kind: 'started', epoch: 1 })
  }

  /** One commit; what follows from it at once follows. */
  give(input: Input): unknown {
    const mind = authority(this.config, cheapIdentity('duke'), this.trust)
    const draft = new Draft<AuthorityTables>(
      this.rows,
      'duke',
      this.now,
      idSource(seededRandom(this.#seed++)),
    )
    const reply = mind.handle(input, draft)
    for (const [table, drafted] of draft.changed)
      for (const [id, row] of drafted) this.rows.set(table, id, row)
    this.sent.push(...draft.outgoing)
    this.notes.push(...draft.notes)
    this.turnedDown += draft.turnedDown
    for (const [key, effect] of draft.intended)
      if (effect === undefined) this.under.delete(key)
      else this.under.set(key, effect)
    return reply
  }

  tell<K extends MessageKind>(
    kind: K,
    subject: string,
    body: Body<K>,
    from = 'manager',
    key?: string,
    number = 1,
  ): 'received' | 'busy' {
    const sealed = { protocol: 1, id: 'message', number, bodyHash: '', signature: '' }
    const envelope = {
      ...{ ...sealed, from, to: 'duke', kind, subject, body, sentAt: this.now, until: this.now + MINUTE },
      ...(key === undefined ? {} : { key }),
    }
    try {
      this.give({ kind: 'message', envelope })
    } catch (error) {
      if (error instanceof ComeAgain) return 'busy'
      throw error
    }
    return 'received'
  }

  command(name: string, args: unknown): unknown {
    return this.give({ kind: 'command', name, args })
  }

  /** Everything that is due or under way happens, until nothing more does. */
  settle(): void {
    for (let i = 0; i < 1_000; i++) {
      if (!this.#step()) return
    }
    throw new Error('it does not come to rest')
  }

  /** Time passes in small steps. */
  pass(ms: number, stepMs = 500): void {
    const end = this.now + ms
    while (this.now < end) {
      this.settle()
      this.now = Math.min(end, this.now + stepMs)
    }
    this.settle()
  }

  /** The root claim of a type as it was told last. */
  claim(type = 'vm.small'): Claim {
    const told = this.sent.filter(({ kind, subject }) => kind === 'delegation' && subject === `offer-${type}`)
    return (told.at(-1)!.body as Body<'delegation'>).claim!
  }

  /** A ticket that the broker draws from the claim, as it travels. */
  ticket(change: Partial<Ticket> = {}, chain: readonly Claim[] = [this.claim()], broker = 'broker'): Ticket {
    const id = change.id ?? `ticket-${++this.#number}`
    const { leaseId = 'lease-1', holder = 'manager' } = change
    const holderKey = change.proof?.holderKey ?? cheapKey('manager')
    return {
      ...issueTicket(
        {
          ...{ id, leaseId, holder, site: 'duke', type: 'vm.small', units: 2 },
          ...{ term: { start: this.now, end: this.now + 10 * MINUTE }, predecessor: null, conditions },
          ...{ issuedAt: this.now, ...change },
          proof: {
            ...{ parent: hashOfClaim(chain.at(-1)!), brokerKey: cheapKey(broker) },
            ...{ holderKey, vector, request: requestOf(holder, leaseId, holderKey), ...change.proof },
          },
        },
        cheapIdentity(broker),
      ),
      chain: [...chain],
    }
  }

  /** Redeems a ticket and lets everything come up that comes up at once. */
  lease(change: Partial<Ticket> = {}, properties: Record<string, string> = {}): LeaseRow {
    const ticket = this.ticket(change)
    this.tell('redeem', ticket.leaseId, { ticket, properties })
    this.settle()
    return this.rows.get('lease', ticket.leaseId) as LeaseRow
  }

  row(leaseId = 'lease-1'): LeaseRow {
    return this.rows.get('lease', leaseId) as LeaseRow
  }

  units(leaseId?: string): UnitRow[] {
    return ([...this.rows.all('unit')] as UnitRow[]).filter(
      (unit) => leaseId === undefined || unit.leaseId === leaseId,
    )
  }

  /** Those in service. */
  live(leaseId?: string): UnitRow[] {
    return this.units(leaseId).filter(({ state }) => !['teardown', 'stuck', 'ended'].includes(state))
  }

  lastUpdate(leaseId = 'lease-1'): Body<'lease-update'> {
    const told = this.sent.filter(({ kind, subject }) => kind === 'lease-update' && subject === leaseId)
    return told.at(-1)!.body as Body<'lease-update'>
  }

  #step(): boolean {
    for (const [key, effect] of this.under) {
      const outcome = this.world(effect)
      if (outcome === undefined) continue
      this.under.delete(key)
      this.give({ kind: 'effect', key, verb: effect.verb, args: effect.args, attempt: 1, outcome })
      return true
    }
    // In one go, as many as there are: the runtime reads hundreds of them in one commit.
    const heldBack = ([...this.rows.all('heldBack')] as Row[]).filter(({ due }) => due !== undefined)
    for (const row of heldBack.sort((a, b) => a.due! - b.due!))
      this.give({ kind: 'due', table: 'heldBack', row })
    if (heldBack.length > 0) return true
    for (const table of [
      'lease',
      'unit',
      'offer',
      'recall',
      'claim',
      'drawn',
      'returned',
      'site',
      'room',
      'host',
      'recovery',
    ])
      for (const row of [...this.rows.all(table)] as Row[])
        if (row.due !== undefined && row.due <= this.now && this.rows.get(table, row.id) === row) {
          if (table === 'site' && this.under.has('site')) continue
          this.give({ kind: 'due', table, row })
          return true
        }
    return false
  }
}

export const specOf = (effect: Intended): UnitEffectArgs['spec'] => (effect.args as UnitEffectArgs).spec

/** A claim that the broker hands on. */
export const subClaim = (parent: Claim, change: Partial<Claim> = {}): Claim =>
  issueClaim(
    {
      ...{ id: 'claim-2', holder: 'other-broker', holderKey: cheapKey('other-broker') },
      ...{ site: parent.site, type: parent.type, units: parent.units, vector: parent.vector },
      ...{ term: parent.term, conditions: parent.conditions, issuedAt: NOW, ...change },
      parent: hashOfClaim(parent),
    },
    cheapIdentity('broker'),
  )

/** The head of a message by which a holder gives a ticket back, as its broker shows it. */
export function givenBackBy(
  holder: string,
  subject: string,
  at: number,
  kind = 'relinquish',
  body: object = { reason: 'done' },
) {
  const letter = { id: 'message-9', from: holder, to: 'broker', kind, subject, number: 2, body }
  const place = { generation: 0, seq: 2 }
  return requestProof(seal({ ...letter, sentAt: at, until: at + MINUTE }, cheapIdentity(holder), place))
}

/** What its holder had signed when he asked for it. */
function requestOf(from: string, subject: string, key: string): Record<string, string> {
  const head = { id: 'message-1', from, kind: 'ticket', subject, key }
  return { ...head, signature: cheapIdentity(from, key).sign(signable('message', head)) }
}
