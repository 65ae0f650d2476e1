import type { GuestDecision, GuestIntent, GuestView } from '../../controllers/controller.ts'
import { digest } from '../runtime/canonical.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import type { Input } from '../runtime/mind.ts'
import { few, span } from '../runtime/sentence.ts'
import type { Guest, ServiceManagerConfig } from './config.ts'
import type { LeaseLife } from './leases.ts'
import type { RequeueEffectArgs } from './membership.ts'
import { attempt, byWish, isVain, remembered, TOKEN_MS, tokensAt, toldLately, VAIN_MS } from './pace.ts'
import type { GuestRow, ServiceManagerDraft, Tokens, Vain } from './rows.ts'
import { isFinished } from './steps.ts'
import { strays, type Traces } from './strays.ts'
import { guestView } from './view.ts'
import { type Carried, wishes } from './wishes.ts'

/** Of the jobs that were put back, those that a line of the ledger names. */
const JOBS_TOLD = 50

/** A controller's look, or why there is none. */
export interface Look {
  readonly guest: string
  readonly observation: unknown
  /** The latest look failed; `observation` is the last one that may still be acted on, if any. */
  readonly failure: string | undefined
  /** What a fresh look shows of ours; undefined if the look failed. */
  readonly traces: Traces | undefined
}

/** What somebody wishes for a guest beside its controller. */
export interface Wish {
  readonly guest: string
  readonly intent: GuestIntent
  /** Who. */
  readonly by?: string | undefined
}

/**
 * Lets the controllers decide and carries out what they wish:
 *
 *   look ──▶ view (picture, leases, refusals) ──▶ decide ──▶ request, extend, drain, resume, leave, release
 */
export function guestDesk(config: ServiceManagerConfig, life: LeaseLife) {
  const { members, leaveAt, isBegun, leaveAll } = life
  const { putRight } = strays(config, members)
  const { carryOut } = wishes(config, life)
  return { look, wish, releaseAll, requeued }

  function look(
    { guest: name, observation, failure, traces }: Look,
    draft: ServiceManagerDraft,
  ): { againMs: number } {
    const guest = guestOf(name)
    const before = draft.get('guest', name)
    const tokens = tokensAt(before?.tokens, draft.now, config.burst)
    if (before !== undefined && tokens.left === 0) return paced(before, tokens, traces, draft)
    const leases = draft.where('lease', 'openFor', name)
    const view = guestView(
      leases,
      (id) => draft.get('unit', id),
      before,
      observation,
      failure,
      (lease) => leaveAt(lease, draft),
      draft.now,
      (lease) => !isBegun(lease, draft),
      draft.get('brake', name),
    )
    const decision = decide(name, guest, view, before, draft)
    const after: GuestRow = {
      id: name,
      memory: decision.memory,
      refusals: before?.refusals ?? [],
      reason: decision.reason,
      figures: decision.figures,
      decidedAt: draft.now,
      would: guest.observe ? inShort(decision.intents) : undefined,
      unknown: before?.unknown,
      letGoAt: before?.letGoAt,
      vain: before?.vain,
      tokens: before?.tokens,
      blindSince: failure === undefined ? undefined : (before?.blindSince ?? draft.now),
    }
    if (before === undefined || changed(before, after)) draft.put('guest', after)
    if (failure !== undefined && before?.blindSince === undefined)
      draft.note(
        'blind',
        name,
        `the middleware could not be looked at; the last picture is kept for a while: ${failure}`,
      )
    if (failure === undefined && before?.blindSince !== undefined)
      draft.note('sees again', name, 'the middleware can be looked at again')
    if (guest.observe) {
      if (after.would !== before?.would)
        draft.note('would decide', name, decision.reason, {
          figures: decision.figures,
          intents: decision.intents,
          ...basisOf(decision, guest),
        })
      return { againMs: decision.againMs }
    }
    const vain = byWish(before?.vain)
    const intents = decision.intents.filter((intent) => !isVain(intent, vain, draft))
    if (intents.length > 0) {
      const { figures } = decision
      draft.note('decided', name, decision.reason, { figures, intents, ...basisOf(decision, guest) })
      carryOutAll(name, guest, intents, tokens, draft)
    }
    if (traces !== undefined) putRight(name, traces, draft)
    return { againMs: decision.againMs }
  }

  /** What changes nothing is told, and not asked for again for a while. */
  function carryOutAll(
    name: string,
    guest: Guest,
    intents: readonly GuestIntent[],
    tokens: Tokens,
    draft: ServiceManagerDraft,
  ): void {
    const known = toldLately(draft.get('guest', name)?.vain, draft.now)
    const told = byWish(known)
    const vain: Vain[] = []
    for (const intent of intents) {
      const { outcome, vain: one } = attempt(intent, draft, () => carryOut(name, guest, intent, false, draft))
      if (one === undefined) continue
      vain.push(one)
      if (!told.has(one.what) && !isUnderWay(intent, draft))
        draft.note('changed nothing', name, vainWords(intent, outcome.refused))
    }
    const row = draft.get('guest', name)!
    const left = tokens.left - 1
    draft.put('guest', { ...row, vain: remembered(known, vain), tokens: { ...tokens, left } })
  }

  /** Its controller has decided too much, too fast: it is asked again when it may decide once more. */
  function paced(
    row: GuestRow,
    tokens: Tokens,
    traces: Traces | undefined,
    draft: ServiceManagerDraft,
  ): { againMs: number } {
    if (tokens.told !== true) {
      const seconds = TOKEN_MS / 1000
      draft.note('paced', row.id, `its controller decides too often: from now on once in ${seconds} s`)
      draft.put('guest', { ...row, tokens: { ...tokens, told: true } })
    }
    if (traces !== undefined) putRight(row.id, traces, draft)
    return { againMs: Math.max(1, tokens.at + TOKEN_MS - draft.now) }
  }

  /**
   * What an older version of a controller remembered may be of no use to this one. Without its memory it is
   * slower to act and nothing worse; without a decision its guest would be left alone for ever.
   */
  function decide(
    name: string,
    { controller, config: settings }: Guest,
    view: GuestView<unknown>,
    before: GuestRow | undefined,
    draft: ServiceManagerDraft,
  ): GuestDecision<unknown> {
    if (before === undefined) return controller.decide(view, controller.firstMemory, settings, draft.now)
    try {
      return controller.decide(view, before.memory, settings, draft.now)
    } catch (error) {
      const decision = controller.decide(view, controller.firstMemory, settings, draft.now)
      draft.note(
        'memory dropped',
        name,
        `the controller stumbled over what it remembered: ${inOneLine(error)}`,
      )
      return decision
    }
  }

  /** By hand: a request, a reservation, a modification. What a controller does not know it may give back as idle. */
  function wish({ guest: name, intent, by }: Wish, draft: ServiceManagerDraft): Carried {
    const guest = guestOf(name)
    const { kind } = intent
    if (guest.observe)
      throw new SubletError('usage', `${name} is only observed, and nothing is done for it`, {
        cure: 'Take `mode: observe` out of its configuration.',
      })
    if (
      (kind === 'drain' || kind === 'resume' || kind === 'leave') &&
      draft.get('unit', intent.unitId) === undefined
    )
      throw new SubletError('unknown-id', `no unit ${intent.unitId} is held`)
    if (
      (kind === 'extend' || kind === 'modify' || kind === 'release') &&
      draft.get('lease', intent.leaseId) === undefined
    )
      throw new SubletError('unknown-id', `no lease ${intent.leaseId} is held`)
    draft.note('wished', name, by === undefined ? intent.reason : `${by}: ${intent.reason}`, { intent })
    const carried = carryOut(name, guest, intent, true, draft)
    if (carried.refused !== undefined) draft.note('wish refused', name, carried.refused)
    return carried
  }

  function releaseAll(reason: string, draft: ServiceManagerDraft): { leases: number } {
    const open = draft.all('lease').filter((lease) => !isFinished(lease))
    for (const lease of open) leaveAll(lease, draft.now, reason, draft)
    return { leases: open.length }
  }

  function requeued(input: Input & { kind: 'effect' }, draft: ServiceManagerDraft): void {
    const { outcome } = input
    const { guest, jobIds } = input.args as RequeueEffectArgs
    if (outcome.kind === 'failed')
      return draft.note('requeue failed', guest, `${few(jobIds)}: ${outcome.reason}`)
    const kept = outcome.value as readonly { readonly id: string; readonly reason: string }[]
    const back = jobIds.filter((id) => kept.every((one) => one.id !== id))
    const parts = [
      ...(back.length === 0 ? [] : [`put back into the queue: ${few(back)}`]),
      ...(kept.length === 0
        ? []
        : [`not put back: ${few(kept.map(({ id, reason }) => `${id} (${reason})`))}`]),
    ]
    draft.note('requeued', guest, parts.join('; ') || 'no job was there', {
      back: back.slice(0, JOBS_TOLD),
      kept: kept.slice(0, JOBS_TOLD),
    })
  }

  function guestOf(name: string): Guest {
    const guest = config.guests[name]
    if (guest === undefined) throw new SubletError('unknown-id', `no guest is named ${name}`)
    return guest
  }
}

