import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ClientTlsFiles, clientTls, type ServerTlsFiles, serverTls } from '../../adapters/http/tls.ts'
import { type Authority, certificateAuthority } from './certificates.ts'
import { type HttpSide, httpSide, keysOf } from './http-sides.ts'
import { ackOf, Listener, message, patience } from './transport.ts'

const keys = keysOf('left', 'right')
let dir = ''
let ours: Authority
let theirs: Authority
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-tls-'))
  ours = certificateAuthority(dir, 'ours')
  theirs = certificateAuthority(dir, 'theirs')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function sent(
  server: ServerTlsFiles | undefined,
  dial: ClientTlsFiles,
  urlOf = (url: string): string => url,
): Promise<unknown> {
  const tls = server === undefined ? undefined : serverTls(server)
  const right = httpSide(keys, { listen: { host: '127.0.0.1', port: 0, tls } })
  const listener = new Listener()
  right.network.attach('right', listener)
  await right.network.open()
  let left: HttpSide | undefined
  try {
    left = httpSide(keys, { listen: undefined, dial: clientTls(dial) }, [
      { name: 'right', url: urlOf(right.network.url ?? ''), poll: false },
    ])
    expect(right.network.url).toMatch(server === undefined ? /^http:/ : /^https:/)
    return await left.network.send(message('left', 'right', 'message-1'), patience())
  } finally {
    await left?.network.close()
    await right.network.close()
  }
}

const acked = ackOf(message('left', 'right', 'message-1'), 'of message-1')

test('a certificate that the caller’s authority signed is believed', async () => {
  expect(await sent(ours.issue('right'), { caFile: ours.caFile })).toEqual(acked)
})

test('a certificate of another authority is not, and the cure names the options', async () => {
  await expect(sent(theirs.issue('right'), { caFile: ours.caFile })).rejects.toMatchObject({
    code: 'peer-silent',
    cure: expect.stringContaining('dial.caFile'),
  })
  await expect(sent(ours.issue('right'), {})).rejects.toMatchObject({ code: 'peer-silent' })
})

test('a url of the wrong kind is asked about, either way', async () => {
  const plainly = (url: string): string => url.replace('https:', 'http:')
  await expect(sent(ours.issue('right'), { caFile: ours.caFile }, plainly)).rejects.toMatchObject({
    ...{ code: 'peer-silent', cure: expect.stringContaining('does it want https?') },
  })
  const secretly = (url: string): string => url.replace('http:', 'https:')
  await expect(sent(undefined, { caFile: ours.caFile }, secretly)).rejects.toMatchObject({
    ...{ code: 'peer-silent', cure: expect.stringContaining('is it http?') },
  })
})

test('with mutual TLS only callers with a certificate get in', async () => {
  const server = { ...ours.issue('right'), clientCaFile: ours.caFile }
  const dial = { caFile: ours.caFile }
  expect(await sent(server, { ...dial, ...ours.issue('left') })).toEqual(acked)
  await expect(sent(server, dial)).rejects.toMatchObject({ code: 'peer-silent' })
  await expect(sent(server, { ...dial, ...theirs.issue('stranger') })).rejects.toMatchObject({
    code: 'peer-silent',
  })
})

test('a certificate that cannot be read is told by its name', () => {
  const missing = join(dir, 'missing.crt')
  expect(() => serverTls({ certFile: missing, keyFile: missing })).toThrow(missing)
  expect(() => clientTls({ caFile: missing })).toThrow(missing)
})
