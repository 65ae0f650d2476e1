import { describe, expect, test } from 'vitest'
import { FLUSH_MS } from '../../actors/runtime/actor.ts'
import { LINE_CHARS_MAX } from '../../actors/runtime/draft.ts'
import { sealAck } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { COMMIT_MS_MAX, OPEN_STORE_MS_MAX } from '../../actors/runtime/punctual.ts'
import { encodeRow } from '../../actors/runtime/rows.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import { type Handle, Stage, writer } from './actor-stage.ts'

const ackOf = (envelope: { id: string; from: string; to: string }, at: number) =>
  sealAck(
    { id: envelope.id, from: envelope.to, to: envelope.from, outcome: 'received', code: '', reason: '', at },
    cheapIdentity(envelope.to),
  )

test('a log that throws at whatever it is told neither ends an actor nor keeps it from ending in order', async () => {
  const fails = (): never => {
    throw new TypeError('this cannot be written')
  }
  const stage = new Stage()
  const full = Object.freeze(new Error('the disk is full'))
  let isFull = false
  const life = await stage.begin({
    handle: (input, draft) => {
      if (input.kind === 'command') draft.note('said', 's', 'it is told to the log, too')
      return input.kind
    },
    log: { debug: fails, info: fails, warn: fails, error: fails },
    commit: () => (isFull ? Promise.reject(full) : Promise.resolve()),
  })
  expect(await stage.soon(life.actor.command('go', {}))).toBe('command')
  isFull = true
  await expect(stage.soon(life.actor.command('go', {}))).rejects.toMatchObject({ code: 'not-running' })
  await stage.pass(1_000)
  expect([life.actor.running, life.failures, stage.closed]).toEqual([false, [full], 1])
})

