import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type Channel, checkSocketPath, dial, type Listener, listen } from '../../adapters/embedded/wire.ts'

let dir: string
let listener: Listener
let faults: unknown[]
let dropped: Promise<void>

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wire-'))
  faults = []
  let drop: () => void = () => undefined
  dropped = new Promise((resolve) => {
    drop = resolve
  })
  listener = await listen({
    path: join(dir, 's'),
    callersMax: 2,
    onFault: (fault) => faults.push(fault),
    answer(what, body, caller, signal) {
      if (what === 'echo') return body
      if (what === 'tell') return caller.tell('told', body)
      if (what === 'refuse') throw new SubletError('node-busy', 'The node n1 runs job 7.')
      if (what === 'break') throw new Error('a fault of ours')
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          drop()
          reject(signal.reason)
        })
      })
    },
  })
})
afterEach(async () => {
  await listener.close()
  rmSync(dir, { recursive: true })
})

const call = (onEvent: (event: string, body: unknown) => void = () => undefined): Promise<Channel> =>
  dial(join(dir, 's'), {
    clock,
    who: 'The daemon',
    code: 'middleware-unreachable',
    timeoutMs: 2_000,
    onEvent,
  })
const timeoutMs = 2_000

test('answers find the ask they belong to, and events come beside them', async () => {
  const events: unknown[] = []
  const channel = await call((event, body) => events.push([event, body]))
  const said = { long: 'ü'.repeat(100_000) }
  expect(
    await Promise.all([
      channel.ask('echo', said, { timeoutMs }),
      channel.ask('echo', { b: 2 }, { timeoutMs }),
    ]),
  ).toEqual([said, { b: 2 }])
  await channel.ask('tell', { a: 1 }, { timeoutMs })
  expect(events).toEqual([['told', { a: 1 }]])
  channel.hangUp()
})

test('an operating error keeps its code and sentence; a fault of ours is told as one and noted', async () => {
  const channel = await call()
  await expect(channel.ask('refuse', {}, { timeoutMs })).rejects.toMatchObject({
    code: 'node-busy',
    message: 'The node n1 runs job 7.',
  })
  await expect(channel.ask('break', {}, { timeoutMs })).rejects.toThrow('The daemon failed: a fault of ours')
  expect(faults).toHaveLength(1)
  channel.hangUp()
})

test('an ask that is given up is given up at the other end too, and the line stays', async () => {
  const channel = await call()
  const giveUp = new AbortController()
  const asked = channel.ask('wait', {}, { timeoutMs, signal: giveUp.signal })
  const reason = new Error('no longer wanted')
  giveUp.abort(reason)
  await expect(asked).rejects.toBe(reason)
  await dropped
  expect(await channel.ask('echo', { still: 'here' }, { timeoutMs })).toEqual({ still: 'here' })
  channel.hangUp()
})

test('an answer that does not come in time is an error that names the ask', async () => {
  const channel = await call()
  await expect(channel.ask('wait', {}, { timeoutMs: 30 })).rejects.toThrow(
    'The daemon did not answer “wait” within 30 ms',
  )
  channel.hangUp()
})

test('when the line breaks, open asks fail, later ones too', async () => {
  const channel = await call()
  const asked = channel.ask('wait', {}, { timeoutMs })
  await listener.close()
  await expect(asked).rejects.toMatchObject({ code: 'middleware-unreachable' })
  await expect(channel.ask('echo', {}, { timeoutMs })).rejects.toMatchObject({
    code: 'middleware-unreachable',
  })
  expect(channel.gone.aborted).toBe(true)
})

test('whoever sends what is no message, or too long a line, is cut off', async () => {
  for (const bad of ['this is no JSON\n', '[]\n', '{"ask":"echo"}\n', 'x'.repeat(600_000)]) {
    const socket = createConnection(join(dir, 's'))
    socket.write(bad)
    await new Promise<void>((resolve) => socket.once('close', () => resolve()).once('error', () => undefined))
  }
  expect(faults.length).toBeGreaterThanOrEqual(4)
})

test('the socket is for its owner alone', () => {
  expect(statSync(join(dir, 's')).mode & 0o777).toBe(0o600)
})

test('a path that no socket can have is refused with its length', () => {
  expect(() => checkSocketPath(`/${'x'.repeat(107)}`)).toThrow('has 108 bytes, and the system allows 107')
})

test('a file in the place of the socket is somebody’s, and stays', async () => {
  const path = join(dir, 'notes')
  writeFileSync(path, 'notes')
  const options = { path, callersMax: 1, onFault: () => undefined, answer: () => undefined }
  await expect(listen(options)).rejects.toMatchObject({
    ...{ code: 'config-invalid', message: `${path} is no socket, and is where one goes` },
  })
  expect(readFileSync(path, 'utf8')).toBe('notes')
})
