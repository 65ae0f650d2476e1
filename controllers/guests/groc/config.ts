import { z } from 'zod'
import { duration, name } from '../../../actors/runtime/settings.ts'
import type { Room } from './needs.ts'
import { meet, type Thresholds, type Window, within, writtenWindow } from './windows.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Work of a queue counts so many times in the backlog, and its jobs are placed before those of lighter ones. */
const weight = z.number().gt(0).max(1000).default(1)

/** Whether the machines of a wide job's lease are all on one switch, or none is there; or as far as there is room. */
const together = z.enum(['switch', 'switch-preferred']).optional()

/** A queue that is served; what stands here holds for its jobs in place of what stands for all. */
const queue = z.strictObject({
  name: z.string().min(1),
  weight,
  together,
  /** Units that its jobs may have, as far as orders for them go. Absent: the `max` of all. */
  max: z.int().min(1).optional(),
  grow: z
    .strictObject({
      wait: duration.optional(),
      /** Of its own work, without the weight. */
      backlog: duration.optional(),
      run: duration.optional(),
    })
    .optional(),
  shrink: z
    .strictObject({
      /** Of a unit whose latest jobs were of this queue. */
      idle: duration.optional(),
    })
    .optional(),
})

const unit = z.strictObject({
  cpus: z.int().min(1),
  memoryMiB: z.int().min(1),
  /** What else its jobs may count on, by the batch system's names. */
  consumables: z.record(z.string().min(1).max(60), z.int().min(1)).default({}),
  /** Properties its nodes have in the batch system. */
  features: z.array(z.string().min(1).max(200)).max(64).default([]),
})

/**
 *   a job waits ──(grow.wait, grow.backlog, held for grow.sustain)──▶ units are asked for
 *   a unit idles ──(shrink.idle)──▶ drained ──(settle)──▶ seen empty ──▶ out of the middleware ──▶ given back
 *
 * Every length of time is written with its unit (`20s`, `10m`, `2h`); unknown keys are refused.
 */
