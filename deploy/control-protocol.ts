import { z } from 'zod'
import { ERRORS, type ErrorCode, SubletError } from '../actors/runtime/errors.ts'

/** What travels over the control socket. Every answer is JSON; an error is `{ error: { code, sentence, cure } }`. */

export const challengeBody = z.strictObject({ request: z.string().min(1).max(2_000) })
export const challengeAnswer = z.object({ token: z.string(), folder: z.string() })

const id = z.string().min(1).max(200)

export const ledgerQuery = z.strictObject({
  actor: id.optional(),
  subject: id.optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(200),
  /** `actor:seq,actor:seq`: only lines after these, waiting for them if there are none. */
  after: z
    .string()
    .max(2_000)
    .regex(/^([^:,]+:\d+)(,[^:,]+:\d+)*$/)
    .optional(),
  waitMs: z.coerce.number().int().min(0).max(25_000).default(0),
})

export const explainParams = z.strictObject({ what: z.enum(['job', 'lease', 'node']), id })
export const explainQuery = z.strictObject({ guest: id.optional(), lines: z.literal('yes').optional() })

export const recallBody = z.strictObject({
  type: id,
  units: z.int().min(1).max(1_000_000),
  by: z.int().min(0),
  reason: z.string().min(1).max(500),
})

export const lendBody = z.strictObject({
  type: id,
  units: z.int().min(1).max(1_000_000),
  reason: z.string().min(1).max(400),
})
export const lendAnswer = z.object({ lent: z.int(), withheld: z.int() })

export const maintainBody = z.strictObject({
  host: id,
  /** Absent: as soon as the terms of the site let units be recalled. */
  by: z.int().min(0).optional(),
  reason: z.string().min(1).max(500),
})
export const resumeBody = z.strictObject({ host: id })
export const resumeAnswer = z.object({ offered: z.int() })

export const approveBody = z.strictObject({ leaseId: id })
export const disapproveBody = z.strictObject({ leaseId: id, reason: z.string().min(1).max(400) })

export const stopBody = z.strictObject({ release: z.boolean() })

export const errorAnswer = z.object({
  error: z.object({ code: z.string(), sentence: z.string(), cure: z.string() }),
})

export const asAnswer = (error: SubletError): z.output<typeof errorAnswer> => ({
  error: { code: error.code, sentence: error.message, cure: error.cure },
})

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

export function fromAnswer(answer: z.output<typeof errorAnswer>): Error {
  const { code, sentence, cure } = answer.error
  return isCode(code) ? new SubletError(code, sentence, { cure }) : new Error(sentence)
}

export const afterText = (after: Readonly<Record<string, number>>): string =>
  Object.entries(after)
    .map(([actor, seq]) => `${actor}:${seq}`)
    .join(',')

export const afterOf = (text: string): Record<string, number> =>
  Object.fromEntries(
    text.split(',').map((part): [string, number] => {
      const at = part.lastIndexOf(':')
      return [part.slice(0, at), Number(part.slice(at + 1))]
    }),
  )
