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
  /** Of those to which nothing would be done, what each is good for; by node name, the first ones. */
  readonly machines: readonly { readonly name: string; readonly leaseId: string; readonly reason: string }[]
  /** Further ones. */
  readonly moreMachines: number
  /** Of the jobs that wait, the first of the look. */
  readonly jobs: readonly { readonly id: string; readonly sentences: readonly string[] }[]
  /** Waiting jobs beyond those. */
  readonly moreJobs: number
}

export function planOf(
  site: SiteView,
  guest: string | undefined,
  { jobsMax, machinesMax }: PlanBounds,
): readonly PlanReport[] {
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
    .map((name) => reportOf(site, name, jobsMax, machinesMax))
}

/** How many of each guest are told of. */
export interface PlanBounds {
  readonly jobsMax: number
  readonly machinesMax: number
}

function reportOf(site: SiteView, name: string, jobsMax: number, machinesMax: number): PlanReport {
  const guest = own(site.guests, name)!
  const { reason, figures, intents } = guest.plan()
  const waiting = (guest.lastPicture()?.jobs ?? []).filter(
    ({ state }) => state === 'pending' || state === 'held',
  )
  const shown = waiting.slice(0, jobsMax).map(({ id }) => id)
  const sentences = guest.explainJobs(shown)
  const units = (site.serviceManager?.rows('unit') ?? []).filter((unit) => unit.guest === name)
  const names = new Map(units.map((unit) => [unit.id, unit.name]))
  const touched = new Set(intents.flatMap((intent) => ('unitId' in intent ? [intent.unitId] : [])))
  const known = guest.explainMachines()
  const others = units.filter(({ id }) => !touched.has(id)).sort((a, b) => inNameOrder(a.name, b.name))
  return {
    guest: name,
    mode: site.settings.guests.find((one) => one.name === name)?.mode ?? 'act',
    reason,
    figures,
    intents: intents.map((intent) => ({
      text: intentText(intent, (id) => names.get(id)),
      reason: intent.reason,
    })),
    machines: others.slice(0, machinesMax).map((unit) => ({
      ...{ name: unit.name, leaseId: unit.leaseId },
      reason: known.get(unit.id) ?? `${unit.state}: ${unit.reason}`,
    })),
    moreMachines: Math.max(0, others.length - machinesMax),
    jobs: shown.map((id) => ({ id, sentences: sentences.get(id) ?? [] })),
    moreJobs: Math.max(0, waiting.length - jobsMax),
  }
}

/** `vm2` before `vm10`. */
const inNameOrder = new Intl.Collator('en', { numeric: true }).compare

/** What is done to what, in the words of an operator: machines by the names of their nodes, as far as those are known. */
export function intentText(
  intent: GuestIntent,
  nameOf: (unitId: string) => string | undefined = () => undefined,
): string {
  const unitText = (id: string): string => {
    const name = nameOf(id)
    return name === undefined ? `unit ${id}` : `${name} (unit ${id})`
  }
  switch (intent.kind) {
    case 'request': {
      const few = intent.unitsMin < intent.units ? `, at least ${intent.unitsMin}` : ', all or none'
      const later = intent.startBy === undefined ? '' : `, by ${new Date(intent.startBy).toISOString()}`
      const from = intent.startAt === undefined ? '' : `, from ${new Date(intent.startAt).toISOString()}`
      return `ask for ${some(intent.units, 'unit')} of ${intent.type}${few} for ${span(intent.durationMs)}${from}${later}`
    }
    case 'extend': {
      const without =
        intent.victims.length === 0
          ? ''
          : ` without ${intent.victims.map((id) => nameOf(id) ?? id).join(', ')}`
      return `extend lease ${intent.leaseId} by ${span(intent.durationMs)}${without}`
    }
    case 'modify':
      return `change properties of lease ${intent.leaseId}`
    case 'release':
      return `give lease ${intent.leaseId} back`
    case 'requeue':
      return `put back into the queue: ${intent.jobIds.join(', ')}`
    case 'drain':
      return `drain ${unitText(intent.unitId)}`
    case 'resume':
      return `let ${unitText(intent.unitId)} take jobs again`
    case 'leave':
      return `take ${unitText(intent.unitId)} out of the middleware`
  }
}

export function showPlans(plans: readonly PlanReport[]): string {
  return plans
    .map(({ guest, mode, reason, intents, machines, moreMachines, jobs, moreJobs }) =>
      [
        `guest ${guest}${mode === 'observe' ? ' (only observed)' : ''}`,
        `  ${onOneLine(reason)}`,
        ...(intents.length === 0
          ? ['  would do nothing']
          : intents.map((one) => `  would ${onOneLine(one.text)}\n    ${onOneLine(one.reason)}`)),
        ...machines.map(
          (one) => `  ${onOneLine(one.name)} (lease ${onOneLine(one.leaseId)}) ${onOneLine(one.reason)}`,
        ),
        ...(moreMachines === 0
          ? []
          : [`  and ${some(moreMachines, 'more machine')}: see them with --machines`]),
        ...jobs.map(
          ({ id, sentences }) =>
            `  job ${onOneLine(id)}\n${sentences.map((text) => `    ${onOneLine(text)}`).join('\n')}`,
        ),
        ...(moreJobs === 0 ? [] : [`  and ${some(moreJobs, 'more waiting job')}: see them with --jobs`]),
      ].join('\n'),
    )
    .join('\n\n')
}
