import { describe, expect, test } from 'vitest'
import { storyOf } from '../../actors/ledger/story.ts'
import { length } from '../../actors/ledger/story-words.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { extend, release, request } from '../scenarios/scene.ts'
import { type Setting, Stage } from '../scenarios/stage.ts'

async function staged(setting: Setting = {}): Promise<Stage> {
  const stage = new Stage(setting)
  await stage.begins()
  return stage
}

const lines = (stage: Stage, names = stage.names): LedgerEntry[] =>
  names.flatMap((name) => stage.disks[name]!.ledger)

const first = (stage: Stage): string => lines(stage).find(({ kind }) => kind === 'requested')!.subject

const story = (stage: Stage, names = stage.names): string[] =>
  storyOf(first(stage), lines(stage, names), stage.world.now)

const open = (stage: Stage): string[] => story(stage).filter((line) => line.startsWith('Still open'))

describe('the story of a lease', () => {
  test('goes from the request to the last word, with victims, a recall and a machine that is replaced', async () => {
    const stage = await staged()
    stage.machines.site!.setupFailures = 1
    await stage.wishes([request({ units: 3, unitsMin: 2 })])
    await stage.runs(20)
    const [victim] = stage.leases()[0]!.held.filter(({ state }) => state === 'joined')
    await stage.wishes([extend(first(stage), { victims: [victim!.id] })])
    await stage.runs(60)
    await stage.command('site', 'recall', {
      type: 'small',
      units: 3,
      by: stage.at(100),
      reason: 'a course begins',
    })
    await stage.runs(90)
    expect(stage.leases()).toEqual([])
    await expect(`${story(stage).join('\n')}\n`).toMatchFileSnapshot('../fixtures/stories/a-lease.txt')
  })
})

describe('what is open says since when and what it waits for', () => {
  test('a request that is not answered, and one that waits for its turn', async () => {
    const stage = await staged()
    stage.messages('ticket', 'lost', { times: 100 })
    await stage.wishes([request()])
    await stage.runs(5)
    expect(open(stage)).toEqual([expect.stringMatching(/the broker has not answered, since .* \(5 s\)\.$/)])
  })

  test('a request that a person has to approve, with the command for it', async () => {
    const stage = await staged({ broker: { approval: { unitsOver: 1 } } })
    await stage.wishes([request({ units: 2 })])
    await stage.runs(5)
    expect(open(stage)).toEqual([
      expect.stringMatching(
        /a person has to approve it at broker \(sublet approve lease-[0-9a-z]+\), since .*: 2 units are more than 1\.$/,
      ),
    ])
    await stage.command('broker', 'approve', { leaseId: first(stage), by: 'uid 7' })
    stage.messages('ticket-update', 'lost', { times: 100 })
    expect(open(stage)[0]).not.toContain('sublet approve')
  })

  test('machines that boot, a lease that runs, an extension that nobody confirms, the last word', async () => {
    const stage = await staged()
    await stage.wishes([request()])
    await stage.runs(0.3)
    expect(open(stage)[0]).toMatch(/site sets it up, since/)
    await stage.runs(10)
    expect(open(stage)).toEqual([
      expect.stringMatching(/it runs, since .*, and ends at .* unless it is extended\.$/),
      expect.stringMatching(/: vm1 takes jobs, since/),
      expect.stringMatching(/: vm2 takes jobs, since/),
    ])
    stage.messages('extend-lease', 'lost', { times: 100 })
    await stage.wishes([extend(first(stage))])
    await stage.runs(2)
    expect(open(stage)[0]).toMatch(/site has not confirmed the extension that was granted, since/)
    stage.messages('close', 'lost', { times: 100 })
    await stage.wishes([release(first(stage))])
    await stage.runs(5)
    expect(open(stage)[0]).toMatch(/site has not spoken its last word, since/)
  })

  test('a lease that runs on to its old end, for its site refused the extension that was granted', async () => {
    const stage = await staged({ authority: { termMsMax: 90_000 }, protocols: { site: [1] } })
    await stage.wishes([request()])
    await stage.runs(10)
    const before = open(stage)[0]!.replace(/since .*?, and/, 'and')
    await stage.wishes([extend(first(stage), { durationMs: 120_000 })])
    await stage.runs(2)
    expect(open(stage)[0]!.replace(/since .*?, and/, 'and')).toBe(before)
    expect(story(stage)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('site does not extend it: '),
        expect.stringContaining('broker has the extension back: manager gives it back: '),
      ]),
    )
    // Each of them alone knows, too.
    for (const name of ['manager', 'broker', 'site'])
      expect(story(stage, [name]).join(' '), name).toContain(/and ends at \S+/.exec(before)![0])
    await stage.wishes([extend(first(stage), { durationMs: 80_000 })])
    await stage.runs(2)
    expect(open(stage)[0]).not.toContain(/and ends at \S+/.exec(before)![0])
  })

  test('a lease that is over has nothing open', async () => {
    const stage = await staged()
    await stage.wishes([request()])
    await stage.runs(100)
    expect(open(stage)).toEqual([])
    expect(story(stage)[0]).toMatch(/ and took 59 s\.$/)
  })
})

