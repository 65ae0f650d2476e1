import { openEmbeddedBench } from './embedded-bench.ts'
import { joinLaw } from './join.ts'

joinLaw('the embedded join handler', async () => {
  const bench = await openEmbeddedBench()
  const never = new AbortController().signal
  return {
    join: bench.join,
    patienceMs: bench.patienceMs,
    machine: async () => bench.joinUnit('n1', await bench.machines.setup(bench.unit('n1'), never)),
    killMachine: ({ name }) => bench.killMachine(name),
    async registered({ name, unitId, leaseId }) {
      const { nodes } = await bench.system.observe(never)
      return nodes.filter(
        (each) =>
          each.name === name &&
          each.responding &&
          each.mark?.unitId === unitId &&
          each.mark.leaseId === leaseId,
      ).length
    },
    clear: () => bench.clear(),
    close: () => bench.close(),
  }
})
