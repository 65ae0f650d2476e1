import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { torquePrivileges } from '../../adapters/torque/privileges.ts'
import { openTorqueBench } from '../emulated/torque/bench.ts'
import { batchSystemLaw } from './batch-system.ts'
import { cutJobsCases } from './cut-jobs.ts'
import { deadNodeCases } from './dead-node.ts'
import { listedOnly, type Used } from './listed.ts'

const privileges = torquePrivileges(torqueConfig.parse({}), 'n[0-9]+')
const used: Used = new Set()
const listed = (env: Readonly<Record<string, string>>) =>
  listedOnly(localExecutor({ clock: systemClock, env }), privileges, used)

const UNTOLD = { untold: ['collecting', 'events'] } as const
batchSystemLaw('Torque 6.1.3, emulated, with what is listed', () => openTorqueBench('6.1.3', listed), UNTOLD)
batchSystemLaw(
  'Torque 4.2.10, emulated, with what is listed',
  () => openTorqueBench('4.2.10', listed),
  UNTOLD,
)

deadNodeCases(
  'Torque 6.1.3, emulated, with what is listed',
  async () => {
    const bench = await openTorqueBench('6.1.3', listed)
    const { server } = bench
    const { epilogMs } = server
    return {
      ...bench,
      killDaemon: (name) => bench.killMachine(name),
      hangEpilogs: () => void Object.assign(server, { epilogMs: 3_600_000 }),
      clear: async () => {
        Object.assign(server, { epilogMs })
        await bench.clear()
      },
    }
  },
  { runsMs: 4_000, leavesJobs: true, startsAgain: true, hung: 'stays' },
)

cutJobsCases('Torque 6.1.3, emulated', () => openTorqueBench('6.1.3', listed))

test('the law has needed what is listed, save for cases of Torque’s own (test/unit)', () => {
  const unused = privileges.lines.filter((line) => !used.has(line)).map(({ why }) => why)
  expect(unused).toEqual([
    'makes the record anew for a machine that has another address',
    'lets a job go that the server held when it failed to start',
    'takes the kept record over',
    'marks it, or keeps it',
  ])
})
