import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openpbsJoin, openpbsJoinConfig } from '../../adapters/openpbs/join.ts'
import { torqueJoin, torqueJoinConfig } from '../../adapters/torque/join.ts'
import { momBench } from '../emulated/moms.ts'
import { joinLaw } from './join.ts'

const torqueMoms = () =>
  momBench((home, command, connect) =>
    torqueJoin(
      torqueJoinConfig.parse({ server: 'tqsrv', home, command: [command], stopTimeout: '1s' }),
      connect,
    ),
  )

const openpbsMoms = () =>
  momBench((home, command, connect) =>
    openpbsJoin(
      openpbsJoinConfig.parse({
        ...{ server: 'opsrv', home, command: [command], confFile: `${home}/pbs.conf`, stopTimeout: '1s' },
      }),
      connect,
    ),
  )

joinLaw('Torque’s mom, emulated', async () => torqueMoms())
joinLaw('OpenPBS’s mom, emulated', async () => openpbsMoms())

test('OpenPBS’s mom finds its server by pbs.conf', async () => {
  const bench = openpbsMoms()
  const unit = await bench.machine()
  await bench.join.join(unit, new AbortController().signal)
  const read = (file: string): string => readFileSync(join(bench.homeOf(unit), file), 'utf8')
  expect(read('pbs.conf').split('\n')).toContain('PBS_SERVER=opsrv')
  expect(read('pbs.conf').split('\n')).toContain('PBS_START_MOM=1')
  expect(read('mom_priv/config')).toBe('$clienthost opsrv\n$usecp *:/home /home\n')
  await bench.clear()
  await bench.close()
})

test('Torque’s mom finds its server’s name and its configuration, with the unit’s own words in it', async () => {
  const bench = momBench((home, command, connect) =>
    torqueJoin(
      torqueJoinConfig.parse({
        ...{ server: 'tqsrv', home, command: [command], stopTimeout: '1s' },
        momConfig: ['$mom_host {name}', '$ideal_load {cpu}'],
      }),
      connect,
    ),
  )
  const unit = await bench.machine()
  await bench.join.join(unit, new AbortController().signal)
  const read = (file: string): string => readFileSync(join(bench.homeOf(unit), file), 'utf8')
  expect(read('server_name')).toBe('tqsrv\n')
  expect(read('mom_priv/config')).toBe('$pbsserver tqsrv\n$mom_host m1\n$ideal_load 2\n')
  await bench.clear()
  await bench.close()
})
