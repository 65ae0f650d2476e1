import { describe, expect, test } from 'vitest'
import type { MemberEffectArgs } from '../../actors/service-manager/membership.ts'
import { Holder } from '../simulation/holder.ts'

const KEY = 'ssh-ed25519 AAAA-of-vm1'
const FACTS = { address: '10.77.1.11', sshPort: '22', sshUser: 'root', sshHostKey: KEY }
type Facts = Readonly<Record<string, string>>

/** What is to be done in the middleware. */
const begun = ({ intended }: ReturnType<Holder['wish']>) =>
  [...intended.values()].flatMap((each) => each ?? [])

/** A lease of one unit at a site, which says where its machine is. */
function lease(holder: Holder, site: string, facts: Facts, guest = 'g') {
  const id = holder.ask({ units: 1, unitsMin: 1 }, guest)
  const ticket = holder.ticketFor(id, { site })
  holder.answer(id, 'granted', { ticket }, ticket.broker)
  const unitId = `${id}-1`
  const told = (report = 'active', where: Facts = facts) => {
    const { term } = holder.lease(id)
    return holder.desk.tell(site, 'lease-update', id, {
      ...{ state: 'active', term, ticketId: ticket.id, image: 'plain', reason: '', extensionRefused: null },
      units: [holder.report(unitId, report, { facts: where })],
    })
  }
  const effects = begun(told())
  return { id, unitId, told, joined: () => holder.done(unitId, 'join'), effects }
}

/** Some time later its turn has come. */
const again = (holder: Holder, { unitId }: { readonly unitId: string }) => {
  holder.desk.now += 10_000
  return begun(holder.desk.due('unit', unitId))
}

const verbs = (effects: readonly { verb: string }[]): string[] => effects.map(({ verb }) => verb)

describe('a unit that is said to be the machine of another lease', () => {
  test.each([
    ['at its address', 'site-2', { ...FACTS, sshHostKey: 'ssh-ed25519 BBBB' }],
    ['by its host key, under another name of its address', 'site-2', { ...FACTS, address: 'vm1.site.org' }],
    ['of the same site, at its address', 'site', { ...FACTS, sshHostKey: 'ssh-ed25519 BBBB' }],
  ] as const)('is not joined: %s', (_, site, facts) => {
    const holder = new Holder()
    const first = lease(holder, 'site', FACTS)
    expect(verbs(first.effects)).toEqual(['join'])
    first.joined()
    const second = lease(holder, site, facts)
    expect(verbs(second.effects)).toEqual([])
    expect(holder.unit(second.unitId)).toMatchObject({
      state: 'awaited',
      reason: expect.stringMatching(/is that machine \(machine-taken\)\. Ask both sites/),
    })
    expect(holder.unit(first.unitId)).toMatchObject({ state: 'joined' })
  })

  test('is given up when it stays so, with nothing run there, and joins when the other one has gone meanwhile', () => {
    const holder = new Holder()
    const first = lease(holder, 'site', FACTS)
    first.joined()
    const liar = lease(holder, 'site-2', FACTS)
    for (let tries = 1; tries < 3; tries++) expect(verbs(again(holder, liar))).toEqual([])
    expect(holder.unit(liar.unitId)).toMatchObject({ state: 'left', joinedAt: undefined })

    const next = lease(holder, 'site', FACTS)
    expect(verbs(next.effects)).toEqual([])
    first.told('ended')
    holder.done(first.unitId, 'lost')
    const [effect] = again(holder, next)
    expect(effect?.verb).toBe('join')
    // Whatever the earlier lease left behind there is over; nothing of the liar was ever there, but it is over as well.
    expect((effect?.args as MemberEffectArgs).unit.over).toContainEqual({
      leaseId: first.id,
      unitId: first.unitId,
    })
    expect(holder.unit(next.unitId)).toMatchObject({ state: 'joining', failures: 0 })
  })

  test('is not joined either where its site says so only later, when a join has failed', () => {
    const holder = new Holder()
    lease(holder, 'site', FACTS).joined()
    const second = lease(holder, 'site-2', { ...FACTS, address: '10.9.9.9', sshHostKey: 'ssh-ed25519 BBBB' })
    expect(verbs(second.effects)).toEqual(['join'])
    holder.failed(second.unitId, 'join')
    second.told('active', FACTS)
    expect(verbs(again(holder, second))).toEqual([])
  })
})

test('machines of two guests may have one address, each in a network of its own, and those without a host key say who they are', () => {
  const holder = new Holder()
  lease(holder, 'site', FACTS).joined()
  const other = { ...FACTS, sshHostKey: 'ssh-ed25519 BBBB' }
  expect(verbs(lease(holder, 'site-2', other, 'h').effects)).toEqual(['join'])
  const here = { address: '127.0.0.1', socket: '/run/a' }
  expect(verbs(lease(holder, 'site', here).effects)).toEqual(['join'])
  expect(verbs(lease(holder, 'site', { ...here, socket: '/run/b' }).effects)).toEqual(['join'])
})
