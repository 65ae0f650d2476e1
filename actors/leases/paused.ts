import { ComeAgain } from '../runtime/errors.ts'
import type { MessageKind } from './messages.ts'

/**
 * What asks for something that is not held yet. All else is taken as ever: what gives back, what tells, and what is said
 * of that which is held, behind which on its subject something may wait that gives back.
 */
const ASKS: ReadonlySet<string> = new Set(['ticket', 'redeem', 'query'] satisfies MessageKind[])

/**
 * For broker and site, of each message that comes in while there is a reason to grant and assign nothing: who asks is told
 * to come again, and nothing is written. What would wait here is written first, and the room may be what is missing.
 * A `redeem` of a lease that its sender holds here asks only how it stands: the site takes it as ever.
 */
export function putOff(kind: string, paused: string | undefined): void {
  if (paused !== undefined && ASKS.has(kind)) throw new ComeAgain(paused)
}
