import { beforeAll, describe, expect, test } from 'vitest'
import { bodies as schemas } from '../../actors/leases/messages.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import { Gossip, type Moment, type Reaction, tellTo, variantsOf } from './gossip.ts'
import { type Role, Trial } from './trial.ts'

const SEEDS = [1, 4, 7, 12, 16]
const EVERYBODY = ['service-manager', 'broker', 'authority', 'stranger']
const KINDS = [...Object.keys(schemas), 'constructor', 'no such kind']

/** From whom each actor takes what, about a lease that it knows. */
const SPEAKERS: Readonly<Record<Role, Readonly<Record<string, string>>>> = {
  'service-manager': { 'lease-update': 'authority', 'ticket-update': 'broker', recall: 'broker' },
  broker: {
    ...{ 'extend-ticket': 'service-manager', relinquish: 'service-manager' },
    ...{ 'return-extension': 'service-manager' },
    ...{ 'recall-plan': 'service-manager', delegation: 'authority', 'recall-units': 'authority' },
  },
  authority: {
    ...{ 'extend-lease': 'service-manager', vacate: 'service-manager' },
    ...{ close: 'service-manager', 'tickets-returned': 'broker' },
  },
}

/** What anybody may ask for: a ticket of the broker, and the redemption of a ticket of the site. */
const OPEN = new Set(['ticket', 'redeem'])

/** An update that repeats what is known is the one thing that needs no word. */
const WORDLESS = new Set(['lease-update'])

const gossip = new Gossip()
const minds = new Map<Role, Mind<Tables>>()

beforeAll(async () => {
  for (const seed of SEEDS) {
    const trial = new Trial({ seed, watch: (running) => gossip.look(running) })
    await trial.run()
    minds.set('service-manager', trial.serviceManagerMind() as Mind<Tables>)
    minds.set('broker', trial.brokerMind() as Mind<Tables>)
    minds.set('authority', trial.authorityMind() as Mind<Tables>)
  }
}, 300_000)

interface Told {
  readonly text: string
  readonly from: string
  readonly kind: string
  readonly reaction: Reaction
}

/** One absurd body in so many comes from those who have no say: other ones in each state. */
const OTHERS_EVERY = 6

/**
 * Every kind, from everybody, about this lease and none, with sound and absurd bodies: all of them from the one
 * who has a say, some from the others.
 */
function everything(moment: Moment, turn: number): { told: Told[]; faults: string[] } {
  const mind = minds.get(moment.role)!
  const told: Told[] = []
  const bodiesFrom = (from: string, kind: string, sound: unknown): unknown[] => {
    const hasSay = OPEN.has(kind) ? from === 'service-manager' : SPEAKERS[moment.role][kind] === from
    return [...variantsOf(sound)].filter((_, i) => hasSay || i === 0 || i % OTHERS_EVERY === turn)
  }
  const faults: string[] = []
  for (const kind of KINDS)
    for (const from of EVERYBODY)
      for (const subject of [moment.subject, 'lease-nobody'])
        for (const sound of gossip.bodies.get(kind) ?? [{}])
          for (const body of subject === moment.subject ? bodiesFrom(from, kind, sound) : [sound, {}]) {
            const text = `${kind} from ${from} about ${subject}: ${JSON.stringify(body)?.slice(0, 300)}`
            try {
              told.push({ text, from, kind, reaction: tellTo(mind, moment, { from, kind, subject, body }) })
            } catch (error) {
              faults.push(`${text}: ${String(error)}`)
            }
          }
  return { told, faults }
}

describe('whatever is said to an actor, in whatever state', () => {
  test('the moments cover the states of all three', () => {
    const states = [...gossip.moments.keys()]
    expect(states).toEqual(
      expect.arrayContaining([
        ...['asked', 'granted', 'extending', 'closed'].map((state) => `broker ${state}`),
        ...['pending', 'active', 'closing', 'closed'].map((state) => `authority ${state}`),
        'service-manager ticket asked, lease none',
        'service-manager ticket held, lease redeeming',
        'service-manager ticket held, lease active',
        'service-manager ticket extending, lease extending',
        'service-manager ticket held, lease extending',
        'service-manager ticket held, lease leaving',
        'service-manager ticket held, lease closing',
        'service-manager ticket returning, lease closed',
        'service-manager ticket closed, lease closed',
      ]),
    )
  })

  for (const role of ['service-manager', 'broker', 'authority'] as const)
    test(`${role}: nothing throws, is passed over in silence, or changes what is not the speaker’s`, {
      timeout: 120_000,
    }, () => {
      const moments = [...gossip.moments.values()].filter((moment) => moment.role === role)
      for (const [i, moment] of moments.entries()) {
        const { told, faults } = everything(moment, i % OTHERS_EVERY)
        expect(faults.slice(0, 5), moment.state).toEqual([])
        const silent = told.filter(({ kind, reaction }) => !WORDLESS.has(kind) && isNothing(reaction))
        expect(
          silent.map(({ text }) => text),
          moment.state,
        ).toEqual([])
        const wrong = told.filter(
          ({ from, kind, reaction }) =>
            !OPEN.has(kind) &&
            SPEAKERS[role][kind] !== from &&
            // That he has asked is the speaker's own, and so is how far he is told what was given back.
            reaction.changed.some((row) => row !== `asker ${from}` && row !== `retelling ${from}`),
        )
        expect(
          wrong.map(({ text, reaction }) => `${text}: ${reaction.changed.join(', ')}`),
          moment.state,
        ).toEqual([])
      }
    })
})

const isNothing = ({ changed, said, written }: Reaction): boolean => changed.length + said + written === 0
