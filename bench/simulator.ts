import { availableParallelism } from 'node:os'
import { runAll, runHere } from '../test/simulation/crew.ts'
import { World } from '../test/simulation/world.ts'
import { isQuick, report } from './report.ts'
import { markdownTable } from './table.ts'

/**
 * How fast the simulator is:
 *
 *   seeds of the federation, one after the other   events a second, seeds a minute
 *   the same in all processors                     seeds a minute
 *   floor: as many events of nobody                events a second of the virtual clock alone
 */
const SEEDS = isQuick ? 1 : 6
const CREW_SEEDS = isQuick ? 2 : 8
/** Actors of a federation: 8 sites, 3 brokers, 20 service managers. */
const ACTORS = 31

interface Rate {
  readonly events: number
  readonly seconds: number
  readonly seeds: number
  readonly leases: number
}

const timed = async (work: () => Promise<Omit<Rate, 'seconds'>>): Promise<Rate> => {
  const began = performance.now()
  const done = await work()
  return { ...done, seconds: (performance.now() - began) / 1_000 }
}

const federation = (seed: number) => ({ seed, size: 'federation' as const })

const alone = await timed(async () => {
  let [events, leases] = [0, 0]
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { result } = await runHere(federation(seed))
    events += result.events
    leases += result.leases
  }
  return { events, leases, seeds: SEEDS }
})

/** Each of so many sets a deadline and calls it off at each of its events, and nothing else. */
const floor = await timed(async () => {
  const world = new World()
  const step = (): void => {
    world.after(10_000, () => undefined)()
    world.after(1_000, step)
  }
  for (let i = 0; i < ACTORS; i++) world.after(i, step)
  await world.run((alone.events / ACTORS) * 1_000, () => undefined)
  return { events: world.events, leases: 0, seeds: SEEDS }
})

const processes = availableParallelism()
const together = await timed(async () => {
  let [events, leases] = [0, 0]
  const all = Array.from({ length: CREW_SEEDS }, (_, i) => federation(1 + i))
  await runAll(all, processes, ({ result }) => {
    events += result.events
    leases += result.leases
  })
  return { events, leases, seeds: CREW_SEEDS }
})

const perSecond = ({ events, seconds }: Rate): string => Math.round(events / seconds).toLocaleString('en')
const perMinute = ({ seeds, seconds }: Rate): string => ((60 * seeds) / seconds).toFixed(1)
const cells = (name: string, rate: Rate): string[] => [
  ...[name, String(rate.seeds), rate.events.toLocaleString('en'), rate.leases.toLocaleString('en')],
  ...[rate.seconds.toFixed(1), perSecond(rate), perMinute(rate)],
]

report(
  'simulator',
  `# Simulator

${markdownTable(
  ['', 'seeds', 'events', 'leases', 'seconds', 'events/s', 'seeds/min'],
  [
    cells('one process', alone),
    cells(`${processes} processes`, together),
    cells('floor: the virtual clock alone', floor),
  ],
)}

A seed is a federation of 8 sites, 3 brokers and 20 service managers in production form, with faults, and all invariants
after each event. The floor has as many events as the run in one process had: each sets the next one and a deadline that
it calls off, and nobody does anything.
`,
  [
    { what: 'simulator, events a second', measured: perSecond(alone), floor: perSecond(floor) },
    {
      what: `simulator, seeds a minute (${processes} processes)`,
      measured: `${perMinute(together)} (one process ${perMinute(alone)})`,
      floor: perMinute(floor),
    },
  ],
)
