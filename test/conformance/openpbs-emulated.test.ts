import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { openpbsPrivileges } from '../../adapters/openpbs/privileges.ts'
import { openOpenpbsBench } from '../emulated/openpbs/bench.ts'
import { batchSystemLaw } from './batch-system.ts'
import { cutJobsCases } from './cut-jobs.ts'
import { deadNodeCases } from './dead-node.ts'
import { listedOnly, type Used } from './listed.ts'

const privileges = openpbsPrivileges(openpbsConfig.parse({}), 'n[0-9]+')
const used: Used = new Set()

batchSystemLaw(
  'OpenPBS 23.06, emulated, with what is listed',
  () => openOpenpbsBench((env) => listedOnly(localExecutor({ clock: systemClock, env }), privileges, used)),
  { untold: ['collecting', 'events'] },
)

deadNodeCases(
  'OpenPBS 23.06, emulated, with what is listed',
  async () => {
    const bench = await openOpenpbsBench((env) =>
      listedOnly(localExecutor({ clock: systemClock, env }), privileges, used),
    )
    return { ...bench, killDaemon: (name) => bench.killMachine(name) }
  },
  { runsMs: 4_000, leavesJobs: true, startsAgain: true },
)

cutJobsCases('OpenPBS 23.06, emulated', () =>
  openOpenpbsBench((env) => listedOnly(localExecutor({ clock: systemClock, env }), privileges, used)),
)

test('the law has needed what is listed, save for cases of OpenPBS’s own (test/unit)', () => {
  const unused = privileges.lines.filter((line) => !used.has(line)).map(({ why }) => why)
  expect(unused).toEqual([
    'when reservations that nodes have begin',
    'lets a job go that the server held when it failed to start',
  ])
})
