import { z } from 'zod'
import { digest, signable } from '../runtime/canonical.ts'
import { instantSchema } from '../runtime/envelope.ts'
import type { Identity } from '../runtime/identity.ts'
import { conditionsSchema } from './conditions.ts'
import { vectorSchema } from './resources.ts'
import { termSchema } from './term.ts'

/** No chain of claims is longer. */
export const CHAIN_MAX = 8

const name = z.string().min(1).max(80)
/** An Ed25519 public key: 32 bytes, base64url. */
export const keySchema = z.string().length(43)

/**
 * The right to give away units of a site, as one hands it to the next (SHARP). With a root claim the site delegates;
 * each further one is drawn from the one before and is no wider.
 *
 *   site ──claim──▶ broker ──claim──▶ broker ──ticket──▶ service manager
 *          root, no parent    parent: the hash of the one before
 */
export const claimSchema = z.strictObject({
  v: z.literal(2),
  id: name,
  parent: z.string().max(80).nullable(),
  issuer: name,
  issuerKey: keySchema,
  holder: name,
  holderKey: keySchema,
  site: name,
  type: name,
  units: z.int().min(1).max(1_000_000),
  /** The most that one unit may be. */
  vector: vectorSchema,
  /** Nothing that is drawn from it begins before, or ends after. */
  term: termSchema,
  conditions: conditionsSchema,
  issuedAt: instantSchema,
  signature: z.string().max(200),
})
export type Claim = Readonly<z.infer<typeof claimSchema>>

export const claimText = ({ signature: _, ...unsigned }: Claim): string => signable('claim', unsigned)

export function issueClaim(
  record: Omit<Claim, 'v' | 'issuer' | 'issuerKey' | 'signature'>,
  issuer: Identity,
): Claim {
  const unsigned = { ...record, v: 2 as const, issuer: issuer.name, issuerKey: issuer.key, signature: '' }
  return { ...unsigned, signature: issuer.sign(claimText(unsigned)) }
}

/** What a child names as its parent: the hash over the whole claim, signature and all. */
export const hashOfClaim = (claim: Claim): string => digest(signable('signed claim', claim))

/** Whether each claim follows the one before, and the last is the one of this hash: no others do, then. */
export const leadTo = (chain: readonly Claim[], hash: string): boolean =>
  chain.reduce<string | null>(
    (before, claim) => (claim.parent === before ? hashOfClaim(claim) : ''),
    null,
  ) === hash
