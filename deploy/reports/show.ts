import type { Checkpoints } from '../../actors/ledger/checkpoint-check.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { largest } from '../../actors/runtime/extremes.ts'
import { period, written } from '../../actors/runtime/sentence.ts'
import { few, hour, some, span } from '../../controllers/sentence.ts'
import { fingerprint } from '../peers/keys.ts'
import { missingCure, missingSentence } from '../peers/missing-brokers.ts'
import { type LeaseReport, present, remaining } from './lease-report.ts'
import type { LedgerVerdict } from './ledgers.ts'
import { middleOut, onOneLine } from './printable.ts'
import type { RecoveryReport } from './recovery-report.ts'
import {
  isGone,
  type NodeReport,
  type PartedJob,
  type PartedReport,
  type StatusReport,
  type UnitsByHand,
} from './status.ts'

/** Reports as a person reads them. */

/** Columns as wide as their widest cell; two blanks between them; the last one runs on. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(onOneLine))
  const widths = heads.map((head, i) =>
    largest(
      shown.map((row) => (row[i] ?? '').length),
      head.length,
    ),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(heads), ...shown.map(line)].join('\n')
}

export const recoveryLine = ({ actor, since, until, waitsFor }: RecoveryReport): string =>
  [
    `recovering: ${actor} was restored, and asks since ${hour(since)} what it has forgotten`,
    ...(waitsFor.length === 0
      ? []
      : [`${waitsFor.join(', ')} ${waitsFor.length === 1 ? 'has' : 'have'} not answered`]),
    ...(until === null ? [] : [`nobody is waited for after ${hour(until)}`]),
  ].join('; ')

const powerCutLine = ({ since, gone, of, until }: NonNullable<StatusReport['powerCut']>): string =>
  `power cut: ${gone} of ${of} machines were gone since ${hour(since)}, and are set up again; what fails before ${hour(until)} counts against no lease`

export function showStatus(status: StatusReport): string {
  const { name, dir, pid, startedAt, now } = status
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .filter(([, count]) => count > 0)
      .map(([word, count]) => `${count} ${word}`)
      .join(', ') || 'none'
  const has = (role: string): boolean => status.actors.some((actor) => actor.role === role)
  const silent = status.actors.filter(({ running }) => !running)
  return [
    `${name} runs in ${dir} (pid ${pid}) for ${span(now - startedAt)}`,
    ...silent.map((actor) => `the ${actor.role} ${actor.name} has stopped: look into sublet.log`),
    ...(status.paused === null ? [] : [`paused: ${status.paused}`]),
    ...(status.powerCut === null ? [] : [powerCutLine(status.powerCut)]),
    ...status.recovering.map(recoveryLine),
    ...status.guests.flatMap((guest) => [
      '',
      `guest ${guest.name} (${guest.middleware})${guest.mode === 'observe' ? ', only observed: what is decided is written down, and nothing is done' : ''}`,
      `  jobs    ${guest.jobs === null ? 'not looked at yet' : counts(guest.jobs)}`,
      ...(guest.blindSince === null ? [] : [`  blind   since ${hour(guest.blindSince)}`]),
      ...(guest.frozen === null
        ? []
        : [`  frozen  since ${hour(guest.frozen.since)} by ${guest.frozen.by}: ${guest.frozen.reason}`]),
      ...(guest.byHand !== null
        ? [`  nodes   ${byHandText(guest.byHand)}`]
        : guest.figures === null
          ? []
          : [
              `  nodes   ${guest.figures.unitsJoined} joined, ${guest.figures.unitsComing} coming, ${guest.figures.unitsWanted} wanted${guest.unitsMax !== null && guest.figures.unitsWanted > guest.unitsMax ? `, max ${guest.unitsMax}` : ''}`,
            ]),
      ...guest.refused.map((reason) => `  refused ${middleOut(reason)}`),
      ...(guest.unknownNodes === null ? [] : [`  unknown ${guest.unknownNodes}`]),
      ...partedLines(guest.parted),
      `  decided ${guest.reason || 'nothing yet'}${guest.byHand === null || guest.decidedAt === null ? '' : ` (at ${hour(guest.decidedAt)})`}`,
    ]),
    '',
    `leases    ${counts(status.leases)}`,
    ...(has('site authority') ? [`machines  ${counts(status.machines)}`] : []),
    ...status.offers.map(
      ({ type, units, withheld, held, withdrawn }) =>
        `lent      ${some(withdrawn === null ? units - withheld : 0, 'unit')} of ${type}, ${held} held${withheld > 0 ? `, ${withheld} withheld` : ''}${withdrawn === null ? '' : `, withdrawn: ${withdrawn}`}`,
    ),
    ...status.recalls.map(
      ({ id, type, units, by, taken }) =>
        `recalled  ${some(units, 'unit')} of ${type} by ${hour(by)} (${id})${taken ? ', has taken effect: `sublet lend` lends them again' : ''}`,
    ),
    ...status.maintenance.map(
      ({ name: host, units, emptyBy, maintenance }) =>
        `host      ${host} takes no new units since ${hour(maintenance?.since ?? 0)}, ${units.length === 0 ? 'is empty' : `${some(units.length, 'unit')} there, wanted empty by ${hour(maintenance?.by ?? 0)}${emptyBy === null ? '' : `, at the latest ${hour(emptyBy)}`}`}: ${maintenance?.reason}`,
    ),
    ...status.approvals.map(
      ({ leaseId, holder, units, type, since, reason }) =>
        `approve?  ${leaseId} of ${holder}: ${some(units, 'unit')} of ${type}, since ${hour(since)}: ${reason}`,
    ),
    ...status.peers.map((peer) => `peer      ${peerLine(peer)}`),
    ...status.missingBrokers.map(
      (one) => `broker?   ${one.from}: ${missingSentence(one)}. ${missingCure(one)}`,
    ),
    ...status.keys.flatMap(({ name, keys }) =>
      keys.every(({ until }) => until === null)
        ? []
        : keys.map(
            ({ fingerprint, until, signs }) =>
              `key       ${name} ${fingerprint}, ${until === null ? 'follows' : `good until ${iso(until)}`}${signs ? ', signs now' : ''}`,
          ),
    ),
    `ledger    ${status.actors.map(({ name: actor, ledger }) => `${actor} ${ledger}`).join(', ')}`,
  ]
    .map(onOneLine)
    .join('\n')
}

/** What became of jobs on units that had to go. */
function partedLines({ back, kept, cut }: PartedReport): readonly string[] {
  const lines = (head: string, jobs: readonly PartedJob[]): readonly string[] =>
    jobs.length === 0
      ? []
      : [
          `  ${head} ${few(
            jobs.map(({ id, node, reason }) => `${id} on ${node} (${middleOut(reason)})`),
            4,
          )}`,
        ]
  return [
    ...lines('staying', kept),
    ...lines('cut    ', cut),
    ...(back.length === 0
      ? []
      : [
          `  again   ${few(
            back.map(({ id, node }) => `${id} of ${node}`),
            8,
          )}`,
        ]),
  ]
}

