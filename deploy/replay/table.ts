import { hour, some, span } from '../../controllers/sentence.ts'
import type { Contest, Course } from './contest.ts'
import type { Measured, Spread } from './measure.ts'

/**
 *                       always on    old.yaml    new.yaml    difference
 *   mean added wait           0 s      4 min       2 min        -2 min
 *   …
 */
interface Row {
  readonly title: string
  readonly of: (measured: Measured) => number
  readonly show: (value: number) => string
}

const count = (value: number): string =>
  Math.round(value)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, ',')
const ratio = (value: number): string => value.toFixed(3)

const ROWS: readonly Row[] = [
  { title: 'wait, mean', of: ({ wait }) => wait.meanMs, show: span },
  { title: 'wait, median', of: ({ wait }) => wait.p50Ms, show: span },
  { title: 'added wait, mean', of: ({ added }) => added.meanMs, show: span },
  { title: 'added wait, median', of: ({ added }) => added.p50Ms, show: span },
  { title: 'added wait, 90 of 100', of: ({ added }) => added.p90Ms, show: span },
  { title: 'added wait, 99 of 100', of: ({ added }) => added.p99Ms, show: span },
  { title: 'mean slowdown', of: ({ meanSlowdown }) => meanSlowdown, show: (value) => value.toFixed(2) },
  { title: 'node-hours paid', of: ({ nodeHoursPaid }) => nodeHoursPaid, show: count },
  { title: 'node-hours worked', of: ({ nodeHoursWorked }) => nodeHoursWorked, show: count },
  { title: 'paid per worked', of: ({ paidPerWorked }) => paidPerWorked, show: ratio },
  { title: 'boots', of: ({ boots }) => boots, show: count },
  { title: 'machines taken while wanted', of: ({ takenWhileWanted }) => takenWhileWanted, show: count },
  { title: 'oscillations', of: ({ oscillations }) => oscillations, show: count },
  { title: 'jobs cut', of: ({ cut }) => cut, show: count },
  { title: 'jobs never started', of: ({ neverStarted }) => neverStarted, show: count },
]

export type Cells = readonly (readonly string[])[]

/** First the head, then a line a figure. */
export function figures({ always, courses }: Contest): Cells {
  const all = [always, ...courses]
  const [first, second] = courses
  return [
    ['', ...all.map(({ name }) => name), ...(second === undefined ? [] : ['difference'])],
    ...ROWS.map(({ title, of, show }) => [
      title,
      ...all.map(({ measured }) => show(of(measured))),
      ...(first === undefined || second === undefined
        ? []
        : [signed(of(second.measured) - of(first.measured), show)]),
    ]),
  ]
}

const signed = (value: number, show: (value: number) => string): string => {
  const text = show(Math.abs(value))
  return text === show(0) ? '0' : `${value < 0 ? '-' : '+'}${text}`
}

const SPREAD: readonly (readonly [title: string, of: (spread: Spread) => number])[] = [
  ['mean', ({ meanMs }) => meanMs],
  ['median', ({ p50Ms }) => p50Ms],
  ['90 of 100', ({ p90Ms }) => p90Ms],
  ['99 of 100', ({ p99Ms }) => p99Ms],
]

/** Added wait of each queue or width class: mean, median, 90 and 99 of 100, under each configuration. */
export function addedBy(what: 'queue' | 'processors', courses: readonly Course[]): Cells {
  const spreads = courses.map(
    ({ measured }): Readonly<Record<string, Spread>> =>
      what === 'queue' ? measured.addedByQueue : measured.addedByWidth,
  )
  const keys = Object.keys(spreads[0] ?? {})
  return [
    [
      ...[what, 'jobs'],
      ...courses.flatMap(({ name }) => SPREAD.map(([title], i) => (i === 0 ? `${name}: ${title}` : title))),
    ],
    ...keys.map((key) => [
      key,
      count(spreads[0]?.[key]?.jobs ?? 0),
      ...spreads.flatMap((spread) =>
        SPREAD.map(([, of]) => {
          const ofKey = spread[key]
          return span(ofKey === undefined ? 0 : of(ofKey))
        }),
      ),
    ]),
  ]
}

export const aboutPool = ({ options }: Contest): string =>
  `${some(options.units, 'node')} of ${some(options.unit.cpus, 'cpu')} and ${options.unit.memoryMiB} MiB, ${options.scheduler.toUpperCase()}, boots of ${span(options.bootMs.least)} to ${span(options.bootMs.most)}`

export const aboutTrace = ({ trace, jobs, from, until }: Contest): string =>
  `${trace}: ${some(jobs, 'job')}, ${hour(from)} to ${hour(until)}`

/** What was not replayed, and why; a sentence each. */
export function leftOutNotes({ always, warnings, warningCount, leftOut }: Contest): readonly string[] {
  const { tooLarge } = always.measured
  return [
    ...(tooLarge > 0
      ? [
          `${some(tooLarge, 'job')} left out: no pool of this size, or no unit of this memory, consumables and features, could run them.`,
        ]
      : []),
    ...(leftOut > 0 ? [`${some(leftOut, 'job')} left out: they never ran, or have no size.`] : []),
    ...warnings.map((warning) => `Warning: ${warning}.`),
    ...(warningCount > warnings.length ? [`… and ${warningCount - warnings.length} warnings more.`] : []),
  ]
}

export function contestText(contest: Contest): string {
  const { courses } = contest
  return [
    aboutTrace(contest),
    aboutPool(contest),
    ...leftOutNotes(contest),
    '',
    aligned(figures(contest)),
    '',
    'added wait, against the same nodes always on',
    aligned(addedBy('processors', courses)),
    '',
    aligned(addedBy('queue', courses)),
  ].join('\n')
}

function aligned(cells: Cells): string {
  const widths = cells[0]!.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)))
  return cells
    .map((row) =>
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
