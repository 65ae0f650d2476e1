import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { byHand, byHandConfig } from '../../controllers/guests/by-hand/by-hand.ts'
import { extend, handText, release, request } from '../../deploy/control/by-hand.ts'
import { extendBody, requestBody } from '../../deploy/control/control-protocol.ts'
import type { SiteView } from '../../deploy/reports/site-view.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'
import { configOf, jobOf, leaseOf, T0 as NOON, runningOn, unitOf, viewOf } from './groc-world.ts'

describe('a guest whose leases are asked for by hand', () => {
  const view = viewOf(
    [
      leaseOf('l1', [unitOf('u1'), unitOf('u2', { state: 'joining' })]),
      leaseOf('l2', [unitOf('u3', { state: 'left' })]),
    ],
    { jobs: [runningOn('1', 'u1'), jobOf('2'), jobOf('3', { state: 'held', vendorReason: 'Dependency' })] },
  )

  test('wishes nothing, and counts what is held', () => {
    expect(byHand.decide(view, null, {}, NOON)).toMatchObject({
      intents: [],
      memory: null,
      reason: 'leases are asked for by hand; held: 2 units',
      figures: { backlogJobs: 1, unitsWanted: 3, unitsJoined: 1, unitsComing: 1 },
    })
  })

  test('does not say that it holds what is only asked for', () => {
    const asked = leaseOf('l3', [], { state: 'requested', units: 3 })
    expect(byHand.decide(viewOf([leaseOf('l1', [unitOf('u1')]), asked]), null, {}, NOON)).toMatchObject({
      reason: 'leases are asked for by hand; held: 1 unit; asked for: 3 units',
    })
  })

  test('tells what leaves and may have work still', () => {
    const going = leaseOf('l1', [unitOf('u1'), unitOf('u2', { state: 'draining' })])
    expect(byHand.decide(viewOf([going]), null, {}, NOON)).toMatchObject({
      reason: 'leases are asked for by hand; held: 1 unit; leaving: 1 unit',
    })
  })

  test('says of a job that nothing asks for machines by itself', () => {
    const say = (id: string) => byHand.explainJob(id, view, byHand.firstMemory, {}, NOON)?.join(' ')
    expect(say('1')).toMatch(/^Job 1 of ada is running on node-u1 since /)
    expect(say('2')).toMatch(
      /^Job 2 of ada has waited .*: 1 unit of this guest takes jobs.*`sublet request`\.$/,
    )
    expect(say('3')).toBe(
      'Job 3 of ada is held (the batch system says “Dependency”), and no machine would cure that.',
    )
    expect(say('9')).toBeUndefined()
    expect(byHand.explainJob('1', viewOf([]), byHand.firstMemory, {}, NOON)).toBeUndefined()
  })

  test('has nothing to set', () => {
    expect(byHandConfig.safeParse({}).success).toBe(true)
    expect(byHandConfig.safeParse(configOf()).success).toBe(false)
  })
})

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-hand-'))
  writeFileSync(yamlIn(dir), SITE_YAML)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const { signal } = new AbortController()
const lease = (over: object): object => ({
  ...{
    id: 'lease-1',
    guest: 'batch',
    type: 'vm.small',
    unitsAsked: 2,
    ticketState: 'asked',
    leaseState: 'none',
  },
  ...{ closeReason: '', due: T0 + 60_000, ...over },
})
const granted = {
  ...{ units: ['unit-1'], image: 'plain', properties: {} },
  ...{ ticketState: 'held', leaseState: 'redeeming', ticket: { units: 1, site: 'duke' } },
  term: { start: T0, end: T0 + 3_600_000 },
}
const refused = { ticketState: 'closed', leaseState: 'closed', closeReason: 'no' }

/** A service manager that carries out a wish, and of which the rows are given. */
function site(row: object, carried: object = { leaseId: 'lease-1' }, more: Partial<SiteView> = {}) {
  const wished: unknown[] = []
  const whole = fakeSite(dir, yamlIn(dir))
  const refusal = { leaseId: 'lease-1', reason: 'no 2 units are free (earliest start that would work: noon)' }
  const serviceManager = {
    ...whole.serviceManager!,
    rows: (table: string) =>
      table === 'lease' ? [lease(row)] : table === 'guest' ? [{ id: 'batch', refusals: [refusal] }] : [],
    command: (_name: string, args: unknown) => {
      wished.push(args)
      return Promise.resolve(carried)
    },
  }
  return { view: { ...whole, serviceManager, ...more } as unknown as SiteView, wished }
}

