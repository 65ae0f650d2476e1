import { describe, expect, test } from 'vitest'
import type { MetaRow } from '../../actors/runtime/composition.ts'
import { type Ack, type Envelope, sealAck } from '../../actors/runtime/envelope.ts'
import { HELLO_MS } from '../../actors/runtime/memory.ts'
import type { Input } from '../../actors/runtime/mind.ts'
import type { PeerRow } from '../../actors/runtime/peers.ts'
import { encodeRow } from '../../actors/runtime/rows.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'
import { Pair, speaker } from './actor-pair.ts'
import type { Life } from './actor-stage.ts'

const restoredOf = ({ inputs }: Life): unknown[] =>
  inputs.flatMap((input: Input) => {
    if (input.kind === 'started') return [input.restored]
    return input.kind === 'restored' ? [input.restored] : []
  })

const metaOf = (pair: Pair): MetaRow => pair.actor.stored('$meta')[0] as MetaRow

/** The actor said one, was copied, said two and three, and crashed; the copy takes the place of its store. */
async function setBack(pair = new Pair()): Promise<Pair> {
  await pair.begin('peer')
  await pair.begin('actor')
  await pair.say('actor', 'say one')
  await pair.actor.pass(2_000)
  const restore = pair.backup('actor')
  await pair.say('actor', 'say two')
  await pair.say('actor', 'say three', 'lease-2')
  pair.crash('actor')
  restore()
  return pair
}

/** The actor's peer says that it has seen more than was said; `seen` is told the place of the last message. */
async function liedTo(seen: (said: number) => number): Promise<{ pair: Pair; life: Life }> {
  const pair = new Pair()
  await pair.begin('actor')
  await pair.begin('peer')
  pair.crash('actor')
  const answer = async ({ id, from, to }: Envelope): Promise<Ack> =>
    sealAck(
      { id, from: to, to: from, outcome: 'received', code: '', reason: '', at: pair.actor.now },
      cheapIdentity('peer'),
      { generation: 0, seq: seen(metaOf(pair).outSeq) },
    )
  const life = pair.actor.live({ handle: speaker, send: answer, hello: answer })
  await pair.actor.soon(life.started)
  return { pair, life }
}

