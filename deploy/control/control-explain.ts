import type { z } from 'zod'
import type { Instant } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { explainLease, explainUnit, type NamedLedger } from '../reports/ledgers.ts'
import type { SiteView } from '../reports/site-view.ts'
import { nodesOf } from '../reports/status.ts'
import type { explainParams } from './control-protocol.ts'
import { explainDecision } from './explain-decision.ts'

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
  for (const [name, { explainJobs }] of asked) {
    const sentences = explainJobs([id]).get(id)
    if (sentences === undefined) continue
    const isObserved = site.settings.guests.find((one) => one.name === name)?.mode === 'observe'
    return isObserved
      ? [...sentences, `Guest ${name} is only observed (mode: observe), so nothing of this is done.`]
      : sentences
  }
  const where = asked.map(([name]) => name).join(', ')
  throw new SubletError('unknown-id', `no guest (${where}) lists a job ${id}`, {
    cure: 'Look at the middleware’s own list of jobs; one that ended long ago is no longer in it.',
  })
}
