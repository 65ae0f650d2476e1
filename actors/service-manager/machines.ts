import type { Machine } from '../leases/machine.ts'

/**
 * The service manager's side of a ticket, and beside it the lease that stands on it.
 *
 *   asked ──granted──▶ held ◀──granted, refused──┐
 *     │ │                │ └──────extend──▶ extending
 *     │ └─give up──┐     │ give up              │ give up
 *     │refused     ▼     ▼                      ▼
 *     │           returning ◀────────────────────
 *     ▼               │ closed
 *   closed ◀──────────┘
 */
export type TicketState = 'asked' | 'held' | 'extending' | 'returning' | 'closed'
export type TicketEvent = 'granted' | 'refused' | 'extend' | 'give up' | 'closed'

export const ticketMachine: Machine<TicketState, TicketEvent> = {
  asked: { granted: 'held', refused: 'closed', 'give up': 'returning', closed: 'closed' },
  held: { extend: 'extending', 'give up': 'returning', closed: 'closed' },
  extending: { granted: 'held', refused: 'held', 'give up': 'returning', closed: 'closed' },
  // A ticket or an extension that comes now is given back by the message that is already on its way: it is noted.
  returning: { closed: 'closed' },
  closed: { closed: 'closed' },
}

/**
 *          ┌──block──▶ blocked ──leave──▶ closed
 *          │              │ redeem
 *   none ──┴──redeem──────┴─▶ redeeming ──active──▶ active ◀──active, refused──┐
 *    │                          │ │                │ └────extend──▶ extending
 *    │ leave               ended│ │leave (extend:  │leave, ended       │leave, ended
 *    │                          │ │ extending)     │                   │
 *    ▼                          │ ▼                ▼                   │
 *   closed                      │ leaving ◀────────┴───────────────────┤
 *                               │    │left                             │
 *                               │    ▼                                 ▼
 *                               │ closing ──ended──▶ closed ◀──────────┘
 *                               └───────────────────▶ closed
 *
 * blocked: ticketed, and waits for another lease or for the rest of its group; the site has not heard of it.
 */
export type LeaseState =
  | 'none'
  | 'blocked'
  | 'redeeming'
  | 'active'
  | 'extending'
  | 'leaving'
  | 'closing'
  | 'closed'
export type LeaseEvent = 'block' | 'redeem' | 'active' | 'extend' | 'refused' | 'leave' | 'left' | 'ended'

export const leaseMachine: Machine<LeaseState, LeaseEvent> = {
  none: { block: 'blocked', redeem: 'redeeming', leave: 'closed' },
  blocked: { redeem: 'redeeming', leave: 'closed' },
  redeeming: { active: 'active', extend: 'extending', leave: 'leaving', ended: 'closed' },
  active: { extend: 'extending', leave: 'leaving', ended: 'closed' },
  extending: { active: 'active', refused: 'active', leave: 'leaving', ended: 'closed' },
  leaving: { refused: 'leaving', leave: 'leaving', left: 'closing', ended: 'closed' },
  closing: { refused: 'closing', leave: 'closing', ended: 'closed' },
  closed: { leave: 'closed', ended: 'closed' },
}
