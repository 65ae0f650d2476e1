import type { Instant, Millis } from '../runtime/clock.ts'
import type { Term } from './term.ts'

/**
 * Units over time, as steps. Values never change: `with` gives a new profile and shares all but the path to what
 * is new, so that each operation costs the logarithm of the number of steps.
 *
 *   level 4 ┤      ┌───────       always 2, and at each instant
 *         2 ┤──┐   │              what comes or goes there:
 *         0 ┤  └───┘              −2      +4
 */
export interface Profile {
  /** The level before the first change. */
  readonly always: number
  readonly changes: Tree
}

/** A search tree by instant and a heap by priority, which follows from the instant: nothing is left to chance. */
interface Node {
  readonly at: Instant
  readonly change: number
  readonly priority: number
  readonly before: Tree
  readonly after: Tree
  /** Of all changes below. */
  readonly sum: number
  /** The least and the most that the changes below, added up from the first on, ever come to. */
  readonly least: number
  readonly most: number
}
type Tree = Node | undefined

export const levelAlways = (units: number): Profile => ({ always: units, changes: undefined })

/** `units` more over the term; fewer if negative. A term may begin or end at an infinity. */
export function withUnits({ always, changes }: Profile, units: number, { start, end }: Term): Profile {
  if (units === 0 || end <= start) return { always, changes }
  const begun = start === Number.NEGATIVE_INFINITY ? changes : changed(changes, start, units)
  return {
    always: start === Number.NEGATIVE_INFINITY ? always + units : always,
    changes: end === Number.POSITIVE_INFINITY ? begun : changed(begun, end, -units),
  }
}

export function levelAt({ always, changes }: Profile, at: Instant): number {
  let level = always
  for (let tree = changes; tree !== undefined; )
    if (tree.at <= at) {
      level += sumOf(tree.before) + tree.change
      tree = tree.after
    } else tree = tree.before
  return level
}

export const mostEver = ({ always, changes }: Profile): number => always + Math.max(0, changes?.most ?? 0)

/** The least level at any instant of the term. */
export const leastWithin = (profile: Profile, { start, end }: Term): number => {
  const from = levelAt(profile, start)
  return from + Math.min(0, extreme(profile.changes, start, end).least)
}

/** The earliest start in [after, latest] from which on at least `units` are there for the whole length. */
export function earliestStart(
  profile: Profile,
  units: number,
  lengthMs: Millis,
  after: Instant,
  latest: Instant,
): Instant | undefined {
  let start = after
  while (start <= latest) {
    const short = levelAt(profile, start) < units ? start : nextBelow(profile, units, start)
    if (short === undefined || short >= start + lengthMs) return start
    const next = nextAtLeast(profile, units, short)
    if (next === undefined) return undefined
    start = next
  }
  return undefined
}

/** The steps from an instant on, the first at it. */
export function* stepsFrom(
  profile: Profile,
  from: Instant,
): Generator<{ readonly at: Instant; readonly level: number }> {
  let level = levelAt(profile, from)
  yield { at: from, level }
  for (const { at, change } of changesAfter(profile.changes, from)) {
    level += change
    yield { at, level }
  }
}

/** As it is, but within the term nowhere below `floor`. */
export function raisedTo(profile: Profile, floor: number, { start, end }: Term): Profile {
  let raised = profile
  let below: { readonly at: Instant; readonly level: number } | undefined
  const raise = (until: Instant): void => {
    if (below !== undefined && below.level < floor)
      raised = withUnits(raised, floor - below.level, { start: below.at, end: until })
  }
  for (const step of stepsFrom(profile, start)) {
    if (step.at >= end) break
    raise(step.at)
    below = step
  }
  raise(end)
  return raised
}

/** The next instant after `at` at which the level rises. */
export function nextRise({ changes }: Profile, at: Instant): Instant | undefined {
  for (const node of changesAfter(changes, at)) if (node.change > 0) return node.at
  return undefined
}

// ── the tree ─────────────────────────────────────────────────────────────────────────────────────────

const sumOf = (tree: Tree): number => tree?.sum ?? 0

function node(at: Instant, change: number, priority: number, before: Tree, after: Tree): Node {
  const here = sumOf(before) + change
  return {
    ...{ at, change, priority, before, after },
    sum: here + sumOf(after),
    least: Math.min(before?.least ?? here, here, here + (after?.least ?? 0)),
    most: Math.max(before?.most ?? here, here, here + (after?.most ?? 0)),
  }
}

