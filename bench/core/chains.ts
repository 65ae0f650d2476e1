import { doubtChain } from '../../actors/leases/chain.ts'
import { CHAIN_MAX, type Claim, claimText, hashOfClaim, issueClaim } from '../../actors/leases/claim.ts'
import { doubtTicket, issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { ed25519Identity, ed25519Trust, generateKeys, type Trust } from '../../actors/runtime/identity.ts'

export interface ChainFigures {
  /** Claims before the ticket. */
  readonly length: number
  /** By somebody who has seen none of the claims before. */
  readonly verifyMs: number
  /** By somebody who has, and remembers which signatures were good. */
  readonly againMs: number
  readonly floorMs: number
}

const NOW = Date.UTC(2026, 0, 5, 8)

/** How long it takes to check a ticket by the number of claims it is drawn from. */
export function chains(rounds: number): readonly ChainFigures[] {
  const names = ['site', ...Array.from({ length: CHAIN_MAX }, (_, i) => `broker-${i}`)]
  const keys = names.map(() => generateKeys())
  const identities = names.map((name, i) => ed25519Identity(name, keys[i]!.privateKey))
  const trust = ed25519Trust(Object.fromEntries(names.map((name, i) => [name, keys[i]!.publicKey])))
  const conditions = { recallable: true, noticeMs: 1, graceMs: 1 }
  const common = { site: 'site', type: 'small', units: 10, conditions, issuedAt: NOW }
  return Array.from({ length: CHAIN_MAX }, (_, i) => i + 1).map((length) => {
    const chain: Claim[] = []
    for (let i = 0; i < length; i++) {
      const parent = i === 0 ? null : hashOfClaim(chain[i - 1]!)
      const holder = { holder: names[i + 1]!, holderKey: identities[i + 1]!.key }
      const term = { start: NOW, end: NOW + 3_600_000 }
      chain.push(
        issueClaim(
          { ...common, ...holder, id: `claim-${i}`, parent, vector: { cpu: 1 }, term },
          identities[i]!,
        ),
      )
    }
    const broker = identities[length]!
    const ticket: Ticket = {
      ...issueTicket(
        {
          ...{ ...common, id: 'ticket-1', leaseId: 'lease-1', holder: 'manager', predecessor: null },
          term: { start: NOW, end: NOW + 1_000 },
          proof: {
            ...{ parent: hashOfClaim(chain.at(-1)!), brokerKey: broker.key, holderKey: broker.key },
            ...{ vector: { cpu: 1 }, request: {} },
          },
        },
        broker,
      ),
      chain,
    }
    const expected = { holder: 'manager', site: 'site', broker: broker.name, now: NOW }
    const doubt = doubtTicket(ticket, expected, trust) ?? doubtChain(ticket, NOW, trust)
    if (doubt !== undefined) throw new Error(doubt)
    const check = (by: Trust): void => {
      if ((doubtTicket(ticket, expected, by) ?? doubtChain(ticket, NOW, by)) !== undefined)
        throw new Error('a ticket that was good is not any more')
    }
    // What is remembered of signatures is remembered for each trust.
    const verifyMs = timed(rounds, () => check({ ...trust }))
    const againMs = timed(rounds, () => check(trust))
    const texts = [
      ...chain.map((claim, i) => ({
        text: claimText(claim),
        signature: claim.signature,
        key: identities[i]!.key,
      })),
    ]
    texts.push({ text: claimText(chain[0]!), signature: chain[0]!.signature, key: identities[0]!.key })
    const floorMs = timed(rounds, () => {
      for (const { text, signature, key } of texts) trust.verifyBy(key, text, signature)
    })
    return { length, verifyMs, againMs, floorMs }
  })
}

function timed(rounds: number, work: () => void): number {
  for (let i = 0; i < 20; i++) work()
  const began = performance.now()
  for (let i = 0; i < rounds; i++) work()
  return (performance.now() - began) / rounds
}