const wanted = (over: object = {}) =>
  requestBody.parse({
    type: 'vm.small',
    units: 2,
    durationMs: 3_600_000,
    reason: 'a class',
    withinMs: 0,
    ...over,
  })
const ask = (view: SiteView, over: object = {}) => request(view, wanted(over), 'uid 7', systemClock, signal)

describe('a request by hand', () => {
  test('is granted', async () => {
    const { view, wished } = site(granted)
    const report = await ask(view, { unitsMin: 1, startBy: T0, label: 'web', properties: { image: 'plain' } })
    expect(report).toMatchObject({
      leaseId: 'lease-1',
      state: 'granted',
      units: 1,
      site: 'duke',
      until: null,
    })
    expect(wished).toEqual([
      {
        guest: 'batch',
        by: 'uid 7',
        intent: {
          ...{ kind: 'request', type: 'vm.small', units: 2, unitsMin: 1, durationMs: 3_600_000, startBy: T0 },
          ...{ label: 'web', properties: { image: 'plain' }, reason: 'a class' },
        },
      },
    ])
    expect(handText(report)).toBe(
      'lease-1: 1 unit of vm.small at duke from 2023-11-14T22:13:20Z to 2023-11-14T23:13:20Z',
    )
  })

  test('waits, and says for what and until when', async () => {
    const whole = fakeSite(dir, yamlIn(dir))
    const rows = () => [{ id: 'lease-1', waitReason: 'awaits approval: more than 1 unit' }]
    const report = await ask(site({}, undefined, { broker: { ...whole.broker!, rows } as never }).view)
    expect(report).toMatchObject({ state: 'waiting', site: null, until: T0 + 60_000 })
    expect(handText(report)).toBe(
      'lease-1 waits for an answer, until 2023-11-14T22:14:20Z at the latest: awaits approval: more than 1 unit\n' +
        '  look at it with: sublet explain lease-1; give it up with: sublet release lease-1',
    )
  })

  test('is refused with what would work', async () => {
    await expect(ask(site(refused).view)).rejects.toMatchObject({
      code: 'no-capacity',
      message: 'lease-1 is refused: no 2 units are free (earliest start that would work: noon)',
      cure: expect.stringContaining('fewer units'),
    })
    await expect(
      ask(site({}, { leaseId: 'lease-1', refused: 'lease-0 is called web already' }).view),
    ).rejects.toMatchObject({
      code: 'usage',
      message: 'the request is not even sent: lease-0 is called web already',
    })
  })

  test.each<[string, string, string, string]>([
    [
      'a type that nobody lends',
      'no site offers units of type x (unknown-type)',
      'unknown-type',
      'query types',
    ],
    ['a term', 'a term is at most 8 h long here (term-too-long)', 'term-too-long', '--for'],
  ])('for %s that cannot be had is refused with a cure that helps', async (_, said, code, cure) => {
    const row = { ...refused, id: 'lease-2', closeReason: said }
    await expect(ask(site(row, { leaseId: 'lease-2' }).view)).rejects.toMatchObject({
      ...{ code, cure: expect.stringContaining(cure) },
      message: `lease-2 is refused: ${said.replace(/ \(.*/, '')}`,
    })
  })

  test('that its site refuses at once is refused, with its word', async () => {
    const row = { ...granted, id: 'lease-2', units: [], image: '', properties: {} }
    const { view } = site(row, { leaseId: 'lease-2' })
    const rows = view.serviceManager!.rows
    let looks = 0
    const said = {
      leaseState: 'closed',
      ticketState: 'returning',
      closeReason: 'a term is at most 8 h long here (term-too-long)',
    }
    const later = (table: 'lease') =>
      rows(table).map((one) => (table === 'lease' && looks++ >= 2 ? { ...one, ...said } : one))
    const serviceManager = { ...view.serviceManager!, rows: later as never }
    await expect(ask({ ...view, serviceManager }, { withinMs: 2_000 })).rejects.toMatchObject({
      code: 'term-too-long',
      message: 'lease-2 is refused by duke: a term is at most 8 h long here',
    })
    expect(looks).toBe(3)
    const unsigned = { ...row, ...said, closeReason: 'it is not signed by broker' }
    await expect(ask(site(unsigned, { leaseId: 'lease-2' }).view)).rejects.toMatchObject({
      code: 'ticket-invalid',
      cure: expect.stringMatching(/^Give `sublet check peers` at duke: it has to know the key/),
    })
  })

  test('of which its site has said nothing yet says so', async () => {
    const row = { ...granted, units: [], image: 'plain', properties: { image: 'plain' } }
    expect(handText(await ask(site(row).view))).toMatch(
      /at duke from .*\n {2}not confirmed yet: duke has not said yet whether it lends it$/,
    )
    const isThere = { ...row, units: ['unit-1'] }
    expect(handText(await ask(site(isThere).view))).not.toContain('not confirmed')
  })

  test.each<[string, object, object, string]>([
    [
      'silence',
      {},
      { silentSince: T0, lastError: 'no way' },
      'nothing came back from broker since .*: no way',
    ],
    [
      'being put off',
      {},
      { putOff: { since: Date.now(), lastAt: Date.now(), times: 3, reason: 'it says too much' } },
      'broker puts our messages off since .*: it says too much .too-fast.',
    ],
    ['its group', { group: 'batch/g', groupSize: 3 }, {}, 'broker decides when all 3 requests of the group'],
    ['somebody', {}, {}, 'broker has not decided yet: .* units that come free, or for somebody who approves'],
  ])('waits and says that it is for %s', async (_, row, seen, why) => {
    const { view } = site(row, undefined, { broker: undefined })
    const peers = () => [{ peer: 'broker', ...seen }] as never
    const report = await ask({ ...view, serviceManager: { ...view.serviceManager!, peers } })
    expect(report.waitReason).toMatch(new RegExp(`^${why}`))
  })

  test('says that its broker turns it away, also where nothing has been sent to him yet', async () => {
    const { view } = site({}, undefined, { broker: undefined })
    const sight = { name: 'broker', silentSince: T0, lastError: 'it answered 403', fetchedAt: undefined }
    const federation = { network: { peers: () => [sight] } }
    expect((await ask({ ...view, federation: federation as never })).waitReason).toMatch(
      /^nothing came back from broker since .*: it answered 403; see `sublet check peers`$/,
    )
  })

  test('of which all of the group are there waits for their broker, and not for others', async () => {
    const { view } = site({ group: 'batch/g', groupSize: 1 }, undefined, { broker: undefined })
    expect((await ask(view)).waitReason).toMatch(/^broker has not decided yet/)
  })

  test.each<[string, object, string]>([
    ['for nobody', { guest: 'nobody' }, 'no guest is named nobody; there is: batch'],
    [
      'for a term that is over before it begins',
      { durationMs: 60_000 },
      'units begin to leave 62 s before the end',
    ],
    ['for at least more than all', { unitsMin: 3 }, '3 at least of 2 units is more than all'],
    ['that may start only before it starts', { startAt: T0 + 1_000, startBy: T0 }, 'is before the earliest'],
    [
      'with a property of the core',
      { properties: { elastic: 'true' } },
      'the property elastic is set by the options',
    ],
    ['with the property of a group', { properties: { 'group.id': 'x' } }, 'the property group.id is set by'],
    [
      'with a secret',
      { properties: { k: '-----BEGIN PRIVATE KEY-----' } },
      'the property k holds a private key',
    ],
  ])('%s is not put to anybody', async (_, over, sentence) => {
    const { view, wished } = site(granted)
    await expect(ask(view, over)).rejects.toMatchObject({
      message: expect.stringContaining(sentence),
      cure: expect.stringMatching(/^(?!See `sublet --help`)/),
    })
    expect(wished).toEqual([])
  })

  test('needs a service manager, and a guest that is meant', async () => {
    const { view } = site(granted)
    await expect(ask({ ...view, serviceManager: undefined })).rejects.toMatchObject({
      message: 'no service manager runs here',
    })
    const [guest] = view.settings.guests
    const settings = { ...view.settings, guests: [guest!, { ...guest!, name: 'lab' }] }
    await expect(ask({ ...view, settings })).rejects.toMatchObject({
      message: 'there are several guests: batch, lab',
    })
    await expect(ask({ ...view, settings }, { guest: 'lab' })).resolves.toMatchObject({ state: 'granted' })
  })
})