/** Spreads instants that lie close together. */
function priorityOf(at: Instant): number {
  let mixed = Math.imul((at % 4_294_967_296) ^ (at / 4_294_967_296), 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** A change that comes to nothing is taken out. */
function changed(tree: Tree, at: Instant, by: number, priority = priorityOf(at)): Tree {
  if (tree === undefined) return node(at, by, priority, undefined, undefined)
  if (tree.at === at) {
    const change = tree.change + by
    return change === 0
      ? joined(tree.before, tree.after)
      : node(at, change, priority, tree.before, tree.after)
  }
  if (priority > tree.priority) {
    const [before, after] = cut(tree, at)
    return node(at, by, priority, before, after)
  }
  return at < tree.at
    ? node(tree.at, tree.change, tree.priority, changed(tree.before, at, by, priority), tree.after)
    : node(tree.at, tree.change, tree.priority, tree.before, changed(tree.after, at, by, priority))
}

/** What lies before and after an instant that is not in the tree. */
function cut(tree: Tree, at: Instant): [Tree, Tree] {
  if (tree === undefined) return [undefined, undefined]
  if (tree.at < at) {
    const [before, after] = cut(tree.after, at)
    return [node(tree.at, tree.change, tree.priority, tree.before, before), after]
  }
  const [before, after] = cut(tree.before, at)
  return [before, node(tree.at, tree.change, tree.priority, after, tree.after)]
}

function joined(before: Tree, after: Tree): Tree {
  if (before === undefined) return after
  if (after === undefined) return before
  return before.priority > after.priority
    ? node(before.at, before.change, before.priority, before.before, joined(before.after, after))
    : node(after.at, after.change, after.priority, joined(before, after.before), after.after)
}

interface Extreme {
  readonly least: number
  readonly sum: number
}
const NOTHING: Extreme = { least: 0, sum: 0 }

/** Over the changes in (start, end), added up from the first of them on. */
function extreme(tree: Tree, start: Instant, end: Instant): Extreme {
  if (tree === undefined) return NOTHING
  if (tree.at <= start) return extreme(tree.after, start, end)
  if (tree.at >= end) return extreme(tree.before, start, end)
  const before = from(tree.before, start)
  const here = before.sum + tree.change
  const after = until(tree.after, end)
  return { least: Math.min(before.least, here, here + after.least), sum: here + after.sum }
}

/** Over the changes after `start`. */
function from(tree: Tree, start: Instant): Extreme {
  if (tree === undefined) return NOTHING
  if (tree.at <= start) return from(tree.after, start)
  const before = from(tree.before, start)
  const here = before.sum + tree.change
  const least = Math.min(before.least, here, here + (tree.after?.least ?? 0))
  return { least, sum: here + sumOf(tree.after) }
}

/** Over the changes before `end`. */
function until(tree: Tree, end: Instant): Extreme {
  if (tree === undefined) return NOTHING
  if (tree.at >= end) return until(tree.before, end)
  const here = sumOf(tree.before) + tree.change
  const after = until(tree.after, end)
  return { least: Math.min(tree.before?.least ?? here, here, here + after.least), sum: here + after.sum }
}

/** The first change after `at` that leaves fewer than `units`. */
const nextBelow = ({ always, changes }: Profile, units: number, at: Instant): Instant | undefined =>
  first(changes, at, always, (low) => low < units)

/** The first change after `at` that leaves at least `units`. */
const nextAtLeast = ({ always, changes }: Profile, units: number, at: Instant): Instant | undefined =>
  first(changes, at, always, (_, high) => high >= units)

/** The first change after `after` whose level will do; `will` is asked of ranges of levels, too. */
function first(
  tree: Tree,
  after: Instant,
  level: number,
  will: (least: number, most: number) => boolean,
): Instant | undefined {
  if (tree === undefined || !will(level + tree.least, level + tree.most)) return undefined
  const here = level + sumOf(tree.before) + tree.change
  if (tree.at > after) {
    const earlier = first(tree.before, after, level, will)
    if (earlier !== undefined) return earlier
    if (will(here, here)) return tree.at
  }
  return first(tree.after, after, here, will)
}

function* changesAfter(tree: Tree, after: Instant): Generator<Node> {
  const path: Node[] = []
  let below = tree
  while (below !== undefined || path.length > 0) {
    while (below !== undefined)
      if (below.at > after) {
        path.push(below)
        below = below.before
      } else below = below.after
    const next = path.pop()
    if (next === undefined) return
    yield next
    below = next.after
  }
}