const byHandText = ({ joined, coming, reserved, asked, leaving }: UnitsByHand): string =>
  [
    `${joined} joined, ${coming} coming`,
    ...(leaving > 0 ? [`${leaving} leaving`] : []),
    ...(reserved > 0 ? [`${reserved} reserved for later`] : []),
    ...(asked > 0 ? [`${asked} asked for`] : []),
  ].join(', ')

const iso = (at: number): string => new Date(at).toISOString()

function peerLine(peer: StatusReport['peers'][number]): string {
  const {
    name,
    role,
    url,
    fetchedAt,
    silentSince,
    lastError,
    slowSince,
    skewed,
    tooFast,
    putOff,
    keyEndsAt,
  } = peer
  return [
    `${name} (${role})`,
    url ?? (fetchedAt === null ? 'has not come to fetch yet' : 'comes and fetches'),
    ...(silentSince === null ? [] : [`silent since ${hour(silentSince)}: ${lastError}`]),
    ...(slowSince === null ? [] : [`slow since ${hour(slowSince)}`]),
    ...(tooFast === null
      ? []
      : [
          `says more than it may (too-fast): put off ${tooFast.times} times, last at ${hour(tooFast.lastAt)}`,
        ]),
    ...(putOff === null
      ? []
      : [
          `puts us off (too-fast) since ${hour(putOff.since)}: ${putOff.times} times, last at ${hour(putOff.lastAt)}`,
        ]),
    ...(skewed === null ? [] : [`clock ${period(skewed.offsetMs)} off since ${hour(skewed.since)}`]),
    ...peer.keys.flatMap(({ fingerprint: print, until }) =>
      until === null ? [] : [`key ${keyEndsAt === null ? `${print} ` : ''}until ${iso(until)}`],
    ),
  ].join(', ')
}

