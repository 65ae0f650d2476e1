import { SubletError } from '../../actors/runtime/errors.ts'
import { own } from '../../actors/runtime/plain.ts'
import type { GuestDecision, GuestIntent } from '../../controllers/controller.ts'
import { some, span } from '../../controllers/sentence.ts'
import { onOneLine } from '../reports/printable.ts'
import type { SiteView } from '../reports/site-view.ts'

/** What each guest's controller would decide now: nothing is done, written down or remembered. */
export interface PlanReport {
  readonly guest: string
  readonly mode: 'act' | 'observe'
  readonly reason: string
  readonly figures: GuestDecision<unknown>['figures']
  readonly intents: readonly { readonly text: string; readonly reason: string }[]
  /** Of the jobs that wait, the first of the look. */
  readonly jobs: readonly { readonly id: string; readonly sentences: readonly string[] }[]
  /** Waiting jobs beyond those. */
  readonly moreJobs: number
}

export function planOf(site: SiteView, guest: string | undefined, jobsMax: number): readonly PlanReport[] {
  const names = Object.keys(site.guests)
  if (names.length === 0)
    throw new SubletError('usage', 'no service manager runs here, whose guests have a plan', {
      cure: 'Give the command where one runs, with --dir or --config.',
    })
  if (guest !== undefined && !names.includes(guest))
    throw new SubletError('unknown-id', `no guest is named ${guest}; there is: ${names.join(', ')}`, {
      cure: 'Name one of these with --guest, or leave it out.',
    })
  return names
    .filter((name) => guest === undefined || name === guest)
    .map((name) => reportOf(site, name, jobsMax))
}

function reportOf(site: SiteView, name: string, jobsMax: number): PlanReport {
  const guest = own(site.guests, name)!
  const { reason, figures, intents } = guest.plan()
  const waiting = (guest.lastPicture()?.jobs ?? []).filter(
    ({ state }) => state === 'pending' || state === 'held',
  )
  const shown = waiting.slice(0, jobsMax).map(({ id }) => id)
  const sentences = guest.explainJobs(shown)
  return {
    guest: name,
    mode: site.settings.guests.find((one) => one.name === name)?.mode ?? 'act',
    reason,
    figures,
    intents: intents.map((intent) => ({ text: intentText(intent), reason: intent.reason })),
    jobs: shown.map((id) => ({ id, sentences: sentences.get(id) ?? [] })),
    moreJobs: Math.max(0, waiting.length - jobsMax),
  }
}

/** What is done to what, in the words of an operator. */
export function intentText(intent: GuestIntent): string {
  switch (intent.kind) {
    case 'request': {
      const few = intent.unitsMin < intent.units ? `, at least ${intent.unitsMin}` : ', all or none'
      const later = intent.startBy === undefined ? '' : `, by ${new Date(intent.startBy).toISOString()}`
      const from = intent.startAt === undefined ? '' : `, from ${new Date(intent.startAt).toISOString()}`
      return `ask for ${some(intent.units, 'unit')} of ${intent.type}${few} for ${span(intent.durationMs)}${from}${later}`
    }
    case 'extend': {
      const without = intent.victims.length === 0 ? '' : ` without ${intent.victims.join(', ')}`
      return `extend lease ${intent.leaseId} by ${span(intent.durationMs)}${without}`
    }
    case 'modify':
      return `change properties of lease ${intent.leaseId}`
    case 'release':
      return `give lease ${intent.leaseId} back`
    case 'requeue':
      return `put back into the queue: ${intent.jobIds.join(', ')}`
    case 'drain':
      return `drain unit ${intent.unitId}`
    case 'resume':
      return `let unit ${intent.unitId} take jobs again`
    case 'leave':
      return `take unit ${intent.unitId} out of the middleware`
  }
}

export function showPlans(plans: readonly PlanReport[]): string {
  return plans
    .map(({ guest, mode, reason, intents, jobs, moreJobs }) =>
      [
        `guest ${guest}${mode === 'observe' ? ' (only observed)' : ''}`,
        `  ${onOneLine(reason)}`,
        ...(intents.length === 0
          ? ['  would do nothing']
          : intents.map((one) => `  would ${onOneLine(one.text)}\n    ${onOneLine(one.reason)}`)),
        ...jobs.map(
          ({ id, sentences }) =>
            `  job ${onOneLine(id)}\n${sentences.map((text) => `    ${onOneLine(text)}`).join('\n')}`,
        ),
        ...(moreJobs === 0 ? [] : [`  and ${some(moreJobs, 'more waiting job')}: see them with --jobs`]),
      ].join('\n'),
    )
    .join('\n\n')
}
