import { describe, expect, test } from 'vitest'
import { parseStringPromise } from 'xml2js'
import { chart, type Sample } from '../../deploy/reports/chart.ts'

interface Element {
  readonly $?: Readonly<Record<string, string>>
  readonly _?: string
  readonly $$?: readonly Element[]
  readonly '#name': string
}

const T0 = 1_700_000_000_000
const at = (seconds: number, values: Partial<Sample>): Sample => ({
  ...{ at: T0 + seconds * 1000, waiting: 0, running: 0, joined: 0, coming: 0, leaving: 0 },
  ...values,
})

const SAMPLES: readonly Sample[] = [
  at(0, { joined: 1 }),
  at(2, { joined: 1, waiting: 11, running: 1, coming: 3 }),
  at(4, { joined: 4, waiting: 6, running: 6 }),
  at(7, { joined: 4, running: 2 }),
  at(9, { joined: 2, leaving: 2 }),
  at(10, { joined: 1 }),
]

async function drawn(samples: readonly Sample[], title = 'A title'): Promise<Element> {
  const text = chart({ title, samples, waves: [{ name: 'wave 1', at: T0 + 2000 }] })
  const { svg } = (await parseStringPromise(text, {
    explicitChildren: true,
    preserveChildrenOrder: true,
    strict: true,
  })) as { svg: Element }
  return svg
}

const all = (element: Element): readonly Element[] => [element, ...(element.$$ ?? []).flatMap(all)]
const withClass = (svg: Element, name: string): readonly Element[] =>
  all(svg).filter(({ $ }) => $?.class === name)

/** How high a band is at x: a vertical line crosses its outline twice, along the top and along the bottom. */
function heightAt(polygon: Element, x: number): number {
  const points = (polygon.$?.points ?? '').split(' ').map((point) => point.split(',').map(Number))
  const crossed = points.flatMap(([toX = 0, toY = 0], i) => {
    const [fromX = 0, fromY = 0] = points.at(i - 1) ?? []
    if (Math.min(fromX, toX) >= x || Math.max(fromX, toX) <= x) return []
    expect(fromY, 'a step is level').toBe(toY)
    return [toY]
  })
  expect(crossed).toHaveLength(2)
  return Math.abs((crossed[0] ?? 0) - (crossed[1] ?? 0))
}

describe('the chart', () => {
  test('shows in each band, at each instant, the sample’s value to scale', async () => {
    const svg = await drawn(SAMPLES)
    const [left, right] = [64, 936]
    const scales = { jobs: 180 / 15, nodes: 150 / 4 }
    for (const [of, scale] of [
      ['running', scales.jobs],
      ['waiting', scales.jobs],
      ['joined', scales.nodes],
      ['coming', scales.nodes],
      ['leaving', scales.nodes],
    ] as const) {
      const [band] = withClass(svg, of)
      if (band === undefined) throw new Error(`no band ${of}`)
      SAMPLES.slice(0, -1).forEach((sample, i) => {
        const middle = (sample.at + SAMPLES[i + 1]!.at) / 2 - T0
        const x = left + (middle / 10_000) * (right - left)
        expect(heightAt(band, x), `${of} at ${middle} ms`).toBeCloseTo(sample[of] * scale, 0)
      })
    }
  })

  test('has a title, axes with their units, a legend and a mark for each wave', async () => {
    const svg = await drawn(SAMPLES, 'Jobs & <nodes>')
    const texts = all(svg).flatMap(({ _ }) => (_ === undefined ? [] : [_.trim()]))
    expect(texts).toEqual(
      expect.arrayContaining(['Jobs & <nodes>', 'jobs', 'nodes', 'time since the start (s)', 'wave 1']),
    )
    expect(texts).toEqual(expect.arrayContaining(['running', 'waiting', 'joined', 'coming', 'leaving']))
    expect(texts).toEqual(expect.arrayContaining(['0', '5', '10', '15']))
    expect(withClass(svg, 'wave')[0]?.$?.x1).toBe(String(64 + 0.2 * 872))
  })

  test('says its unit in minutes and hours for longer runs', async () => {
    const units = async (seconds: number): Promise<string | undefined> =>
      all(await drawn([at(0, {}), at(seconds, {})])).find(({ _ }) => _?.includes('time since'))?._
    expect(await units(1800)).toBe('time since the start (min)')
    expect(await units(36_000)).toBe('time since the start (h)')
    expect(await units(8_640_000)).toBe('time since the start (h)')
  })

  test('of a run without samples is an empty frame', async () => {
    const svg = await drawn([])
    expect(withClass(svg, 'running')[0]?.$?.points).toBe('')
  })

  test('keeps every coordinate finite and inside the picture', async () => {
    const svg = await drawn([at(0, { waiting: 100_000 }), at(0, { waiting: 3 }), at(0.001, {})])
    for (const { $ } of all(svg))
      for (const [key, value] of Object.entries($ ?? {}))
        if (['x', 'x1', 'x2', 'y', 'y1', 'y2'].includes(key))
          expect(Number(value)).toSatisfy((n: number) => n >= 0 && n <= 960)
  })
})