describe('an actor on an older copy of its store', () => {
  test('hears of it before it decides anything, and begins a new generation', async () => {
    const pair = await setBack()
    const life = await pair.begin('actor')
    const reason = 'peer has seen message 3 of ours, and we remember no more than 1'
    expect(restoredOf(life)).toEqual([{ reason, seenSeq: 3, by: 'peer' }])
    const { generation } = metaOf(pair)
    expect(generation).toBeGreaterThan(pair.actor.now - 10_000)
    expect(pair.actor.notes()).toEqual([`store restored: ${reason}; generation ${generation} begins`])
  })

  test('is heard: what it says anew is above all that it said in the time that it forgot', async () => {
    const pair = await setBack()
    await pair.begin('actor')
    await pair.say('actor', 'say anew')
    await pair.say('actor', 'say this too', 'lease-2')
    expect(pair.heard('peer')).toEqual(['say one', 'say two', 'say three', 'say anew', 'say this too'])
    const { generation } = metaOf(pair)
    const anew = pair.wire
      .map(({ envelope }) => envelope)
      .filter(({ kind }) => kind === 'say')
      .slice(-2)
    expect(anew).toMatchObject([
      { generation, number: generation + 1, seq: generation + 1 },
      { generation, number: generation + 1, seq: generation + 2 },
    ])
    expect(pair.lives.peer!.actor.peers()).toMatchObject([{ peer: 'actor', generation }])
  })

  test('is heard also when it was set back twice to a copy of a time when its clock was ahead', async () => {
    const pair = await setBack()
    const ahead = pair.actor.now + 3_600_000
    const meta: MetaRow = { ...metaOf(pair), generation: ahead, outSeq: ahead + 5 }
    pair.actor.disk.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', meta))
    const restore = pair.backup('actor')
    pair.lost = ({ kind }) => (kind === 'say' ? 'message' : undefined)
    const said: Envelope[] = []
    for (const text of ['say in the meantime', 'say at last']) {
      restore()
      const mark: MetaRow = { ...meta, restored: { at: pair.actor.now, from: 'monday.db' } }
      pair.actor.disk.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', mark))
      await pair.begin('actor')
      await pair.say('actor', text)
      said.push(pair.wire.findLast(({ envelope }) => envelope.kind === 'say')!.envelope)
      if (said.length === 1) pair.crash('actor')
      await pair.actor.pass(1_000)
    }
    // What was on its way since the first time comes late, and before the other.
    await pair.actor.soon(pair.lives.peer!.actor.receive(said[0]!))
    pair.lost = () => undefined
    await pair.actor.pass(60_000)
    expect(pair.heard('peer').slice(-2)).toEqual(['say in the meantime', 'say at last'])
    expect(said[1]!.number).toBeGreaterThan(said[0]!.number)
    expect(said[1]!.number).toBeLessThan(ahead + 2 * 86_400_000)
  })

  test('is heard by a peer of protocol 1, too, which cannot tell it of what it forgot', async () => {
    const pair = new Pair()
    await pair.begin('peer', { protocols: [1] })
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    const restore = pair.backup('actor')
    await pair.say('actor', 'say two')
    pair.crash('actor')
    restore()
    const meta: MetaRow = { ...metaOf(pair), restored: { at: pair.actor.now, from: 'monday.db' } }
    pair.actor.disk.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', meta))
    await pair.begin('actor')
    await pair.say('actor', 'say anew')
    expect(pair.heard('peer')).toEqual(['say one', 'say two', 'say anew'])
  })

  test('knows it by the mark of who put it back, with no peer there; the mark is taken away once', async () => {
    const pair = new Pair()
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    pair.crash('actor')
    const meta: MetaRow = { ...metaOf(pair), restored: { at: pair.actor.now, from: 'monday.db' } }
    pair.actor.disk.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', meta))
    const life = await pair.begin('actor')
    const at = new Date(meta.restored!.at).toISOString()
    expect(restoredOf(life)).toEqual([
      { reason: `the store was put back from monday.db at ${at}`, seenSeq: 0 },
    ])
    const { generation, restored } = metaOf(pair)
    expect([generation > 0, restored]).toEqual([true, undefined])
    pair.crash('actor')
    expect(restoredOf(await pair.begin('actor'))).toEqual([undefined])
    expect(metaOf(pair).generation).toBe(generation)
  })

  test('hears of it later from a peer that was silent when it began, once', async () => {
    const pair = await setBack()
    pair.lost = () => 'message'
    const life = await pair.begin('actor')
    await pair.say('actor', 'say anew')
    await pair.say('actor', 'say again')
    expect(restoredOf(life)).toEqual([undefined])
    pair.lost = () => undefined
    await pair.actor.pass(60_000)
    expect(restoredOf(life)).toMatchObject([undefined, { seenSeq: 3, by: 'peer' }])
    expect(pair.actor.notes()).toHaveLength(1)
  })

  test('hears of it lives later, however much it has said to others since', async () => {
    const pair = await setBack()
    pair.lost = () => 'message'
    for (let i = 0; i < 3; i++) {
      await pair.begin('actor')
      await pair.say('actor', 'say anew')
      pair.crash('actor')
    }
    pair.lost = () => undefined
    const life = await pair.begin('actor')
    expect(restoredOf(life)).toMatchObject([{ seenSeq: 3 }])
    expect((pair.actor.stored('$peer')[0] as PeerRow).ungreetedSeq).toBeUndefined()
  })

  test('does not believe a peer that has seen more than there can be: its numbers would be used up', async () => {
    const { pair, life } = await liedTo(() => Number.MAX_SAFE_INTEGER)
    await pair.actor.soon(life.actor.command('lease-1', 'say one'))
    await pair.actor.pass(20_000)
    expect(restoredOf(life)).toEqual([undefined])
    expect(metaOf(pair).generation).toBe(0)
    expect(life.actor.peers()).toMatchObject([
      { peer: 'peer', lastError: expect.stringContaining('which there cannot be') },
    ])
  })

  test('is told who says so, where it is one alone', async () => {
    const pair = await setBack()
    const meta: MetaRow = { ...metaOf(pair), restored: { at: pair.actor.now, from: 'monday.db' } }
    pair.actor.disk.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', meta))
    const [marked] = restoredOf(await pair.begin('actor'))
    // The mark of who put it back says so, too.
    expect(marked).toMatchObject({ seenSeq: 3, by: undefined })
  })

  test('believes a peer once in a life: nothing can be put back under an actor that runs', async () => {
    const { pair, life } = await liedTo((said) => said + 1_000)
    await pair.actor.soon(life.actor.command('lease-1', 'say one'))
    await pair.actor.pass(20_000)
    await pair.actor.soon(life.actor.command('lease-1', 'say two'))
    await pair.actor.pass(20_000)
    expect(restoredOf(life).filter((restored) => restored !== undefined)).toHaveLength(1)
  })

  test('is told again if the power goes before the new generation is on disk', async () => {
    const pair = await setBack()
    const dying = pair.live('actor', { fate: () => 'crash before' })
    await pair.actor.pass(10_000)
    expect(restoredOf(dying)).toHaveLength(1)
    const life = await pair.begin('actor')
    expect(restoredOf(life)).toMatchObject([{ seenSeq: 3 }])
  })

  test('twice the same copy: the second generation is above the first', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    const restore = pair.backup('actor')
    await pair.say('actor', 'say two')
    const generations: number[] = []
    for (let i = 0; i < 2; i++) {
      pair.crash('actor')
      restore()
      await pair.begin('actor')
      await pair.say('actor', `say anew ${i}`)
      generations.push(metaOf(pair).generation)
    }
    expect(generations[1]).toBeGreaterThan(generations[0]!)
    expect(pair.heard('peer')).toEqual(['say one', 'say two', 'say anew 0', 'say anew 1'])
  })

  test('what was on its way in the copy is noted where it came before, and is no failure', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    pair.lost = ({ kind }) => (kind === 'say' ? 'message' : undefined)
    await pair.say('actor', 'say one')
    const restore = pair.backup('actor')
    pair.lost = () => undefined
    await pair.actor.pass(60_000)
    await pair.say('actor', 'say two')
    pair.crash('actor')
    restore()
    const life = await pair.begin('actor')
    await pair.actor.pass(60_000)
    expect(pair.heard('peer')).toEqual(['say one', 'say two'])
    expect(life.inputs.map(({ kind }) => kind)).toEqual(['started'])
    expect(pair.actor.stored('$out')).toEqual([])
  })

  test('what it says under a number that it forgot to have used is not told to its mind as refused', async () => {
    const pair = await setBack()
    pair.lost = ({ kind }) => (kind === 'hello' ? 'message' : undefined)
    const life = await pair.begin('actor')
    // Number 2 on the subject, as “say two” was.
    await pair.say('actor', 'say otherwise')
    pair.lost = () => undefined
    await pair.actor.pass(60_000)
    expect(life.inputs.map(({ kind }) => kind)).toEqual(['started', 'command', 'restored'])
    expect(pair.actor.stored('$out')).toEqual([])
    await pair.say('actor', 'say anew')
    expect(pair.heard('peer')).toEqual(['say one', 'say two', 'say three', 'say anew'])
  })
})

