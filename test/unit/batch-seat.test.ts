import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { SubletError } from '../../actors/runtime/errors.ts'
import { seatOf } from '../../adapters/batch/seat.ts'

const folder = mkdtempSync(join(tmpdir(), 'sublet-seat-'))
const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

/** Another process that takes the seat and keeps it. */
async function holder(): Promise<ChildProcess> {
  const module = new URL('../../adapters/batch/seat.ts', import.meta.url).href
  const script = `import { seatOf } from '${module}'
seatOf('${folder}', 'lab-dyn').take('the other')
console.log('taken')
setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve)
    child.once('exit', () => reject(new Error('the other process did not take the seat')))
  })
  return child
}

test('a seat is held by a process until it dies, however it dies', async () => {
  const child = await holder()
  const seat = seatOf(folder, 'lab-dyn')
  expect(() => seat.take('me')).toThrow(`“the other” (pid ${child.pid})`)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  seat.take('me')
  seat.take('me')
  expect(() => seat.take('another')).toThrow('This adapter holds the seat as “me”, not as “another”')
  seat.giveBack()
  seat.take('another')
  seat.giveBack()
})

test('a folder that cannot be written is an error of the configuration', () => {
  try {
    seatOf(join(folder, 'no-such-folder'), 'lab-dyn').take('me')
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(SubletError)
    expect(error).toMatchObject({ code: 'config-invalid' })
  }
})
