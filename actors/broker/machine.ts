import type { Machine } from '../leases/machine.ts'

/**
 *            ┌──────────refused, closed──────────▶ closed
 *   asked ───┤                                        ▲
 *            └─granted─▶ granted ──extend──▶ extending │ closed (relinquished, or the term is over)
 *                          ▲  └────────────────┼──────┘
 *                          └─granted, refused──┘
 *
 * A question (asked, extending) may first wait for an approval, or for the other members of its group: the row says
 * so, and the policy does not see it.
 */
export type TicketState = 'asked' | 'granted' | 'extending' | 'closed'
export type TicketEvent = 'granted' | 'refused' | 'extend' | 'closed'

export const ticketMachine: Machine<TicketState, TicketEvent> = {
  asked: { granted: 'granted', refused: 'closed', closed: 'closed' },
  granted: { extend: 'extending', closed: 'closed' },
  extending: { granted: 'granted', refused: 'granted', closed: 'closed' },
  closed: { closed: 'closed' },
}
