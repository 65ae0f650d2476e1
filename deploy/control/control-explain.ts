import type { z } from 'zod'
import type { Instant } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { some } from '../../controllers/sentence.ts'
import { explainLease, explainUnit, type NamedLedger } from '../reports/ledgers.ts'
import type { SiteView } from '../reports/site-view.ts'
import { nodesOf } from '../reports/status.ts'
import type { explainParams } from './control-protocol.ts'
import { explainDecision } from './explain-decision.ts'
import { jobsMeantBy } from './job-names.ts'

/** Of an array; further ones are counted. */
const JOBS_SHOWN = 8

/** Why, of anything, while Sublet runs; with `now` a lease as a story, otherwise line by line. */
export async function explain(
  site: SiteView,
  ledgers: readonly NamedLedger[],
  what: z.output<typeof explainParams>['what'],
  id: string,
  guest: string | undefined,
  now: Instant | undefined,
): Promise<readonly string[]> {
  if (what === 'lease') return explainLease(ledgers, id, now)
  if (what === 'decision') return explainDecision(ledgers, id)
  if (what === 'node') {
    const unit = nodesOf(site, now ?? 0).findLast(({ name, unitId }) => name === id || unitId === id)
    return explainUnit(ledgers, unit?.unitId ?? id)
  }
  const known = Object.keys(site.guests)
  if (known.length === 0)
    throw new SubletError('usage', `no service manager runs here, whose guests have jobs`, {
      cure: 'Give the command where one runs, with --dir or --config.',
    })
  if (guest !== undefined && !known.includes(guest))
    throw new SubletError('unknown-id', `no guest is named ${guest}; there is: ${known.join(', ')}`, {
      cure: 'Name one of these with --guest, or leave it out.',
    })
  const asked = Object.entries(site.guests).filter(([name]) => guest === undefined || name === guest)
  for (const [name, view] of asked) {
    const sentences = sentencesOf(view, id)
    if (sentences.length === 0) continue
    const isObserved = site.settings.guests.find((one) => one.name === name)?.mode === 'observe'
    return isObserved
      ? [...sentences, `Guest ${name} is only observed (mode: observe), so nothing of this is done.`]
      : sentences
  }
  const where = asked.map(([name]) => name).join(', ')
  throw new SubletError('unknown-id', `no guest (${where}) lists a job ${id}`, {
    cure: 'Look at the middleware’s own list of jobs: one that ended long ago is no longer in it, and those of queues or partitions that a guest does not serve are not listed here.',
  })
}

/** Of the job of this name, or of those that are listed of its array; waiting ones come first. */
function sentencesOf(
  { explainJobs, lastPicture }: SiteView['guests'][string],
  id: string,
): readonly string[] {
  const itself = explainJobs([id]).get(id)
  if (itself !== undefined) return itself
  const jobs = lastPicture()?.jobs ?? []
  const meant = new Set(
    jobsMeantBy(
      id,
      jobs.map((job) => job.id),
    ),
  )
  if (meant.size === 0) return []
  const found = jobs.filter((job) => meant.has(job.id)).sort((a, b) => urgency(a.state) - urgency(b.state))
  const shown = found.slice(0, JOBS_SHOWN).map((job) => job.id)
  const told = explainJobs(shown)
  const more = found.length - shown.length
  return [
    ...(found.length > 1 ? [`${id} is listed as ${found.length} jobs.`] : []),
    ...shown.flatMap((one) => told.get(one) ?? []),
    ...(more === 0 ? [] : [`${some(more, 'other')} of it: ask by their own names.`]),
  ]
}

const URGENCY = ['pending', 'held', 'running', 'completing', 'ended'] as const
const urgency = (state: (typeof URGENCY)[number]): number => URGENCY.indexOf(state)
