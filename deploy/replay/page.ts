import type { Contest, Course } from './contest.ts'
import type { Levels } from './meter.ts'
import { aboutPool, aboutTrace, addedBy, type Cells, figures, leftOutNotes } from './table.ts'

/**
 * One page without anything from elsewhere: the table, and a panel a configuration, side by side and to one scale.
 *
 *   nodes ┤      ┌─┐          ╌╌ wanted by all jobs that wait or run
 *         │ ▒▒▒▒▒│ │▒▒▒       ▒  paid for
 *         │ ▓▓▓▓▓▓▓▓▓▓▓       ▓  working
 *         └────────────▶ days
 */
const WIDTH = 620
const HEIGHT = 260
const LEFT = 48
const RIGHT = 8
const TOP = 12
const BOTTOM = 30
const PLOT_WIDTH = WIDTH - LEFT - RIGHT
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM
const DAY_MS = 86_400_000

const STYLE = `
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif;margin:2rem auto;max-width:84rem;padding:0 1rem;background:#fff;color:#1c2430}
h1{font-size:1.35rem;margin-bottom:.2rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.2rem 0;color:#5d6b7e}
.table{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.18rem .8rem;text-align:right;border-bottom:1px solid #e3e8ee;font-weight:400}
th{color:#5d6b7e}td:first-child,th:first-child{text-align:left;padding-left:0}
.panels{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 30rem}figcaption{font-weight:600}svg{width:100%;height:auto}
text{font-size:12px;fill:#5d6b7e}.grid{stroke:#e3e8ee}.paid{fill:#9bd8b6}.working{fill:#2c8a66}.wanted{fill:none;stroke:#b3355b;stroke-width:1.2}
@media (prefers-color-scheme:dark){body{background:#12171e;color:#e6ebf1}p,th,text{color:#95a3b5;fill:#95a3b5}td,th{border-color:#28323d}.grid{stroke:#28323d}.paid{fill:#9fe0bd}.working{fill:#2f9c73}.wanted{stroke:#f0708f}}
`

export function contestPage(contest: Contest): string {
  const { courses, options } = contest
  // What is wanted beyond all units there are would only press the rest flat.
  const most = options.units * 1.15
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(contest.trace)}: replay</title>
<style>${STYLE}</style>
<h1>${escaped(aboutTrace(contest))}</h1>
<p>${escaped(aboutPool(contest))}</p>
${leftOutNotes(contest)
  .map((note) => `<p>${escaped(note)}</p>`)
  .join('\n')}
<div class="panels">
${courses.map((course) => panel(course, most)).join('\n')}
</div>
<p>Means of ${Math.round((courses[0]?.curve.stepMs ?? 0) / 3_600_000)} h each. Light: nodes paid for. Dark: nodes that work. Line: nodes that all waiting and running jobs would take, up to ${Math.round(most)}.</p>
<h2>Figures</h2>
${table(figures(contest))}
<h2>Added wait by processors</h2>
${table(addedBy('processors', courses))}
<h2>Added wait by queue</h2>
${table(addedBy('queue', courses))}
</html>
`
}

function panel({ name, curve }: Course, most: number): string {
  const { points, stepMs } = curve
  const width = PLOT_WIDTH / Math.max(1, points.length)
  const x = (at: number): string => fixed(LEFT + at * width)
  const y = (value: number): string => fixed(TOP + PLOT_HEIGHT * (1 - Math.min(value, most) / most))
  const steps = (of: (levels: Levels) => number): string =>
    points.map((levels, i) => `V${y(of(levels))}H${x(i + 1)}`).join('')
  const area = (kind: 'paid' | 'working'): string =>
    `<path class="${kind}" d="M${x(0)} ${y(0)}${steps((levels) => levels[kind])}V${y(0)}Z"/>`
  const first = points[0]
  const line = first === undefined ? '' : `M${x(0)} ${y(first.wanted)}${steps(({ wanted }) => wanted)}`
  const days = (points.length * stepMs) / DAY_MS
  return `<figure><figcaption>${escaped(name)}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="nodes paid for and working under ${escaped(name)}">
${axis(most, y)}
${area('paid')}
${area('working')}
<path class="wanted" d="${line}"/>
${dayMarks(days)}
</svg></figure>`
}

function axis(most: number, y: (value: number) => string): string {
  const step = niceStep(most / 4)
  const values = Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step)
  return values
    .map(
      (value) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 6}" y="${Number(y(value)) + 4}" text-anchor="end">${value}</text>`,
    )
    .join('')
}

function dayMarks(days: number): string {
  const step = niceStep(days / 6)
  const marks = Array.from({ length: Math.floor(days / step) + 1 }, (_, i) => i * step)
  return marks
    .map((day) => {
      const at = fixed(LEFT + (day / Math.max(days, 1e-9)) * PLOT_WIDTH)
      return `<text x="${at}" y="${HEIGHT - 10}" text-anchor="middle">${day === 0 ? 'day 0' : Number(day.toFixed(2))}</text>`
    })
    .join('')
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(atLeast: number): number {
  const ten = 10 ** Math.floor(Math.log10(Math.max(atLeast, 1e-3)))
  return ten * ([1, 2, 5, 10].find((factor) => ten * factor >= atLeast) ?? 10)
}

function table(cells: Cells): string {
  const [head = [], ...rows] = cells
  const row = (tag: 'td' | 'th', of: readonly string[]): string =>
    `<tr>${of.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`
  return `<div class="table"><table>${row('th', head)}${rows.map((one) => row('td', one)).join('\n')}</table></div>`
}

const fixed = (value: number): string => String(Math.round(value * 10) / 10)

const escaped = (text: string): string =>
  text.replace(
    /[&<>"]/g,
    (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter] ?? letter,
  )
