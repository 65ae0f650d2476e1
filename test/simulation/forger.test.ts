import { expect, test } from 'vitest'
import { type Letter, letterOf, sealLetter } from '../../actors/runtime/envelope.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { type Forgery, forge } from './forger.ts'
import { cheapIdentity } from './identities.ts'

const NAMES = ['broker', 'manager', 'site']

/** What is tried first of this kind with the message. */
function forgery(what: Forgery['what'], letter: Letter): Forgery {
  const envelope = sealLetter(letter, cheapIdentity(letter.from))
  const random = seededRandom(letter.id)
  for (let i = 0; i < 100; i++) {
    const made = forge(envelope, NAMES, random)
    if (made.what === what) return made
  }
  throw new Error(`none of 100 is ${what}`)
}

// Under the same id it is the message itself, in another protocol, to a receiver that was upgraded between the two.
test('a number is used again under another id, however the id ends', () => {
  const about = { from: 'broker', to: 'manager', kind: 'ticket-update', subject: 'lease-1', number: 2 }
  for (const last of '0123456789abcdefghjkmnpqrstvwxyz') {
    const id = `message-0000${last}`
    const letter = letterOf({ ...about, id, body: { reason: 'so' }, sentAt: 0, until: 1_000 })
    const { envelope } = forgery('number used again', letter)
    expect(envelope).toMatchObject(about)
    expect(envelope.id).not.toBe(id)
  }
})
