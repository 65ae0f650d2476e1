import type { FastifyInstance, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { z } from 'zod'
import type { Log } from '../../actors/runtime/actor.ts'
import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { hostsOf } from '../reports/host-report.ts'
import type { SiteView } from '../reports/site-view.ts'
import { extend, release, request } from './by-hand.ts'
import {
  approveBody,
  callOffBody,
  disapproveBody,
  extendBody,
  freezeBody,
  lendBody,
  maintainBody,
  pinBody,
  recallBody,
  reclaimBody,
  releaseBody,
  requestBody,
  resumeBody,
  unpinBody,
  withdrawBody,
} from './control-protocol.ts'

/**
 * What an operator orders, as commands of the actors that run here:
 *
 *   POST /recall /call-off /lend           to the site
 *        /withdraw /reclaim                to the site
 *        /hosts/maintain /hosts/resume     to the site
 *        /approve /disapprove              to the broker
 *        /request /extend /release         to the service manager
 *        /freeze /thaw /pin /unpin         to the service manager
 */
export function orders(
  app: FastifyInstance,
  site: SiteView,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  closing: AbortSignal,
  operate: RouteShorthandOptions,
  by: (request: FastifyRequest) => string,
): void {
  const taking = <B extends z.ZodType>(body: B) => ({ ...operate, schema: { body } })

  /** Logged, and carried out with the word on who gave it. */
  const ordered = <B extends object>(request: FastifyRequest, body: B, what: string) => {
    const order = { ...body, orderedBy: by(request) }
    log.info(order, what)
    return order
  }

  app.post<{ Body: z.output<typeof recallBody> }>('/recall', taking(recallBody), (request) =>
    authorityOf(site).command('recall', ordered(request, request.body, 'recall ordered')),
  )
  app.post<{ Body: z.output<typeof callOffBody> }>('/call-off', taking(callOffBody), async (request) => {
    const { recallId } = request.body
    const order = ordered(request, request.body, 'calling off of a recall ordered')
    const type = site.authority?.rows('recall').find((row) => row.id === recallId)?.type
    const answer = await authorityOf(site).command('call off', order)
    if (type !== undefined) await hurry(site, by(request), `${recallId} is called off`, type)
    return answer
  })
  app.post<{ Body: z.output<typeof lendBody> }>('/lend', taking(lendBody), async (request) => {
    const order = ordered(request, request.body, 'lending again ordered')
    const answer = await authorityOf(site).command('lend again', order)
    await hurry(site, by(request), `${request.body.type} is lent again`, request.body.type)
    return answer
  })
  app.post<{ Body: z.output<typeof withdrawBody> }>('/withdraw', taking(withdrawBody), (request) =>
    authorityOf(site).command('withdraw', ordered(request, request.body, 'withdrawal ordered')),
  )
  app.post<{ Body: z.output<typeof reclaimBody> }>('/reclaim', taking(reclaimBody), (request) =>
    authorityOf(site).command('reclaim', ordered(request, request.body, 'reclaim ordered')),
  )
  app.post<{ Body: z.output<typeof maintainBody> }>(
    '/hosts/maintain',
    taking(maintainBody),
    async (request) => {
      const order = ordered(request, request.body, 'maintenance of a host ordered')
      await authorityOf(site).command('maintain', order)
      return hostsOf(site).find(({ name }) => name === request.body.host)
    },
  )
  app.post<{ Body: z.output<typeof resumeBody> }>('/hosts/resume', taking(resumeBody), async (request) => {
    const order = ordered(request, request.body, 'end of maintenance ordered')
    const answer = await authorityOf(site).command('maintained', order)
    await hurry(site, by(request), `${request.body.host} is in service again`)
    return answer
  })
  app.post<{ Body: z.output<typeof approveBody> }>('/approve', taking(approveBody), (request) => {
    log.info({ orderedBy: by(request), ...request.body }, 'approval ordered')
    return brokerOf(site).command('approve', { ...request.body, by: by(request) })
  })
  app.post<{ Body: z.output<typeof disapproveBody> }>('/disapprove', taking(disapproveBody), (request) => {
    log.info({ orderedBy: by(request), ...request.body }, 'disapproval ordered')
    return brokerOf(site).command('disapprove', { ...request.body, by: by(request) })
  })
  app.post<{ Body: z.output<typeof requestBody> }>('/request', taking(requestBody), (order) => {
    log.info({ orderedBy: by(order), ...order.body }, 'units asked for')
    return request(site, order.body, by(order), clock, closing)
  })
  app.post<{ Body: z.output<typeof extendBody> }>('/extend', taking(extendBody), (order) => {
    log.info({ orderedBy: by(order), ...order.body }, 'extension asked for')
    return extend(site, order.body, by(order), clock, closing)
  })
  app.post<{ Body: z.output<typeof releaseBody> }>('/release', taking(releaseBody), (order) => {
    log.info({ orderedBy: by(order), ...order.body }, 'release ordered')
    return release(site, order.body, by(order))
  })
  brakes(app, site, log, operate, by)
}

/** There is more to be had: guests of the same file need not wait for their pause. Others are told by `sublet thaw`. */
async function hurry(site: SiteView, by: string, reason: string, type?: string): Promise<void> {
  const order = { by, reason, ...(type !== undefined && { type }) }
  // What was ordered is done, whether this is or not: the actor says in its own words why it stopped.
  await site.serviceManager?.command('hurry', order).catch(() => undefined)
}

/** What people hold controllers back with. */
function brakes(
  app: FastifyInstance,
  site: SiteView,
  log: Log,
  operate: RouteShorthandOptions,
  by: (request: FastifyRequest) => string,
): void {
  const bodies = { freeze: freezeBody, thaw: freezeBody, pin: pinBody, unpin: unpinBody }
  for (const [name, body] of Object.entries(bodies))
    app.post<{ Body: z.output<typeof body> }>(`/${name}`, { ...operate, schema: { body } }, (order) => {
      log.info({ orderedBy: by(order), ...order.body }, `${name} ordered`)
      return managerOf(site).command(name, { ...order.body, by: by(order) })
    })
}

/** What only a site can do. */
export function authorityOf({ authority }: SiteView): NonNullable<SiteView['authority']> {
  if (authority !== undefined) return authority
  throw new SubletError('usage', 'no site runs here', {
    cure: 'Give the command where the site runs, with --dir or --config.',
  })
}

/** What only a broker can do. */
function brokerOf({ broker }: SiteView): NonNullable<SiteView['broker']> {
  if (broker !== undefined) return broker
  throw new SubletError('usage', 'no broker runs here', {
    cure: 'Give the command where the broker runs, with --dir or --config.',
  })
}

/** What only a service manager can do. */
function managerOf({ serviceManager }: SiteView): NonNullable<SiteView['serviceManager']> {
  if (serviceManager !== undefined) return serviceManager
  throw new SubletError('usage', 'no service manager runs here', {
    cure: 'Give the command where the service manager runs, with --dir or --config.',
  })
}
