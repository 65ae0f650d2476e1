import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import { processMachines } from '../../adapters/embedded/process-machines.ts'
import type { Handler, UnitSpec } from '../../adapters/handler.ts'
import { until } from './batch-system.ts'
import { newNonce, openEmbeddedBench, unitSpec } from './embedded-bench.ts'
import { handlerLaw } from './handler.ts'

/** The host's own view: processes whose environment names the unit. A zombie has none. */
function processesNaming(unitId: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`=${unitId}:`)
      } catch {
        // It ended while we looked.
        return false
      }
    })
}

handlerLaw('the handler of process machines', async () => {
  const bench = await openEmbeddedBench()
  const never = new AbortController().signal
  const dir = join(bench.dir, 'law')
  const handler = (): Handler =>
    processMachines(
      { dir, bootMs: [0, 0], images: {} },
      { clock: systemClock, random: () => 0.5, nonce: newNonce },
    )
  const first = handler()
  let units = 0
  return {
    handler: first,
    restarted: handler,
    unit(over = {}) {
      units += 1
      return unitSpec(`law${process.pid}x${units}`, { slot: units, ...over })
    },
    processes: async ({ unitId }) => processesNaming(unitId),
    leftovers: async ({ unitId }) => (existsSync(join(dir, unitId)) ? [`folder ${unitId}`] : []),
    async startWork(unit) {
      const facts = await first.setup(unit, never)
      await bench.join.join({ ...unit, facts }, never)
      const mark = { unitId: unit.unitId, leaseId: unit.leaseId }
      await bench.system.expect(
        { name: unit.name, address: '127.0.0.1', mark, cpus: 4, memoryMiB: 1024 },
        never,
      )
      // Not to be run again: it is to end with this machine.
      const id = await bench.user.submit({ command: 'sleep 60', requeueable: false })
      const stateOf = async (): Promise<string | undefined> =>
        (await bench.system.observe(never)).jobs.find((job) => job.id === id)?.state
      await until(
        'the work runs',
        5_000,
        async () => processesNaming(unit.unitId),
        (seen) => seen.length > 2,
      )
      return async () => {
        await bench.cancel(id)
        // Whose machine ends with the work, before it has said so, is waited for by the batch system for long.
        const left = async () => ((await stateOf()) === 'ended' ? [] : await processesNaming(unit.unitId))
        await until('the work has ended', 5_000, left, (processes) => processes.length === 0)
        await bench.system.drain(unit.name, mark, 'no more work', never)
      }
    },
    async powerCut({ unitId }) {
      process.kill(
        Number(JSON.parse(readFileSync(join(dir, unitId, 'identity.json'), 'utf8')).pid),
        'SIGKILL',
      )
    },
    properties: async ({ unitId }) =>
      JSON.parse(readFileSync(join(dir, unitId, 'properties.json'), 'utf8')) as Record<string, string>,
    async loseRecord({ unitId }) {
      for (const file of ['unit.json', 'identity.json', 'end.json']) rmSync(join(dir, unitId, file))
    },
    async crashDuringSetup(unit: UnitSpec, afterMs) {
      const script = join(import.meta.dirname, 'embedded-setup.ts')
      const child = spawn(process.execPath, [script, dir, JSON.stringify(unit)], { stdio: 'ignore' })
      const ended = new Promise((resolve) => child.once('exit', resolve))
      // It takes a while to load; the clock starts when the first trace of the setup is there.
      await until(
        'the setup begins',
        5_000,
        async () => existsSync(join(dir, unit.unitId)),
        (seen) => seen,
      )
      await sleep(systemClock, afterMs)
      child.kill('SIGKILL')
      await ended
    },
    async close() {
      for (const { unitId, name } of await first.list(never))
        await first.teardown(unitSpec(name, { unitId }), { force: true }, never)
      await bench.close()
    },
  }
})
