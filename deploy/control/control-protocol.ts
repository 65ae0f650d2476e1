import { z } from 'zod'
import { lengthSchema } from '../../actors/leases/term.ts'
import { instantSchema } from '../../actors/runtime/envelope.ts'
import { ERRORS, type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'

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

export const planQuery = z.strictObject({
  guest: id.optional(),
  jobs: z.coerce.number().int().min(0).max(1_000).default(20),
  machines: z.coerce.number().int().min(0).max(1_000).default(50),
})

export const explainParams = z.strictObject({ what: z.enum(['job', 'lease', 'node', 'decision']), id })
export const explainQuery = z.strictObject({ guest: id.optional(), lines: z.literal('yes').optional() })

export const recallBody = z.strictObject({
  type: id,
  units: z.int().min(1).max(1_000_000),
  by: z.int().min(0),
  reason: z.string().min(1).max(500),
})

/** Without a reason the one that was given before stands. */
export const withdrawBody = z.strictObject({ type: id, reason: z.string().min(1).max(500).optional() })
export const withdrawAnswer = z.object({ promised: z.int() })
export const reclaimBody = withdrawBody.extend({ by: z.int().min(0) })
export const recallAnswer = z.object({ recallId: id.nullish(), advice: z.string().nullish() })
export const reclaimAnswer = recallAnswer.extend({ units: z.int() })

export const lendBody = z.strictObject({
  type: id,
  /** 0: a type that was withdrawn is lent again. */
  units: z.int().min(0).max(1_000_000),
  reason: z.string().min(1).max(400),
})
export const callOffBody = z.strictObject({ recallId: id, reason: z.string().min(1).max(400) })
export const lendAnswer = z.object({ lent: z.int(), withheld: z.int() })

export const maintainBody = z.strictObject({
  host: id,
  /** Absent: as soon as the terms of the site let units be recalled. */
  by: z.int().min(0).optional(),
  reason: z.string().min(1).max(500).optional(),
})
export const resumeBody = z.strictObject({ host: id, reason: z.string().min(1).max(500).optional() })
export const resumeAnswer = z.object({ offered: z.int() })

/** How long an order waits for its answer before it says that there is none yet. */
const withinMs = z.int().min(0).max(25_000).default(5_000)
const count = z.int().min(1).max(1_000_000)
const length = lengthSchema.min(1)
const label = z.string().min(1).max(80)
const reason = z.string().min(1).max(400)

export const requestBody = z.strictObject({
  /** Absent: the only one. */
  guest: id.optional(),
  type: label,
  units: count,
  /** Fewer will do, down to this many; absent: they will not. */
  unitsMin: count.optional(),
  durationMs: length,
  /** Not before; absent: now. */
  startAt: instantSchema.optional(),
  /** A later start will do, until then; absent: it will not. */
  startBy: instantSchema.optional(),
  group: z
    .strictObject({ id: z.string().regex(/^[!-~]{1,80}$/), size: z.int().min(1).max(1_000) })
    .optional(),
  label: label.optional(),
  after: z.strictObject({ redeem: label.optional(), join: label.optional() }).optional(),
  properties: z.record(z.string().min(1).max(100), z.string().max(4_000)).default({}),
  reason,
  withinMs,
})

export const extendBody = z.strictObject({
  leaseId: id,
  durationMs: length,
  units: count.optional(),
  unitsMin: count.optional(),
  reason,
  withinMs,
})

export const releaseBody = z.strictObject({ leaseId: id, reason })

export const freezeBody = z.strictObject({ guest: id.optional(), reason: reason.optional() })
/** Those that were frozen, or thawed; and those that ask again at once though they were refused lately. */
export const freezeAnswer = z.object({ guests: z.array(z.string()), hurried: z.array(z.string()).optional() })
export const pinBody = z.strictObject({ node: id, until: instantSchema, reason: reason.optional() })
export const pinAnswer = z.object({ unitId: z.string() })
export const unpinBody = z.strictObject({ node: id, reason: reason.optional() })
export const unpinAnswer = pinAnswer.extend({ wasPinned: z.boolean() })

export const approveBody = z.strictObject({ leaseId: id, reason: reason.optional() })
export const disapproveBody = z.strictObject({ leaseId: id, reason: z.string().min(1).max(400) })

export const reloadBody = z.strictObject({
  dryRun: z.boolean(),
  reason: reason.optional(),
})
export const reloadAnswer = z.object({
  changes: z.array(z.object({ path: z.string(), from: z.string().optional(), to: z.string().optional() })),
  warnings: z.array(z.string()),
})

export const stopBody = z.strictObject({
  release: z.boolean(),
  reason: reason.default('stopped by the operator'),
})

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