describe('an actor that remembers everything', () => {
  test('is not told otherwise, however it crashes and whatever is lost', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    let n = 0
    pair.lost = () => (++n % 3 === 0 ? 'ack' : n % 5 === 0 ? 'message' : undefined)
    for (let i = 0; i < 10; i++) {
      const life = await pair.begin('actor')
      await pair.say('actor', `say ${i}`)
      await pair.say('actor', `say ${i}`, `lease-${i}`)
      if (i % 2 === 0) await pair.actor.pass(20_000)
      expect(restoredOf(life)).toEqual([undefined])
      pair.crash('actor')
      if (i === 5) {
        pair.crash('peer')
        await pair.begin('peer')
      }
    }
    expect(metaOf(pair).generation).toBe(0)
  })

  test('tells a peer what it saw of it after the numbers of that are forgotten', async () => {
    const pair = await setBack()
    await pair.actor.pass(700_000)
    expect(pair.peer.stored('$link')).toEqual([])
    pair.crash('peer')
    await pair.begin('peer')
    expect(restoredOf(await pair.begin('actor'))).toMatchObject([{ seenSeq: 3 }])
  })
})

describe('a start', () => {
  test('is delayed by silent peers for so long and no more', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    pair.crash('actor')
    pair.crash('peer')
    const before = pair.actor.now
    const life = pair.live('actor')
    await pair.actor.pass(HELLO_MS - 100)
    expect([life.actor.running, life.inputs]).toEqual([false, []])
    await pair.actor.pass(200)
    expect([life.actor.running, pair.actor.now - before]).toEqual([true, HELLO_MS + 100])
  })

  test('is not delayed by a peer that starts at the same time', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    await pair.say('peer', 'say two')
    for (const side of ['actor', 'peer'] as const) pair.crash(side)
    const lives = (['actor', 'peer'] as const).map((side) => pair.live(side))
    await pair.actor.pass(500)
    expect(lives.map(({ actor }) => actor.running)).toEqual([true, true])
  })

  test('is not waited for by who is refused: that one does not know us any more', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    for (const side of ['actor', 'peer'] as const) pair.crash(side)
    await pair.begin('peer', { trust: cheapTrust(['peer']) })
    const life = pair.live('actor')
    await pair.actor.pass(500)
    expect(life.actor.running).toBe(true)
    await pair.say('actor', 'say two')
    // It may be made known there before the message is of no use any more.
    expect(life.inputs.filter(({ kind }) => kind === 'undelivered')).toEqual([])
    expect(pair.actor.stored('$out')).not.toEqual([])
  })

  test('that is stopped while it waits leaves nothing behind', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    await pair.say('actor', 'say one')
    pair.crash('actor')
    pair.crash('peer')
    const life = pair.live('actor')
    await pair.actor.pass(1_000)
    await pair.actor.soon(life.actor.stop())
    await expect(life.started).rejects.toMatchObject({ code: 'not-running' })
    const tries = pair.wire.length
    await pair.actor.pass(60_000)
    expect([pair.wire.length, life.inputs]).toEqual([tries, []])
  })
})