export const writtenGroc = z
  .strictObject({
    /** The queues it serves, by name or with thresholds of their own; jobs of others are not counted. Absent: all. */
    queues: z
      .array(z.union([z.string().min(1), queue]))
      .min(1)
      .optional(),
    /** The resource type it asks for; short for `types` with one entry. */
    type: name.optional(),
    /** What one unit of it offers to jobs. Absent: what the site lends, if the site is of the same file. */
    unit: unit.optional(),
    /** The types it asks for, preferred ones first. */
    types: z
      .array(
        z.strictObject({
          type: name,
          unit: unit.optional(),
          /** Most units of this type. Absent: `max` alone limits them. */
          max: z.int().min(1).optional(),
        }),
      )
      .min(1)
      .optional(),
    /** For jobs of several nodes of queues that do not say it themselves. */
    together,
    /** Sites whose units are taken first, preferred ones first, where as much is to be had as soon. Absent: the broker chooses. */
    sites: z.array(name).min(1).max(64).optional(),
    /** Units kept even when nothing waits. */
    min: z.int().min(0).default(0),
    /** Units that the waiting jobs of one user may cause to be asked for at once. Absent: no limit. */
    userMax: z.int().min(1).optional(),
    /** Node-hours that one user's jobs may take in any stretch of time of that length; what would exceed them is not ordered for. */
    userBudget: z.strictObject({ nodeHours: z.number().gt(0), per: duration }).optional(),
    /** Units kept empty and ready beside those that work. */
    reserve: z.int().min(0).default(0),
    /** Units never exceeded by what it asks for, over everything held. It binds the controller, not people who `sublet request`. */
    max: z.int().min(1),
    /** Most units in one lease of small jobs. A wide job gets one lease of its own, whatever its size. */
    step: z.int().min(1).default(4),
    /** How much of what small jobs want is asked for at once, and the rest in the same way after each `every`. */
    ramp: z
      .strictObject({ share: z.number().gt(0).max(1).default(1), every: duration.default(MINUTE_MS) })
      .prefault({}),
    grow: z
      .strictObject({
        /** Ask once a job for which there is no room has waited this long. */
        wait: duration.default(5_000),
        /** Ask already when the waiting work, in time per processor held or coming, exceeds this. Absent: never for this. */
        backlog: duration.optional(),
        /** ... and one of the two has held without a break for this long. */
        sustain: duration.default(0),
        /** While the longest wait is below half of this, machines may begin later, as long as it is kept. */
        target: duration.optional(),
        /** What a job without a time limit is taken to last, in `backlog`. */
        run: duration.default(10 * MINUTE_MS),
      })
      .prefault({}),
    shrink: z
      .strictObject({
        /** A unit goes after it was empty and unneeded for this long. */
        idle: duration.default(5 * MINUTE_MS),
        /** ... and only while the waiting work per processor is not above this. Absent: whatever waits. */
        backlog: duration.optional(),
      })
      .prefault({}),
    /** How the batch system starts jobs: any that fits, or within a queue none before one that came earlier. */
    starts: z.enum(['any', 'in-order']).default('any'),
    /** Where it starts them in order: jobs behind the one that has to wait are counted as if there could be so many units more. */
    lookahead: z.int().min(0).default(0),
    /** What stands idle while a wide job waits for others to end is kept for it, or goes as other idle units do. */
    collect: z.enum(['keep', 'release']).default('keep'),
    /** Length of a lease. */
    term: duration.default(60 * MINUTE_MS),
    /** The shortest extension worth asking for. Absent: 10 min, or the term if that is shorter. */
    termMin: duration.optional(),
    /** An extension is asked for when less than this share of the term is left. */
    extendMargin: z.number().gt(0).lt(1).default(0.4),
    /** Node-hours in any stretch of time of that length. What would exceed them is not asked for; extensions go on. */
    budget: z.strictObject({ nodeHours: z.number().gt(0), per: duration }).optional(),
    /** Most units asked for in any minute; absent: no limit. */
    startsPerMinute: z.int().min(1).optional(),
    /** After a refusal: ask again after `first`, doubling up to `most`. */
    retry: z
      .strictObject({ first: duration.default(30_000), most: duration.default(10 * MINUTE_MS) })
      .prefault({}),
    /** After so many failures of one image in a row, one unit at a time, once per `retry.most`. */
    breaker: z.int().min(1).default(10),
    /** A node on which so many jobs in a row ended `within` of their start, while others work, is drained. */
    blackHole: z
      .strictObject({ jobs: z.int().min(2).default(8), within: duration.default(3000) })
      .prefault({}),
    /** From a change of a node to a look that is sure to show it; the batch system's capability. */
    settle: duration.default(5000),
    /** A node that is gone from the batch system, or silent, for this long is given up. */
    missing: duration.default(2 * MINUTE_MS),
    /** A silent node with work is drained then, and after so much longer its jobs are put back into the queue, where they may start again. */
    dead: duration.default(10 * MINUTE_MS),
    /** A job that has ended and holds its node for this long is named; the node takes no more work, and no lease is extended for it. */
    completing: duration.default(15 * MINUTE_MS),
    /** Where half of three or more nodes are silent at once, none of them is given up for so long: it is hardly the nodes. */
    outage: duration.default(30 * MINUTE_MS),
    /** For so long after a machine died its site is taken to set up another one, and none is ordered in its place. */
    repair: duration.default(30_000),
    /** Whether free room on the admin's own nodes serves waiting jobs. `ignore` where those serve other queues. */
    ownNodes: z.enum(['count', 'ignore']).default('count'),
    /** The longest pause between two decisions. */
    every: duration.default(10_000),
    /** Times at which other thresholds hold; where two are open, the later one in the list has the last word. */
    windows: z.array(writtenWindow).max(16).default([]),
  })
  .superRefine((config, context) => {
    const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message })
    refuseTypes(config, refuse)
    refuseQueues(config.queues ?? [], refuse)
    config.sites?.forEach((site, i, all) => {
      if (all.indexOf(site) < i) refuse(['sites', i], `“${site}” is there before`)
    })
    refuseThresholds(config, refuse)
    refuseWindows(config, refuse)
    refuseBudget(config, refuse)
    if (config.userBudget !== undefined && config.userBudget.per < HOUR_MS)
      refuse(['userBudget', 'per'], 'must be at least 1h')
    if (config.termMin !== undefined && config.termMin > config.term)
      refuse(['termMin'], 'must not be longer than the term')
    const termMin = config.termMin ?? config.term
    if (Math.min(termMin, config.term) * config.extendMargin < 2 * config.every)
      refuse(
        [config.termMin === undefined ? 'term' : 'termMin'],
        'is too short to be extended: its last part (extendMargin) must hold two decisions (every)',
      )
    if (config.lookahead > 0 && config.starts === 'any')
      refuse(['lookahead'], 'has no meaning unless starts is in-order: all jobs are counted')
    if (config.every < 1) refuse(['every'], 'must be longer than nothing')
    if (config.missing < 1)
      refuse(['missing'], 'must be longer than nothing: a node that answers has been silent for as long')
    if (config.retry.first < 1000) refuse(['retry', 'first'], 'must be at least 1s')
    if (config.retry.first > config.retry.most)
      refuse(['retry', 'first'], 'must not be longer than retry.most')
  })
  .transform(({ type, unit, types, termMin, queues, ...config }) => ({
    ...config,
    queues: queues?.map(
      (one): ServedQueue => (typeof one === 'string' ? { name: one, weight: 1, together: undefined } : one),
    ),
    types: types ?? [{ type: type ?? '', unit, max: undefined }],
    /** Written as `type` and `unit`, which is where complaints belong. */
    isShort: types === undefined,
    termMin: termMin ?? Math.min(10 * MINUTE_MS, config.term),
  }))

