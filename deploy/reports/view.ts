import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { some, span } from '../../controllers/sentence.ts'
import { type LeaseReport, leasesOf, present, remaining } from './lease-report.ts'
import { ledgerTail } from './ledger-tail.ts'
import { onOneLine } from './printable.ts'
import type { SiteView } from './site-view.ts'
import { isGone, type NodeReport, nodesOf, statusOf } from './status.ts'

/**
 * What a running site looks like: on a terminal a screen that is drawn anew a few times a second, else a
 * line for each event. Standard output may shrink, grow or go away at any time.
 */
export interface View {
  /** What is going on, in a few words. */
  phase(words: string): void
  stop(): Promise<void>
}

export interface ViewParts {
  readonly site: SiteView
  readonly clock: Clock
  readonly startedAt: Instant
  readonly title: string
  readonly out: Terminal
}

/** The part of a tty.WriteStream that is used here. */
export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  readonly writable: boolean
  write(text: string): boolean
  hasColors?(): boolean
}

export const view = (parts: ViewParts): View => (parts.out.isTTY === true ? screen(parts) : lines(parts))

// ── lines ──────────────────────────────────────────────────────────────────────────────────────────

/** What an observer wants to follow; the rest is for `sublet ledger`. */
const TOLD_OF_MANAGER: ReadonlySet<string> = new Set([
  ...[
    'requested',
    'ticketed',
    'refused',
    'active',
    'extended',
    'extension refused',
    'leaving',
    'lease closed',
  ],
  ...['unit joined', 'unit draining', 'unit resuming', 'unit suspect', 'unit lost', 'recalled', 'requeued'],
  ...['requeue failed', 'blind', 'sees again', 'frozen', 'thawed', 'hurried', 'pinned', 'unpinned'],
  ...['changed nothing', 'paced', 'jobs not put back', 'jobs cut', 'nodes unknown'],
])
const TOLD_OF_SITE: ReadonlySet<string> = new Set([
  ...['unit assigned', 'unit stuck', 'unit ended', 'image failed', 'orphan found', 'sweep failed'],
])
const TOLD_OF_ALL: ReadonlySet<string> = new Set(['undelivered', 'input set aside', 'clock stepped'])
const LINES_AT_ONCE_MAX = 40

function lines({ site, clock, startedAt, out }: ViewParts): View {
  const print = (at: Instant, text: string): void => {
    if (out.writable) out.write(`${seconds(at - startedAt)}  ${text}\n`)
  }
  const names = new Map<string, string>()
  const endTail = ledgerTail(site, (entries) => {
    for (const { id, name } of site.authority?.rows('unit') ?? []) names.set(id, name)
    const told = entries.filter((entry) => isTold(site, entry))
    for (const entry of told.slice(0, LINES_AT_ONCE_MAX)) print(entry.at, eventLine(entry, names))
    if (told.length > LINES_AT_ONCE_MAX)
      print(clock.now(), `... and ${told.length - LINES_AT_ONCE_MAX} more events`)
  })
  return { phase: (words) => print(clock.now(), `── ${words}`), stop: endTail }
}

/** What two actors note of the same event is told once. */
const isTold = ({ serviceManager, authority }: SiteView, { kind, actor }: LedgerEntry): boolean =>
  TOLD_OF_ALL.has(kind) ||
  (actor === serviceManager?.name && TOLD_OF_MANAGER.has(kind)) ||
  (actor === authority?.name && TOLD_OF_SITE.has(kind))

function eventLine({ kind, subject, reason }: LedgerEntry, names: ReadonlyMap<string, string>): string {
  const name = names.get(subject)
  return onOneLine(`${name ?? subject}: ${kind}: ${reason}`)
}

const seconds = (ms: Millis): string => `${(ms / 1000).toFixed(2).padStart(7)}s`

// ── a screen ───────────────────────────────────────────────────────────────────────────────────────

