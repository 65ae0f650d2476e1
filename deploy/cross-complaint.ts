import type { Complaint } from './complaints.ts'

/** Errors keep Sublet from starting; warnings are for the admin to weigh. */
export interface CrossComplaint extends Complaint {
  readonly grave: boolean
}

export type Path = readonly PropertyKey[]

export const error = (path: Path, sentence: string): CrossComplaint => ({
  ...{ path, sentence },
  at: 'value',
  grave: true,
})

export const warning = (path: Path, sentence: string): CrossComplaint => ({
  ...{ path, sentence },
  at: 'value',
  grave: false,
})