interface WrittenThresholds extends Thresholds {
  readonly grow: { readonly backlog?: number | undefined }
  readonly shrink: { readonly idle: number; readonly backlog?: number | undefined }
  readonly term: number
  readonly queues?: readonly (string | ServedQueue)[] | undefined
}

export type ServedQueue = Readonly<z.output<typeof queue>>

type Refuse = (path: PropertyKey[], message: string) => void

/** What may not stand together, whatever the time of day. */
function refuseThresholds(config: WrittenThresholds, refuse: Refuse): void {
  const { max, min, reserve, grow, shrink, term } = config
  if (max < min) refuse(['max'], `max (${max}) must not be below min (${min})`)
  else if (max < min + reserve)
    refuse(
      ['reserve'],
      `found ${reserve}: with min ${min} that is above max (${max}), so it could not be kept`,
    )
  if (grow.backlog !== undefined && shrink.backlog !== undefined && grow.backlog <= shrink.backlog)
    refuse(['grow', 'backlog'], 'must be above shrink.backlog, or units would come and go for the same queue')
  if (shrink.idle >= term)
    refuse(
      ['shrink', 'idle'],
      'must be shorter than the term: a lease of idle units is not extended, so the hold would never end',
    )
  refuseOfQueues(config, refuse)
}

function refuseOfQueues({ queues = [], shrink, term }: WrittenThresholds, refuse: Refuse): void {
  queues.forEach((one, i) => {
    if (typeof one === 'string') return
    const backlog = one.grow?.backlog
    if (backlog !== undefined && shrink.backlog !== undefined && backlog <= shrink.backlog)
      refuse(
        ['queues', i, 'grow', 'backlog'],
        'must be above shrink.backlog, or units would come and go for the same queue',
      )
    if ((one.shrink?.idle ?? 0) >= term)
      refuse(
        ['queues', i, 'shrink', 'idle'],
        'must be shorter than the term: a lease of idle units is not extended, so the hold would never end',
      )
  })
}

const faultsOf = (thresholds: WrittenThresholds): readonly { path: PropertyKey[]; message: string }[] => {
  const faults: { path: PropertyKey[]; message: string }[] = []
  refuseThresholds(thresholds, (path, message) => faults.push({ path, message }))
  return faults
}

