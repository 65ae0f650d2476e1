import type { Machine } from '../leases/machine.ts'

/**
 *            ┌──────────refused, closed──────────▶ closed
 *   asked ───┤                                        ▲
 *            └─granted─▶ granted ──extend──▶ extending │ closed (relinquished, or the term is over)
 *                          ▲  └────────────────┼──────┘
 *                          └─granted, refused──┘
 */
export type TicketState = 'asked' | 'granted' | 'extending' | 'closed'
export type TicketEvent = 'granted' | 'refused' | 'extend' | 'closed'

export const ticketMachine: Machine<TicketState, TicketEvent> = {
  asked: { granted: 'granted', refused: 'closed', closed: 'closed' },
  granted: { extend: 'extending', closed: 'closed' },
  extending: { granted: 'granted', refused: 'granted', closed: 'closed' },
  closed: { closed: 'closed' },
}
