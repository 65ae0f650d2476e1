import { describe, expect, test } from 'vitest'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type Handle, type NoteDraft, type NoteTables, SKEW_MS, Stage } from './actor-stage.ts'

const put = (draft: NoteDraft, id: string, due: Instant | undefined, text = ''): void =>
  draft.put('note', { id, text, due })

describe('a row that is due', () => {
  /** `command set` puts a row; when it is due its time is written into it and it is cleared. */
  const clearing: Handle = (input, draft) => {
    if (input.kind === 'command') put(draft, input.name, draft.now + (input.args as Millis))
    if (input.kind === 'due') put(draft, input.row.id, undefined, String(draft.now))
  }
  const firedAt = (actor: Actor<NoteTables>, id: string): number =>
    Number(actor.rows('note').find((row) => row.id === id)?.text)

  test('is handed over at its time, also after a restart, and at once if that was while the actor was down', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: clearing })
    const begun = stage.now
    await stage.soon(Promise.all([first.actor.command('soon', 5_000), first.actor.command('later', 60_000)]))
    const set = stage.now
    first.crash()
    await stage.pass(30_000)
    const { actor } = await stage.begin({ handle: clearing })
    const back = stage.now
    await stage.pass(60_000)
    expect(firedAt(actor, 'soon')).toBeGreaterThanOrEqual(back - 200)
    expect(firedAt(actor, 'later')).toBeGreaterThanOrEqual(begun + 60_000)
    expect(firedAt(actor, 'later')).toBeLessThanOrEqual(set + 60_000 + 50)
  })

  test('is handed over once, however often it was moved before', async () => {
    const stage = new Stage()
    const { actor, inputs } = await stage.begin({ handle: clearing })
    for (const ms of [10_000, 3_000, 60_000, 20_000]) await stage.soon(actor.command('a', ms))
    await stage.pass(120_000)
    expect(inputs.filter(({ kind }) => kind === 'due')).toHaveLength(1)
  })

  test('is not late because of a slow commit before it', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: clearing, syncMs: 2_000 })
    const before = stage.now
    void actor.command('a', 3_000)
    await stage.pass(10_000)
    expect(firedAt(actor, 'a') - before).toBeLessThan(3_100)
  })

  test('is not handed over when a message of the same batch has moved or removed it', async () => {
    for (const change of ['move', 'remove'] as const) {
      const stage = new Stage()
      const { actor, inputs, logged } = await stage.begin({
        syncMs: 100,
        handle(input, draft) {
          if (input.kind === 'command')
            put(draft, input.name, input.name === 'a' ? draft.now + 150 : undefined)
          if (input.kind === 'message')
            change === 'move' ? put(draft, 'a', draft.now + 1_000) : draft.remove('note', 'a')
        },
      })
      void actor.command('a', {})
      await stage.pass(110)
      // Under way from 110 to 210; the row is due at 150, the message comes at 120.
      void actor.command('slow', {})
      await stage.pass(10)
      const answer = actor.receive(stage.letter(1))
      await stage.pass(400)
      await answer
      expect(inputs.filter(({ kind }) => kind === 'due')).toEqual([])
      expect(logged.filter((line) => line.startsWith('warn'))).toEqual([])
      await stage.pass(5_000)
      expect(inputs.some(({ kind }) => kind === 'due')).toBe(change === 'move')
    }
  })

  test('at once is handed over with what made it so, in the same commit', async () => {
    const stage = new Stage()
    const { actor, inputs } = await stage.begin({ handle: clearing })
    const before = stage.disk.commits
    await stage.soon(actor.command('a', 0))
    expect(inputs.slice(-2).map(({ kind }) => kind)).toEqual(['command', 'due'])
    expect(stage.disk.commits - before).toBe(1)
    await stage.pass(60_000)
    expect(inputs.filter(({ kind }) => kind === 'due')).toHaveLength(1)
  })

  test('at once, and that its mind fails at, takes nothing back of what made it so', async () => {
    const stage = new Stage()
    let failures = 1
    const { actor, inputs } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'command') put(draft, 'a', draft.now, 'made')
        if (input.kind !== 'due') return
        put(draft, 'b', undefined, 'begun')
        if (failures-- > 0) throw new Error('not now')
        put(draft, 'a', undefined, 'done')
      },
    })
    const written: string[] = []
    stage.disk.onCommit = (changes) => {
      for (const { id, after } of changes) written.push(`${id} ${(after as { text?: string }).text}`)
    }
    await stage.soon(actor.command('set', {}))
    await stage.pass(1_000)
    expect(written).toEqual(['a made', 'b begun', 'a done'])
    expect(inputs.filter(({ kind }) => kind === 'due')).toHaveLength(2)
  })

  test('at the start, of which comes what cannot be kept, keeps nobody from starting, and is set aside', async () => {
    const stage = new Stage()
    const tooLong = (draft: NoteDraft) =>
      draft.send({
        to: 'peer',
        kind: 'say',
        subject: 's',
        body: 'x'.repeat(1_100_000),
        until: draft.now + 60_000,
      })
    const handle: Handle = (input, draft) => {
      if (input.kind === 'started') put(draft, 'round', draft.now)
      if (input.kind === 'command') put(draft, 'older', draft.now)
      if (input.kind === 'due' && input.row.id === 'round') tooLong(draft)
      if (input.kind === 'due') put(draft, input.row.id, undefined, 'done')
    }
    const first = await stage.begin({ handle })
    await stage.pass(100)
    // The row is due yet when it is started again: it comes with the start, and with what that makes due.
    first.crash()
    const { actor, failures, inputs } = await stage.begin({ handle })
    await stage.soon(actor.command('go', {}))
    await stage.pass(100)
    expect([actor.running, failures]).toEqual([true, []])
    expect(inputs.filter(({ kind }) => kind === 'started')).toHaveLength(2)
    const aside = /^input set aside: the body of say to peer cannot travel.*it failed twice/
    expect(stage.notes()).toEqual([expect.stringMatching(aside), expect.stringMatching(aside)])
    expect(actor.rows('note')).toContainEqual({ id: 'older', text: 'done' })
  })

  test('that its mind leaves as it is comes again, ever more seldom: it is neither lost nor a loop', async () => {
    const stage = new Stage()
    const handle: Handle = (input, draft) => input.kind === 'command' && put(draft, 'a', draft.now)
    const { actor, inputs } = await stage.begin({ handle })
    void actor.command('set', {})
    await stage.pass(1_800_000)
    const times = inputs.filter(({ kind }) => kind === 'due').length
    expect(times).toBeGreaterThan(30)
    expect(times).toBeLessThan(60)
    expect(actor.running).toBe(true)
  })

  test('that its mind makes due again at once does not spin', async () => {
    const stage = new Stage()
    const handle: Handle = (input, draft) =>
      (input.kind === 'command' || input.kind === 'due') && put(draft, 'a', draft.now, `${draft.now}`)
    const { actor } = await stage.begin({ handle })
    const before = stage.disk.commits
    void actor.command('set', {})
    await stage.pass(600_000)
    expect(stage.disk.commits - before).toBeLessThan(10_000)
    expect(actor.running).toBe(true)
  })

  test('that fails twice is set aside and tried again after a minute, two, four, at most an hour', async () => {
    const stage = new Stage()
    const { actor, inputs } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'command') put(draft, 'a', draft.now)
        if (input.kind === 'due') throw new Error('no idea what to do')
      },
    })
    void actor.command('set', {})
    await stage.pass(24 * 3_600_000)
    const tries = inputs.filter(({ kind }) => kind === 'due').length
    expect(tries).toBeGreaterThan(2 * 24)
    expect(tries).toBeLessThan(2 * 35)
    expect(stage.notes()[0]).toContain('no idea what to do')
  })

  test('that fails twice may be put away by its mind, also where what it wrote cannot be kept', async () => {
    for (const fails of [
      () => {
        throw new Error('no idea what to do')
      },
      (draft: NoteDraft) => draft.changed.set('note', new Map([['b', { id: 'c', text: '' }]])),
    ]) {
      const stage = new Stage()
      const { actor, inputs } = await stage.begin({
        handle(input, draft) {
          if (input.kind === 'command') put(draft, 'a', draft.now)
          if (input.kind === 'due') fails(draft)
          if (input.kind === 'set-aside') put(draft, input.row.id, undefined)
        },
      })
      void actor.command('set', {})
      await stage.pass(24 * 3_600_000)
      expect(inputs.filter(({ kind }) => kind === 'set-aside')).toHaveLength(1)
      expect(stage.notes()).toHaveLength(1)
      expect(actor.running).toBe(true)
    }
  })

  test('does not starve messages, nor they it, when there are very many of both', async () => {
    const stage = new Stage()
    const order: string[] = []
    const { actor } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'command') for (let i = 0; i < 2_000; i++) put(draft, `row ${i}`, draft.now + 100)
        if (input.kind === 'due') put(draft, input.row.id, undefined)
        if (input.kind === 'due' || input.kind === 'message') order.push(input.kind)
      },
    })
    await stage.soon(actor.command('set', {}))
    const acks = Array.from({ length: 1_500 }, (_, i) =>
      actor.receive(stage.letter(1, { subject: `lease-${i}` })),
    )
    await stage.soon(Promise.all(acks))
    await stage.pass(1_000)
    expect(order).toHaveLength(3_500)
    expect(order.indexOf('due')).toBeLessThan(600)
  })
})

