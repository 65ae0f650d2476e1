import type { NodeMark } from '../batch-system.ts'

/**
 * Whose node it is, and who drained it, kept in the execution host's own `complex_values`:
 *
 *   sublet=<leaseId>/<unitId>                 from the birth of the host's record (qconf -Ae)
 *   slots=0,sublet_drain=<reason, encoded>    our drain: the host has no slot to give, what runs goes on
 *
 * One change of one attribute, which qmaster makes whole or not at all. The disabled state of the queue
 * instance (qmod -d) stays the admin's alone: it is a single bit without an owner, so that a drain of ours
 * in it could not be told from hers, nor taken back without taking hers.
 */
const MARK = /^([A-Za-z0-9.-]+)\/([A-Za-z0-9.-]+)$/
const ID = /^[A-Za-z0-9.-]+$/

export function markValue({ leaseId, unitId }: NodeMark): string {
  for (const id of [leaseId, unitId])
    if (!ID.test(id))
      throw new Error(`an id in a GridEngine mark has letters, digits, dots and dashes: “${id}”`)
  return `${leaseId}/${unitId}`
}

export function readMark(value: string | undefined): NodeMark | undefined {
  const [, leaseId, unitId] = MARK.exec(value ?? '') ?? []
  return leaseId === undefined || unitId === undefined ? undefined : { leaseId, unitId }
}

export const sameMark = (a: NodeMark | undefined, b: NodeMark): boolean =>
  a !== undefined && a.leaseId === b.leaseId && a.unitId === b.unitId

const REASON_CHARS_MAX = 120

/** Blanks, commas and equals signs end a value of qconf, and some of the rest are patterns there: only letters and digits stay. */
export const drainValue = (reason: string): string =>
  [...Buffer.from(reason.replaceAll(/\p{Cc}+/gu, ' ').slice(0, REASON_CHARS_MAX) || 'drained')]
    .map((byte) => {
      const letter = String.fromCharCode(byte)
      return /[A-Za-z0-9.-]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, '0')}`
    })
    .join('')

export function readDrain(value: string): string {
  const bytes = value.replaceAll(/_([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