/** Each window over the settings, and each two that are ever open together; what is wrong without them is told there. */
function refuseWindows(
  config: WrittenThresholds & { readonly windows: readonly Window[] },
  refuse: Refuse,
): void {
  if (faultsOf(config).length > 0) return
  const { windows } = config
  windows.forEach((window, i) => {
    const alone = faultsOf(within(config, window))
    for (const { path, message } of alone) {
      const says = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], window)
      refuse(['windows', i, ...(says === undefined ? [] : path)], message)
    }
    if (alone.length > 0) return
    windows.slice(0, i).forEach((earlier, j) => {
      const below = within(config, earlier)
      const [fault] = faultsOf(below).length > 0 ? [] : faultsOf(within(below, window))
      if (fault !== undefined && meet(earlier, window))
        refuse(['windows', i], `while windows[${j}] is open, too, ${fault.path.join('.')}: ${fault.message}`)
    })
  })
}

interface WrittenBudget {
  readonly min: number
  readonly term: number
  readonly budget?: { readonly nodeHours: number; readonly per: number } | undefined
  readonly windows: readonly Window[]
}

function refuseBudget({ min, term, budget, windows }: WrittenBudget, refuse: Refuse): void {
  if (budget === undefined) return
  const { nodeHours, per } = budget
  if (per < HOUR_MS) {
    refuse(['budget', 'per'], 'must be at least 1h')
    return
  }
  if (nodeHours < term / HOUR_MS)
    refuse(['budget', 'nodeHours'], `found ${nodeHours}, and one unit for a term takes ${term / HOUR_MS}`)
  const least = Math.min(min, ...windows.map((window) => window.min ?? min))
  if (nodeHours < (least * per) / HOUR_MS)
    refuse(
      ['budget', 'nodeHours'],
      `found ${nodeHours}, and min ${least} alone takes ${(least * per) / HOUR_MS} in that time`,
    )
}

interface WrittenTypes {
  readonly type?: string | undefined
  readonly unit?: object | undefined
  readonly types?: readonly { readonly type: string }[] | undefined
}

function refuseQueues(queues: readonly (string | { readonly name: string })[], refuse: Refuse): void {
  const names = queues.map((queue) => (typeof queue === 'string' ? queue : queue.name))
  names.forEach((name, i) => {
    if (names.indexOf(name) < i) refuse(['queues', i], `“${name}” is there before`)
  })
}

function refuseTypes({ type, unit, types }: WrittenTypes, refuse: Refuse): void {
  if (type === undefined && types === undefined) refuse(['type'], 'is missing, expected a type, or “types”')
  if (types === undefined) return
  if (type !== undefined) refuse(['type'], 'is short for “types” with one entry: write one of the two')
  if (unit !== undefined) refuse(['unit'], 'stands in each entry of “types”')
  types.forEach(({ type }, i) => {
    if (types.findIndex((other) => other.type === type) < i)
      refuse(['types', i, 'type'], `“${type}” is there before`)
  })
}

export type WrittenGroc = z.output<typeof writtenGroc>

/** A type that may be asked for, and what a unit of it offers to jobs. */
export interface OfferedType {
  readonly type: string
  readonly unit: Room
  readonly max?: number | undefined
}

export type GrocConfig = Readonly<Omit<WrittenGroc, 'types' | 'isShort'>> & {
  readonly types: readonly OfferedType[]
}

/** Fills in what units offer where that was not written; `undefined` if it is not known. */
export function withUnits(
  { types, isShort: _, ...config }: WrittenGroc,
  unitOf: (type: string) => Room | undefined,
): GrocConfig | undefined {
  const known = types.flatMap(({ type, unit = unitOf(type), max }): OfferedType[] =>
    unit === undefined ? [] : [{ type, unit, max }],
  )
  return known.length < types.length ? undefined : { ...config, types: known }
}

/** With everything said. */
export const grocConfig = writtenGroc.transform((written, context): GrocConfig => {
  const config = withUnits(written, () => undefined)
  if (config !== undefined) return config
  context.addIssue({ code: 'custom', path: ['unit'], message: 'is missing, expected cpus and memoryMiB' })
  return z.NEVER
})
