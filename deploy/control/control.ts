import { chmodSync, rmSync } from 'node:fs'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Log } from '../../actors/runtime/actor.ts'
import { type Clock, type Instant, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { Connections } from '../../adapters/http/connections.ts'
import { type LedgerArchive, ledgerArchive } from '../../adapters/sqlite/archive.ts'
import { removeStaleSocket } from '../../adapters/stale-socket.ts'
import { checkPeers, partsOf, peersReport } from '../peers/peer-reports.ts'
import { hostsOf } from '../reports/host-report.ts'
import { leasesOf } from '../reports/lease-report.ts'
import { linesOf, type NamedLedger, verifyAll } from '../reports/ledgers.ts'
import { actorsOf, type SiteView } from '../reports/site-view.ts'
import { joinedOf, nodesOf, statusOf } from '../reports/status.ts'
import type { Settings } from '../settings/config.ts'
import { inDir } from '../settings/work-files.ts'
import { withArchive } from '../upkeep/archiving.ts'
import { ask, queryBody } from './ask.ts'
import { explain } from './control-explain.ts'
import { authorityOf, orders } from './control-orders.ts'
import {
  afterOf,
  asAnswer,
  challengeBody,
  explainParams,
  explainQuery,
  ledgerQuery,
  planQuery,
  reloadBody,
  stopBody,
} from './control-protocol.ts'
import { answerError, answerNoHttp, answerUnread, misread, nowhere } from './control-refusals.ts'
import { type Doorkeeper, doorkeeper } from './doorkeeper.ts'
import { planOf } from './plan.ts'
import { reload } from './reload.ts'

/**
 * The socket through which commands reach a running Sublet.
 *
 *   POST /challenge                 everybody       see doorkeeper.ts
 *   GET  /status /leases /nodes     viewers
 *        /joined                    viewers
 *        /ledger /verify            viewers
 *        /explain/{job,lease,node}/ID
 *        /hosts /plan /metrics      viewers
 *   POST /query                     viewers
 *        /peers /peers/check        viewers
 *   POST /stop, /peers/reload       operators
 *        and what control-orders.ts carries out
 *        /reload                   admins
 *
 * The owner of the process and root may do everything; others what the configuration gives their uid.
 */
export interface ControlParts {
  readonly socket: string
  readonly auth: string
  readonly clock: Clock
  readonly log: Log
  readonly startedAt: Instant
  /** For Prometheus. */
  readonly metrics: () => string
  /** Begins to stop Sublet; resolves at once. */
  readonly stop: (release: boolean, by: string, reason: string) => void
}

export interface ControlServer {
  close(): Promise<void>
}

/** Each right has those before it in it. */
const RIGHTS = ['view', 'operate', 'administer'] as const
type Right = (typeof RIGHTS)[number]

const BODY_BYTES_MAX = 16 * 1024
const CONNECTIONS = { max: 128, peerMax: 96 }
const REQUEST_MS_MAX = 10_000
const FOLLOW_POLL_MS = 1_000

export async function controlServer(site: SiteView, parts: ControlParts): Promise<ControlServer> {
  const { socket, auth, clock, log } = parts
  const { viewers, operators, admins } = site.settings.control
  const open = viewers.length + operators.length + admins.length > 0
  const door = doorkeeper(auth, open, clock)
  const closing = new AbortController()
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    connectionTimeout: 60_000,
    forceCloseConnections: true,
    logger: false,
    frameworkErrors: ({ code }, _, reply) => void answerUnread(reply as FastifyReply, code),
    clientErrorHandler: answerNoHttp,
  })
  // Callers who never say who they are must not keep out those who do, and who may only look not those who operate.
  const connections = new Connections(CONNECTIONS)
  app.server.on('connection', (connection) => connections.opened(connection))
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => (value) => {
    const read = schema.safeParse(value)
    if (read.success) return { value: read.data }
    return { error: misread(schema, value, httpPart, read.error.issues) }
  })
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log))
  app.setNotFoundHandler((request, reply) => reply.code(404).send(asAnswer(nowhere(request))))
  const believed = (request: FastifyRequest, uid: number): void =>
    connections.believed(request.raw.socket, `uid ${uid}`)
  routes(app, site, parts, door, closing.signal, { viewers, operators, admins }, believed)

  // What a killed process left; the databases' locks prove that no other Sublet uses this folder.
  removeSocket(socket)
  await app.listen({ path: socket })
  chmodSync(socket, open ? 0o666 : 0o600)
  return {
    async close() {
      closing.abort(new SubletError('not-running', 'Sublet is stopping'))
      await app.close()
      door.close()
      rmSync(socket, { force: true })
    },
  }
}

function removeSocket(socket: string): void {
  const refused = (cause?: unknown): SubletError =>
    new SubletError('usage', `${socket} cannot be removed, and is where the control socket goes`, {
      cause,
      cure: 'Move it away: Sublet makes its socket there when it starts.',
    })
  let isFree: boolean
  try {
    isFree = removeStaleSocket(socket)
  } catch (cause) {
    throw refused(cause)
  }
  if (!isFree) throw refused()
}

