import type { Instant, Millis } from '../../actors/runtime/clock.ts'

/** Queue and nodes at one instant. Values hold until the next sample. */
export interface Sample {
  readonly at: Instant
  /** Tasks that wait, and tasks that run or complete. */
  readonly waiting: number
  readonly running: number
  /** Leased nodes by where they stand. */
  readonly joined: number
  readonly coming: number
  readonly leaving: number
}

export interface Wave {
  readonly name: string
  readonly at: Instant
}

export interface ChartInput {
  readonly title: string
  readonly samples: readonly Sample[]
  readonly waves: readonly Wave[]
}

type Quantity = Exclude<keyof Sample, 'at'>

interface Layer {
  readonly of: Quantity
  readonly label: string
}

/**
 * Two panels over one time axis:
 *
 *   jobs   ▒ waiting stacked on ▓ running       ┊ a wave of jobs came
 *   nodes  ▓ joined, ▒ coming, ░ leaving, stacked
 *          0 s ───────────────────────────────▶ time
 *
 * Every value is a level that holds until the next sample, so the edges are steps. Colours follow the
 * viewer's light or dark scheme, and differ in lightness too.
 */
const WIDTH = 960
const LEFT = 64
const RIGHT = 24
const PLOT_WIDTH = WIDTH - LEFT - RIGHT

interface Panel {
  readonly id: string
  readonly label: string
  readonly top: number
  readonly height: number
  /** From the bottom up. */
  readonly layers: readonly Layer[]
}

const PANELS: readonly Panel[] = [
  {
    id: 'jobs',
    label: 'jobs',
    top: 96,
    height: 180,
    layers: [
      { of: 'running', label: 'running' },
      { of: 'waiting', label: 'waiting' },
    ],
  },
  {
    id: 'nodes',
    label: 'nodes',
    top: 332,
    height: 150,
    layers: [
      { of: 'joined', label: 'joined' },
      { of: 'coming', label: 'coming' },
      { of: 'leaving', label: 'leaving' },
    ],
  },
]

const AXIS_Y = 482
const HEIGHT = 540

type Colour = 'paper' | 'ink' | 'soft' | 'grid' | 'wave' | Quantity

const LIGHT: Readonly<Record<Colour, string>> = {
  paper: '#ffffff',
  ink: '#1c2430',
  soft: '#5d6b7e',
  grid: '#e3e8ee',
  wave: '#b3355b',
  running: '#2f6fb3',
  waiting: '#f0a63c',
  joined: '#2c8a66',
  coming: '#9bd8b6',
  leaving: '#c3b1e6',
}

const DARK: Readonly<Record<Colour, string>> = {
  paper: '#12171e',
  ink: '#e6ebf1',
  soft: '#95a3b5',
  grid: '#28323d',
  wave: '#f0708f',
  running: '#4289d6',
  waiting: '#f0b354',
  joined: '#2f9c73',
  coming: '#9fe0bd',
  leaving: '#8b78b8',
}

/** Written out in full, for not every viewer of SVG knows variables. */
const rules = (colours: Readonly<Record<Colour, string>>): string =>
  [
    `.paper{fill:${colours.paper}}text{fill:${colours.soft}}.title,.panel{fill:${colours.ink}}`,
    `.grid{stroke:${colours.grid}}.axis{stroke:${colours.soft}}.wave{stroke:${colours.wave}}.wave-name{fill:${colours.wave}}`,
    ...(['running', 'waiting', 'joined', 'coming', 'leaving'] as const).map(
      (of) => `.${of}{fill:${colours[of]}}`,
    ),
  ].join('')

const STYLE = `
text{font:13px system-ui,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif}
.title{font-size:18px;font-weight:600}.panel{font-size:14px;font-weight:600}.wave-name{font-weight:600}
.grid,.axis{stroke-width:1}.wave{stroke-width:1.5;stroke-dasharray:4 4}.num{font-variant-numeric:tabular-nums}
${rules(LIGHT)}
@media (prefers-color-scheme:dark){${rules(DARK)}}
`

export function chart({ title, samples, waves }: ChartInput): string {
  const from = samples[0]?.at ?? 0
  const lastAt = samples.at(-1)?.at ?? from
  const lengthMs = Math.max(1000, lastAt - from)
  const x = (at: Instant): number => round(LEFT + ((at - from) / lengthMs) * PLOT_WIDTH)
  const parts = [
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
    `<text class="title" x="${LEFT}" y="38">${escaped(title)}</text>`,
    ...PANELS.flatMap((panel) => drawPanel(panel, samples, x, lengthMs, from)),
    ...timeAxis(lengthMs, (ms) => x(from + ms)),
    ...waves.flatMap((wave) => drawWave(wave, x(Math.min(Math.max(wave.at, from), from + lengthMs)))),
  ]
  const summary = `Jobs and leased nodes over ${Math.round(lengthMs / 1000)} seconds`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title desc">
<title id="title">${escaped(title)}</title>
<desc id="desc">${summary}</desc>
<style>${STYLE}</style>
${parts.join('\n')}
</svg>
`
}

function drawPanel(
  panel: Panel,
  samples: readonly Sample[],
  x: (at: Instant) => number,
  lengthMs: Millis,
  from: Instant,
): readonly string[] {
  const { id, label, top, height, layers } = panel
  const total = (sample: Sample): number => layers.reduce((sum, { of }) => sum + sample[of], 0)
  const most = samples.reduce((max, sample) => Math.max(max, total(sample)), 0)
  const { step, end } = scale(Math.max(1, most), 5)
  const y = (value: number): number => round(top + height - (value / end) * height)
  const lines: string[] = [`<text class="panel" x="${LEFT}" y="${top - 16}">${label}</text>`]
  for (let value = 0; value <= end; value += step) {
    lines.push(
      `<line class="grid" x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(value)}" y2="${y(value)}"/>`,
    )
    lines.push(`<text class="num" x="${LEFT - 10}" y="${y(value) + 4}" text-anchor="end">${value}</text>`)
  }
  const upTo = from + lengthMs
  const areas = layers.map(({ of }, i) => {
    const base = (sample: Sample): number =>
      layers.slice(0, i).reduce((sum, below) => sum + sample[below.of], 0)
    return area(of, samples, (sample) => [y(base(sample)), y(base(sample) + sample[of])], x, upTo)
  })
  const foot = `<line class="axis" x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y(0)}" y2="${y(0)}"/>`
  return [`<g id="${id}">`, ...lines, ...areas, foot, ...legend(panel), '</g>']
}

