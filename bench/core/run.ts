import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Line, isQuick as quick, report } from '../report.ts'
import { markdownTable } from '../table.ts'
import { chains } from './chains.ts'
import { emulate } from './emulation.ts'
import { floor } from './floor.ts'
import { inProcess, latencies, overHttp, saturation } from './leases.ts'

/**
 * npm run bench:core                the whole, and bench/results/core.md
 * npm run bench:core -- --quick     a look at each, printed only
 */
const dir = mkdtempSync(join(tmpdir(), 'sublet-bench-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
const at = (samples: readonly number[], share: number): number =>
  samples.toSorted((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(share * samples.length))] ?? 0
const say = (text: string): void => void process.stderr.write(`${text}\n`)
const lines: Line[] = []

say('how long a lease takes')
const latencyRows: string[][] = []
for (const [name, wires] of [
  ['in one process', inProcess()],
  ['over HTTP', overHttp()],
] as const) {
  const count = quick ? 20 : 300
  // The broker answers at once: its window of 50 ms is a setting, not a cost.
  const { samples, tally } = await latencies(join(dir, `latency ${name}`), wires, count, 0)
  const floorMs = (1_000 * (await floor(join(dir, `latency floor ${name}`), tally, true))) / count
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => ms(at(samples, share))) as [string, string, string]
  latencyRows.push([name, String(count), p50, p99, max, ms(floorMs)])
  lines.push({
    what: `ticket, redeem, active ${name}`,
    measured: `p50 ${p50} ms, p99 ${p99} ms`,
    floor: `${ms(floorMs)} ms`,
  })
}

say('how many leases a second')
const rateRows: string[][] = []
for (const [name, wires] of [
  ['in one process', inProcess()],
  ['over HTTP', overHttp()],
] as const) {
  const options = { leases: quick ? 300 : 2_500, atOnce: quick ? 100 : 500, batchMs: 5 }
  const run = await saturation(join(dir, `rate ${name}`), wires, options)
  const floorSeconds = await floor(join(dir, `floor ${name}`), run.tally)
  const share = floorSeconds / run.seconds
  lines.push({
    what: `leases a second ${name}`,
    measured: `${(run.leases / run.seconds).toFixed(0)} (${share.toFixed(2)} of the floor)`,
    floor: (run.leases / floorSeconds).toFixed(0),
    goal: { words: '≥ a third of the floor', reached: share >= 1 / 3 },
  })
  const commits = [...run.tally.commits.values()].reduce((sum, some) => sum + some.length, 0)
  rateRows.push([
    name,
    String(run.leases),
    (run.leases / run.seconds).toFixed(0),
    (run.leases / floorSeconds).toFixed(0),
    share.toFixed(2),
    (run.tally.signatures / run.leases).toFixed(1),
    (run.tally.verifications / run.leases).toFixed(1),
    (run.leases / commits).toFixed(1),
  ])
}

say('all nodes change hands each term')
const emulationRows: string[][] = []
/** A node may cost so many times what it costs at the best size, and it is still called linear. */
const LINEAR = 1.25
let leastPerNode = Number.POSITIVE_INFINITY
const sizes = quick ? [240, 1_000] : [240, 1_000, 2_500, 5_000, 10_000]
for (const nodes of sizes) {
  const leases = nodes / 10
  const { msPerTick, msPerTickMost, msPerTickFloor, flips } = await emulate(nodes, leases)
  emulationRows.push([
    String(nodes),
    String(leases),
    String(flips),
    ms(msPerTick),
    ms(msPerTickMost),
    ms(msPerTickFloor),
    ((1000 * msPerTick) / nodes).toFixed(0),
  ])
  const perNode = msPerTick / nodes
  leastPerNode = Math.min(leastPerNode, perNode)
  const isGoal = nodes === sizes.at(-1)
  lines.push({
    what: `a tick of ${nodes.toLocaleString('en')} nodes`,
    measured: `${ms(msPerTick)} ms, ${(1_000 * perNode).toFixed(0)} µs a node`,
    floor: `${ms(msPerTickFloor)} ms`,
    goal: isGoal ? { words: 'linear or better', reached: perNode <= LINEAR * leastPerNode } : undefined,
  })
}

say('a ticket by the length of its chain')
const chainRows = chains(quick ? 200 : 2_000).map(({ length, verifyMs, againMs, floorMs }) => {
  lines.push({
    what: `a ticket of ${length} claims checked`,
    measured: `${ms(verifyMs)} ms`,
    floor: `${ms(floorMs)} ms`,
  })
  return [String(length), ms(verifyMs), ms(againMs), ms(floorMs), (floorMs / verifyMs).toFixed(2)]
})

const text = `# The leasing core

${markdownTable(['from the wish to the active lease, ms', 'leases', 'p50', 'p99', 'max', 'floor'], latencyRows)}

Ticket, redeem and two handlers that do nothing; SQLite, every commit synced; Ed25519. The window in which a broker
gathers requests (50 ms by default) is set to none. The floor makes the signatures, verifications and synced commits of
that time, one after the other in one thread, and nothing else: the mean of a lease.

${markdownTable(['at saturation', 'leases', 'leases/s', 'floor/s', 'share of the floor', 'signatures', 'verifications', 'leases a commit'], rateRows)}

A lease is asked for, redeemed, active, closed and given back. The floor makes the same signatures, as many verifications
and the same synced commits to three databases, and nothing else, in the same run. Signatures and verifications are
counted a lease; acknowledgements are signed, too.

${markdownTable(['nodes, all flip each term', 'leases a term', 'flips', 'ms a tick', 'most ms', 'floor, ms', 'µs a tick and node'], emulationRows)}

After the emulation of the Shirako paper (USENIX 2006, 5.3): one site, one manager, leases of ten nodes, terms of 60 ticks
of a second of virtual time, four terms; nothing is extended. Signatures are real; what is committed goes nowhere. The
floor signs and verifies as much, and nothing else.

${markdownTable(['claims before the ticket', 'ms to check', 'ms again', 'floor, ms', 'share of the floor'], chainRows)}

The floor verifies as many signatures on texts of the same length. Again: by somebody who has seen the claims before and
remembers which signatures were good, as brokers and sites do.
`
report('core', text, lines)
