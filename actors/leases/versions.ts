import type { Body, MessageKind } from './messages.ts'
import { isMessageKind } from './messages.ts'

type Older = (body: never) => unknown

/** The ticket of a body, if it has one, rests on a chain of claims: a peer of protocol 1 could not read it. */
const plainTicket = <B extends { readonly ticket: { readonly proof?: unknown } | null }>(
  body: B,
): B | undefined => (body.ticket?.proof === undefined ? body : undefined)

const without =
  <B extends object, K extends keyof B>(...keys: readonly K[]) =>
  (body: B): Partial<B> =>
    Object.fromEntries(Object.entries(body).filter(([key]) => !keys.includes(key as K))) as Partial<B>

/** How each kind is said in protocol 1; kinds that are not listed were never said in it. */
const INTO_1: { readonly [K in MessageKind]?: Older } = {
  delegation: without<Body<'delegation'>, 'claim' | 'openRecalls' | 'back' | 'termMsMax'>(
    ...(['claim', 'openRecalls', 'back', 'termMsMax'] as const),
  ),
  'recall-units': without<Body<'recall-units'>, 'orderedAt'>('orderedAt'),
  ticket: (body) => body,
  'extend-ticket': without<Body<'extend-ticket'>, 'unitsMin'>('unitsMin'),
  'recall-plan': (body) => body,
  relinquish: (body) => body,
  'ticket-update': (body: Body<'ticket-update'>) => plainTicket(body),
  recall: without<Body<'recall'>, 'order'>('order'),
  redeem: (body: Body<'redeem'>) => plainTicket(body),
  'extend-lease': (body: Body<'extend-lease'>) => plainTicket(body),
  vacate: without<Body<'vacate'>, 'recalled'>('recalled'),
  close: (body) => body,
  'lease-update': ({ modified: _, restoring: ____, ...body }: Body<'lease-update'>) => ({
    ...body,
    units: body.units.map(({ leaveBy: __, leaveOrderedAt: ___, ...unit }) => unit),
  }),
}

/** Whether a peer knows nothing of groups, claims, growth, modification and maintenance. */
export const speaksOnly1 = (peer: string, draft: { peer(name: string): unknown }): boolean =>
  (draft.peer(peer) as { readonly protocol?: number } | undefined)?.protocol === 1

/**
 * A body as a peer of an older protocol reads it; undefined if that protocol has no words for it. What an older
 * peer sends needs no change: whatever came since may be absent.
 */
export function downgrade(kind: string, body: unknown, protocol: number): unknown {
  if (protocol >= 2) return body
  const older = isMessageKind(kind) ? INTO_1[kind] : undefined
  return older?.(body as never)
}