const DRAW_EVERY_MS: Millis = 200
const ALTERNATE = '\u001b[?1049h\u001b[?25l'
const MAIN = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const END_OF_LINE = '\u001b[K'
const END_OF_SCREEN = '\u001b[J'
const DECISIONS_MAX = 50

interface Decision {
  readonly at: Instant
  readonly text: string
}

function screen(parts: ViewParts): View {
  const { site, clock, startedAt, out } = parts
  const decisions: Decision[] = []
  let phase = 'starting'
  const endTail = ledgerTail(site, (entries) => {
    const names = new Map((site.authority?.rows('unit') ?? []).map(({ id, name }) => [id, name]))
    for (const entry of entries)
      if (isTold(site, entry)) decisions.push({ at: entry.at, text: eventLine(entry, names) })
    decisions.splice(0, decisions.length - DECISIONS_MAX)
  })
  const write = (text: string): void => {
    if (out.writable) out.write(text)
  }
  const draw = (): void => {
    const size = { columns: out.columns ?? 80, rows: out.rows ?? 24, colours: out.hasColors?.() === true }
    const drawn = drawScreen({ ...parts, phase, decisions, now: clock.now(), startedAt }, size)
    write(HOME + drawn.map((line) => line + END_OF_LINE).join('\n') + END_OF_SCREEN)
  }
  const again = (): (() => void) =>
    clock.after(DRAW_EVERY_MS, () => {
      draw()
      cancel = again()
    })
  write(ALTERNATE)
  draw()
  let cancel = again()
  return {
    phase(words) {
      phase = words
    },
    async stop() {
      cancel()
      await endTail()
      write(MAIN)
    },
  }
}

/** Leaves the screen as it was found; for an end at once. */
export function leaveScreen(out: Terminal): void {
  if (out.isTTY === true && out.writable) out.write(MAIN)
}

interface Drawn {
  readonly site: SiteView
  readonly title: string
  readonly phase: string
  readonly decisions: readonly Decision[]
  readonly now: Instant
  readonly startedAt: Instant
}

/** At most as many lines as there are rows, none wider than the columns. */
export function drawScreen(
  { site, title, phase, decisions, now, startedAt }: Drawn,
  size: { readonly columns: number; readonly rows: number; readonly colours: boolean },
): readonly string[] {
  const paint = painter(size.colours)
  const status = statusOf(site, now, { pid: process.pid, startedAt })
  const open = leasesOf(site).filter(({ state }) => state !== 'closed')
  const nodes = nodesOf(site, now).filter((node) => !isGone(node))
  const head = [
    spread(paint('bold', title), `${span(now - startedAt)}`, size.columns),
    phase,
    '',
    ...status.guests.flatMap((guest) => {
      const { pending = 0, running = 0, completing = 0, held = 0 } = guest.jobs ?? {}
      const work = running + completing
      return [
        `${paint('bold', 'jobs')}    ${bar(pending, 'waiting', '33', paint)}${bar(work, 'running', '34', paint)}${held > 0 ? `${held} held` : ''}`,
        `${paint('bold', 'nodes')}   ${nodeBars(nodes, guest.name, paint)}`,
        `${paint('bold', 'now')}     ${guest.reason || 'nothing decided yet'}`,
      ]
    }),
    '',
  ]
  // Nodes and leases get what the rest leaves; at least four lines are for decisions.
  const room = Math.max(2, size.rows - head.length - 6)
  const [leaseRoom, nodeRoom] = [Math.max(1, Math.floor(room * 0.4)), Math.max(1, Math.floor(room * 0.3))]
  const middle = [
    paint('bold', `leases (${open.length})`),
    ...atMost(
      open.map((lease) => leaseLine(lease, now)),
      leaseRoom,
      'none',
    ),
    paint('bold', `machines (${nodes.length})`),
    ...atMost(nodeLines(nodes, size.columns), nodeRoom, 'none'),
    paint('bold', 'last decisions'),
  ]
  const left = Math.max(0, size.rows - head.length - middle.length)
  const last = decisions
    .slice(Math.max(0, decisions.length - left))
    .map(({ at, text }) => `${seconds(at - startedAt)}  ${text}`)
  return [...head, ...middle, ...(left === 0 ? [] : last)]
    .slice(0, size.rows)
    .map((line) => cut(line, size.columns))
}

