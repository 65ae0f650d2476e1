import { resolve } from 'node:path'
import { z } from 'zod'
import { name } from '../../actors/runtime/settings.ts'

/**
 * What a peer is: one of the three actors, or an observer, which may ask what there is, and neither lends nor holds
 * anything.
 */
export const ROLES = ['site', 'broker', 'service-manager', 'observer'] as const
export type Role = (typeof ROLES)[number]

export const publicKey = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, 'expected a public key of 43 characters, as `sublet keygen` prints it')

/** Only the place: what is asked there is fixed. */
export const peerUrl = z
  .string()
  .regex(
    /^https?:\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?\/?$/i,
    'expected http://host:port or https://host:port',
  )

const file = z.string().min(1)

const peer = z.strictObject({
  name,
  role: z.enum(ROLES),
  url: peerUrl.optional(),
  poll: z.boolean().default(false),
  key: publicKey.optional(),
  keyFile: file.optional(),
})

/** Sections of the configuration that tell of other processes. */
export const networkConfig = {
  /** Where peers get in. Absent: nobody can call, and what is for us is fetched. */
  listen: z
    .strictObject({
      host: z.string().min(1).max(255).default('127.0.0.1'),
      port: z.int().min(0).max(65_535),
      tls: z.strictObject({ certFile: file, keyFile: file, clientCaFile: file.optional() }).optional(),
    })
    .optional(),
  /** How peers with https are called. */
  dial: z
    .strictObject({ caFile: file.optional(), certFile: file.optional(), keyFile: file.optional() })
    .prefault({}),
  peers: z.array(peer).default([]),
  /** How many messages each peer may say, to each actor here. */
  peerRate: z
    .strictObject({ perSecond: z.int().min(1).default(100), burst: z.int().min(1).default(20_000) })
    .prefault({}),
}

const written = z.strictObject(networkConfig)
export type WrittenNetwork = z.output<typeof written>
export type PeerSettings = Readonly<WrittenNetwork['peers'][number]>

/** File names become absolute. */
export function resolvedNetwork(
  { listen, dial, peers, peerRate }: WrittenNetwork,
  base: string,
): WrittenNetwork {
  const at = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(base, path)
  const tls = listen?.tls
  return {
    listen:
      listen === undefined
        ? undefined
        : {
            ...listen,
            ...(tls === undefined
              ? {}
              : {
                  tls: {
                    certFile: resolve(base, tls.certFile),
                    keyFile: resolve(base, tls.keyFile),
                    clientCaFile: at(tls.clientCaFile),
                  },
                }),
          },
    dial: { caFile: at(dial.caFile), certFile: at(dial.certFile), keyFile: at(dial.keyFile) },
    peers: peers.map((peer) => ({ ...peer, keyFile: at(peer.keyFile) })),
    peerRate,
  }
}
