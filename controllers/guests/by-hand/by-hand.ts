import { z } from 'zod'
import { largest } from '../../../actors/runtime/extremes.ts'
import type { BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestController, GuestFigures, GuestView } from '../../controller.ts'
import { few, hour, some, span } from '../../sentence.ts'

/** There is nothing to set: who asks says what it wants. */
export const byHandConfig = z.strictObject({})

export type ByHandConfig = z.output<typeof byHandConfig>

const EVERY_MS = 60_000

/**
 * A guest without a policy of its own: it wishes nothing, and keeps what somebody asks for until its term ends
 * or it is given back.
 */
export const byHand: GuestController<BatchPicture, null, ByHandConfig> = {
  name: 'by-hand',
  firstMemory: null,
  decide: (view, _memory, _config, now) => {
    const figures = figuresOf(view, now)
    const asked = view.leases
      .filter(({ state }) => state === 'requested')
      .reduce((sum, { units }) => sum + units, 0)
    const held = figures.unitsJoined + figures.unitsComing - asked
    const waiting = asked === 0 ? '' : `; asked for: ${some(asked, 'unit')}`
    const leaving = view.leases.flatMap((lease) => lease.held).filter(isOnItsWayOut).length
    const going = leaving === 0 ? '' : `; leaving: ${some(leaving, 'unit')}`
    const reason = `leases are asked for by hand; held: ${some(held, 'unit')}${going}${waiting}`
    return { intents: [], memory: null, reason, figures, againMs: EVERY_MS }
  },
  explainJob: (jobId, { observation, leases }, _memory, _config, now) => {
    const job = observation?.jobs.find(({ id }) => id === jobId)
    if (job === undefined) return undefined
    if (job.state !== 'pending') return [stateOf(job)]
    const units = leases.reduce((sum, { held }) => sum + held.filter(isJoined).length, 0)
    return [
      `Job ${job.id} of ${job.user} has waited ${span(now - job.submittedAt)}${wordOf(job)}.`,
      `Nothing asks for machines by itself here: ${some(units, 'unit')} of this guest ${units === 1 ? 'takes' : 'take'} jobs. More are asked for with \`sublet request\`.`,
    ]
  },
}

const isJoined = ({ state }: { readonly state: string }): boolean => state === 'joined'

function figuresOf({ observation, leases }: GuestView<BatchPicture>, now: number): GuestFigures {
  const waiting = (observation?.jobs ?? []).filter(({ state }) => state === 'pending')
  const open = leases.filter(({ state }) => state !== 'closing')
  const joined = leases.flatMap(({ held }) => held).filter(isJoined).length
  const coming = open.reduce((sum, { units, held }) => sum + units - held.filter(isThereOrGone).length, 0)
  return {
    backlogJobs: waiting.length,
    unitsWanted: open.reduce((sum, { units }) => sum + units, 0),
    unitsJoined: joined,
    unitsComing: Math.max(0, coming),
    oldestWaitMs: largest(
      waiting.map(({ submittedAt }) => now - submittedAt),
      0,
    ),
  }
}

/** Not on its way here any more. */
const isThereOrGone = ({ state }: { readonly state: string }): boolean =>
  state !== 'awaited' && state !== 'joining'

/** It takes no new work, and may have some still. */
const isOnItsWayOut = ({ state }: { readonly state: string }): boolean =>
  state === 'draining' || state === 'leaving'

function stateOf(job: Job): string {
  const it = `Job ${job.id} of ${job.user}`
  switch (job.state) {
    case 'ended':
      return `${it} has ended${job.endedAt === undefined ? '' : ` at ${hour(job.endedAt)}`}${wordOf(job)}.`
    case 'held':
      return `${it} is held${wordOf(job)}, and no machine would cure that.`
    default:
      return `${it} is ${job.state} on ${few(job.nodeNames, 8)}${job.startedAt === undefined ? '' : ` since ${hour(job.startedAt)}`}.`
  }
}

const wordOf = ({ vendorReason }: Job): string =>
  vendorReason === '' ? '' : ` (the batch system says “${vendorReason}”)`