describe('an actor whose ledger is not there', () => {
  test('is missed, and the others tell what they know', async () => {
    const stage = await staged()
    await stage.wishes([request()])
    await stage.runs(100)
    const told = story(stage, ['manager'])
    expect(told.at(-1)).toBe('There is no line of a broker and a site about it in the ledgers that are here.')
    expect(told.some((line) => line.includes('manager has the ticket: 2 units of small'))).toBe(true)
    expect(story(stage, ['site']).some((line) => line.includes('site takes the ticket'))).toBe(true)
  })

  test('is not guessed at: what became of a ticket, and of a machine that is ready', async () => {
    const stage = await staged()
    await stage.wishes([request()])
    await stage.runs(10)
    const open = (name: string): string[] =>
      story(stage, [name]).filter((line) => line.startsWith('Still open'))
    expect(open('broker')).toEqual([
      expect.stringMatching(
        /: it is granted, since .*, and ends at .*; what became of it is not in the ledgers/,
      ),
    ])
    expect(open('site')).toEqual([
      expect.stringMatching(/: it runs, since /),
      expect.stringMatching(
        /: vm1 is ready, since .*; what its holder does with it is not in the ledgers that are here/,
      ),
      expect.stringMatching(/: vm2 is ready, since/),
    ])
  })

  test('tells no figures in the sums: what is not known is not nothing', async () => {
    const stage = await staged()
    await stage.wishes([request()])
    await stage.runs(100)
    const sums = (name: string) => story(stage, [name]).filter((line) => line.startsWith('In all'))
    expect(sums('manager')).toEqual([
      expect.stringMatching(/^In all 2 machines; node-seconds: [\d.]+ in the middleware\.$/),
    ])
    expect(sums('broker')).toEqual([expect.stringMatching(/^In all node-seconds: [\d.]+ granted\.$/)])
    expect(sums('site')).toEqual([
      expect.stringMatching(/^In all 2 machines; node-seconds: [\d.]+ held at the site\.$/),
    ])
  })

  test('is not taken for what others did: of a refusal the holder only hears', async () => {
    const stage = await staged()
    await stage.wishes([request({ units: 99, unitsMin: 99 })])
    await stage.runs(10)
    expect(story(stage, ['manager']).join('\n')).toMatch(/Z {2}manager hears that it is refused: /)
    expect(story(stage).join('\n')).toMatch(/Z {2}broker refuses it: /)
  })

  test('and a lease that nobody knows has no story', () => expect(storyOf('lease-none', [], 0)).toEqual([]))
})

test('lengths are said in their two largest parts', () => {
  expect([300, 42_000, 310_000, 5_400_000, 266_400_000].map(length)).toEqual([
    '0.3 s',
    '42 s',
    '5 min 10 s',
    '1 h 30 min',
    '3 d 2 h',
  ])
})
