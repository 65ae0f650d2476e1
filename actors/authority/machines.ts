import type { Machine } from '../leases/machine.ts'

/**
 * The site's side of a lease. `pending`: accepted, its units are not all there yet. `active` it stays while it
 * shrinks, grows, is repaired or gets other properties.
 *
 *   pending ──settled──▶ active ──close──▶ closing ──emptied──▶ closed
 *      └──────close, failed───────────────▶──┘
 */
export type LeaseState = 'pending' | 'active' | 'closing' | 'closed'
export type LeaseEvent = 'settled' | 'extend' | 'close' | 'failed' | 'emptied'

export const leaseMachine: Machine<LeaseState, LeaseEvent> = {
  pending: { settled: 'active', extend: 'pending', close: 'closing', failed: 'closing' },
  active: { extend: 'active', close: 'closing' },
  closing: { close: 'closing', emptied: 'closed' },
  closed: {},
}

/**
 * One unit, held from the moment it is assigned until its teardown is complete.
 *
 *   setup ──made──▶ probing ──passed──▶ active ──suspect──▶ suspect
 *     │                │                  │  ▲──passed────────┘ │
 *     │ failed, end    │ failed, end      │ end, died           │ end, died
 *     ▼                ▼                  ▼                     ▼
 *   teardown ◀───────────────────────────────────────────────────
 *     │ gone   └──stuck──▶ stuck ──gone──▶ ended
 *     ▼
 *   ended
 */
export type UnitState = 'setup' | 'probing' | 'active' | 'suspect' | 'teardown' | 'stuck' | 'ended'
export type UnitEvent = 'made' | 'passed' | 'failed' | 'suspect' | 'end' | 'died' | 'gone' | 'stuck'

export const unitMachine: Machine<UnitState, UnitEvent> = {
  setup: { made: 'probing', failed: 'teardown', end: 'teardown', died: 'teardown' },
  probing: { passed: 'active', failed: 'teardown', end: 'teardown', died: 'teardown' },
  active: { passed: 'active', suspect: 'suspect', end: 'teardown', died: 'teardown' },
  suspect: { passed: 'active', suspect: 'suspect', end: 'teardown', died: 'teardown' },
  teardown: { end: 'teardown', gone: 'ended', stuck: 'stuck' },
  stuck: { end: 'stuck', gone: 'ended' },
  ended: {},
}
