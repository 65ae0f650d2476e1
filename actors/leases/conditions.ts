import { z } from 'zod'
import { lengthSchema } from './term.ts'

/** What a site lends under: part of its offer, signed into each ticket. */
export const conditionsSchema = z.strictObject({
  /** A recall with this notice is binding; otherwise it is advice until the term ends. */
  recallable: z.boolean(),
  noticeMs: lengthSchema,
  /** How long after the end the site lets running work go on before it ends the machine anyway. */
  graceMs: lengthSchema,
})
export type Conditions = Readonly<z.infer<typeof conditionsSchema>>