describe('one mind, one commit', () => {
  test('everything that comes in one turn shares one commit', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: writer })
    const before = stage.disk.commits
    const replies = [1, 2, 3].map((n) => actor.command(`word ${n}`, n))
    expect(await stage.soon(Promise.all(replies))).toEqual(['did word 1', 'did word 2', 'did word 3'])
    expect(stage.disk.commits - before).toBe(1)
    expect(actor.rows('note').map(({ text }) => text)).toEqual(['1', '2', '3'])
  })

  test('nothing is sent, begun, told or seen before the commit is durable', async () => {
    const stage = new Stage()
    const begun: string[] = []
    const handle: Handle = (input, draft) => {
      if (input.kind !== 'command') return
      draft.put('note', { id: 'a', text: 'written' })
      draft.send({ to: 'peer', kind: 'say', subject: 's', body: {}, until: draft.now + 60_000 })
      draft.effect({ key: 'unit', verb: 'setup', args: {}, timeoutMs: 1_000 })
      draft.note('said', 's', 'because')
      return 'done'
    }
    const perform = async (verb: string): Promise<void> => {
      begun.push(verb)
    }
    const life = await stage.begin({ handle, perform, syncMs: 1_000 })
    let reply: unknown
    void life.actor.command('go', {}).then((value) => {
      reply = value
    })
    await stage.pass(999)
    expect([life.sent, begun, reply, life.actor.rows('note'), life.actor.head.seq]).toEqual([
      [],
      [],
      undefined,
      [],
      0,
    ])
    await stage.pass(1)
    expect(life.sent.map(({ kind }) => kind)).toEqual(['say'])
    expect(begun).toEqual(['setup'])
    expect(reply).toBe('done')
    expect(life.actor.rows('note')).toHaveLength(1)
    expect(life.actor.head.seq).toBe(1)
  })

  test('a commit that fails stops the actor, and nothing of it has happened', async () => {
    const stage = new Stage()
    const begun: string[] = []
    const handle: Handle = (input, draft) => {
      if (input.kind !== 'command') return
      writer(input, draft)
      draft.send({ to: 'peer', kind: 'say', subject: 's', body: {}, until: draft.now + 60_000 })
      draft.effect({ key: 'unit', verb: 'setup', args: {}, timeoutMs: 1_000 })
    }
    let commits = 0
    const life = await stage.begin({
      handle,
      perform: async (verb) => void begun.push(verb),
      commit: () =>
        ++commits === 1
          ? Promise.resolve()
          : Promise.reject(new SubletError('store-failed', 'the disk is full')),
    })
    const asked = life.actor.command('go', {})
    await expect(stage.soon(asked)).rejects.toMatchObject({ code: 'not-running' })
    await stage.pass(100)
    expect(life.failures).toMatchObject([{ code: 'store-failed', message: 'the disk is full' }])
    expect([life.sent, begun, life.actor.rows('note'), life.actor.running]).toEqual([[], [], [], false])
    expect(stage.closed).toBe(1)
    await expect(life.actor.command('more', {})).rejects.toMatchObject({ code: 'not-running' })
    expect((await stage.soon(life.actor.receive(stage.letter(1)))).outcome).toBe('busy')
  })

  test('a store that does not answer stops the actor after its deadline', async () => {
    const stage = new Stage()
    let commits = 0
    const hung = await stage.begin({
      handle: writer,
      commit: () => (++commits === 1 ? Promise.resolve() : new Promise(() => undefined)),
    })
    const asked = hung.actor.command('go', {})
    asked.catch(() => undefined)
    await stage.pass(COMMIT_MS_MAX + 100)
    expect(hung.failures).toMatchObject([{ code: 'store-failed' }])
    await expect(asked).rejects.toMatchObject({ code: 'not-running' })
  })

  test('a store that does not open ends the start after its deadline, and with it the actor', async () => {
    const stage = new Stage()
    const { actor, started } = stage.live({ open: () => new Promise(() => undefined) })
    started.catch(() => undefined)
    await stage.pass(OPEN_STORE_MS_MAX + 100)
    await expect(started).rejects.toMatchObject({
      code: 'store-failed',
      message: 'the store of actor did not open within 10 min',
    })
    expect([actor.running, stage.closed]).toEqual([false, 1])
  })

  test('a crash before the commit loses the batch, a crash after it keeps all of it', async () => {
    for (const fate of ['crash before', 'crash after'] as const) {
      const stage = new Stage()
      let commits = 0
      const life = await stage.begin({ handle: writer, fate: () => (++commits === 2 ? fate : 'done') })
      void life.actor.command('word', 'kept?')
      await stage.pass(100)
      expect(life.actor.rows('note')).toEqual([])
      const next = await stage.begin({ handle: writer })
      expect(next.actor.rows('note')).toHaveLength(fate === 'crash after' ? 1 : 0)
    }
  })

  test('what was begun when the actor was stopped is committed, told, and then the store is closed', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: writer, syncMs: 50 })
    const asked = actor.command('word', 'last')
    await stage.pass(10)
    const stopped = actor.stop()
    expect(stage.closed).toBe(0)
    await stage.soon(stopped)
    await expect(asked).resolves.toBe('did word')
    expect(stage.closed).toBe(1)
    expect(stage.stored('note')).toHaveLength(1)
  })

  test('what had not been begun is refused when the actor is stopped', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: writer, syncMs: 50 })
    const first = actor.command('first', 1)
    await stage.pass(10)
    const second = actor.command('second', 2)
    const refused = expect(second).rejects.toMatchObject({ code: 'not-running' })
    await stage.soon(actor.stop())
    await refused
    await first
    expect(stage.stored('note').map(({ id }) => id)).toEqual(['first'])
  })

  test('an actor that is stopped while it opens its store does not start', async () => {
    const stage = new Stage()
    const life = stage.live({ handle: writer })
    await life.actor.stop()
    await expect(stage.soon(life.started)).rejects.toMatchObject({ code: 'not-running' })
    expect([stage.closed, life.actor.running]).toEqual([1, false])
  })

  test('one who listens to commits and throws does not stop the actor', async () => {
    const stage = new Stage()
    const handle: Handle = (input, draft) => draft.note('seen', 's', input.kind)
    const onCommitted = (): void => {
      throw new Error('the chart is broken')
    }
    const { actor, logged } = await stage.begin({ handle, onCommitted })
    await stage.soon(actor.command('more', {}))
    expect(actor.running).toBe(true)
    expect(logged).toContain('error: one who listens to commits failed: the chart is broken')
  })

  test('a mind that cannot begin its epoch fails the start, and the store is closed', async () => {
    const stage = new Stage()
    const life = stage.live({
      handle() {
        throw new Error('no such host')
      },
    })
    await expect(stage.soon(life.started)).rejects.toMatchObject({ code: 'not-running' })
    await stage.pass(10)
    expect(life.failures).toMatchObject([{ message: 'no such host' }])
    expect([stage.closed, stage.disk.rows.size]).toEqual([1, 0])
  })

  test('a row that does not fit its checksum stops the start with a sentence, and the store is closed', async () => {
    const stage = new Stage()
    const stored = encodeRow('note', 'a', { id: 'a' })
    stage.disk.rows.set('note\na', { ...stored, json: '{"id":"a","text":"other"}' })
    const life = stage.live()
    await expect(stage.soon(life.started)).rejects.toMatchObject({
      code: 'store-corrupt',
      message: expect.stringMatching(
        /^row a of table note in the database of \S+ does not fit its checksum$/,
      ),
    })
    expect([stage.closed, life.actor.running]).toEqual([1, false])
  })

  test('each life has a new epoch', async () => {
    const stage = new Stage()
    const epochs: number[] = []
    for (let life = 0; life < 3; life++) {
      const { actor, inputs } = await stage.begin()
      for (const input of inputs) if (input.kind === 'started') epochs.push(input.epoch)
      await stage.soon(actor.stop())
    }
    expect(epochs).toEqual([1, 2, 3])
  })
})

