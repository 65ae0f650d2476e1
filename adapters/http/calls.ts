import { z } from 'zod'
import { signable } from '../../actors/runtime/canonical.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { ackSchema, BODY_CHARS_MAX, instantSchema } from '../../actors/runtime/envelope.ts'
import type { Identity } from '../../actors/runtime/identity.ts'
import type { IdSource } from '../../actors/runtime/ids.ts'

/**
 * What is asked over HTTP beside messages. Messages are signed by themselves; these are the calls of a peer
 * that fetches what is for it, and of one who asks whether he is known:
 *
 *   POST /v2/messages   an envelope            ──▶ its acknowledgement
 *   POST /v2/poll       Poll, signed, fresh    ──▶ envelopes that wait for its sender, soon or within 25 s
 *   POST /v2/acks       Acks, signed, fresh    ──▶ how many of them were waited for
 *   POST /v2/hello      Hello, signed, fresh   ──▶ HelloAnswer, signed
 *   GET  /openapi.json  all of this
 */

/** A body of UTF-8 takes three bytes a character at most, and the rest of an envelope some kilobytes. */
export const ENVELOPE_BYTES_MAX = 3 * BODY_CHARS_MAX + 16 * 1024
/** Envelopes in the answer to one poll, and acknowledgements in one call. */
export const FETCH_MAX = 64
/** So many bytes of envelopes in one answer, unless the first alone is longer. */
export const FETCH_BYTES_MAX = 4 * 1024 * 1024
/** How long a poll is kept waiting while there is nothing. */
export const POLL_MS_MAX: Millis = 25_000
/** What a call may be on its way, beyond the difference of the clocks. */
export const ON_THE_WAY_MS_MAX: Millis = 5_000

const word = (max: number): z.ZodString =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[!-~]+$/)

const head = {
  /** An actor of the caller. */
  from: word(80),
  /** An actor of the one who is called. */
  to: word(80),
  /** When it was signed, in ms since the epoch. */
  at: instantSchema,
  /** Never twice from one caller. */
  nonce: word(80),
  /** The caller's public key: 32 bytes, base64url. */
  key: word(43),
  /** Ed25519 over the line `sublet call` and the canonical JSON of all other fields with `call`. */
  signature: word(200),
}

export const pollSchema = z
  .strictObject({ ...head, waitMs: z.int().min(0).max(POLL_MS_MAX) })
  .describe('Asks for the messages that wait for its sender.')

export const acksSchema = z
  .strictObject({ ...head, acks: z.array(ackSchema).min(1).max(FETCH_MAX) })
  .describe('Brings the acknowledgements of messages that were fetched.')

export const helloSchema = z.strictObject(head).describe('Asks whether its sender and his key are known.')

export const helloAnswerSchema = z
  .strictObject({
    from: word(80),
    to: word(80),
    at: instantSchema,
    /** Of the hello that it answers. */
    nonce: word(80),
    outcome: z.enum(['known', 'unknown-peer', 'unknown-key', 'key-expired']),
    protocols: z.array(z.int()).max(20),
    key: word(43),
    signature: word(200),
  })
  .describe('Says who answers, whether the caller is known, and what the clock shows.')

export const fetchedSchema = z.object({ envelopes: z.array(z.unknown()).max(FETCH_MAX) })

export const acceptedSchema = z
  .object({ accepted: z.int() })
  .describe('How many of the acknowledgements were still waited for.')

export const errorSchema = z
  .object({ error: z.object({ code: z.string(), sentence: z.string(), cure: z.string() }) })
  .describe('A refusal by the endpoint itself. It is not signed, and never an acknowledgement.')

/** The envelopes stand in the answer as they were signed. */
export type CallKind = 'poll' | 'acks' | 'hello'
export type Poll = Readonly<z.output<typeof pollSchema>>
export type Acks = Readonly<z.output<typeof acksSchema>>
export type Hello = Readonly<z.output<typeof helloSchema>>
export type HelloAnswer = Readonly<z.output<typeof helloAnswerSchema>>
export type Call = Poll | Acks | Hello

interface Head {
  readonly from: string
  readonly to: string
  readonly at: Instant
  readonly nonce: string
  readonly key: string
  readonly signature: string
}

const textOf = (call: string, { signature: _, ...signed }: { signature: string }): string =>
  signable('call', { call, ...signed })

export function sealCall<T extends object>(
  call: CallKind,
  fields: T,
  to: string,
  parts: { readonly identity: Identity; readonly ids: IdSource; readonly now: Instant },
): T & Head {
  const { identity, ids, now } = parts
  const head = { from: identity.name, to, at: now, nonce: ids.next('nonce'), key: identity.key }
  const unsigned = { ...fields, ...head, signature: '' }
  return { ...unsigned, signature: identity.sign(textOf(call, unsigned)) }
}

export const signedCall = (call: CallKind, signed: Call): string => textOf(call, signed)

export function sealAnswer(answer: Omit<HelloAnswer, 'key' | 'signature'>, identity: Identity): HelloAnswer {
  const unsigned = { ...answer, key: identity.key, signature: '' }
  return { ...unsigned, signature: identity.sign(textOf('hello-answer', unsigned)) }
}

export const signedAnswer = (answer: HelloAnswer): string => textOf('hello-answer', answer)
