import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Offer } from './algorithms.ts'

/** RFC 4253, 4.2: lines before the one that names the protocol are allowed, each of 255 bytes at most. */
const BYTES_MAX = 64 * 1024
const KEXINIT = 20
const COOKIE_BYTES = 16

/** Says who we are and reads what the server offers, which it says unasked and in the clear; undefined if it does not. */
export function readOffer(
  dialled: Duplex | { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Offer | undefined> {
  const stream = 'pipe' in dialled ? dialled : connect(dialled)
  return new Promise((resolve) => {
    let said = Buffer.alloc(0)
    const done = (offer: Offer | undefined): void => {
      signal.removeEventListener('abort', onAbort)
      stream.destroy()
      resolve(offer)
    }
    const onAbort = (): void => done(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
    stream.on('error', onAbort)
    stream.on('close', onAbort)
    stream.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk])
      const offer = offerIn(said)
      if (offer !== undefined || said.length > BYTES_MAX) done(offer)
    })
    stream.write('SSH-2.0-Sublet\r\n')
    if (signal.aborted) onAbort()
  })
}

/** The lists of a server’s first packet, after its line; undefined while they are not whole. */
export function offerIn(said: Buffer): Offer | undefined {
  const [line] = /(?<=^|\n)SSH-[^\n]*\n/.exec(said.toString('latin1')) ?? []
  if (line === undefined) return undefined
  const packet = said.subarray(said.indexOf(line, 0, 'latin1') + line.length)
  // uint32 length, byte padding, byte kind, the cookie, and then name lists, each with its length before it.
  if (packet.length < 6 || packet.length < 4 + packet.readUInt32BE(0) || packet[5] !== KEXINIT)
    return undefined
  let at = 6 + COOKIE_BYTES
  const list = (): readonly string[] => {
    if (at + 4 > packet.length) return []
    const end = at + 4 + packet.readUInt32BE(at)
    const names = packet.toString('latin1', at + 4, Math.min(end, packet.length))
    at = end
    return names === '' ? [] : names.split(',')
  }
  const [kex, serverHostKey, cipher, , hmac] = [list(), list(), list(), list(), list()]
  return { kex: kex ?? [], serverHostKey: serverHostKey ?? [], cipher: cipher ?? [], hmac: hmac ?? [] }
}