function routes(
  app: FastifyInstance,
  site: SiteView,
  parts: ControlParts,
  door: Doorkeeper,
  closing: AbortSignal,
  uids: Settings['control'],
  believed: (request: FastifyRequest, uid: number) => void,
): void {
  const { clock, log, startedAt } = parts
  const rights = new WeakMap<FastifyRequest, { readonly uid: number }>()

  const may =
    (right: Right) =>
    async (request: FastifyRequest): Promise<void> => {
      const [, token] = /^Sublet ([0-9a-f]{32})$/.exec(request.headers.authorization ?? '') ?? []
      if (token === undefined) throw new SubletError('not-permitted', 'the request carries no token')
      const uid = door.uidOf(token, `${request.method} ${request.url}`)
      const all = uid === 0 || uid === process.getuid?.()
      const has =
        all || uids.admins.includes(uid)
          ? 2
          : uids.operators.includes(uid)
            ? 1
            : uids.viewers.includes(uid)
              ? 0
              : -1
      if (has < RIGHTS.indexOf(right)) {
        log.warn({ uid, request: `${request.method} ${request.url}` }, 'command not permitted')
        throw new SubletError(
          'not-permitted',
          `the user with uid ${uid} may not ${right === 'view' ? 'look at' : right} this Sublet`,
        )
      }
      rights.set(request, { uid })
      believed(request, uid)
    }
  const by = (request: FastifyRequest): string => `uid ${rights.get(request)?.uid}`
  const view = { onRequest: may('view') }
  const operate = { onRequest: may('operate') }
  const administer = { onRequest: may('administer') }
  const ledgers = (): readonly NamedLedger[] => ledgersOf(site)

  app.post<{ Body: z.output<typeof challengeBody> }>(
    '/challenge',
    { schema: { body: challengeBody } },
    (request) => Promise.resolve(door.challenge(request.body.request)),
  )
  app.get('/status', view, () =>
    Promise.resolve(statusOf(site, clock.now(), { pid: process.pid, startedAt })),
  )
  app.get('/leases', view, () => Promise.resolve(leasesOf(site)))
  app.get('/metrics', view, () => Promise.resolve({ text: parts.metrics() }))
  app.get('/nodes', view, () => Promise.resolve(nodesOf(site, clock.now())))
  app.get('/joined', view, () => Promise.resolve(joinedOf(site)))
  app.get<{ Querystring: z.output<typeof planQuery> }>(
    '/plan',
    { ...view, schema: { querystring: planQuery } },
    ({ query: { guest, jobs, machines } }) =>
      Promise.resolve(planOf(site, guest, { jobsMax: jobs, machinesMax: machines })),
  )
  app.get('/hosts', view, () => {
    authorityOf(site)
    return Promise.resolve(hostsOf(site))
  })
  app.get('/verify', view, () => verifyAll(ledgers()))
  app.get<{ Querystring: z.output<typeof ledgerQuery> }>(
    '/ledger',
    { ...view, schema: { querystring: ledgerQuery } },
    async (request) => {
      const { after, waitMs, ...query } = request.query
      if (after === undefined) return linesOf(ledgers(), query)
      const until = clock.monotonic() + waitMs
      for (;;) {
        const lines = await linesOf(ledgers(), { ...query, after: afterOf(after) })
        const leftMs = until - clock.monotonic()
        if (lines.length > 0 || leftMs <= 0) return lines
        await nextChange(site, clock, Math.min(leftMs, FOLLOW_POLL_MS), closing)
      }
    },
  )
  app.get<{ Params: z.output<typeof explainParams>; Querystring: z.output<typeof explainQuery> }>(
    '/explain/:what/:id',
    { ...view, schema: { params: explainParams, querystring: explainQuery } },
    async ({ params: { what, id }, query: { guest, lines } }) => ({
      sentences: await explain(
        site,
        ledgers(),
        what,
        id,
        guest,
        lines === undefined ? clock.now() : undefined,
      ),
    }),
  )
  app.post<{ Body: z.output<typeof queryBody> }>(
    '/query',
    { ...view, schema: { body: queryBody } },
    (request) => ask(site, request.body, clock, closing),
  )
  orders(app, site, { clock, log }, closing, operate, by)
  app.get('/peers', view, () => Promise.resolve(peersReport(partsOf(site, clock))))
  app.get('/peers/check', view, () => checkPeers(partsOf(site, clock)))
  app.post('/peers/reload', operate, (request) => {
    log.info({ orderedBy: by(request) }, 'peers are read again')
    site.federation?.reload()
    return Promise.resolve({ peers: site.federation?.peers().length ?? 0 })
  })
  app.post<{ Body: z.output<typeof reloadBody> }>(
    '/reload',
    { ...administer, schema: { body: reloadBody } },
    (request) => {
      log.info({ orderedBy: by(request), ...request.body }, 'the configuration is read again')
      return reload(site, { ...request.body, by: by(request) })
    },
  )
  app.post<{ Body: z.output<typeof stopBody> }>(
    '/stop',
    { ...operate, schema: { body: stopBody } },
    (request) => {
      parts.stop(request.body.release, by(request), request.body.reason)
      return Promise.resolve({ pid: process.pid })
    },
  )
}

const archiveOf = ({ settings }: SiteView, name: string): LedgerArchive =>
  ledgerArchive(inDir(settings.dir).archive, name)

export const ledgersOf = (site: SiteView): readonly NamedLedger[] =>
  actorsOf(site).flatMap(({ name, head }) =>
    site.stores
      .filter((held) => held.name === name)
      .map(({ store }) => ({
        ...{ name, ledger: withArchive(store, archiveOf(site, name)), head },
        keys: site.federation?.keys.trusted(name).map(({ key }) => key),
      })),
  )

/** Resolves soon after the next commit, at the latest after `ms`. */
async function nextChange(site: SiteView, clock: Clock, ms: number, closing: AbortSignal): Promise<void> {
  let forget = (): void => undefined
  const change = new Promise<void>((resolve) => {
    forget = site.onChange(resolve)
  })
  try {
    await Promise.race([change, sleep(clock, ms, closing)])
  } finally {
    forget()
  }
}
