import { type Clock, type Instant, type Millis, within } from '../../actors/runtime/clock.ts'
import { PROTOCOLS } from '../../actors/runtime/envelope.ts'
import { ERRORS, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { Trust } from '../../actors/runtime/identity.ts'
import { endOfKeys, KEY_ENDS_MS } from '../../actors/runtime/key-ends.ts'
import type { PeerView, PutOff } from '../../actors/runtime/peers.ts'
import type { TooFast } from '../../actors/runtime/rates.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Network, PeerSight } from '../../adapters/transport.ts'
import { span } from '../../controllers/sentence.ts'
import { type ActorView, actorsOf, type SiteView } from '../reports/site-view.ts'
import type { Settings } from '../settings/config.ts'
import { fingerprint, type OwnKeys } from './keys.ts'
import { missingBrokers, missingCure, missingSentence } from './missing-brokers.ts'
import { missingCounterparts } from './missing-counterparts.ts'
import { type Peer, roleOf, rolesHere, wayTo } from './peers.ts'

/** What is shown of actors in other processes: plain JSON. */
export interface PeerReport {
  readonly name: string
  readonly role: string
  readonly url: string | null
  readonly poll: boolean
  readonly by: Peer['by']
  readonly keys: readonly {
    readonly key: string
    readonly fingerprint: string
    readonly until: Instant | null
  }[]
  /** When it last came to fetch; null if it never did, or is called instead. */
  readonly fetchedAt: Instant | null
  /** Since when nothing comes back from it, whoever of us asks; null while it answers. */
  readonly silentSince: Instant | null
  readonly lastError: string | null
  /** Since when round trips to it take long; null while they do not. */
  readonly slowSince: Instant | null
  /** Since when its clock is further off than `skewMax`, and by how much; null while it is not. */
  readonly skewed: { readonly since: Instant; readonly offsetMs: Millis } | null
  /** When the last of its keys ends; null if one has no end. */
  readonly keyEndsAt: Instant | null
  /** Messages to it that are not acknowledged. */
  readonly waiting: number
  /** How often it was put off because it says more than it may (`peerRate`), and when last; null if it never was. */
  readonly tooFast: TooFast | null
  /** Since when it puts us off for the same, how often, and when last; null if it never did. */
  readonly putOff: PutOff | null
}

export interface StrangerReport {
  readonly name: string
  readonly key: string
  readonly fingerprint: string
  readonly firstAt: Instant
  readonly lastAt: Instant
  readonly times: number
}

export interface OwnKeyReport {
  readonly name: string
  readonly role: string
  readonly keys: readonly {
    readonly key: string
    readonly fingerprint: string
    readonly until: Instant | null
    /** Whether it signs now; another of them is only good still, or will sign. */
    readonly signs: boolean
  }[]
}

export interface PeersReport {
  readonly here: readonly OwnKeyReport[]
  readonly peers: readonly PeerReport[]
  readonly strangers: readonly StrangerReport[]
}

/** What is known of the others, and by whom here. */
export interface PeerParts {
  readonly settings: Settings
  readonly network: Network
  readonly trust: Trust
  readonly keys: OwnKeys
  readonly peers: readonly Peer[]
  /** Those that run here; none if Sublet does not run. */
  readonly actors: readonly Pick<ActorView<never>, 'name' | 'peers'>[]
  readonly clock: Clock
}

/** Of a Sublet that runs. */
export function partsOf(site: SiteView, clock: Clock): PeerParts {
  const { settings, federation } = site
  if (federation === undefined) throw new SubletError('usage', 'nothing is known of other processes here')
  return { ...federation, settings, clock, peers: federation.peers(), actors: actorsOf(site) }
}

export function peersReport(parts: PeerParts): PeersReport {
  const { settings, network, trust, keys, peers } = parts
  const sights = new Map(network.peers().map((sight) => [sight.name, sight]))
  return {
    here: ownKeysOf(settings, keys),
    peers: peers.map((peer) => reportOf(peer, sights.get(peer.name), parts)),
    strangers: trust.strangers().map((stranger) => ({ ...stranger, fingerprint: fingerprint(stranger.key) })),
  }
}

/** Our own keys, of a Sublet that runs. */
export const ownKeys = ({ settings, federation }: SiteView): readonly OwnKeyReport[] =>
  federation === undefined ? [] : ownKeysOf(settings, federation.keys)

const ownKeysOf = (settings: Settings, keys: OwnKeys): readonly OwnKeyReport[] =>
  rolesHere(settings).map(([name, role]) => {
    const signing = keys.identity(name).key
    const own = keys.good(name).map((key) => ({ ...shown(key), signs: key.key === signing }))
    return { name, role, keys: own }
  })

/** Of a Sublet that runs; none where nothing is known of other processes. */
export function peerReports(site: SiteView): readonly PeerReport[] {
  const { federation } = site
  if (federation === undefined) return []
  const sights = new Map(federation.network.peers().map((sight) => [sight.name, sight]))
  return federation.peers().map((peer) => reportOf(peer, sights.get(peer.name), { actors: actorsOf(site) }))
}

const shown = ({ key, notAfter }: { readonly key: string; readonly notAfter?: Instant | undefined }) => ({
  key,
  fingerprint: fingerprint(key),
  until: notAfter ?? null,
})

function reportOf(
  peer: Peer,
  sight: PeerSight | undefined,
  { actors }: Pick<PeerParts, 'actors'>,
): PeerReport {
  const { name, role, url, poll, by, keys } = peer
  const views = actors.flatMap((actor) => (actor.peers?.() ?? []).filter((view) => view.peer === name))
  const silent = [
    ...views.flatMap(({ silentSince, lastError }) =>
      silentSince === undefined ? [] : [{ silentSince, lastError }],
    ),
    ...(sight?.silentSince === undefined
      ? []
      : [{ silentSince: sight.silentSince, lastError: sight.lastError }]),
  ].toSorted((a, b) => a.silentSince - b.silentSince)
  return {
    ...{ name, role, url: url ?? null, poll, by, keys: keys.map(shown) },
    fetchedAt: sight?.fetchedAt ?? null,
    silentSince: silent[0]?.silentSince ?? null,
    lastError: silent[0]?.lastError ?? null,
    slowSince: earliest(views.map(({ slowSince }) => slowSince)),
    skewed: skewedOf(views),
    keyEndsAt: endOfKeys(keys) ?? null,
    waiting: views.reduce((sum, { waiting }) => sum + waiting, 0),
    tooFast: tooFastOf(views),
    putOff: putOffOf(views),
  }
}

const earliest = (times: readonly (Instant | undefined)[]): Instant | null => {
  const known = times.filter((at) => at !== undefined)
  return known.length === 0 ? null : Math.min(...known)
}

function tooFastOf(views: readonly PeerView[]): TooFast | null {
  const all = views.flatMap(({ tooFast }) => tooFast ?? [])
  if (all.length === 0) return null
  const times = all.reduce((sum, one) => sum + one.times, 0)
  return { times, lastAt: Math.max(...all.map(({ lastAt }) => lastAt)) }
}

function putOffOf(views: readonly PeerView[]): PutOff | null {
  const all = views.flatMap(({ putOff }) => putOff ?? []).toSorted((a, b) => b.lastAt - a.lastAt)
  const [last] = all
  if (last === undefined) return null
  const times = all.reduce((sum, one) => sum + one.times, 0)
  return { ...last, since: Math.min(...all.map(({ since }) => since)), times }
}

function skewedOf(views: readonly PeerView[]): PeerReport['skewed'] {
  const since = earliest(views.map(({ skewedSince }) => skewedSince))
  const of = views.find(({ skewedSince }) => skewedSince === since)
  return since === null || of === undefined ? null : { since, offsetMs: of.offsetMs ?? 0 }
}

// ── are they there? ────────────────────────────────────────────────────────────────────────────────

export interface PeerFinding {
  /** Who of us asked; the whole process if it is not about one actor. */
  readonly from: string
  readonly peer: string
  readonly ok: boolean
  readonly sentence: string
  readonly cure: string | null
}

const iso = (at: Instant): string => new Date(at).toISOString()
const HELLO_MS_MAX: Millis = 8_000
/** A peer that fetches comes every 25 s at least. */
const FETCH_MS_MAX: Millis = 60_000
/** Whoever was put off lately may still be at it. */
const TOO_FAST_MS: Millis = 3_600_000
const TOO_FAST_CURE =
  'Ask its admin what it is at; if it means well and has so much to say, raise `peerRate` here.'
const PUT_OFF_CURE =
  'Nothing is lost. If what is said is meant well, ask its admin to raise `peerRate` there.'

/** Asks each peer, as each actor here that has something to say to it; bounded by the slowest. */
export async function checkPeers(parts: PeerParts): Promise<readonly PeerFinding[]> {
  const { settings, peers, trust, clock } = parts
  const asked = rolesHere(settings).flatMap(([from, role]) =>
    peers.filter((peer) => peer.role !== role).map((peer) => check(parts, from, peer)),
  )
  const isPeer = (name: string): boolean => peers.some((peer) => peer.name === name)
  const strangers = trust.strangers().map(
    ({ name, key, firstAt, times }): PeerFinding => ({
      ...{ from: settings.name, peer: name, ok: false },
      sentence: `came ${times} times since ${new Date(firstAt).toISOString()} with a key that is not trusted here, ${fingerprint(key)}`,
      cure: `If it is who it says, \`sublet peer approve ${name}${isPeer(name) ? '' : ' --role ROLE (--url URL or --poll)'}\` here.`,
    }),
  )
  const missing = missingBrokers(settings, peers).map(
    (one): PeerFinding => ({
      ...{ from: one.from, peer: one.name, ok: false },
      ...{ sentence: missingSentence(one), cure: missingCure(one) },
    }),
  )
  const alone = missingCounterparts(settings, peers).map((one): PeerFinding => ({ ...one, ok: false }))
  return [
    ...(await Promise.all(asked)).flat(),
    ...[...missing, ...alone],
    ...keysThatEnd(parts, clock.now()),
    ...strangers,
  ]
}

async function check(parts: PeerParts, from: string, peer: Peer): Promise<readonly PeerFinding[]> {
  const good = (sentence: string): PeerFinding => ({ from, peer: peer.name, ok: true, sentence, cure: null })
  const bad = (sentence: string, cure: string): PeerFinding => ({
    ...{ from, peer: peer.name, ok: false, sentence, cure },
  })
  const { silentSince, lastError, slowSince, skewed, tooFast, putOff } = reportOf(peer, undefined, parts)
  const since = [
    ...(silentSince === null
      ? []
      : [bad(`nothing came back since ${iso(silentSince)}: ${lastError}`, ERRORS['peer-silent'][1])]),
    ...(slowSince === null
      ? []
      : [bad(`answers late since ${iso(slowSince)}`, 'Look at the load and the disk there.')]),
    ...(skewed === null
      ? []
      : [
          bad(
            `its clock is ${period(skewed.offsetMs)} off ours since ${iso(skewed.since)}`,
            'Set both clocks (NTP), or raise skewMax.',
          ),
        ]),
    ...(tooFast === null || parts.clock.now() - tooFast.lastAt > TOO_FAST_MS
      ? []
      : [
          bad(
            `says more than it may (too-fast): ${tooFast.times} messages were put off, the last at ${iso(tooFast.lastAt)}`,
            TOO_FAST_CURE,
          ),
        ]),
    ...(putOff === null || parts.clock.now() - putOff.lastAt > TOO_FAST_MS
      ? []
      : [
          bad(
            `puts our messages off (too-fast) since ${iso(putOff.since)}, ${putOff.times} times, the last at ${iso(putOff.lastAt)}`,
            PUT_OFF_CURE,
          ),
        ]),
  ]
  const ends = `${endsOf(peer.keys)}${endsOf(parts.keys.good(from), 'ours ')}`
  if (peer.url === undefined) return [fetching(parts, peer, ends, good, bad), ...since]
  const { network, settings, clock } = parts
  const late = (): Error => new SubletError('peer-silent', `no answer within ${HELLO_MS_MAX / 1000} s`)
  let answer: Awaited<ReturnType<Network['hello']>>
  try {
    answer = await within(clock, HELLO_MS_MAX, late, (signal) => network.hello(from, peer.name, signal))
  } catch (error) {
    if (error instanceof SubletError) return [bad(inOneLine(error), error.cure), ...since]
    return [bad(inOneLine(error), ERRORS['peer-silent'][1]), ...since]
  }
  const { outcome, trusted, key, protocols, offsetMs, errorMs } = answer
  const own = parts.keys.identity(from).key
  const found: PeerFinding[] = []
  if (outcome === 'unknown-peer')
    found.push(
      bad(
        `it does not know ${from}`,
        `There: \`sublet peer approve ${from} --role ${roleOf(settings, from)} ${wayTo(settings)}\`; the key to be seen is ${fingerprint(own)}.`,
      ),
    )
  if (outcome === 'unknown-key')
    found.push(bad('it knows another key of ours', `There: \`sublet peer add ${from} --key ${own}\`.`))
  if (outcome === 'key-expired')
    found.push(
      bad('the key that we sign with has ended there', `There: \`sublet peer add ${from} --key ${own}\`.`),
    )
  if (!trusted)
    found.push(
      bad(
        `it signs with a key that is not trusted here, ${fingerprint(key)}`,
        `If that is its key, \`sublet peer approve ${peer.name}\` here; ask its admin for the fingerprint.`,
      ),
    )
  if (!protocols.some((one) => PROTOCOLS.includes(one)))
    found.push(
      bad(
        `it speaks protocol ${protocols.join(', ')}, here ${PROTOCOLS.join(', ')}`,
        'Upgrade the older of the two.',
      ),
    )
  if (Math.abs(offsetMs) - errorMs > settings.skewMax)
    found.push(bad(`its clock is ${period(offsetMs)} off ours`, 'Set both clocks (NTP), or raise skewMax.'))
  if (found.length > 0) return [...found, ...since]
  return [
    good(
      `reachable, keys known on both sides${ends}, protocol ${Math.max(...protocols)}, clock ${period(offsetMs)} ± ${period(errorMs)}`,
    ),
    ...since,
  ]
}

/** Each that has an end, also where another follows. */
const endsOf = (
  keys: readonly { readonly key: string; readonly notAfter?: Instant | undefined }[],
  whose = '',
): string =>
  keys
    .flatMap(({ key, notAfter }) =>
      notAfter === undefined ? [] : [`, ${whose}${fingerprint(key)} good until ${iso(notAfter)}`],
    )
    .join('')

function fetching(
  { network, clock }: PeerParts,
  { name }: Peer,
  ends: string,
  good: (sentence: string) => PeerFinding,
  bad: (sentence: string, cure: string) => PeerFinding,
): PeerFinding {
  const at = network.peers().find((sight) => sight.name === name)?.fetchedAt
  const cure = `Look there with \`sublet check peers\`: does it run, has it the url of this process, is its key known here?`
  if (at === undefined) return bad('has never come to fetch since this process began', cure)
  const agoMs = clock.now() - at
  if (agoMs > FETCH_MS_MAX) return bad(`last came to fetch ${span(agoMs)} ago`, cure)
  return good(`comes to fetch, ${span(agoMs)} ago for the last time${ends}`)
}

function keysThatEnd({ settings, peers, keys }: PeerParts, now: Instant): readonly PeerFinding[] {
  const ends = (until: Instant): string =>
    until <= now ? `ended ${span(now - until)} ago` : `ends in ${span(until - now)}`
  const of = (
    name: string,
    cure: string,
    own: readonly { readonly key: string; readonly notAfter?: Instant | undefined }[],
  ) => {
    // One that another follows may end.
    const last = endOfKeys(own)
    if (last === undefined || last > now + KEY_ENDS_MS) return []
    return [{ from: settings.name, peer: name, ok: false, sentence: `its last key ${ends(last)}`, cure }]
  }
  return [
    ...rolesHere(settings).flatMap(([name]) =>
      of(name, 'Make another with `sublet keygen --rotate`.', keys.trusted(name)),
    ),
    ...peers.flatMap(({ name, keys: own }) =>
      of(name, `Ask its admin for the next one; add it with \`sublet peer add ${name} --key KEY\`.`, own),
    ),
  ]
}