describe('a lease that goes on, or goes back', () => {
  const body = extendBody.parse({ leaseId: 'lease-1', durationMs: 3_600_000, reason: 'more', withinMs: 0 })
  const more = (view: SiteView, over: object = {}) =>
    extend(view, { ...body, ...over }, 'uid 7', systemClock, signal)

  test('is extended, or goes on to its end', async () => {
    const active = { ...granted, leaseState: 'active' }
    expect(await more(site(active, {}).view)).toMatchObject({ state: 'granted' })
    const waiting = await more(site({ ...active, ticketState: 'extending' }, {}).view)
    expect(waiting).toMatchObject({ state: 'waiting' })
    expect(handText(waiting)).toMatch(/\n {2}unless it is extended the lease goes on to its end; [^;]*$/)
    expect(handText(waiting)).not.toContain('release')
    await expect(
      more(site({ ...active, extendRefused: { at: T0, reason: 'others wait' } }, {}).view),
    ).rejects.toMatchObject({
      code: 'no-capacity',
      message: 'lease-1 is not extended, and goes on to its end: others wait',
      // An extension has neither a start nor a deadline of its own.
      cure: expect.not.stringMatching(/--start|--deadline/),
    })
    await expect(more(site(active, { refused: 'it is too late' }).view)).rejects.toMatchObject({
      message: 'lease-1 is not extended: it is too late',
    })
    await expect(more(site(active).view, { leaseId: 'lease-9' })).rejects.toMatchObject({
      code: 'unknown-id',
    })
  })

  test('is extended again only when the last term has begun, and it is said from when', async () => {
    const start = Date.now() + 3_600_000
    const cure = `Wait until it has begun, and ask again from ${new Date(start).toISOString().slice(0, 19)}Z on.`
    const term = { start, end: start + 3_600_000 }
    const refusal = { refused: 'its last extension has not begun yet (extension-pending)' }
    const code = 'extension-pending'
    const message = 'lease-1 is not extended: its last extension has not begun yet'
    const said = { code, message, cure }
    const active = { ...granted, leaseState: 'active' }
    await expect(more(site({ ...active, term }, refusal).view)).rejects.toMatchObject(said)
    await expect(more(site({ ...active, next: { term } }, refusal).view)).rejects.toMatchObject(said)
    const confirmed = { term: { ...term, start: T0 }, ticket: { ...granted.ticket, predecessor: 'a', term } }
    await expect(more(site({ ...active, ...confirmed }, refusal).view)).rejects.toMatchObject(said)
  })

  test('is not extended while an extension is asked for, and it is said where to look', async () => {
    const refusal = { refused: 'it cannot be extended while its ticket is extending and its lease extending' }
    const extending = { ...granted, ticketState: 'extending', leaseState: 'extending' }
    await expect(more(site(extending, refusal).view)).rejects.toMatchObject({
      code: 'extension-pending',
      message: 'lease-1 is not extended: one extension is asked for already',
      cure: 'Wait until that one is answered: `sublet explain lease-1` says what it waits for.',
    })
  })

  test('is given up where nothing was granted yet', async () => {
    const asked = { ...granted, ticketState: 'asked', ticket: undefined, term: undefined }
    const report = await release(site(asked, {}).view, { leaseId: 'lease-1', reason: 'done' }, 'uid 7')
    expect(handText(report)).toBe('lease-1 is given up: nothing of it was granted yet')
  })

  test('is given back once', async () => {
    const back = { leaseId: 'lease-1', reason: 'done' }
    const report = await release(site(granted, {}).view, back, 'uid 7')
    expect(handText(report)).toMatch(/^lease-1 is given back: its units leave when their work has ended/)
    await expect(
      release(site(refused, { refused: 'it is over already' }).view, back, 'uid 7'),
    ).rejects.toMatchObject({
      code: 'lease-ended',
      message: 'lease-1 cannot be given back: it is over already',
    })
  })
})
