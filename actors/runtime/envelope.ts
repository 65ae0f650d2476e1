import { z } from 'zod'
import { canonical, digest, signable } from './canonical.ts'
import { type Instant, LATEST, type Millis } from './clock.ts'
import type { ErrorCode } from './errors.ts'
import type { ActorName, Identity, Trust } from './identity.ts'
import { flawOf, plainCopy } from './plain.ts'

/**
 * The protocols that are spoken here, the oldest first. Each peer is talked to in the highest that both speak.
 *
 *   1    a name signs with its one key
 *   2    the key is in the message, and where the message stands in all that its sender ever said
 */
export const PROTOCOLS: readonly number[] = [1, 2]

/** The longest body, in characters of its canonical form: a thousand units with all their facts fit well. */
export const BODY_CHARS_MAX = 1_048_576

/** A message as its sender keeps it: it is signed when it is sent, with the key and in the protocol of that moment. */
export interface Letter {
  readonly id: string
  readonly from: ActorName
  readonly to: ActorName
  readonly kind: string
  readonly subject: string
  readonly number: number
  readonly bodyHash: string
  readonly body: unknown
  readonly sentAt: Instant
  readonly until: Instant
}

/** Where a message stands in all that its sender ever said. */
export interface Place {
  /** Higher after the sender lost memory; 0 until then. */
  readonly generation: number
  /** How many messages the sender had composed, over all peers and lives. */
  readonly seq: number
}

/** Printable and without a space, so that two words of an envelope make one key. */
const word = (max: number): z.ZodString => z.string().regex(new RegExp(`^[!-~]{1,${max}}$`))

export const instantSchema = z.int().min(0).max(LATEST)

const publicKey = z.string().regex(/^[\w-]{43}$/)

/** What travels between actors. The signature covers everything but the body, which its hash stands for. */
export const envelopeSchema = z
  .strictObject({
    protocol: z.int(),
    id: word(80),
    from: word(80),
    to: word(80),
    /** What is asked or told, such as `redeem`. */
    kind: word(40),
    /** The lease, delegation or query it is about. */
    subject: word(80),
    /** Grows per subject, peer and direction. */
    number: z.int().min(1),
    bodyHash: word(80),
    body: z.unknown(),
    sentAt: instantSchema,
    /** Worthless after this; the sender stops repeating it. */
    until: instantSchema,
    signature: word(200),
    /** From protocol 2 on: what the signature is checked with, and the place of the message. */
    key: publicKey.optional(),
    generation: z.int().min(0).optional(),
    seq: z.int().min(0).optional(),
  })
  .refine(({ protocol, ...added }) => hasAll(protocol, added))
export type Envelope = Readonly<z.infer<typeof envelopeSchema>>

/**
 * The receiver's word that a message is durable in its inbox, or why it never will be. It carries the
 * receiver's clock, from which the sender learns the offset between the two.
 */
export const ackSchema = z
  .strictObject({
    protocol: z.int(),
    /** The message it acknowledges. */
    id: word(80),
    from: word(80),
    to: word(80),
    outcome: z.enum(['received', 'noted', 'busy', 'refused']),
    code: z.string().max(40),
    reason: z.string().max(500),
    at: instantSchema,
    signature: word(200),
    /** From protocol 2 on: as in a message, and the highest `seq` that was ever seen of the one it answers. */
    key: publicKey.optional(),
    generation: z.int().min(0).optional(),
    seenSeq: z.int().min(0).optional(),
    /** With `busy`: when to come again. Said of whoever sends too much, from protocol 2 on. */
    retryAfterMs: z.int().min(0).optional(),
  })
  .refine(({ protocol, ...added }) => hasAll(protocol, { ...added, seq: added.seenSeq }))
export type Ack = Readonly<z.infer<typeof ackSchema>>

/** What protocol 2 added is there from then on, and not before. */
function hasAll(
  protocol: number,
  { key, generation, seq }: { key?: unknown; generation?: unknown; seq?: unknown },
): boolean {
  const there = [key, generation, seq].filter((field) => field !== undefined).length
  return there === (protocol < 2 ? 0 : 3)
}

const signedText = ({ signature: _, body: __, ...head }: Envelope): string => signable('message', head)

/** Gives a body its hash. Throws for one that its receiver would refuse. */
export function letterOf(unsigned: Omit<Letter, 'bodyHash'>): Letter {
  // The body is what JSON makes of it, here as after a restart.
  const body = plainCopy(unsigned.body)
  const flaw = flawOf(body, BODY_CHARS_MAX)
  const text = canonical(body)
  if (flaw !== undefined || text.length > BODY_CHARS_MAX)
    throw new Error(
      `the body of ${unsigned.kind} to ${unsigned.to} cannot travel: ${flaw ?? `it is ${text.length} characters long`}`,
    )
  return { ...unsigned, body, bodyHash: digest(text) }
}

/** Signs a message: in protocol 1 without a place, in 2 with it. */
export function sealLetter(letter: Letter, identity: Identity, place?: Place): Envelope {
  const added =
    place === undefined
      ? { protocol: 1 }
      : { protocol: 2, key: identity.key, generation: place.generation, seq: place.seq }
  const envelope = { ...letter, ...added, signature: '' }
  return { ...envelope, signature: identity.sign(signedText(envelope)) }
}

export const seal = (unsigned: Omit<Letter, 'bodyHash'>, identity: Identity, place?: Place): Envelope =>
  sealLetter(letterOf(unsigned), identity, place)

