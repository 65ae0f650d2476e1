import { describe, expect, test } from 'vitest'
import { type Claim, hashOfClaim, issueClaim } from '../../actors/leases/claim.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { chainCheck } from '../../actors/ledger/chain-check.ts'
import { CheckpointCheck } from '../../actors/ledger/checkpoint-check.ts'
import { holdsCheck } from '../../actors/ledger/holds.ts'
import { TraceCheck } from '../../actors/ledger/trace-check.ts'
import { LedgerCheck } from '../../actors/ledger/verify.ts'
import { signable } from '../../actors/runtime/canonical.ts'
import { checkpointNote } from '../../actors/runtime/checkpoint.ts'
import { chain, type LedgerEntry, type LedgerHead, type LedgerNote } from '../../actors/runtime/commit.ts'
import { ed25519Identity, ed25519Trust, generateKeys, type Identity } from '../../actors/runtime/identity.ts'
import { extend, request as requestFor } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'
import { cheapTrust } from '../simulation/identities.ts'

const NO_LINE: LedgerHead = { seq: 0, hash: '' }
const AT = 1_000_000
const identityOf = (name: string): Identity => ed25519Identity(name, generateKeys().privateKey)
const [site, broker, manager] = [identityOf('site'), identityOf('broker'), identityOf('manager')]

const conditions = { recallable: true, noticeMs: 0, graceMs: 0 }
const claim: Claim = issueClaim(
  {
    ...{ id: 'claim-1', parent: null, holder: 'broker', holderKey: broker.key, site: 'site', type: 'small' },
    ...{ units: 4, vector: { cpu: 1 }, term: { start: 0, end: 2 * AT }, conditions, issuedAt: 1 },
  },
  site,
)

function request(over: object = {}): Record<string, string | number> {
  const head = {
    ...{ protocol: 2, id: 'message-1', from: 'manager', to: 'broker', kind: 'ticket', subject: 'lease-1' },
    ...{ number: 1, bodyHash: 'x', sentAt: 1, until: 9, key: manager.key, generation: 1, seq: 1, ...over },
  }
  return { ...head, signature: manager.sign(signable('message', head)) }
}

const ticketOf = (proof: object = {}, over: object = {}): Ticket =>
  issueTicket(
    {
      ...{ id: 'ticket-1', leaseId: 'lease-1', holder: 'manager', site: 'site', type: 'small', units: 1 },
      ...{ term: { start: AT, end: AT + 1_000 + AT / 2 }, predecessor: null, conditions, issuedAt: 2 },
      proof: {
        ...{ parent: hashOfClaim(claim), brokerKey: broker.key, holderKey: manager.key, vector: { cpu: 1 } },
        ...{ request: request(), ...proof },
      },
      ...over,
    },
    broker,
  )

const offered: LedgerNote = { kind: 'offered', subject: 'small', reason: '4 units', data: { claim } }
const redeemed = (ticket: Ticket): LedgerNote => ({
  ...{ kind: 'redeemed', subject: ticket.leaseId, reason: 'manager', data: { ticket } },
})

function ledgerOf(notes: readonly (LedgerNote | 'checkpoint')[], by: Identity = site): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  for (const note of notes) {
    const head = entries.at(-1) ?? NO_LINE
    entries.push(chain(note === 'checkpoint' ? checkpointNote(head, by) : note, AT, 'site', head))
  }
  return entries
}

function check(entries: readonly LedgerEntry[]) {
  const trust = ed25519Trust({})
  const traces = new TraceCheck(trust)
  const checkpoints = new CheckpointCheck(trust.verifyBy)
  const all = new LedgerCheck([chainCheck(), holdsCheck(), checkpoints, traces])
  all.read(entries)
  return {
    faults: all.faults.map(({ sentence }) => sentence),
    traces: traces.seen,
    checkpoints: checkpoints.seen,
  }
}