describe('the wall clock', () => {
  const stepped = (stage: Stage) => {
    const clock = stage.world.clock()
    const state = { stepMs: 0 }
    return { state, clock: { ...clock, now: () => clock.now() + state.stepMs } }
  }

  test('that jumps by an hour ends nothing: it is noted once and not believed', async () => {
    const stage = new Stage()
    const { state, clock } = stepped(stage)
    const { actor, inputs } = await stage.begin({
      clock,
      handle(input, draft) {
        if (input.kind === 'command' && input.name === 'set') put(draft, 'a', draft.now + 600_000)
        if (input.kind === 'due') put(draft, 'a', undefined)
      },
    })
    await stage.soon(actor.command('set', {}))
    for (const stepMs of [3_600_000, -3_600_000]) {
      state.stepMs = stepMs
      await stage.pass(60_000)
      await stage.soon(actor.command('look', {}))
      expect(inputs.filter(({ kind }) => kind === 'due')).toEqual([])
    }
    expect(inputs.filter(({ kind }) => kind === 'clock-step')).toMatchObject([
      { byMs: 3_600_000 },
      { byMs: -3_600_000 },
    ])
    await stage.pass(600_000)
    expect(inputs.filter(({ kind }) => kind === 'due')).toHaveLength(1)
  })

  test('that jumped between two lives is not believed by the second one, which says so in its first words', async () => {
    const stage = new Stage()
    const { state, clock } = stepped(stage)
    const before = await stage.begin({
      clock,
      handle(input, draft) {
        if (input.kind === 'command') put(draft, 'a', draft.now + 600_000)
      },
    })
    await stage.soon(before.actor.command('set', {}))
    const clockMark = { wall: clock.now(), monotonic: clock.monotonic() }
    before.crash()
    state.stepMs = 3_600_000
    await stage.pass(60_000)
    const { inputs, logged } = await stage.begin({ clock, clockMark })
    await stage.pass(60_000)
    expect(inputs.filter(({ kind }) => kind === 'due')).toEqual([])
    expect(inputs.filter(({ kind }) => kind === 'clock-step')).toMatchObject([{ byMs: 3_600_000 }])
    expect(logged).toContain('warn: the wall clock jumped and is not believed')
  })

  test('that runs ahead a little, day after day, makes no row late', async () => {
    const stage = new Stage()
    const { state, clock } = stepped(stage)
    const { actor, inputs } = await stage.begin({
      clock,
      handle(input, draft) {
        if (input.kind === 'command') put(draft, 'a', draft.now + 40 * 86_400_000)
        if (input.kind === 'due') put(draft, 'a', undefined)
      },
    })
    await stage.soon(actor.command('set', {}))
    for (let day = 0; day < 39; day++) {
      await stage.pass(86_400_000)
      state.stepMs += SKEW_MS - 100
    }
    await stage.pass(86_400_000 - 39 * (SKEW_MS - 100) + 31_000)
    expect(inputs.filter(({ kind }) => kind === 'due')).toHaveLength(1)
  })

  test('that steps while a batch begins does not let the store close under a commit', async () => {
    const stage = new Stage()
    const { state, clock } = stepped(stage)
    const { actor } = await stage.begin({
      clock,
      syncMs: 100,
      handle: (input, draft) => put(draft, input.kind, undefined),
    })
    state.stepMs = 3_600_000
    const asked = actor.command('go', {})
    await stage.pass(10)
    const stopped = actor.stop()
    await stage.pass(10)
    expect(stage.closed).toBe(0)
    await stage.soon(stopped)
    await expect(asked).resolves.toBeUndefined()
    expect(stage.stored('note').map(({ id }) => id)).toContain('command')
  })
})

