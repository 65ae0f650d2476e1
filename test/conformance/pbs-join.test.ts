import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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

joinLaw('Torque’s mom, emulated', async () => torqueMoms())

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
