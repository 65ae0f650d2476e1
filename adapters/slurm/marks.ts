import type { NodeMark } from '../batch-system.ts'

/**
 * Whose node it is, kept in Slurm itself:
 *
 *   feature   sublet_<leaseId>_<unitId>             from the birth of the record (slurmd -Z --conf, or scontrol create)
 *   comment   sublet:lease=<leaseId>,unit=<unitId>  written when the node is let in
 *
 * Either will do, so that an admin who edits one of them does not make the node anybody's. A record with
 * neither is the admin's own.
 */
const FEATURE = /^sublet_([A-Za-z0-9.-]+)_([A-Za-z0-9.-]+)$/
const COMMENT = /^sublet:lease=([A-Za-z0-9.-]+),unit=([A-Za-z0-9.-]+)$/
const ID = /^[A-Za-z0-9.-]+$/

function checked({ leaseId, unitId }: NodeMark): NodeMark {
  for (const id of [leaseId, unitId])
    if (!ID.test(id)) throw new Error(`an id in a Slurm mark has letters, digits, dots and dashes: “${id}”`)
  return { leaseId, unitId }
}

export function markFeature(mark: NodeMark): string {
  const { leaseId, unitId } = checked(mark)
  return `sublet_${leaseId}_${unitId}`
}

export function markComment(mark: NodeMark): string {
  const { leaseId, unitId } = checked(mark)
  return `sublet:lease=${leaseId},unit=${unitId}`
}

export function readMark(features: readonly string[], comment: string): NodeMark | undefined {
  for (const found of [...features.map((feature) => FEATURE.exec(feature)), COMMENT.exec(comment)]) {
    const [, leaseId, unitId] = found ?? []
    if (leaseId !== undefined && unitId !== undefined) return { leaseId, unitId }
  }
  return undefined
}

/** Those that jobs may ask for. */
export const withoutMark = (features: readonly string[]): readonly string[] =>
  features.filter((feature) => !FEATURE.test(feature))

export const sameMark = (a: NodeMark | undefined, b: NodeMark): boolean =>
  a !== undefined && a.leaseId === b.leaseId && a.unitId === b.unitId

const REASON_CHARS_MAX = 120

/** Slurm ends a reason at a quote, and its one-line forms at a line end. */
export const drainReason = (tag: string, reason: string): string =>
  `${tag}: ${reason.replaceAll(/["'\\\p{Cc}]+/gu, ' ').slice(0, REASON_CHARS_MAX)}`

/**
 * Slurm wants a reason from everybody who drains, except from the node's own birth line (`State=DRAIN`):
 * a node of ours that is drained without a reason has not been let in yet.
 */
export const isOurReason = (tag: string, reason: string): boolean =>
  reason === '' || reason.startsWith(`${tag}:`)