/** A broker keeps no tickets that are over, and its ledger alone tells why they are. */
const isForgotten = ({ state, units, closeReason }: LeaseReport): boolean =>
  state === 'closed' && units === 0 && closeReason === ''

export function showLeases(leases: readonly LeaseReport[], all: boolean, now: number): string {
  const shown = leases.filter(({ state }) => all || state !== 'closed')
  if (shown.length === 0) return all ? 'no leases' : 'no open leases'
  return table(
    ['LEASE', 'GUEST', 'STATE', 'UNITS', 'TYPE', 'LEFT', 'NODES', 'WHY'],
    shown.map((lease) => [
      lease.id,
      lease.guest,
      `${lease.state}${lease.extending ? ', extending' : ''}${lease.recall === null ? '' : ', recalled'}${lease.approval === null ? '' : `, awaits approval since ${hour(lease.approval.since)}`}`,
      isForgotten(lease) ? '-' : String(present(lease).units),
      lease.type,
      lease.end === null || lease.state === 'closed' ? '-' : span(remaining(lease.end, now)),
      present(lease).names.join(',') || '-',
      isForgotten(lease)
        ? `see sublet explain ${lease.id}`
        : lease.state === 'closed' || lease.state === 'closing'
          ? lease.closeReason
          : lease.reason,
    ]),
  )
}

export function showNodes(nodes: readonly NodeReport[], all: boolean): string {
  const shown = nodes.filter((node) => all || !isGone(node))
  if (shown.length === 0) return 'no nodes'
  return table(
    ['NODE', 'UNIT', 'MIDDLEWARE', 'MACHINE', 'HOST', 'JOBS', 'LEASE', 'WHY'],
    shown.map((node) => [
      node.name,
      node.unitId,
      node.membership ?? '-',
      node.machine ?? '-',
      node.host ?? '-',
      node.jobs.join(',') || '-',
      node.leaseId,
      node.suspect ?? pinnedText(node) ?? node.reason,
    ]),
  )
}

const pinnedText = ({ pinned }: NodeReport): string | undefined =>
  pinned === null ? undefined : `pinned until ${hour(pinned.until)} by ${pinned.by}: ${pinned.reason}`

export const showEntry = ({ at, actor, seq, kind, subject, reason }: LedgerEntry): string =>
  onOneLine(`${written(at)} ${actor} ${seq} ${kind} ${subject}: ${reason}`)

export function showVerdicts(verdicts: readonly LedgerVerdict[]): string {
  return verdicts
    .flatMap(({ actor, entries, faults, checkpoints, traces }) => [
      [
        `${actor}: ${some(entries, 'line')}`,
        faults.length === 0 ? 'unbroken' : some(faults.length, 'fault'),
        ...(checkpoints === undefined ? [] : [signed(checkpoints)]),
        ...(traces === undefined || traces.accepted === 0
          ? []
          : [`traced ${traces.traced} of ${some(traces.accepted, 'grant')}`]),
        ...(traces === undefined || traces.adoptedCount === 0
          ? []
          : [`${traces.adoptedCount} adopted after a restore, not traceable`]),
      ].join(', '),
      ...faults.map(({ seq, sentence }) =>
        // Some speak of two lines.
        sentence.startsWith('line ') ? `  ${sentence}` : `  line ${seq}: ${sentence}`,
      ),
      ...(traces?.adopted ?? []).map(
        ({ seq, leaseId }) =>
          `  line ${seq}: lease ${leaseId} was adopted after a restore; nobody remembered the claim of its ticket`,
      ),
    ])
    .join('\n')
}

/** What follows from signatures, and what does not. */
function signed({ signedTo, signedBy, unsigned, compared }: Checkpoints): string {
  if (signedBy === undefined) return 'no line signed yet'
  const by = compared
    ? 'with its key'
    : `with the key ${fingerprint(signedBy)}, which nobody vouches for here`
  const rest =
    unsigned === 0 ? '' : `, ${some(unsigned, 'line')} after that ${unsigned === 1 ? 'is' : 'are'} not`
  return `signed up to line ${signedTo} ${by}${rest}`
}