/** What it looked at and compared, and by which settings: whether two decisions went by the same ones, their digests say. */
const basisOf = ({ basis }: GuestDecision<unknown>, { config }: Guest): object =>
  basis === undefined ? {} : { ...basis, config: digest(JSON.stringify(config)).slice(0, DIGEST_CHARS) }

const DIGEST_CHARS = 8

/** The memory and the reason are kept when they differ; figures alone are not worth a disk sync. */
const changed = (before: GuestRow, after: GuestRow): boolean =>
  before.reason !== after.reason ||
  before.would !== after.would ||
  before.blindSince !== after.blindSince ||
  JSON.stringify(before.memory) !== JSON.stringify(after.memory)

/** Something is being done to it: what it comes to shows then. */
const isUnderWay = (intent: GuestIntent, draft: ServiceManagerDraft): boolean =>
  'unitId' in intent && draft.get('unit', intent.unitId)?.doing !== undefined

const vainWords = (intent: GuestIntent, refused: string | undefined): string => {
  const about = 'unitId' in intent ? intent.unitId : 'leaseId' in intent ? intent.leaseId : ''
  const asked = `it wished to ${intent.kind} ${about} (${intent.reason})`
  return `${asked}, and that changed nothing${refused === undefined ? '' : `: ${refused}`}; not tried again for ${span(VAIN_MS)}`
}

/** What is done to what, without the reasons, in which every second is another one. */
function inShort(intents: readonly GuestIntent[]): string {
  const short = intents.map((intent) => {
    const { reason: _, ...rest } = intent
    return intent.kind === 'extend' ? `extend ${intent.leaseId}` : JSON.stringify(rest)
  })
  return short.join(' ')
}
