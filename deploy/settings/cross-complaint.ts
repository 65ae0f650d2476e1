import type { Complaint } from './complaints.ts'
import { nearest } from './near.ts'

/** Errors keep Sublet from starting; warnings are for the admin to weigh. */
export interface CrossComplaint extends Complaint {
  readonly grave: boolean
  /** Holds unless a command has added this actor as a broker. */
  readonly unlessBroker?: string
}

export type Path = readonly PropertyKey[]

export const error = (path: Path, sentence: string): CrossComplaint => ({
  ...{ path, sentence },
  at: 'value',
  grave: true,
})

export const warning = (path: Path, sentence: string): CrossComplaint => ({
  path,
  sentence,
  at: 'value',
  grave: false,
})

export const hint = (word: string, known: readonly string[]): string => {
  const meant = nearest(word, known)
  if (meant !== undefined) return `, did you mean “${meant}”?`
  return known.length === 0 ? ', which has none' : `, expected one of ${known.join(', ')}`
}