/** A band between two levels, in steps: along the top from left to right, along the bottom back. */
function area(
  of: Quantity,
  samples: readonly Sample[],
  levels: (sample: Sample) => readonly [bottom: number, top: number],
  x: (at: Instant) => number,
  upTo: Instant,
): string {
  const [upper, lower]: [string[], string[]] = [[], []]
  samples.forEach((sample, i) => {
    const [bottom, top] = levels(sample)
    const [left, right] = [x(sample.at), x(Math.min(upTo, samples[i + 1]?.at ?? upTo))]
    upper.push(`${left},${top}`, `${right},${top}`)
    lower.push(`${left},${bottom}`, `${right},${bottom}`)
  })
  return `<polygon class="${of}" points="${[...thin(upper), ...thin(lower).reverse()].join(' ')}"/>`
}

/** Points in the middle of a level stretch say nothing. */
function thin(points: readonly string[]): string[] {
  const height = (point: string | undefined): string | undefined => point?.split(',')[1]
  const kept: string[] = []
  for (const point of points) {
    if (height(kept.at(-1)) === height(point) && height(kept.at(-2)) === height(point)) kept.pop()
    if (kept.at(-1) !== point) kept.push(point)
  }
  return kept
}

function legend({ top, layers }: Panel): readonly string[] {
  let right = LEFT + PLOT_WIDTH
  return layers.map(({ of, label }) => {
    const width = label.length * 7.5 + 30
    right -= width
    return `<rect class="${of}" x="${round(right)}" y="${top - 27}" width="12" height="12" rx="2"/><text x="${round(right + 18)}" y="${top - 16}">${label}</text>`
  })
}

function timeAxis(lengthMs: Millis, x: (ms: Millis) => number): readonly string[] {
  const step = timeStep(lengthMs)
  const unit = step >= 3_600_000 ? 'h' : step >= 60_000 ? 'min' : 's'
  const unitMs = { h: 3_600_000, min: 60_000, s: 1000 }[unit]
  const lines: string[] = []
  for (let ms = 0; ms <= lengthMs; ms += step) {
    lines.push(`<line class="axis" x1="${x(ms)}" x2="${x(ms)}" y1="${AXIS_Y}" y2="${AXIS_Y + 5}"/>`)
    lines.push(
      `<text class="num" x="${x(ms)}" y="${AXIS_Y + 21}" text-anchor="middle">${Number((ms / unitMs).toFixed(1))}</text>`,
    )
  }
  lines.push(
    `<text x="${LEFT + PLOT_WIDTH / 2}" y="${AXIS_Y + 43}" text-anchor="middle">time since the start (${unit})</text>`,
  )
  return lines
}

function drawWave({ name }: Wave, x: number): readonly string[] {
  const top = PANELS[0]?.top ?? 0
  // Near the right edge the name stands on the other side of its line.
  const isLate = x > LEFT + PLOT_WIDTH - 90
  return [
    `<line class="wave" x1="${x}" x2="${x}" y1="${top - 4}" y2="${AXIS_Y}"/>`,
    `<text class="wave-name" x="${isLate ? x - 6 : x + 6}" y="${top + 10}"${isLate ? ' text-anchor="end"' : ''}>${escaped(name)}</text>`,
  ]
}

/** Steps of 1, 2 or 5 and their tens, whole numbers only. */
function scale(most: number, steps: number): { readonly step: number; readonly end: number } {
  const step = niceStep(most / steps)
  return { step, end: Math.ceil(most / step) * step }
}

function niceStep(atLeast: number): number {
  const ten = 10 ** Math.floor(Math.log10(Math.max(1, atLeast)))
  return Math.max(1, ten * ([1, 2, 5, 10].find((factor) => ten * factor >= atLeast) ?? 10))
}

const TIME_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
]

const timeStep = (lengthMs: Millis): Millis =>
  1000 *
  (TIME_STEPS_S.find((step) => lengthMs / (step * 1000) <= 12) ??
    86_400 * Math.ceil(lengthMs / (12 * 86_400_000)))

const round = (value: number): number => Math.round(value * 10) / 10

const escaped = (text: string): string =>
  text.replace(
    /[&<>"]/g,
    (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter] ?? letter,
  )