describe('a grant', () => {
  test('is traced to its signed request, ticket and claim', () => {
    expect(check(ledgerOf([offered, redeemed(ticketOf())]))).toMatchObject({
      faults: [],
      traces: { accepted: 1, traced: 1 },
    })
  })

  test('of protocol 1 is counted, and is no fault', () => {
    const { proof: _, ...plain } = ticketOf()
    expect(check(ledgerOf([offered, redeemed(plain as Ticket)]))).toMatchObject({
      faults: [],
      traces: { accepted: 1, traced: 0 },
    })
  })

  const forged: readonly (readonly [what: string, ticket: () => Ticket, sentence: RegExp])[] = [
    ['was altered', () => ({ ...ticketOf(), units: 2 }), /not signed by broker/],
    [
      'is drawn from another claim',
      () => ticketOf({ parent: 'x' }),
      /no claim that the site has written down/,
    ],
    ['is wider than its claim', () => ticketOf({}, { units: 5 }), /more than the 4 delegated/],
    [
      'answers the request of somebody else',
      () => ticketOf({ request: request({ from: 'other' }) }),
      /of other/,
    ],
    ['answers a request for another lease', () => ticketOf({ request: request({ subject: 'l' }) }), /for l$/],
    [
      'answers a request that its broker signed with a key of his own',
      () => ticketOf({ request: { ...request({ key: broker.key }) } }),
      /another key/,
    ],
    [
      'answers a request that was altered',
      () => ticketOf({ request: { ...request(), number: 7 } }),
      /manager has not signed/,
    ],
  ]
  test.each(forged)('that %s is a fault', (_, ticket, sentence) => {
    const { faults, traces } = check(ledgerOf([offered, redeemed(ticket())]))
    expect(faults).toEqual([expect.stringMatching(sentence)])
    expect(traces).toMatchObject({ accepted: 1, traced: 0, adoptedCount: 0 })
  })

  test('may stand on a claim that the site had forgotten in a restore, and took up again', () => {
    const adopted = { ...offered, kind: 'claim adopted', subject: claim.id }
    expect(check(ledgerOf([adopted, redeemed(ticketOf())])).faults).toEqual([])
  })

  const step = (kind: 'recovering' | 'recovered'): LedgerNote => ({
    kind,
    subject: 'site',
    reason: 'x',
    data: {},
  })
  const forgotten = redeemed(ticketOf())
  const noClaim = /no claim that the site has written down/

  test('that was taken up in a recovery on a claim that nobody remembers is named, and is no fault', () => {
    const over = redeemed(ticketOf({}, { term: { start: 10, end: 20 } }))
    const { faults, traces } = check(
      ledgerOf([step('recovering'), forgotten, over, step('recovered'), offered, forgotten]),
    )
    expect(faults).toEqual([])
    expect(traces).toEqual({
      ...{ accepted: 3, traced: 1, adoptedCount: 2 },
      adopted: [
        { seq: 2, leaseId: 'lease-1' },
        { seq: 3, leaseId: 'lease-1' },
      ],
    })
  })

  test.each([
    ['without a recovery', [forgotten]],
    ['after a recovery', [step('recovering'), step('recovered'), forgotten]],
    ['in the recovery of somebody else', [{ ...step('recovering'), subject: 'other' }, forgotten]],
  ])('without a claim is a fault %s', (_, notes) => {
    expect(check(ledgerOf(notes)).faults).toEqual([expect.stringMatching(noClaim)])
  })

  test('that was taken up in a recovery still has to be signed and asked for', () => {
    const altered = redeemed({ ...ticketOf(), units: 2 })
    const ofOther = redeemed(ticketOf({ request: request({ from: 'other' }) }))
    expect(check(ledgerOf([step('recovering'), altered, ofOther])).faults).toEqual([
      expect.stringMatching(/not signed by broker/),
      expect.stringMatching(/of other/),
    ])
  })

  test('stands on a claim that the site itself signed', () => {
    const alien = { ...offered, data: { claim: { ...claim, units: 9 } } }
    expect(check(ledgerOf([alien])).faults).toEqual(['claim claim-1 is not signed by site'])
  })
})

describe('ledgers that three actors wrote', () => {
  test('trace every ticket that the site accepted, and none at its holder', async () => {
    const stage = new Stage()
    await stage.begins()
    await stage.wishes([requestFor(), requestFor({ units: 1 })])
    await stage.runs(20)
    await stage.wishes(stage.leases().map(({ id }) => extend(id)))
    await stage.runs(60)
    const traced = (name: string) => {
      const check = new TraceCheck(cheapTrust([]))
      return { faults: stage.disks[name]!.ledger.flatMap((entry) => check.line(entry)), ...check.seen }
    }
    expect(traced('site')).toMatchObject({ faults: [], accepted: 4, traced: 4 })
    expect(traced('manager')).toMatchObject({ faults: [], accepted: 0, traced: 0 })
    expect(traced('broker')).toMatchObject({ faults: [], accepted: 0, traced: 0 })
  })
})