/** No message is good for longer: for as long as it is, its number is remembered. Twice the longest term. */
export const GOOD_MS_MAX: Millis = 20 * 365 * 86_400_000

export interface Doubt {
  readonly code: ErrorCode
  readonly reason: string
}

/**
 * Why the head of a message is not to be believed; undefined if it may be. The signature covers the head alone, so nobody
 * who has neither a key nor the head of a peer’s message has a body looked through, which may be long. The cheap checks come
 * first.
 */
export function mistrustHead(
  envelope: Envelope,
  self: { readonly name: ActorName; readonly protocols: readonly number[] },
  trust: Trust,
  now: Instant,
  skewMsMax: number,
): Doubt | undefined {
  const { protocol, to, until } = envelope
  if (!self.protocols.includes(protocol))
    return { code: 'message-malformed', reason: `protocol ${protocol} is not spoken here` }
  if (to !== self.name)
    return { code: 'message-misaddressed', reason: `the message is for ${to}, this is ${self.name}` }
  if (now > until + skewMsMax)
    return { code: 'message-expired', reason: `the message was good until ${new Date(until).toISOString()}` }
  if (until > now + GOOD_MS_MAX + skewMsMax)
    return {
      code: 'message-malformed',
      reason: `the message would be good for more than ${GOOD_MS_MAX / 86_400_000} days from now`,
    }
  return doubtSender(envelope, trust, now) ?? doubtSignature(envelope, signedText(envelope), trust, now)
}

/** Why the body is not the one that was signed for, of a message whose head is believed; undefined if it is. */
export function mistrustBody({ body, bodyHash }: Envelope): Doubt | undefined {
  const flaw = flawOf(body, BODY_CHARS_MAX)
  if (flaw !== undefined) return { code: 'message-malformed', reason: `the body will not do: ${flaw}` }
  const text = canonical(body)
  if (text.length > BODY_CHARS_MAX)
    return { code: 'message-malformed', reason: `the body is ${text.length} characters long` }
  if (digest(text) !== bodyHash) return { code: 'message-forged', reason: 'the body does not fit its hash' }
  return undefined
}

/** Whether the name is known and may sign with the key; who proves to have another one is remembered. */
function doubtSender(envelope: Envelope, trust: Trust, now: Instant): Doubt | undefined {
  const { from, key, signature } = envelope
  if (key === undefined)
    return trust.knows(from)
      ? undefined
      : { code: 'message-unknown-peer', reason: `${from} is not a known peer` }
  const code = trust.doubtKey(from, key, now)
  if (code === undefined) return undefined
  if (code !== 'message-key-expired' && trust.verifyBy(key, signedText(envelope), signature))
    trust.remember(from, key, now)
  return { code, reason: sentenceOf[code](from, key) }
}

const sentenceOf = {
  'message-unknown-peer': (from: string) => `${from} is not a known peer`,
  'message-unknown-key': (from: string, key: string) => `${key} is not a key that is known of ${from}`,
  'message-key-expired': (from: string, key: string) => `the key ${key} of ${from} is outside of its time`,
} as const

/** Whether the sender made the signature. Before protocol 2 any key of his that is good now will do. */
function doubtSignature(
  { from, key, signature }: { from: string; key?: string | undefined; signature: string },
  text: string,
  trust: Trust,
  now: Instant,
): Doubt | undefined {
  if (key !== undefined ? trust.verifyBy(key, text, signature) : trust.verify(from, text, signature, now))
    return undefined
  if (key === undefined && trust.verify(from, text, signature))
    return { code: 'message-key-expired', reason: `the key of ${from} is outside of its time` }
  return { code: 'message-forged', reason: `the signature is not ${from}’s` }
}

/** Signs an acknowledgement: in protocol 1 without a place, in 2 with it; its `seq` is the highest that was seen. */
export function sealAck(
  ack: Pick<Ack, 'id' | 'from' | 'to' | 'outcome' | 'code' | 'reason' | 'at' | 'retryAfterMs'>,
  identity: Identity,
  place?: Place,
): Ack {
  const unsigned =
    place === undefined
      ? { ...ack, protocol: 1 }
      : { ...ack, protocol: 2, key: identity.key, generation: place.generation, seenSeq: place.seq }
  return { ...unsigned, signature: identity.sign(signable('acknowledgement', unsigned)) }
}

/** Why this is not the peer's word on this very message; undefined if it is. */
export function doubtAck(
  candidate: unknown,
  envelope: Envelope,
  trust: Trust,
  now: Instant,
): string | undefined {
  const read = ackSchema.safeParse(candidate)
  if (!read.success || !read.data.reason.isWellFormed() || !read.data.code.isWellFormed())
    return 'the acknowledgement has not the form of one'
  const { signature, ...unsigned } = read.data
  if (unsigned.id !== envelope.id || unsigned.from !== envelope.to || unsigned.to !== envelope.from)
    return 'the acknowledgement is of another message'
  const { from, key } = unsigned
  const stranger = key === undefined ? undefined : trust.doubtKey(from, key, now)
  if (key !== undefined && stranger !== undefined) return sentenceOf[stranger](from, key)
  const text = signable('acknowledgement', unsigned)
  return doubtSignature({ from, key, signature }, text, trust, now) === undefined
    ? undefined
    : 'the acknowledgement is not signed by the receiver'
}

/** Whether an acknowledgement is the peer's word on this very message. */
export const isAckOf = (
  candidate: unknown,
  envelope: Envelope,
  trust: Trust,
  now: Instant = envelope.sentAt,
): candidate is Ack => doubtAck(candidate, envelope, trust, now) === undefined
