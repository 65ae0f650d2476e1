import { z } from 'zod'
import { canonical, digest, signable } from './canonical.ts'
import type { Instant } from './clock.ts'
import type { ErrorCode } from './errors.ts'
import type { ActorName, Identity, Trust } from './identity.ts'
import { flawOf, plainCopy } from './plain.ts'

export const PROTOCOL = 1

/** The longest body, in characters of its canonical form: a thousand units with all their facts fit well. */
export const BODY_CHARS_MAX = 1_048_576

/** Printable and without a space, so that two words of an envelope make one key. */
const word = (max: number): z.ZodString =>
  z
    .string()
    .max(max)
    .regex(/^[!-~]+$/)

/** What travels between actors. The signature covers everything but the body, which its hash stands for. */
export const envelopeSchema = z.strictObject({
  protocol: z.int(),
  id: word(80),
  from: word(80),
  to: word(80),
  /** What is asked or told, such as `redeem`. */
  kind: word(40),
  /** The lease, delegation or query it is about. */
  subject: word(80),
  /** 1, 2, 3 ... per subject, peer and direction. */
  number: z.int().min(1),
  bodyHash: word(80),
  body: z.unknown(),
  sentAt: z.int(),
  /** Worthless after this; the sender stops repeating it. */
  until: z.int(),
  signature: word(200),
})
export type Envelope = Readonly<z.infer<typeof envelopeSchema>>

/**
 * The receiver's word that a message is durable in its inbox, or why it never will be. It carries the
 * receiver's clock, from which the sender learns the offset between the two.
 */
export const ackSchema = z.strictObject({
  protocol: z.int(),
  /** The message it acknowledges. */
  id: word(80),
  from: word(80),
  to: word(80),
  outcome: z.enum(['received', 'noted', 'busy', 'refused']),
  code: z.string().max(40),
  reason: z.string().max(500),
  at: z.int(),
  signature: word(200),
})
export type Ack = Readonly<z.infer<typeof ackSchema>>

const signedText = ({ signature: _, body: __, ...head }: Envelope): string => signable('message', head)

/** Signs a message. Throws for a body that its receiver would refuse. */
export function seal(
  unsigned: Omit<Envelope, 'signature' | 'bodyHash' | 'protocol'>,
  identity: Identity,
): Envelope {
  // The body is what JSON makes of it, here as after a restart.
  const body = plainCopy(unsigned.body)
  const flaw = flawOf(body, BODY_CHARS_MAX)
  const text = canonical(body)
  if (flaw !== undefined || text.length > BODY_CHARS_MAX)
    throw new Error(
      `the body of ${unsigned.kind} to ${unsigned.to} cannot travel: ${flaw ?? `it is ${text.length} characters long`}`,
    )
  const envelope = { ...unsigned, body, protocol: PROTOCOL, bodyHash: digest(text), signature: '' }
  return { ...envelope, signature: identity.sign(signedText(envelope)) }
}

/** Why a message is not to be believed; undefined if it may be. The cheap checks come first. */
export function mistrust(
  envelope: Envelope,
  self: ActorName,
  trust: Trust,
  now: Instant,
  skewMsMax: number,
): { code: ErrorCode; reason: string } | undefined {
  if (envelope.protocol !== PROTOCOL)
    return { code: 'message-malformed', reason: `protocol ${envelope.protocol} is not spoken here` }
  if (envelope.to !== self)
    return { code: 'message-misaddressed', reason: `the message is for ${envelope.to}, this is ${self}` }
  if (!trust.knows(envelope.from))
    return { code: 'message-unknown-peer', reason: `${envelope.from} is not a known peer` }
  if (now > envelope.until + skewMsMax)
    return {
      code: 'message-expired',
      reason: `the message was good until ${new Date(envelope.until).toISOString()}`,
    }
  const flaw = flawOf(envelope.body, BODY_CHARS_MAX)
  if (flaw !== undefined) return { code: 'message-malformed', reason: `the body will not do: ${flaw}` }
  const text = canonical(envelope.body)
  if (text.length > BODY_CHARS_MAX)
    return { code: 'message-malformed', reason: `the body is ${text.length} characters long` }
  if (digest(text) !== envelope.bodyHash)
    return { code: 'message-forged', reason: 'the body does not fit its hash' }
  if (!trust.verify(envelope.from, signedText(envelope), envelope.signature))
    return { code: 'message-forged', reason: `the signature is not ${envelope.from}’s` }
  return undefined
}

export function sealAck(ack: Omit<Ack, 'signature' | 'protocol'>, identity: Identity): Ack {
  const unsigned = { ...ack, protocol: PROTOCOL }
  return { ...unsigned, signature: identity.sign(signable('acknowledgement', unsigned)) }
}

/** Whether an acknowledgement is the peer's word on this very message. */
export function isAckOf(candidate: unknown, envelope: Envelope, trust: Trust): candidate is Ack {
  const read = ackSchema.safeParse(candidate)
  if (!read.success) return false
  const ack = read.data
  const { signature, ...unsigned } = ack
  return (
    ack.protocol === PROTOCOL &&
    ack.reason.isWellFormed() &&
    ack.code.isWellFormed() &&
    ack.id === envelope.id &&
    ack.from === envelope.to &&
    ack.to === envelope.from &&
    trust.verify(envelope.to, signable('acknowledgement', unsigned), signature)
  )
}
