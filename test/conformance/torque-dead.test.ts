import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { recorded } from '../emulated/recordings.ts'
import { openTorqueBench, type TorqueBench } from '../emulated/torque/bench.ts'

/** The programs themselves, when nobody answers them: as the recorded ones, and as the adapter takes it. */
const rows = recorded('torque-6.1.3')
const never = new AbortController().signal
let bench: TorqueBench
beforeAll(async () => {
  bench = await openTorqueBench('6.1.3')
})
afterAll(async () => {
  await bench?.close()
})

/** The server's address is another one here. */
const words = (text: string): string =>
  text
    .replaceAll(/tqsrv\([\d.]+\)/g, 'tqsrv(…)')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')

const same = async (numbers: readonly number[]): Promise<void> => {
  const exec = localExecutor({ clock: systemClock, env: bench.env })
  const dead = rows.filter(({ file }) => numbers.includes(Number(file.slice(0, 3))))
  expect(dead).toHaveLength(numbers.length)
  for (const { file, argv, exitCode, stderr, stdout } of dead) {
    const [program = '', ...args] = argv
    const given = await exec.run([program, ...args], { signal: never })
    expect([file, given.exitCode, words(given.stderr), given.stdout]).toEqual([
      ...[file, exitCode, words(stderr), stdout],
    ])
  }
}

test('a server that has ended: empty stdout, and the exit status of each program', async () => {
  await bench.door.shut()
  await same([148, 149, 150, 151, 152, 153])
  await expect(bench.system.observe(never)).rejects.toMatchObject({ code: 'middleware-unreachable' })
  await bench.door.open()
  expect(await bench.system.observe(never)).toMatchObject({ jobs: [], trust: 'confirmed' })
})

test('a trqauthd that has ended', async () => {
  const flag = join(bench.dir, 'no-trqauthd')
  writeFileSync(flag, '')
  await same([155, 156])
  await expect(bench.system.observe(never)).rejects.toMatchObject({ code: 'middleware-unreachable' })
  rmSync(flag)
  await bench.system.observe(never)
})

test('programs that hang, as in a dead NFS, are ended at the deadline', async () => {
  const flag = join(bench.dir, 'hang')
  const hasty = bench.system2({ commandTimeout: 300 })
  writeFileSync(flag, '')
  await expect(hasty.observe(never)).rejects.toMatchObject({
    ...{ code: 'middleware-unreachable', message: expect.stringContaining('300 ms') },
  })
  rmSync(flag)
  await hasty.close()
})