describe('an input that fails', () => {
  const say = (stage: Stage, number: number, text: string, subject = `lease-${number}`) =>
    stage.letter(number, { body: { text }, subject })

  test('is tried alone once, then set aside with its reason; the others of its batch go through', async () => {
    const stage = new Stage()
    const { actor, inputs } = await stage.begin({ handle: writer })
    const acks = await stage.soon(
      Promise.all(['good', 'poison', 'fine'].map((text, i) => actor.receive(say(stage, i + 1, text)))),
    )
    expect(acks.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['received', ''],
      ['refused', 'message-set-aside'],
      ['received', ''],
    ])
    const tries = inputs.filter((input) => input.kind === 'message' && input.envelope.number === 2)
    expect(tries).toHaveLength(2)
    expect(actor.rows('note').map(({ text }) => text)).toEqual(['good', 'fine'])
    expect(stage.notes()).toEqual([
      'input set aside: this one is poison; it failed twice and is not tried again',
    ])
    expect(actor.running).toBe(true)
  })

  test('with an error as long as a message is told of in few words', async () => {
    const stage = new Stage()
    const told: string[] = []
    const quiet = { debug() {}, info() {}, error() {} }
    const log = { ...quiet, warn: (fields: object) => void told.push(JSON.stringify(fields)) }
    const handle: Handle = ({ kind }) => {
      if (kind === 'message') throw new Error('x'.repeat(1_000_000))
    }
    const { actor } = await stage.begin({ handle, log })
    await stage.soon(actor.receive(say(stage, 1, 'poison')))
    const lines = [...told, ...stage.notes()].filter((line) => line.includes('xxx'))
    expect(lines).toHaveLength(2)
    for (const line of lines) expect(line.length).toBeLessThan(LINE_CHARS_MAX + 100)
  })

  test('is refused in the same words when it comes again, and the mind is not asked', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: writer })
    const poison = say(stage, 1, 'poison')
    await stage.soon(first.actor.receive(poison))
    const again = await stage.soon(first.actor.receive(poison))
    first.crash()
    const { actor, inputs } = await stage.begin({ handle: writer })
    const later = await stage.soon(actor.receive(poison))
    for (const ack of [again, later])
      expect(ack).toMatchObject({ outcome: 'refused', code: 'message-set-aside' })
    expect(inputs.filter(({ kind }) => kind === 'message')).toEqual([])
    expect(stage.notes()).toHaveLength(1)
    expect((await stage.soon(actor.receive(say(stage, 2, 'good', 'lease-1')))).outcome).toBe('received')
  })

  test('goes through at the second try if it only failed once', async () => {
    const stage = new Stage()
    let tries = 0
    const { actor } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'message' && ++tries === 1) throw new Error('not now')
        return writer(input, draft)
      },
    })
    expect((await stage.soon(actor.receive(stage.letter(1)))).outcome).toBe('received')
    expect(stage.notes()).toEqual([])
  })

  test('does not keep the others waiting, however many of its kind there are', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: writer })
    const bad = Array.from({ length: 50 }, (_, i) => actor.receive(say(stage, i + 1, 'poison')))
    await stage.pass(2)
    let waited = 50
    const command = actor.command('word', 'now').then(() => {
      waited = stage.notes().length
    })
    await stage.soon(Promise.all([command, ...bad]))
    expect(waited).toBeLessThan(5)
    expect(stage.notes()).toHaveLength(50)
  })

  test.each([
    [
      'a number that is none in the ledger',
      (draft: Parameters<Handle>[1]) => draft.note('n', 's', 'r', { load: Number.NaN }),
    ],
    [
      'an integer without bounds in a row',
      (draft: Parameters<Handle>[1]) => draft.put('note', { id: 'a', text: 1n as unknown as string }),
    ],
    [
      'a number that is none in a message',
      (draft: Parameters<Handle>[1]) =>
        draft.send({
          to: 'peer',
          kind: 'say',
          subject: 's',
          body: { load: 1 / 0 },
          until: draft.now + 1_000,
        }),
    ],
    [
      'a message that is too long',
      (draft: Parameters<Handle>[1]) =>
        draft.send({
          to: 'peer',
          kind: 'say',
          subject: 's',
          body: 'x'.repeat(1_100_000),
          until: draft.now + 1_000,
        }),
    ],
    [
      'a row under another id',
      (draft: Parameters<Handle>[1]) => draft.changed.set('note', new Map([['b', { id: 'a' }]])),
    ],
  ])('by writing %s is set aside; the actor goes on, with the others of the batch', async (_, write) => {
    const stage = new Stage()
    const { actor, failures, sent } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'command' && input.name === 'bad') write(draft)
        return writer(input, draft)
      },
    })
    const bad = actor.command('bad', 1)
    bad.catch(() => undefined)
    const good = actor.command('good', 2)
    await expect(stage.soon(good)).resolves.toBe('did good')
    await expect(stage.soon(bad)).rejects.toMatchObject({ code: 'message-set-aside' })
    expect(actor.rows('note').map(({ id }) => id)).toEqual(['good'])
    expect([failures, sent]).toEqual([[], []])
    expect(stage.notes()).toHaveLength(1)
  })

  test('of which the reason was cut in the middle of a character is mended, not set aside', async () => {
    const stage = new Stage()
    const cut = 'full of 🙂'.slice(0, -1)
    const { actor, sent } = await stage.begin({
      handle(input, draft) {
        if (input.kind !== 'command') return
        draft.note('said', cut, cut, { cut })
        draft.send({ to: 'peer', kind: 'say', subject: 's', body: { cut }, until: draft.now + 1_000 })
      },
    })
    await stage.soon(actor.command('go', {}))
    expect(stage.disk.ledger[0]).toMatchObject({ reason: 'full of \ufffd', data: { cut: 'full of \ufffd' } })
    expect(sent[0]?.body).toEqual({ cut: 'full of \ufffd' })
  })

  test('as a command with an operating error is answered with it at once, and leaves no trace', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({
      handle(input, draft) {
        if (input.kind !== 'command') return
        draft.put('note', { id: 'half', text: 'done' })
        throw new SubletError('unknown-id', 'no lease is called that')
      },
    })
    await expect(stage.soon(actor.command('recall', {}))).rejects.toMatchObject({ code: 'unknown-id' })
    expect([actor.rows('note'), stage.notes()]).toEqual([[], []])
  })
})

