import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { script } from '../../adapters/namespace/seed.ts'

/** Asks at a server that greets so. */
async function reach(greeting: string, word: string) {
  const server = createServer((socket) => socket.end(greeting)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const exec = localExecutor({ clock: systemClock })
  const argv = ['bash', script('reach'), '127.0.0.1', String(port), word] as const
  const finished = await exec.run([...argv], { signal: AbortSignal.timeout(5000) })
  server.close()
  return finished
}

test('a machine is reached when its sshd greets with its own word', async () => {
  expect(await reach('SSH-2.0-OpenSSH_9.2p1 sublet-0123\r\n', 'sublet-0123')).toMatchObject({ exitCode: 0 })
})

test('another machine at its address is found out, and named', async () => {
  const other = await reach('SSH-2.0-OpenSSH_9.2p1 sublet-9999\r\n', 'sublet-0123')
  expect(other.exitCode).not.toBe(0)
  expect(other.stderr).toContain('“SSH-2.0-OpenSSH_9.2p1 sublet-9999”, not the machine sublet-0123')
})
