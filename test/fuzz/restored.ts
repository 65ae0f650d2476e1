import type { LeaseRow, RecoveryRow, UnitRow } from '../../actors/authority/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { type Ticket, withoutChain } from '../../actors/leases/ticket.ts'
import { canonical } from '../../actors/runtime/canonical.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import { BODY_CHARS_MAX, type Envelope } from '../../actors/runtime/envelope.ts'
import type { Trust } from '../../actors/runtime/identity.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import { flawOf } from '../../actors/runtime/plain.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { FoundMachine } from '../../adapters/handler.ts'
import { extend, request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'
import { genuineTickets, rowsOf } from './liars.ts'
import type { Moment } from './moments.ts'
import { mutate } from './mutate.ts'
import type { Tally } from './tally.ts'

type Holding = Body<'holdings'>['holdings'][number]

/** A site that was put back under leases that live: what it had, what all others say, and which machines there are. */
interface Scene {
  readonly moment: Moment
  readonly mind: Mind<Tables>
  readonly said: readonly Envelope[]
  readonly found: readonly FoundMachine[]
  readonly genuine: ReadonlySet<string>
}

const HOUR = 3_600_000

/** Of each manager it had one lease, which is extended since, and has forgotten another. */
async function scene(trust: Partial<Trust>): Promise<Scene> {
  const stage = new Stage({ managers: ['manager', 'neighbour'], units: 8 })
  const everybody = async (wish: (manager: string) => Parameters<Stage['wishes']>[0]) => {
    for (const manager of stage.managers) await stage.wishes(wish(manager), manager)
    await stage.runs(10)
  }
  await stage.begins()
  await everybody(() => [request({ units: 2, durationMs: HOUR / 2 })])
  const copy = stage.disks.site!.copy()
  await everybody((manager) => [
    extend(stage.leases(manager)[0]!.id, { durationMs: HOUR / 2 }),
    request({ units: 2, durationMs: HOUR / 2 }),
  ])
  const found = [...stage.machines.site!.running.values()].map((spec) => ({ ...spec, running: true }))
  stage.dies('site')
  stage.disks.site!.restore(copy)
  stage.starts('site')
  await stage.runs(10)
  Object.assign(stage.trusts.site!, trust)
  const { history } = stage.wire
  const said = history.filter(({ kind, to }) => kind === 'holdings' && to === 'site')
  const moment = { name: 'a site is put back', now: stage.world.now, disks: { site: copy }, history }
  return { moment, mind: stage.mindOf('site'), said, found, genuine: genuineTickets(history) }
}

/**
 * What somebody tells a site that was restored, with something changed in it, and what the site believes in the end:
 *
 *   no lease stands on a ticket that nobody issued;
 *   of the leases and the machines of others the same becomes as if he had told the truth.
 *
 * Where another one is silent, a lie of the broker ends nothing that the site remembers. `trust` is for faults that are
 * planted.
 */
export async function restored(
  count: number,
  random: Random,
  tally: Tally,
  trust: Partial<Trust> = {},
): Promise<void> {
  const told = await scene(trust)
  const truth = new Map(
    [undefined, ...told.said.map(({ from }) => from)].map((name) => [name, concluded(told, told.said, name)]),
  )
  for (let i = 0; i < count; i++) {
    const one = told.said[random.int(told.said.length)]!
    const others = told.said.filter((each) => each !== one)
    const silent = one.from === 'broker' && random.next() < 0.4 ? 'neighbour' : undefined
    const heard = others.filter(({ from }) => silent === undefined || from === silent)
    const envelope = random.next() < 0.5 ? mutate(one, random, ['body']) : withLies(one, heard, random)
    if (flawOf(envelope.body, BODY_CHARS_MAX) !== undefined) {
      // Such a body is refused where messages come in, whoever signed it.
      tally.count('told to one that was restored', 'message-malformed')
      continue
    }
    const isFirst = random.next() < 0.5
    try {
      const after = concluded(told, isFirst ? [envelope, ...others] : [...others, envelope], silent)
      for (const fault of faultsOf(after, truth.get(silent)!, one.from, silent, told.genuine))
        tally.wrong(`${told.moment.name}, ${one.from} tells what it holds: ${fault}`, envelope)
      tally.count('told to one that was restored', `as ${one.from}`)
    } catch (error) {
      tally.crash(`${told.moment.name}: site stumbles: ${(error as Error).stack}`, envelope)
    }
  }
}

/** One who knows what he does: what others hold, or parts of it, as if it were his. */
function withLies(one: Envelope, others: readonly Envelope[], random: Random): Envelope {
  const body = one.body as Body<'holdings'>
  const [theirs, mine] = [others.flatMap(holdingsIn), holdingsIn(one)]
  const other = theirs[random.int(theirs.length)]!
  const own = mine[random.int(mine.length)]!
  const units = theirs.flatMap((holding) => holding.units)
  const mineFor = (change: Partial<Holding>): Holding => ({ ...own, ...change })
  const garbage = (ticket: Ticket | null): Ticket | null => {
    const chain = others.flatMap(holdingsIn).flatMap(({ ticket: each }) => each?.chain ?? [])
    return ticket && { ...ticket, chain: chain.map((claim) => ({ ...claim, units: claim.units + 1 })) }
  }
  const giving = {
    from: other.ticket?.holder ?? '',
    to: one.from,
    kind: 'relinquish',
    subject: other.leaseId,
  }
  const forged = requestProof({ ...one, ...giving })
  const lies: readonly Holding[] = [
    mineFor({ leaseId: other.leaseId }),
    mineFor({ leaseId: other.leaseId, ticket: own.ticket && { ...own.ticket, leaseId: other.leaseId } }),
    { ...other, ticket: other.ticket && { ...other.ticket, holder: one.from } },
    { ...other, state: 'closed', closed: true, ticket: null, next: null, units: [] },
    { ...other, state: 'closed', closed: true, ticket: null, next: null, units: [], proof: forged },
    { ...other, closed: true },
    mineFor({ closed: true, next: other.next ?? other.ticket }),
    mineFor({ units: [...own.units, ...units].slice(0, 1_000) }),
    mineFor({ units: [...own.units, ...units.map((unit) => ({ ...unit, report: 'ended' as const }))] }),
    mineFor({ ticket: garbage(own.ticket), next: garbage(own.next) }),
    { ...other, ticket: garbage(other.ticket), next: garbage(other.next) },
    mineFor({ victims: units.map(({ id }) => id) }),
  ]
  const lie = lies[random.int(lies.length)]!
  const kept = mine.filter(({ leaseId }) => leaseId !== lie.leaseId)
  return { ...one, body: { ...body, holdings: random.next() < 0.5 ? [lie, ...kept] : [...kept, lie] } }
}

const holdingsIn = ({ body }: Envelope): readonly Holding[] => (body as Body<'holdings'>).holdings

/** All that becomes of it in one commit: it is asked, is told, lists its machines. */
function concluded(
  { moment, mind, found }: Scene,
  said: readonly Envelope[],
  silent?: string,
): Draft<Tables> {
  const draft = new Draft<Tables>(rowsOf(moment, 'site'), 'site', moment.now, idSource(seededRandom(1)))
  mind.handle({ kind: 'started', epoch: 2, restored: { reason: 'an older copy', seenSeq: 9 } }, draft)
  for (const envelope of said) {
    const asked = recoveryIn(draft)?.asked[envelope.from]
    if (asked === undefined || envelope.from === silent) continue
    mind.handle({ kind: 'message', envelope: { ...envelope, subject: asked.subject } }, draft)
  }
  const row = recoveryIn(draft)!
  if (row.phase === 'asking') mind.handle({ kind: 'due', table: 'recovery', row }, draft)
  const outcome = { kind: 'done', value: structuredClone(found) } as const
  const listed = {
    kind: 'effect',
    key: 'site',
    verb: 'list',
    args: { startedAt: moment.now },
    attempt: 1,
  } as const
  mind.handle({ ...listed, outcome }, draft)
  if (recoveryIn(draft) !== undefined) throw new Error('it does not recover')
  return draft
}

const recoveryIn = (draft: Draft<Tables>): RecoveryRow | undefined =>
  draft.get('recovery', 'recovery') as RecoveryRow | undefined

function* faultsOf(
  after: Draft<Tables>,
  truth: Draft<Tables>,
  liar: string,
  silent: string | undefined,
  genuine: ReadonlySet<string>,
): Generator<string> {
  for (const { id, ticket, next } of after.all('lease') as LeaseRow[])
    for (const one of [ticket, next])
      if (one !== undefined && !genuine.has(canonical(withoutChain(one))))
        yield `${id} stands on a ticket that was never issued`
  for (const lease of truth.all('lease') as LeaseRow[]) {
    if (lease.holder === liar) continue
    const mine = after.get('lease', lease.id) as LeaseRow | undefined
    if (lease.holder === silent) {
      // Of one that is forgotten here nobody else says anything; of what is remembered a ticket may be kept back.
      if (truth.committed.get('lease', lease.id) !== undefined && mine?.state !== lease.state)
        yield `${lease.id} of ${silent} is ${mine?.state}, and was ${lease.state}`
    } else if (canonical(gist(mine, after)) !== canonical(gist(lease, truth)))
      yield `of ${lease.id} of ${lease.holder} becomes ${canonical(gist(mine, after))}, not ${canonical(gist(lease, truth))}`
  }
}

/** What matters to its holder. */
function gist(lease: LeaseRow | undefined, draft: Draft<Tables>) {
  if (lease === undefined) return null
  const { holder, state, ticket, next, term, victims } = lease
  const units = (draft.all('unit') as UnitRow[]).filter(({ leaseId }) => leaseId === lease.id)
  return {
    ...{ holder, state, ticket: ticket.id, next: next?.id ?? null, term, victims },
    units: units
      .map(({ id, state: as, lost, givenUp }) => `${id} ${as} ${lost ?? ''} ${givenUp ?? ''}`)
      .sort(),
  }
}
