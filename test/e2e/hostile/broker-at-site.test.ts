import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Claim, hashOfClaim, issueClaim } from '../../../actors/leases/claim.ts'
import { issueTicket, type Ticket } from '../../../actors/leases/ticket.ts'
import { signable } from '../../../actors/runtime/canonical.ts'
import { ed25519Identity, generateKeys, type Identity } from '../../../actors/runtime/identity.ts'
import type { Puppet } from './puppet.ts'
import { World } from './world.ts'

/** A broker that lies, with a key that is trusted, and its accomplice, against a site in a process of its own. */
const world = new World({
  live: ['site'],
  played: { broker: 'broker', mallory: 'manager', anna: 'manager' },
  units: 4,
})
let broker: Puppet
let mallory: Puppet
let anna: Puppet
let root: Claim
beforeAll(async () => {
  await world.open()
  broker = world.puppets.broker!
  mallory = world.puppets.mallory!
  anna = world.puppets.anna!
  root = (await broker.hears('delegation', 'offer-vm.small')).body.claim!
}, 180_000)
let failed = false
afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail'
})
afterAll(() => world.close(failed), 30_000)

const now = (): number => Math.floor(performance.timeOrigin + performance.now())
const MINUTE = 60_000
let count = 0
const newLease = (): string => `lease-lie-${++count}`

interface Deal {
  readonly leaseId?: string
  readonly holder?: Puppet
  readonly chain?: readonly Claim[] | undefined
  readonly by?: Identity
  /** In its proof. */
  readonly more?: object
  readonly change?: Partial<Omit<Ticket, 'signature' | 'broker'>>
}

/** What the holder signed when he asked. */
function requestOf(by: Identity, subject: string): Record<string, string> {
  const head = { id: 'message-1', from: by.name, kind: 'ticket', subject, key: by.key }
  return { ...head, signature: by.sign(signable('message', head)) }
}

/** A ticket as the broker draws it from its claim, but for what is changed. */
function ticketOf({
  leaseId = newLease(),
  holder = mallory,
  chain = [root],
  by = broker.identity,
  more = {},
  change = {},
}: Deal): Ticket {
  const last = chain.at(-1)
  const { key } = holder.identity
  const request = requestOf(holder.identity, leaseId)
  const proof = { brokerKey: by.key, holderKey: key, vector: root.vector, request, ...more }
  const ticket = issueTicket(
    {
      ...{
        id: `ticket-of-${leaseId}`,
        leaseId,
        holder: holder.name,
        site: 'site',
        type: 'vm.small',
        units: 1,
      },
      ...{ term: { start: now() - 1_000, end: now() + 5 * MINUTE }, predecessor: null, issuedAt: now() },
      conditions: root.conditions,
      ...(last === undefined ? {} : { proof: { ...proof, parent: hashOfClaim(last) } }),
      ...change,
    },
    by,
  )
  return last === undefined ? ticket : { ...ticket, chain: [...chain] }
}

const redeem = (ticket: Ticket, as = mallory, leaseId = ticket.leaseId) =>
  as.utters('site', 'redeem', leaseId, { ticket, properties: {} })

/** A claim drawn from another one. */
const childOf = (parent: Claim, change: Partial<Claim> = {}, by = broker.identity): Claim => {
  const { v: _, issuer: __, issuerKey: ___, signature: ____, ...record } = parent
  return issueClaim({ ...record, id: `delegation-${++count}`, parent: hashOfClaim(parent), ...change }, by)
}

const stranger = (name: string): Identity => ed25519Identity(name, generateKeys().privateKey)
const rootBy = (by: Identity, change: Partial<Claim> = {}): Claim =>
  childOf(root, { parent: null, ...change }, by)

