import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { controlClient } from '../../deploy/control/control-client.ts'
import { doorstep } from '../../deploy/control/doorstep.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'

const NAME = 'a'.repeat(32)
const [OWNER, OTHER] = [65_533, 65_532]

let dir = ''
let server: Server | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-doorstep-'))
  mkdirSync(join(dir, 'auth'))
})
afterEach(() => {
  server?.close()
  server?.closeAllConnections()
  server = undefined
  rmSync(dir, { recursive: true, force: true })
})

test('an order that was carried out is answered, though the folder that proved who asks cannot be removed', async () => {
  const folder = join(dir, 'auth', NAME)
  server = createServer(({ url }, response) => {
    response.setHeader('content-type', 'application/json')
    if (url === '/challenge') return response.end(JSON.stringify({ token: 't', folder }))
    writeFileSync(join(folder, 'left'), '')
    response.end(JSON.stringify({ stopping: true }))
  })
  const socket = join(dir, 'control.sock')
  await new Promise<void>((resolve) => server!.listen(socket, resolve))
  expect(await controlClient(socket).post('/stop', {})).toEqual({ stopping: true })
  expect(existsSync(folder)).toBe(true)
})

test.skipIf(cannotBeRoot)(
  `nobody shows who he is in an auth, or at a socket, that somebody else has put there ${AS_ROOT}`,
  () => {
    const [socket, auth] = [join(dir, 'control.sock'), join(dir, 'auth')]
    writeFileSync(socket, '')
    const prove = (): boolean => {
      const step = doorstep(socket)
      try {
        step.prove(NAME)()
        return true
      } finally {
        step.close()
      }
    }
    chownSync(dir, OWNER, OWNER)
    chownSync(socket, OWNER, OWNER)
    for (const uid of [OWNER, 0]) {
      chownSync(auth, uid, uid)
      expect(prove()).toBe(true)
    }
    chownSync(auth, OTHER, OTHER)
    expect(prove).toThrow(
      /^this user cannot show who he is: auth in .* is of uid 65532, the folder of uid 65533$/,
    )
    expect(existsSync(join(auth, NAME))).toBe(false)
    chownSync(auth, OWNER, OWNER)
    chownSync(socket, OTHER, OTHER)
    expect(prove).toThrow(/: the socket in .* is of uid 65532/)
  },
)

test('nobody shows who he is in what auth only leads to', () => {
  const elsewhere = join(dir, 'elsewhere')
  mkdirSync(elsewhere)
  rmSync(join(dir, 'auth'), { recursive: true })
  symlinkSync(elsewhere, join(dir, 'auth'))
  writeFileSync(join(dir, 'control.sock'), '')
  const step = doorstep(join(dir, 'control.sock'))
  expect(() => step.prove(NAME)).toThrow(/cannot be made/)
  step.close()
})
