import { PROTOCOLS } from '../actors/runtime/envelope.ts'
import { HttpNetwork, type HttpNetworkParts } from '../adapters/http/network.ts'
import { clientTls, serverTls } from '../adapters/http/tls.ts'
import type { Settings } from './settings/config.ts'

/** The network of a configuration; without `listen` and peers it carries messages within the process only. */
export function networkOf(settings: Settings, parts: HttpNetworkParts): HttpNetwork {
  const { listen, dial, skewMax: skewMsMax } = settings
  const tls = listen?.tls === undefined ? undefined : serverTls(listen.tls)
  return new HttpNetwork(
    {
      ...{ skewMsMax, protocols: PROTOCOLS, dial: clientTls(dial) },
      listen: listen === undefined ? undefined : { ...listen, tls },
    },
    parts,
  )
}