const lies: readonly [string, () => Ticket, RegExp][] = [
  [
    'drawn from a claim that repeats itself',
    () => ticketOf({ chain: [root, root] }),
    /claim delegation-\w+ does not follow/,
  ],
  [
    'drawn from a claim of its own as the site',
    () => ticketOf({ chain: [rootBy(broker.identity, { site: 'broker' })] }),
    /is of broker|is for site, not for broker/,
  ],
  [
    'drawn from a claim that a stranger signed as the site',
    () => ticketOf({ chain: [rootBy(stranger('site'))] }),
    /the key of claim delegation-\d+ is not one of site/,
  ],
  [
    'drawn from a claim of another site',
    () => ticketOf({ chain: [rootBy(stranger('elsewhere'), { site: 'elsewhere' })] }),
    /is for site, not for elsewhere/,
  ],
  [
    'drawn from a second claim for more units than the first',
    () => ticketOf({ chain: [root, childOf(root, { units: root.units + 1, holder: 'broker' })] }),
    /is for 5 units, more than the 4 delegated/,
  ],
  [
    'drawn from a claim that somebody else handed on',
    () => ticketOf({ chain: [root, childOf(root, {}, stranger('mallory'))] }),
    /is not of broker/,
  ],
  [
    'without its claims',
    () => {
      const { chain: _, ...bare } = ticketOf({})
      return bare as Ticket
    },
    /comes without the claims/,
  ],
  [
    'for larger units',
    () => ticketOf({ more: { vector: { ...root.vector, cpu: root.vector.cpu! + 1 } } }),
    /larger units/,
  ],
  [
    'for longer than the site lets anybody',
    () => ticketOf({ change: { term: { start: now() - 1_000, end: now() + 61 * MINUTE } } }),
    /a term is at most .+ long here/,
  ],
  [
    'that ends after what was delegated',
    () => ticketOf({ change: { term: { start: root.term.end - MINUTE, end: root.term.end + MINUTE } } }),
    /beyond the term of what was delegated/,
  ],
  ['of a type that was never delegated', () => ticketOf({ change: { type: 'vm.huge' } }), /no type vm\.huge/],
  ['for more units than there are', () => ticketOf({ change: { units: 5 } }), /only 4 of vm\.small/],
  [
    'under other conditions',
    () => ticketOf({ change: { conditions: { ...root.conditions, graceMs: 365 * 24 * 60 * MINUTE } } }),
    /changes the conditions/,
  ],
  [
    'under other conditions, and without a claim',
    () =>
      ticketOf({
        chain: [],
        change: { conditions: { ...root.conditions, graceMs: 365 * 24 * 60 * MINUTE } },
      }),
    /conditions that this site does not lend under/,
  ],
  ['signed with another key', () => ticketOf({ by: stranger('broker') }), /is not signed by broker/],
  [
    'signed by the holder himself',
    () => ticketOf({ by: mallory.identity }),
    /from mallory, not from broker|held by broker, not by mallory/,
  ],
  ['granted to somebody else', () => ticketOf({ holder: anna }), /issued to anna, not to mallory/],
  [
    'granted to a key that its holder does not have',
    () => ticketOf({ more: { holderKey: stranger('mallory').key } }),
    /a key that mallory has not shown/,
  ],
  ['for which nobody asked', () => ticketOf({ more: { request: {} } }), /a request that is not whole/],
  [
    'for which the broker itself asked',
    () => ticketOf({ leaseId: 'lease-7', more: { request: requestOf(stranger('mallory'), 'lease-7') } }),
    /signed with another key/,
  ],
  [
    'for which another one asked',
    () => ticketOf({ more: { request: requestOf(anna.identity, 'lease-8') } }),
    /a request of anna/,
  ],
  ['for another lease', () => ticketOf({ leaseId: 'lease-of-another' }), /is for lease-of-another/],
  ['that is over', () => ticketOf({ change: { term: { start: 1, end: 2 } } }), /its term has ended/],
  ['for another site', () => ticketOf({ change: { site: 'elsewhere' } }), /for the site elsewhere/],
  [
    'that extends one which was never redeemed',
    () => ticketOf({ change: { predecessor: 'ticket-never' } }),
    /which was not redeemed here/,
  ],
]

test('each lie in a ticket is refused by name, told to its holder, written down, and changes nothing', async () => {
  const before = JSON.stringify(world.rows('site'))
  for (const [what, make, sentence] of lies) {
    const ticket = make()
    const leaseId = what === 'for another lease' ? newLease() : ticket.leaseId
    const ack = await redeem(ticket, mallory, leaseId)
    expect([what, ack.outcome]).toEqual([what, 'received'])
    const { body } = await mallory.hears('lease-update', leaseId)
    expect([what, body.state]).toEqual([what, 'closed'])
    expect(`${what}: ${body.reason}`).toMatch(sentence)
    expect(await world.notes('site', 'redeem refused', leaseId)).toEqual([
      expect.stringContaining(body.reason),
    ])
  }
  expect(JSON.stringify(world.rows('site'))).toBe(before)
})

const liveUnits = (): number =>
  Object.keys(world.rows('site')).filter((key) => key.startsWith('unit ')).length

