import { readFileSync } from 'node:fs'
import fastify from 'fastify'
import type { Log } from '../../actors/runtime/actor.ts'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { Connections } from '../../adapters/http/connections.ts'
import { ledgerTail } from '../reports/ledger-tail.ts'
import { actorsOf, type SiteView } from '../reports/site-view.ts'
import { statusOf } from '../reports/status.ts'
import { CONTENT_TYPE, exposition } from './exposition.ts'
import { familiesOf } from './families.ts'

/**
 * What Prometheus reads, by whichever way suits the site:
 *
 *   metrics.port in the configuration ──▶ GET /metrics there (loopback unless another address is named)
 *   sublet metrics > FILE.prom        ──▶ the textfile collector of the node exporter
 */
export interface Metrics {
  text(): string
  /** Resolves with where it listens. */
  listen(listen: { readonly host: string; readonly port: number }): Promise<string>
  close(): Promise<void>
}

/** To whoever asks: on loopback that is any local user, so none may hold up the process or its end. */
const CONNECTIONS = { max: 32, peerMax: 32 }
const HEAD_MS: Millis = 5_000
const REQUEST_MS: Millis = 10_000
/** What is asked for again sooner is told the same. */
const FRESH_MS: Millis = 1_000

/** Kinds are words of ours, and some 200; whatever comes beyond that is counted together. */
const KINDS_MAX = 400
const OTHERS = 'others'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

export function metrics(
  site: SiteView,
  parts: { readonly clock: Clock; readonly startedAt: Instant; readonly log: Log },
): Metrics {
  const { clock, startedAt, log } = parts
  const lines = new Map<string, Map<string, number>>(actorsOf(site).map(({ name }) => [name, new Map()]))
  const endTail = ledgerTail(site, (entries) => {
    for (const { actor, kind } of entries) {
      const kinds = lines.get(actor)
      if (kinds === undefined) continue
      const label = kinds.has(kind) || kinds.size < KINDS_MAX ? kind : OTHERS
      kinds.set(label, (kinds.get(label) ?? 0) + 1)
    }
  })
  let last: { readonly text: string; readonly until: Instant } | undefined
  const text = (): string => {
    const at = clock.monotonic()
    if (last === undefined || last.until <= at) {
      const status = statusOf(site, clock.now(), { pid: process.pid, startedAt })
      last = { text: exposition(familiesOf({ version, lines, status })), until: at + FRESH_MS }
    }
    return last.text
  }
  const app = fastify({
    logger: false,
    requestTimeout: REQUEST_MS,
    connectionTimeout: REQUEST_MS,
    http: { headersTimeout: HEAD_MS, connectionsCheckingInterval: 1_000 },
    maxRequestsPerSocket: 1,
    forceCloseConnections: true,
    bodyLimit: 1_024,
  })
  app.get('/metrics', (_, reply) => reply.type(CONTENT_TYPE).send(text()))
  // One request each: those that come in one go with it are refused, and their connection ends.
  app.addHook('onResponse', async ({ raw }) => raw.socket.destroySoon())
  // Who says nothing must not keep Prometheus out.
  const connections = new Connections(CONNECTIONS)
  app.server.on('connection', (connection) => connections.opened(connection))
  return {
    text,
    async listen({ host, port }) {
      try {
        return `${await app.listen({ host, port })}/metrics`
      } catch (cause) {
        throw new SubletError(
          'config-invalid',
          `metrics cannot be served at ${host}:${port}: ${inOneLine(cause)}`,
          {
            cause,
            cure: 'Name another address or port in `metrics`, or end whoever has it.',
          },
        )
      }
    },
    async close() {
      await app.close()
      await endTail().catch((error: unknown) =>
        log.warn({ reason: inOneLine(error) }, 'not every line was counted'),
      )
    },
  }
}
