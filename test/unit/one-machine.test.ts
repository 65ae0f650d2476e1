import { describe, expect, test } from 'vitest'
import { fingerprint } from '../../actors/runtime/canonical.ts'
import type { MemberEffectArgs } from '../../actors/service-manager/membership.ts'
import { Holder } from '../simulation/holder.ts'

const KEY = `ssh-ed25519 ${'A'.repeat(68)}`
const OTHER_KEY = `ssh-ed25519 ${'B'.repeat(68)}`
const FACTS = { address: '10.77.1.11', sshPort: '22', sshUser: 'root', sshHostKey: KEY }
const THIRD_KEY = `ssh-ed25519 ${'C'.repeat(68)}`
const FINGERPRINT = fingerprint(Buffer.from('A'.repeat(68), 'base64'))
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
    ['at its address', 'site-2', { ...FACTS, sshHostKey: OTHER_KEY }],
    ['by its host key, under another name of its address', 'site-2', { ...FACTS, address: 'vm1.site.org' }],
    ['of the same site, at its address', 'site', { ...FACTS, sshHostKey: OTHER_KEY }],
    ['by its key with a comment', 'site-2', { ...FACTS, address: 'vm1.site.org', sshHostKey: `${KEY} vm1` }],
    [
      'by the fingerprint of its key',
      'site-2',
      { ...FACTS, address: 'vm1.site.org', sshHostKey: FINGERPRINT },
    ],
    ['by that with padding', 'site-2', { ...FACTS, address: 'vm1.site.org', sshHostKey: `${FINGERPRINT}=` }],
    ...['::ffff:10.77.1.11', '::FFFF:a4d:10B', '10.77.1.11.', '0x0a.77.267', '10.0115.1.11'].map(
      (address) => [`at ${address}`, 'site-2', { ...FACTS, address, sshHostKey: OTHER_KEY }] as const,
    ),
    ['at its port written otherwise', 'site-2', { ...FACTS, sshPort: '022', sshHostKey: OTHER_KEY }],
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
    // Of the machines of its type that says nothing.
    holder.wish([])
    expect(holder.view?.refusals).toMatchObject([{ by: 'site', code: 'machine-taken' }])

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
    const second = lease(holder, 'site-2', { ...FACTS, address: '10.9.9.9', sshHostKey: OTHER_KEY })
    expect(verbs(second.effects)).toEqual(['join'])
    holder.failed(second.unitId, 'join')
    second.told('active', FACTS)
    expect(verbs(again(holder, second))).toEqual([])
  })
})

test('names are one whatever their case and full stop, and a port of its own is another machine', () => {
  const holder = new Holder()
  lease(holder, 'site', { ...FACTS, address: 'vm1.site.org' }).joined()
  const there = { ...FACTS, address: 'VM1.Site.org.', sshHostKey: OTHER_KEY }
  expect(verbs(lease(holder, 'site-2', there).effects)).toEqual([])
  expect(verbs(lease(holder, 'site-2', { ...there, sshPort: '2222' }).effects)).toEqual(['join'])
})

describe('a unit that has joined stays where it joined', () => {
  test.each([
    ['address', { address: '10.9.9.9' }],
    ['port', { sshPort: '2222' }],
    ['host key', { sshHostKey: OTHER_KEY }],
  ] as const)('whatever its site says of its %s, which is noted once', (_, moved) => {
    const holder = new Holder()
    const unit = lease(holder, 'site', FACTS)
    unit.joined()
    const noted = [1, 2].flatMap(() => unit.told('active', { ...FACTS, ...moved, rack: 'r7' }).notes)
    expect(noted.filter(({ reason }) => reason.includes('(machine-moved)'))).toHaveLength(1)
    expect(holder.unit(unit.unitId).facts).toEqual({ ...FACTS, rack: 'r7' })
    // So nobody is kept out by what is only said of it.
    const honest = lease(holder, 'site-2', { ...FACTS, address: '10.3.3.3', sshHostKey: THIRD_KEY, ...moved })
    expect(verbs(honest.effects)).toEqual(['join'])
  })

  test('also while it joins; its key with a comment is the same key', () => {
    const holder = new Holder()
    const unit = lease(holder, 'site', FACTS)
    unit.told('active', { ...FACTS, address: '10.9.9.9' })
    unit.joined()
    expect(holder.unit(unit.unitId).facts).toEqual(FACTS)
    const noted = unit.told('active', { ...FACTS, sshHostKey: `${KEY} vm1` }).notes
    expect(noted).toEqual([])
    expect(holder.unit(unit.unitId).facts).toEqual(FACTS)
  })
})

test('a machine of the same name and address that is set up anew after the other has gone is joined by its new key alone', () => {
  const holder = new Holder()
  const first = lease(holder, 'site', FACTS)
  first.joined()
  first.told('ended')
  holder.done(first.unitId, 'lost')
  const next = lease(holder, 'site', { ...FACTS, sshHostKey: OTHER_KEY })
  const [effect] = next.effects
  expect(effect?.verb).toBe('join')
  expect((effect?.args as MemberEffectArgs).unit.facts).toMatchObject({ sshHostKey: OTHER_KEY })
  next.joined()
  // One with another address, too, though its name is the same.
  const moved = { ...FACTS, address: '10.77.1.99', sshHostKey: THIRD_KEY }
  expect(verbs(lease(holder, 'site-2', moved).effects)).toEqual(['join'])
})

test('a site that only says where a machine is, and cannot join it, keeps nobody else out', () => {
  const holder = new Holder()
  const liar = lease(holder, 'site-2', { ...FACTS, sshHostKey: OTHER_KEY })
  expect(verbs(lease(holder, 'site', FACTS).effects)).toEqual(['join'])
  holder.failed(liar.unitId, 'join')
  for (let tries = 1; tries < 3; tries++) {
    again(holder, liar)
    holder.failed(liar.unitId, 'join')
  }
  expect(holder.unit(liar.unitId).state).not.toBe('left')
  expect(verbs(lease(holder, 'site', { ...FACTS, sshPort: '23' }).effects)).toEqual(['join'])
})

test('a machine that joined under another name is shown, looked for and pinned by that, and told of by its own', () => {
  const holder = new Holder()
  const unit = lease(holder, 'site', FACTS)
  holder.done(unit.unitId, 'join', { node: 'cloud3' })
  const { name } = holder.unit(unit.unitId)
  expect(holder.unit(unit.unitId)).toMatchObject({ node: 'cloud3', reason: `${name} takes jobs, as cloud3` })
  unit.told()
  holder.wish([])
  expect(holder.view?.leases[0]?.held.map((held) => held.name)).toEqual(['cloud3'])
  const left = begun(holder.wish([{ kind: 'leave', unitId: unit.unitId, reason: 'it is idle' }]))
  expect((left[0]?.args as MemberEffectArgs).unit.name).toBe('cloud3')
  expect(holder.unit(unit.unitId).name).toBe(name)
})

test('machines of two guests may have one address, each in a network of its own, and those without a host key say who they are', () => {
  const holder = new Holder()
  lease(holder, 'site', FACTS).joined()
  expect(verbs(lease(holder, 'site-2', FACTS, 'h').effects)).toEqual(['join'])
  const here = { address: '127.0.0.1', socket: '/run/a' }
  expect(verbs(lease(holder, 'site', here).effects)).toEqual(['join'])
  expect(verbs(lease(holder, 'site', { ...here, socket: '/run/b' }).effects)).toEqual(['join'])
})