function atMost(rows: readonly string[], most: number, none: string): readonly string[] {
  if (rows.length === 0) return [`  ${none}`]
  if (rows.length <= most) return rows
  return [...rows.slice(0, Math.max(0, most - 1)), `  ... ${rows.length - Math.max(0, most - 1)} more lines`]
}

function leaseLine(lease: LeaseReport, now: Instant): string {
  const { id, state, end, extending, recall } = lease
  const { units, names } = present(lease)
  const left = end === null ? '' : `${span(remaining(end, now))} left`
  const marks = `${extending ? ', extending' : ''}${recall === null ? '' : ', recalled'}`
  return `  ${id}  ${`${state}${marks}`.padEnd(9)}  ${some(units, 'unit').padEnd(7)}  ${left.padEnd(11)}  ${onOneLine(names.join(' '))}`
}

const CELL_WIDTH = 26

/** Several to a line: name, where it stands, what runs there. */
function nodeLines(nodes: readonly NodeReport[], columns: number): readonly string[] {
  const perLine = Math.max(1, Math.floor((columns - 2) / CELL_WIDTH))
  const cells = nodes.map(({ name, membership, machine, jobs, suspect }) => {
    const standing = membership === 'awaited' || membership === null ? (machine ?? '-') : membership
    const work = suspect !== null ? '(suspect)' : jobs.length > 0 ? `▸ ${jobs.join(' ')}` : ''
    return onOneLine(`${name.padEnd(5)} ${standing} ${work}`)
      .slice(0, CELL_WIDTH - 2)
      .padEnd(CELL_WIDTH)
  })
  return Array.from({ length: Math.ceil(cells.length / perLine) }, (_, i) =>
    `  ${cells.slice(i * perLine, (i + 1) * perLine).join('')}`.trimEnd(),
  )
}

function nodeBars(nodes: readonly NodeReport[], guest: string, paint: Paint): string {
  const count = (...states: readonly (string | null)[]): number =>
    nodes.filter((node) => node.guest === guest && states.includes(node.membership)).length
  return [
    bar(count('joined'), 'joined', '32', paint),
    bar(count('awaited', 'joining'), 'coming', '36', paint),
    bar(count('draining', 'leaving'), 'leaving', '35', paint),
  ].join('')
}

type Paint = (how: string, text: string) => string

const painter =
  (colours: boolean): Paint =>
  (how, text) =>
    colours ? `\u001b[${how === 'bold' ? '1' : how}m${text}\u001b[0m` : text

const BAR_MAX = 12

const bar = (count: number, label: string, colour: string, paint: Paint): string =>
  `${paint(colour, '█'.repeat(Math.min(BAR_MAX, count)))}${count > 0 ? ' ' : ''}${count} ${label}   `

const spread = (left: string, right: string, columns: number): string =>
  `${left}${' '.repeat(Math.max(1, columns - visible(left).length - right.length))}${right}`

const ESCAPE = '\u001b'

/** The text without its colours. */
const visible = (text: string): string =>
  text
    .split(ESCAPE)
    .map((part, i) => (i === 0 ? part : part.replace(/^\[[0-9;]*m/, '')))
    .join('')

/** No wider than the terminal; a colour that was begun is ended. */
function cut(line: string, columns: number): string {
  if (visible(line).length <= columns) return line
  let shown = ''
  let width = 0
  for (let i = 0; i < line.length && width < columns - 1; i++) {
    if (line[i] === ESCAPE) {
      const end = line.indexOf('m', i)
      shown += line.slice(i, end + 1)
      i = end
    } else {
      shown += line[i]
      width += 1
    }
  }
  return `${shown}${line.includes(ESCAPE) ? `${ESCAPE}[0m` : ''}…`
}
