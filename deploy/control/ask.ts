import { z } from 'zod'
import { type Body, bodies } from '../../actors/leases/messages.ts'
import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { QueryRow } from '../../actors/service-manager/rows.ts'
import { hour, some, span } from '../../controllers/sentence.ts'
import type { SiteView } from '../reports/site-view.ts'
import { nearest } from '../settings/near.ts'

/** What `sublet query` puts to a broker or a site, through the service manager. */
export const queryBody = bodies.query.extend({
  /** Absent: the broker of the service manager. */
  to: z.string().min(1).max(80).optional(),
  withinMs: z.int().min(100).max(30_000).default(10_000),
})

const LOOK_MS = 50

type Asked = Pick<SiteView, 'serviceManager' | 'broker' | 'authority' | 'federation'> &
  Partial<Pick<SiteView, 'settings'>>

/**
 * Resolves with the answer; rejects in time if there is none. Where a service manager runs it asks for us; where
 * there is none, the broker or site that runs here answers for itself.
 */
export async function ask(
  site: Asked,
  question: z.output<typeof queryBody>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Body<'query-answer'>> {
  const { serviceManager: manager } = site
  if (manager === undefined) return believed(await askHere(site, question))
  const to = question.to ?? site.settings?.serviceManager?.broker
  refuseUnknown(site, to)
  const { queryId } = (await manager.command('query', question)) as { queryId: string }
  for (;;) {
    const row = manager.rows('query').find(({ id }) => id === queryId)
    const { answer, failed } = row ?? ({ failed: 'it was forgotten' } as Partial<QueryRow>)
    if (failed !== undefined) throw unanswered(site, row?.to ?? to, failed)
    if (answer !== undefined) return believed(answer)
    await sleep(clock, LOOK_MS, signal)
  }
}

/** Nobody who is neither here nor a peer will ever answer. */
function refuseUnknown({ serviceManager, broker, authority, federation }: Asked, to: string | undefined) {
  // Where nothing is known of other processes, all are here.
  const here = [serviceManager, broker, authority].flatMap((actor) => actor?.name ?? [])
  const known = [...here, ...(federation?.peers() ?? []).map(({ name }) => name)]
  if (to === undefined || known.includes(to)) return
  const meant = nearest(to, known)
  throw new SubletError(
    'peer-unknown',
    `nobody named ${to} is known here${meant === undefined ? '' : `. Did you mean ${meant}?`}`,
  )
}

/** Whoever is silent does not answer with a later deadline either. */
function unanswered({ serviceManager }: Asked, to: string | undefined, failed: string): SubletError {
  const view = serviceManager?.peers?.().find(({ peer }) => peer === to)
  if (view?.silentSince === undefined)
    return new SubletError('deadline-missed', `there is no answer: ${failed}`)
  const since = `nothing came back from ${to} since ${hour(view.silentSince)}`
  return new SubletError('peer-silent', `there is no answer: ${since}: ${view.lastError}`, {
    cure: 'Check that it runs and is reachable; `sublet check peers` says what is wrong.',
  })
}

async function askHere(
  { broker, authority }: Asked,
  { to, withinMs: _, ...body }: z.output<typeof queryBody>,
): Promise<Body<'query-answer'>> {
  const here = [broker, authority].filter((actor) => actor !== undefined)
  const asked = here.find(({ name }) => to === undefined || name === to)
  if (asked !== undefined) return (await asked.command('query', body)) as Body<'query-answer'>
  throw new SubletError(
    'usage',
    `no service manager runs here that could ask ${to}; only ${here.map(({ name }) => name).join(' and ')} can be asked`,
    { cure: 'Leave --to out, or give the command where a service manager runs, with --dir or --config.' },
  )
}

function believed(answer: Body<'query-answer'>): Body<'query-answer'> {
  if (answer.refused === null) return answer
  throw new SubletError('usage', `the question is refused: ${answer.refused}`, {
    cure: 'Look at what is lent with `sublet query types`.',
  })
}

/** A line for each type, or when so many units would be free. */
export function answerText(
  { about, ...wanted }: Pick<Body<'query'>, 'about' | 'units' | 'durationMs'>,
  answer: Body<'query-answer'>,
): string {
  if (about === 'availability') {
    const { earliest, unitsNow, profile } = answer
    const start =
      earliest === null
        ? `no start would work${whyNever(wanted, answer.types)}`
        : `the earliest start that works: ${hour(earliest)}`
    return [
      `${start}; ${some(unitsNow, 'unit')} now`,
      ...profile.map(({ from, free }) => `  from ${hour(from)}: ${some(free, 'unit')} free`),
    ].join('\n')
  }
  const lines = answer.types.map(({ site, type, units, free, conditions, until, termMsMax }) => {
    const manner = conditions.recallable
      ? `recallable with ${span(conditions.noticeMs)} of notice`
      : 'not recallable'
    const end = until === null ? '' : `, until ${hour(until)}`
    const most = termMsMax === undefined ? '' : `, for at most ${span(termMsMax)} at a time`
    return `${type} at ${site}: ${free} of ${some(units, 'unit')} free, ${manner}${end}${most}`
  })
  return lines.length === 0 ? 'nothing is lent' : lines.join('\n')
}

/** Units that are free and never start are too few at one site, or are lent for less long than is asked. */
function whyNever(
  { units: wanted = 1, durationMs = 0 }: Pick<Body<'query'>, 'units' | 'durationMs'>,
  types: Body<'query-answer'>['types'],
): string {
  if (types.length === 0) return ''
  const most = Math.max(...types.map(({ units }) => units))
  if (most === 0) return ': no site that has it lends any of it now'
  if (wanted > most) return `: no site lends more than ${some(most, 'unit')} of it`
  const enough = types.filter(({ units }) => units >= wanted)
  const longest = Math.max(...enough.map(({ termMsMax = durationMs }) => termMsMax))
  if (durationMs > longest)
    return `: it is lent for at most ${span(longest)} at a time; ask for so long, and extend the lease later`
  return ''
}
