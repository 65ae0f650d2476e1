import type { Measured } from '../../deploy/replay/measure.ts'

export interface Outcome {
  readonly policy: string
  /** Of processor time. */
  readonly cpuS: number
  /** Of its process, at most. */
  readonly memoryMiB: number
  readonly measured: Measured
}

/**
 *   mean wait ▲ ●          each setting is a point, each policy a colour; the lower left corner is where one wants to be
 *             │    ● ●
 *             └──────────▶ node-hours paid per node-hour worked
 */
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [760, 440, 80, 60, 250, 50]
const COLOURS: Readonly<Record<string, string>> = {
  groc: '#2c8a66',
  clues: '#b3355b',
  parallelcluster: '#d98a1f',
  slurm: '#2f6fb3',
  cobald: '#7a5cb0',
  'always on': '#5d6b7e',
}

export function frontier(title: string, machine: string, outcomes: readonly Outcome[]): string {
  const points = outcomes.map(({ policy, measured }) => ({
    policy,
    family: policy.split(',')[0]!,
    paid: measured.paidPerWorked,
    waitS: measured.wait.meanMs / 1000,
  }))
  const [paid, waits] = [points.map((point) => point.paid), points.map((point) => point.waitS)]
  const x = scale(1, Math.max(...paid) * 1.03, LEFT, WIDTH - RIGHT)
  const y = scale(Math.min(...waits) * 0.97, Math.max(...waits) * 1.03 + 1, HEIGHT - BOTTOM, TOP)
  const ticks = (from: number, to: number): number[] =>
    [0, 1, 2, 3, 4].map((i) => from + (i * (to - from)) / 4)
  const marks = [
    ...ticks(1, Math.max(...paid) * 1.03).map(
      (value) =>
        `<text x="${x(value)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${value.toFixed(2)}</text>`,
    ),
    ...ticks(Math.min(...waits) * 0.97, Math.max(...waits) * 1.03 + 1).map(
      (value) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#e3e8ee"/><text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${value.toFixed(0)}</text>`,
    ),
  ]
  const dots = points.map(
    ({ policy, family, paid: paidPerWorked, waitS }) =>
      `<circle cx="${x(paidPerWorked)}" cy="${y(waitS)}" r="6" fill="${COLOURS[family] ?? '#000'}" fill-opacity="0.75"><title>${policy}: ${paidPerWorked.toFixed(3)}, ${waitS.toFixed(0)} s</title></circle>`,
  )
  const legend = points.map(
    ({ policy, family }, i) =>
      `<circle cx="${WIDTH - RIGHT + 24}" cy="${TOP + i * 18}" r="5" fill="${COLOURS[family] ?? '#000'}"/><text x="${WIDTH - RIGHT + 36}" y="${TOP + i * 18 + 4}">${policy}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<style>text{font:12px system-ui,Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#5d6b7e}.title{font-size:14px;font-weight:600;fill:#1c2430}</style>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text class="title" x="16" y="24">${title}</text>
<text x="16" y="42">${machine}</text>
${[...marks, ...dots, ...legend].join('\n')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">node-hours paid per node-hour worked</text>
<text x="18" y="${TOP - 4}">mean wait, s</text>
</svg>
`
}

const scale =
  (from: number, to: number, low: number, high: number) =>
  (value: number): number =>
    Math.round(10 * (low + ((value - from) / (to - from || 1)) * (high - low))) / 10
