import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { doubtChain } from '../../actors/leases/chain.ts'
import { CHAIN_MAX, type Claim, hashOfClaim, issueClaim } from '../../actors/leases/claim.ts'
import {
  doubtTicket,
  issueTicket,
  type Ticket,
  ticketSchema,
  withoutChain,
} from '../../actors/leases/ticket.ts'
import type { Identity } from '../../actors/runtime/identity.ts'
import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'

const NOW = Date.UTC(2026, 0, 5, 8)
const HOUR = 3_600_000
const keys = Object.fromEntries(
  ['site', 'broker', 'reseller', 'manager', 'mallory'].map((name) => [name, generateKeys()]),
)
const who = (name: string, keyOf = name): Identity => ed25519Identity(name, keys[keyOf]!.privateKey)
const trust = ed25519Trust({
  site: keys.site!.publicKey,
  broker: keys.broker!.publicKey,
  reseller: keys.reseller!.publicKey,
  manager: keys.manager!.publicKey,
})

const conditions = { recallable: true, noticeMs: 1_000, graceMs: 5_000 }
const root = (change: Partial<Claim> = {}, issuer = who('site')): Claim =>
  issueClaim(
    {
      ...{ id: 'claim-1', parent: null, holder: 'broker', holderKey: who('broker').key },
      ...{ site: 'site', type: 'small', units: 10, vector: { cpu: 2, memoryMiB: 2048 } },
      ...{ term: { start: NOW, end: NOW + 10 * HOUR }, conditions, issuedAt: NOW },
      ...change,
    },
    issuer,
  )
const resold = (parent: Claim, change: Partial<Claim> = {}, issuer = who('broker')): Claim =>
  root(
    {
      id: 'claim-2',
      parent: hashOfClaim(parent),
      holder: 'reseller',
      holderKey: who('reseller').key,
      units: 5,
      ...change,
    },
    issuer,
  )

function drawn(
  chain: readonly Claim[],
  change: Partial<Ticket> = {},
  issuer = who(chain.at(-1)!.holder),
  vector = { cpu: 1 },
): Ticket {
  const ticket = issueTicket(
    {
      ...{ id: 'ticket-1', leaseId: 'lease-1', holder: 'manager', site: 'site', type: 'small', units: 2 },
      ...{ term: { start: NOW, end: NOW + HOUR }, predecessor: null, conditions, issuedAt: NOW },
      proof: {
        ...{ parent: hashOfClaim(chain.at(-1)!), brokerKey: issuer.key, holderKey: who('manager').key },
        ...{ vector, request: {} },
      },
      ...change,
    },
    issuer,
  )
  return { ...ticket, chain: [...chain] }
}
const doubt = (ticket: Ticket): string | undefined => doubtChain(ticket, NOW, trust)