describe('a broker and a site that are restored from the same backup', () => {
  test('leave no fault in the ledger of the site, and what cannot be traced is named', async () => {
    const stage = new Stage()
    await stage.begins()
    await stage.wishes([requestFor({ units: 1, durationMs: 3_600_000 })])
    await stage.runs(10)
    const copies = ['broker', 'site'].map((name) => [name, stage.disks[name]!.copy()] as const)
    await stage.command('site', 'withdraw', { type: 'small', reason: 'a mistake' })
    await stage.runs(5)
    await stage.command('site', 'lend again', { type: 'small', units: 0, reason: 'it was one' })
    await stage.runs(5)
    await stage.wishes([requestFor({ durationMs: 1_800_000 })])
    await stage.runs(20)
    const lease = stage.leases().at(-1)
    for (const [name, copy] of copies) {
      stage.dies(name)
      stage.disks[name]!.restore(copy)
      stage.disks[name]!.mark(stage.world.now)
    }
    for (const [name] of copies) stage.starts(name)
    await stage.runs(120)
    await stage.wishes([extend(lease!.id, { durationMs: 1_800_000 }), requestFor({ units: 1 })])
    await stage.runs(60)
    const check = new TraceCheck(cheapTrust([]))
    expect(stage.ledger('site').flatMap((entry) => check.line(entry))).toEqual([])
    expect(check.seen).toMatchObject({ accepted: 4, traced: 3, adoptedCount: 1 })
    expect(check.seen.adopted).toMatchObject([{ leaseId: lease!.id }])
  })
})

describe('a checkpoint', () => {
  const notes = [offered, 'checkpoint', redeemed(ticketOf()), 'checkpoint'] as const

  test('is checked with the key that it names', () => {
    expect(check(ledgerOf(notes))).toMatchObject({
      faults: [],
      checkpoints: { count: 2, keys: [site.key] },
    })
  })

  test('that signs another line, or with another key, is a fault', () => {
    const entries = ledgerOf(notes)
    const data = entries[1]!.data as { seq: number; key: string }
    const alter = (change: object): LedgerEntry[] => {
      const { hash: _, ...line } = entries[1]!
      const head = { seq: 1, hash: entries[0]!.hash }
      return [entries[0]!, chain({ ...line, data: { ...data, ...change } }, line.at, line.actor, head)]
    }
    expect(check(alter({ key: broker.key })).faults).toEqual([
      'the checkpoint in line 2 is not signed with the key that it names',
    ])
    expect(check(alter({ seq: 0 })).faults).toEqual([
      'the checkpoint in line 2 signs another line than the one before it',
    ])
    expect(check(alter({ signature: 1 })).faults).toEqual(['line 2 is a checkpoint that signs nothing'])
  })

  test('holds its actor to the lines before: a chain computed anew does not fit it', () => {
    const entries = ledgerOf(notes)
    const again: LedgerEntry[] = []
    for (const { hash: _, seq, prev: __, ...line } of entries) {
      const reason = seq === 1 ? '40 units' : line.reason
      again.push(chain({ ...line, reason }, line.at, line.actor, again.at(-1) ?? NO_LINE))
    }
    expect(check(again).faults).toContain(
      'the checkpoint in line 2 signs another line than the one before it',
    )
  })
})

describe('what is done to a ledger afterwards is found', () => {
  const started: LedgerNote = {
    ...{ kind: 'started', subject: 'site', reason: 'the site begins epoch 1' },
    data: { hosts: [{ name: 'a', capacity: { cpu: 4 } }] },
  }
  const assigned = (unit: string, slot: number): LedgerNote => ({
    ...{ kind: 'unit assigned', subject: unit, reason: 'best fit' },
    data: { leaseId: 'lease-1', host: 'a', slot, vector: { cpu: 1 } },
  })
  const entries = ledgerOf([
    started,
    offered,
    redeemed(ticketOf()),
    assigned('u1', 1),
    'checkpoint',
    assigned('u2', 2),
  ])

  test('nothing: it is verified', () => expect(check(entries).faults).toEqual([]))
  test('an injected double hold', () =>
    expect(check(ledgerOf([started, assigned('u1', 1), assigned('u2', 1)])).faults).toEqual([
      'slot 1 is given to u2 while u1 holds it',
    ]))
  test('a removed line', () => expect(check(entries.toSpliced(3, 1)).faults).not.toEqual([]))
  test('an altered line', () =>
    expect(check(entries.with(3, { ...entries[3]!, reason: 'x' })).faults).toEqual(['line 4 was altered']))
  test('a swapped pair', () =>
    expect(check(entries.with(2, entries[3]!).with(3, entries[2]!)).faults).not.toEqual([]))
})