test('one delegation is given away once: the later of two tickets that overlap is refused, and both are kept', async () => {
  const first = ticketOf({ change: { units: 3 } })
  await redeem(first)
  await mallory.hears('lease-update', first.leaseId, ({ state }) => state === 'active')
  const second = ticketOf({ holder: anna, change: { units: 3 } })
  await redeem(second, anna)
  const { body } = await anna.hears('lease-update', second.leaseId)
  expect(body).toMatchObject({
    state: 'closed',
    reason: expect.stringMatching(/more than the 1 left of claim/),
  })
  const [evidence] = (await world.ledger('site', root.id)).filter(({ kind }) => kind === 'claim overdrawn')
  expect(evidence?.data).toMatchObject({ claim: root, ticket: { id: second.id }, others: [first.id] })
  // Cut into pieces they are as many, also of another claim, and of none.
  for (const chain of [[root], [root, childOf(root)], []] as const) {
    const third = ticketOf({ holder: anna, chain, change: { units: 2 } })
    await redeem(third, anna)
    const { body: said } = await anna.hears('lease-update', third.leaseId)
    expect(said).toMatchObject({ state: 'closed', reason: expect.stringMatching(/more than the 1 left/) })
  }
  expect(liveUnits()).toBe(3)

  // A ticket again, and another one under the same lease: the lease stands as it is.
  const before = JSON.stringify(world.rows('site'))
  await redeem(first)
  await redeem({ ...ticketOf({ leaseId: first.leaseId, change: { units: 4 } }) })
  await redeem(ticketOf({ holder: anna, leaseId: first.leaseId }), anna)
  expect(await world.notes('site', 'redeem refused', first.leaseId)).toEqual([
    expect.stringContaining(`the lease id ${first.leaseId} is in use`),
  ])
  expect(JSON.stringify(world.rows('site'))).toBe(before)
})

test('nobody touches the lease of another', async () => {
  const annas = ticketOf({ holder: anna })
  await redeem(annas, anna)
  await anna.hears('lease-update', annas.leaseId, ({ state }) => state === 'active')
  const { leaseId } = annas
  const unit = Object.values(world.rows('site')).find(
    (row) => (row as { leaseId?: string }).leaseId === leaseId,
  ) as { id: string }
  const before = JSON.stringify(world.rows('site'))
  const extension = ticketOf({
    leaseId,
    change: { predecessor: annas.id, term: { start: annas.term.end, end: annas.term.end + MINUTE } },
  })
  for (const [kind, body] of [
    ['extend-lease', { ticket: extension, victims: [] }],
    ['modify-lease', { modificationId: 'modification-1', properties: { note: 'mine now' } }],
    ['vacate', { units: [unit.id], reason: 'gone' }],
    ['close', { reason: 'over' }],
  ] as const) {
    await mallory.utters('site', kind, leaseId, body)
    await world.until(
      `${kind} is refused`,
      () => world.notes('site', 'message refused', leaseId),
      (notes) =>
        notes.some((note) => note === `mallory sends ${kind} for a lease that it does not hold here`),
    )
  }
  expect(await mallory.hears('lease-update', leaseId)).toMatchObject({ body: { state: 'closed', units: [] } })
  expect(anna.heard.filter(({ subject }) => subject === leaseId).at(-1)?.body).toMatchObject({
    state: 'active',
  })
  expect(JSON.stringify(world.rows('site'))).toBe(before)
})

test('what has not the form of a request is refused by name', async () => {
  const before = JSON.stringify(world.rows('site'))
  const nine = Array.from({ length: 9 }, () => root)
  for (const [kind, body, sentence] of [
    ['redeem', { ticket: { ...ticketOf({}), chain: nine }, properties: {} }, /redeem: ticket\.chain: /],
    ['redeem', { ticket: { ...ticketOf({}), units: 0 }, properties: {} }, /redeem: ticket\.units: /],
    ['redeem', { ticket: ticketOf({}), properties: { n: 1 } }, /redeem: properties\.n: /],
    ['ticket', {}, /a site is not told ticket/],
    ['nonsense', {}, /a site is not told nonsense/],
  ] as const) {
    const leaseId = newLease()
    await mallory.utters('site', kind, leaseId, body)
    const notes = await world.until(
      `${kind} is refused`,
      () => world.notes('site', 'message refused', leaseId),
      ({ length }) => length > 0,
    )
    expect(notes).toEqual([expect.stringMatching(sentence)])
  }
  expect(JSON.stringify(world.rows('site'))).toBe(before)
})

test('and honest leases go on, end and are proven', async () => {
  for (const puppet of [mallory, anna]) {
    const active = puppet.heard.filter(
      ({ kind, body }) => kind === 'lease-update' && (body as { state: string }).state === 'active',
    )
    for (const subject of new Set(active.map((one) => one.subject))) {
      await puppet.utters('site', 'close', subject, { reason: 'done' })
      await puppet.hears('lease-update', subject, ({ state }) => state === 'closed')
    }
  }
  await world.processes.site!.kill()
  await world.processes.site!.up()
  const honest = ticketOf({ holder: anna, change: { units: 4 } })
  await redeem(honest, anna)
  await anna.hears('lease-update', honest.leaseId, ({ state }) => state === 'active')
  expect(await world.faults('site')).toEqual([])
}, 180_000)
