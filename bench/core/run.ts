import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { markdownTable } from '../table.ts'
import { loadNow, machineLine } from '../this-machine.ts'
import { chains } from './chains.ts'
import { emulate } from './emulation.ts'
import { floor, inProcess, latencies, overHttp, saturation } from './leases.ts'

/**
 * npm run bench:core                the whole, and bench/results/core.md
 * npm run bench:core -- --quick     a look at each, printed only
 */
const quick = process.argv.includes('--quick')
const dir = mkdtempSync(join(tmpdir(), 'sublet-bench-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
const at = (samples: readonly number[], share: number): number =>
  samples.toSorted((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(share * samples.length))] ?? 0
const say = (text: string): void => void process.stderr.write(`${text}\n`)
const loadBefore = loadNow()

say('how long a lease takes')
const latencyRows: string[][] = []
for (const [name, wires] of [
  ['in one process', inProcess()],
  ['over HTTP', overHttp()],
] as const) {
  const count = quick ? 20 : 300
  // The broker answers at once: its window of 50 ms is a setting, not a cost.
  const { samples } = await latencies(join(dir, `latency ${name}`), wires, count, 0)
  latencyRows.push([name, String(count), ms(at(samples, 0.5)), ms(at(samples, 0.99)), ms(at(samples, 1))])
}

say('how many leases a second')
const rateRows: string[][] = []
for (const [name, wires] of [
  ['in one process', inProcess()],
  ['over HTTP', overHttp()],
] as const) {
  const options = { leases: quick ? 300 : 5_000, atOnce: quick ? 100 : 500, batchMs: 5 }
  const run = await saturation(join(dir, `rate ${name}`), wires, options)
  const floorSeconds = await floor(join(dir, `floor ${name}`), run.tally)
  const commits = [...run.tally.commits.values()].reduce((sum, some) => sum + some.length, 0)
  rateRows.push([
    name,
    String(run.leases),
    (run.leases / run.seconds).toFixed(0),
    (run.leases / floorSeconds).toFixed(0),
    (floorSeconds / run.seconds).toFixed(2),
    (run.tally.signed.length / run.leases).toFixed(1),
    (run.tally.verifications / run.leases).toFixed(1),
    (run.leases / commits).toFixed(1),
  ])
}

say('all nodes change hands each term')
const emulationRows: string[][] = []
const sizes = quick ? [240, 1_000] : [240, 1_000, 2_500, 5_000, 10_000]
for (const nodes of sizes) {
  const leases = nodes / 10
  const { msPerTick, msPerTickMost, flips } = await emulate(nodes, leases)
  emulationRows.push([
    String(nodes),
    String(leases),
    String(flips),
    ms(msPerTick),
    ms(msPerTickMost),
    ((1000 * msPerTick) / nodes).toFixed(0),
  ])
}

say('a ticket by the length of its chain')
const chainRows = chains(quick ? 200 : 2_000).map(({ length, verifyMs, floorMs }) => [
  String(length),
  ms(verifyMs),
  ms(floorMs),
  (floorMs / verifyMs).toFixed(2),
])

const text = `# The leasing core

${markdownTable(['from the wish to the active lease, ms', 'leases', 'p50', 'p99', 'max'], latencyRows)}

Ticket, redeem and two handlers that do nothing; SQLite, every commit synced; Ed25519. The window in which a broker
gathers requests (50 ms by default) is set to none.

${markdownTable(['at saturation', 'leases', 'leases/s', 'floor/s', 'share of the floor', 'signatures', 'verifications', 'leases a commit'], rateRows)}

A lease is asked for, redeemed, active, closed and given back. The floor makes the same signatures, as many verifications
and the same synced commits to three databases, and nothing else, in the same run. Signatures and verifications are
counted a lease; acknowledgements are signed, too.

${markdownTable(['nodes, all flip each term', 'leases a term', 'flips', 'ms a tick', 'most ms', 'µs a tick and node'], emulationRows)}

After the emulation of the Shirako paper (USENIX 2006, 5.3): one site, one manager, leases of ten nodes, terms of 60 ticks
of a second of virtual time, four terms; nothing is extended. Signatures are real; disks are memory.

${markdownTable(['claims before the ticket', 'ms to check', 'floor, ms', 'share of the floor'], chainRows)}

The floor verifies as many signatures on texts of the same length.

## Where and when

- ${new Date().toISOString().slice(0, 10)}, \`npm run bench:core${quick ? ' -- --quick' : ''}\`
- ${machineLine()}
- load of the last minute before the run ${loadBefore.toFixed(2)}
`
process.stdout.write(text)
if (!quick) writeFileSync(new URL('../results/core.md', import.meta.url), text)