describe('what the last life left', () => {
  const speak: Handle = (input, draft) => {
    const text =
      input.kind === 'command' ? input.name : input.kind === 'started' ? `epoch ${input.epoch}` : ''
    if (text !== '')
      draft.send({ to: 'peer', kind: 'say', subject: 's', body: { text }, until: draft.now + 60_000 })
  }

  test('goes out again, before anything new on its subject', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: speak })
    await stage.soon(first.actor.command('hello', {}))
    first.crash()
    const heard: unknown[] = []
    const { sent } = await stage.begin({
      handle: speak,
      send: async (envelope) => {
        heard.push(envelope.body)
        return ackOf(envelope, stage.now)
      },
    })
    await stage.pass(1_000)
    expect(heard).toEqual([{ text: 'epoch 1' }, { text: 'hello' }, { text: 'epoch 2' }])
    expect(sent.map(({ number }) => number)).toEqual([1, 2, 3])
  })

  test('is no longer kept once it was acknowledged', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({
      handle: speak,
      send: async (envelope) => ackOf(envelope, stage.now),
    })
    expect(stage.stored('$out')).toHaveLength(1)
    await stage.pass(FLUSH_MS / 2)
    expect(stage.stored('$out'), 'no commit for an acknowledgement alone').toHaveLength(1)
    await stage.pass(2 * FLUSH_MS)
    expect(stage.stored('$out')).toEqual([])
    await stage.soon(actor.stop())
  })

  test('an acknowledged message leaves the outbox although a slow commit was under way when it was time', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({
      handle(input, draft) {
        speak(input, draft)
        writer(input, draft)
      },
      send: async (envelope) => ackOf(envelope, stage.now),
      syncMs: 3 * FLUSH_MS,
    })
    void actor.command('slow', 1)
    await stage.pass(12 * FLUSH_MS)
    expect(stage.stored('$out')).toEqual([])
  })

  test('a message that is acknowledged counts for no mind as one that waits, also before it leaves the disk', async () => {
    const stage = new Stage()
    const dealtWith: number[] = []
    const { actor } = await stage.begin({
      handle(input, draft) {
        if (input.kind === 'command') dealtWith.push(draft.outDone.size)
        speak(input, draft)
      },
      send: async (envelope) => ackOf(envelope, stage.now),
    })
    await stage.pass(FLUSH_MS / 2)
    expect(stage.stored('$out')).toHaveLength(1)
    await stage.soon(actor.command('look', 1))
    expect(dealtWith).toEqual([1])
  })

  test('a message that was given up is told to the mind, also if the power went in between', async () => {
    const stage = new Stage()
    let told = false
    let crashed = false
    await stage.begin({
      handle(input, draft) {
        told ||= input.kind === 'undelivered'
        speak(input, draft)
      },
      fate() {
        crashed ||= told
        return told ? 'crash before' : 'done'
      },
    })
    await stage.pass(61_000)
    expect(crashed).toBe(true)
    expect(stage.stored('$out')).toHaveLength(1)
    const second = await stage.begin({ handle: () => undefined })
    await stage.pass(1_000)
    expect(second.inputs.map(({ kind }) => kind)).toEqual(['started', 'undelivered'])
    expect(stage.stored('$out')).toEqual([])
  })
})