describe('a ticket that is drawn from claims', () => {
  const site = root()

  test('is good for what its site delegated', () => {
    expect(doubt(drawn([site]))).toBeUndefined()
    expect(doubt(drawn([site, resold(site)]))).toBeUndefined()
  })

  test('travels with its claims and is kept without them', () => {
    const ticket = drawn([site])
    expect(ticketSchema.parse(JSON.parse(JSON.stringify(ticket)))).toEqual(ticket)
    const expected = { holder: 'manager', site: 'site', broker: 'broker', now: NOW }
    expect(doubtTicket(withoutChain(ticket), expected, trust)).toBeUndefined()
    expect(doubt(withoutChain(ticket))).toBe('it comes without the claims it is drawn from')
  })

  const wider: Record<string, [Partial<Ticket>, string]> = {
    units: [{ units: 11 }, 'is for 11 units, more than the 10 delegated'],
    type: [{ type: 'large' }, 'is for large, not for small'],
    site: [{ site: 'elsewhere' }, 'is for elsewhere, not for site'],
    start: [{ term: { start: NOW - 1, end: NOW + HOUR } }, 'goes beyond the term of what was delegated'],
    end: [{ term: { start: NOW, end: NOW + 10 * HOUR + 1 } }, 'goes beyond the term of what was delegated'],
    conditions: [{ conditions: { ...conditions, recallable: false } }, 'changes the conditions'],
  }
  test.each(Object.entries(wider))('is not for more: %s', (_, [change, reason]) =>
    expect(doubt(drawn([site], change))).toBe(reason))

  test('is not for larger units, nor for other dimensions', () => {
    for (const vector of [{ cpu: 3 }, { gpu: 1 } as unknown as { cpu: number }])
      expect(doubt(drawn([site], {}, who('broker'), vector))).toBe('is for larger units than those delegated')
  })

  test('is nobody’s who was not given the claim', () => {
    expect(doubt(drawn([site], {}, who('reseller')))).toBe('claim claim-1 is held by broker, not by reseller')
    expect(doubt(drawn([site], {}, who('broker', 'mallory')))).toBe(
      'it is signed with a key that claim-1 was not given to',
    )
  })

  test('does not begin with a claim that the site did not sign', () => {
    expect(doubt(drawn([root({}, who('site', 'mallory'))]))).toBe(
      'the key of claim claim-1 is not one of site',
    )
    expect(doubt(drawn([root({}, who('broker'))]))).toBe('its first claim is of broker, not of the site')
    const forged = { ...site, units: 100 }
    expect(doubt(drawn([forged]))).toBe('claim claim-1 is not signed by site')
  })

  test('is drawn from claims that follow each other and become no wider', () => {
    expect(doubt(drawn([resold(site)]))).toBe('its first claim is drawn from another one, which is missing')
    const other = root({ id: 'claim-9' })
    expect(doubt(drawn([other, resold(site)]))).toBe('claim claim-2 does not follow claim-9')
    const more = resold(site, { units: 11 })
    expect(doubt(drawn([site, more]))).toBe('claim claim-2 is for 11 units, more than the 10 delegated')
    const stolen = resold(site, {}, who('reseller'))
    expect(doubt(drawn([site, stolen]))).toBe('claim claim-2 is not of broker')
    expect(doubt({ ...drawn([site]), chain: [other] })).toBe('it does not follow claim claim-9')
  })

  test('is drawn from few', () => {
    const chain = [root({ holder: 'site', holderKey: who('site').key })]
    while (chain.length <= CHAIN_MAX)
      chain.push(
        resold(chain.at(-1)!, { holder: 'site', holderKey: who('site').key, units: 10 }, who('site')),
      )
    expect(doubt(drawn(chain, {}, who('site')))).toBe(`it is drawn from more than ${CHAIN_MAX} claims`)
  })

  test('may be signed with a newer key of the same broker, while both are trusted', () => {
    const next = generateKeys()
    const newer = ed25519Identity('broker', next.privateKey)
    const both = ed25519Trust({
      site: keys.site!.publicKey,
      broker: [{ key: who('broker').key }, { key: newer.key }],
    })
    const ticket = drawn([site], {}, newer)
    expect(doubtChain(ticket, NOW, both)).toBeUndefined()
    expect(doubt(ticket)).toBe('it is signed with a key that claim-1 was not given to')
  })

  test('is doubted when any one thing of it or of its claims is changed', () => {
    const ticket = drawn([site, resold(site)])
    const expected = { holder: 'manager', site: 'site', broker: 'reseller', now: NOW }
    const paths = pathsOf(ticket)
    fc.assert(
      fc.property(
        fc.constantFrom(...paths),
        fc.oneof(fc.integer(), fc.string(), fc.constant(null)),
        (path, value) => {
          const changed = withAt(ticket, path, value)
          if (JSON.stringify(changed) === JSON.stringify(ticket)) return
          const read = ticketSchema.safeParse(changed)
          if (!read.success) return
          expect(doubtTicket(read.data, expected, trust) ?? doubt(read.data)).toBeDefined()
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

type Path = readonly (string | number)[]

const pathsOf = (value: unknown, at: Path = []): Path[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...at, key]))
    : [at]

function withAt(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined) return to
  if (Array.isArray(value))
    return value.map((inner, i) => (String(i) === key ? withAt(inner, rest, to) : inner))
  const inner = (value as Record<string, unknown>)[key]
  return { ...(value as object), [key]: withAt(inner, rest, to) }
}
