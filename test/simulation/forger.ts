import { canonical, digest, signable } from '../../actors/runtime/canonical.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { cheapIdentity } from './identities.ts'

/** A copy of a message that nobody sent, and the answers that are right. */
export interface Forgery {
  readonly what: 'altered' | 'forged' | 'misaddressed' | 'number used again'
  readonly envelope: Envelope
  /** Outcomes that are right; busy always is. */
  readonly right: readonly string[]
}

/** Signs an envelope anew with its sender's own key. */
export function resealed(envelope: Envelope): Envelope {
  const { signature: _, body, ...head } = { ...envelope, bodyHash: digest(canonical(envelope.body)) }
  return {
    ...head,
    body,
    signature: cheapIdentity(envelope.from).sign(signable('message', head)),
  } as Envelope
}

/** Of another message: under its own id it would be the same one, written in another protocol. */
const otherId = (id: string): string => `${id.slice(0, -1)}${id.endsWith('x') ? 'y' : 'x'}`

/** Somebody has read a message that was taken, and tries what can be tried with it. */
export function forge(envelope: Envelope, names: readonly string[], random: Random): Forgery {
  const body = { ...(envelope.body as object), reason: 'nobody said so' }
  switch (random.int(4)) {
    case 0:
      return { what: 'altered', envelope: { ...envelope, body }, right: ['refused'] }
    case 1: {
      const { signature } = envelope
      const flipped = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
      const other = { ...envelope, number: envelope.number + 1, signature: flipped }
      return { what: 'forged', envelope: other, right: ['refused'] }
    }
    case 2: {
      const others = names.filter((name) => name !== envelope.to && name !== envelope.from)
      const to = others[random.int(others.length)]!
      return { what: 'misaddressed', envelope: { ...envelope, to }, right: ['refused'] }
    }
    default:
      // Of its own kind of body it is none: if it were taken, the mind would say so.
      return {
        what: 'number used again',
        envelope: resealed({ ...envelope, id: otherId(envelope.id), body }),
        right: ['refused', 'noted'],
      }
  }
}