describe('an effect', () => {
  const acting: Handle = (input, draft) => {
    if (input.kind === 'command') {
      const [key, verb] = input.name.split(' ') as [string, string]
      draft.effect({ key, verb, args: input.args, timeoutMs: 60_000 })
    }
    if (input.kind === 'effect')
      put(draft, `${input.key} ${input.verb}`, undefined, JSON.stringify(input.outcome))
  }

  test('that is under way when the power goes is begun again, under the same attempt', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: acting, perform: () => new Promise(() => undefined) })
    await stage.soon(first.actor.command('unit setup', { host: 'a' }))
    first.crash()
    const done: unknown[] = []
    const second = await stage.begin({
      handle: acting,
      perform: async (verb, key, args) => {
        done.push([verb, key, args])
        return 'up'
      },
    })
    await stage.pass(100)
    expect(done).toEqual([['setup', 'unit', { host: 'a' }]])
    expect(second.actor.rows('note')).toMatchObject([{ text: '{"kind":"done","value":"up"}' }])
    expect(stage.stored('$effect')).toEqual([])
  })

  test('that was answered for in a commit is not begun again', async () => {
    const stage = new Stage()
    const done: string[] = []
    const perform = async (verb: string): Promise<void> => void done.push(verb)
    const first = await stage.begin({ handle: acting, perform })
    await stage.soon(first.actor.command('unit setup', {}))
    await stage.pass(100)
    first.crash()
    await stage.begin({ handle: acting, perform })
    await stage.pass(100)
    expect(done).toEqual(['setup'])
  })

  test('whose outcome was not committed when the power went is begun again', async () => {
    const stage = new Stage()
    const done: string[] = []
    const perform = async (verb: string): Promise<void> => void done.push(verb)
    const first = await stage.begin({
      handle: acting,
      perform,
      fate: () => (done.length > 0 ? 'crash before' : 'done'),
    })
    void first.actor.command('unit setup', {})
    await stage.pass(100)
    const second = await stage.begin({ handle: acting, perform })
    await stage.pass(100)
    expect(done).toEqual(['setup', 'setup'])
    expect(second.actor.rows('note')).toHaveLength(1)
  })

  test('that is replaced on being started is not begun besides its successor', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: acting, perform: () => new Promise(() => undefined) })
    await stage.soon(first.actor.command('unit setup', {}))
    first.crash()
    const begun: string[] = []
    await stage.begin({
      handle: (input, draft) =>
        input.kind === 'started' &&
        draft.effect({ key: 'unit', verb: 'teardown', args: {}, timeoutMs: 1_000 }),
      perform: async (verb) => void begun.push(verb),
    })
    await stage.pass(100)
    expect(begun).toEqual(['teardown'])
  })

  test('that was replaced is not answered for: its late outcome is noted only', async () => {
    const stage = new Stage()
    let finish = (): void => undefined
    const perform = (verb: string): Promise<string> =>
      verb === 'setup'
        ? new Promise((resolve) => {
            finish = () => resolve('late')
          })
        : Promise.resolve('gone')
    const { actor, logged } = await stage.begin({ handle: acting, perform })
    await stage.soon(actor.command('unit setup', {}))
    await stage.soon(actor.command('unit teardown', {}))
    finish()
    await stage.pass(100)
    expect(actor.rows('note').map(({ id }) => id)).toEqual(['unit teardown'])
    expect(logged).toContain('info: outcome of an old attempt noted')
  })

  test('that gives back what JSON cannot carry is set aside, and does not stop the actor', async () => {
    const stage = new Stage()
    const { actor, failures } = await stage.begin({
      handle(input, draft) {
        acting(input, draft)
        if (input.kind === 'effect') draft.note('done', input.key, 'as it came', { outcome: input.outcome })
      },
      perform: async () => ({ load: Number.NaN, count: 3n }),
    })
    await stage.soon(actor.command('unit probe', {}))
    await stage.pass(100)
    expect([failures, actor.running]).toEqual([[], true])
    expect(stage.notes()).toMatchObject([expect.stringContaining('input set aside')])
    expect(stage.stored('$effect')).toEqual([])
  })

  test('that does not end when the actor stops is told of, and the store is closed all the same', async () => {
    const stage = new Stage()
    const { actor, logged } = await stage.begin({
      handle: acting,
      perform: () => new Promise(() => undefined),
    })
    await stage.soon(actor.command('unit setup', {}))
    await stage.soon(actor.stop())
    expect(stage.closed).toBe(1)
    expect(logged).toContain('error: effects did not end when told to')
  })

  test('that fails with an operating error tells its code to the mind', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({
      handle: acting,
      perform: () => Promise.reject(new SubletError('machine-setup', 'the machine did not come up')),
    })
    await stage.soon(actor.command('unit setup', {}))
    await stage.pass(100)
    expect(JSON.parse(actor.rows('note')[0]!.text)).toEqual({
      kind: 'failed',
      code: 'machine-setup',
      reason: 'the machine did not come up',
    })
  })
})
