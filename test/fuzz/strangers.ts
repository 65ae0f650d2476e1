import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import { Stage } from '../scenarios/stage.ts'
import type { Moment } from './moments.ts'
import { mutate } from './mutate.ts'
import type { Tally } from './tally.ts'

/** Everything that may be done to a message by somebody who has no key. */
const WAYS = [
  'mutated',
  'replayed',
  'misaddressed',
  'expired',
  'under another name',
  'body of another',
] as const
export type Way = (typeof WAYS)[number]

/**
 * Messages as somebody without a key could send them, to an actor that is alive: whatever comes, its rows stay as
 * they are, and each gets its answer.
 */
export async function strangers(
  moment: Moment,
  to: string,
  count: number,
  random: Random,
  tally: Tally,
): Promise<void> {
  const stage = new Stage({ managers: ['manager', 'neighbour'], units: 8 })
  for (const [name, disk] of Object.entries(moment.disks)) stage.disks[name]!.restore(disk)
  await stage.world.run(moment.now - stage.world.now, () => undefined)
  stage.starts(to)
  await stage.runs(0.01)
  const actor = stage.actor(to)
  const disk = stage.disks[to]!
  const genuine = moment.history
  // What was still on its way arrives, so that all that comes after is old.
  for (const one of genuine) if (one.to === to) await actor.receive(structuredClone(one))
  const before = new Map(disk.rows)
  if (genuine.length === 0) return
  for (let i = 0; i < count; i++) {
    const way = WAYS[random.int(WAYS.length)]!
    const message = wayward(way, genuine, to, random)
    let ack: Ack | undefined
    try {
      ack = await actor.receive(message)
    } catch (error) {
      tally.crash(`${moment.name}: ${to} threw at a message that was ${way}: ${String(error)}`, message)
      continue
    }
    const difference = differenceOf(before, disk.rows)
    if (difference !== undefined)
      tally.wrong(`${moment.name}: ${to} changed ${difference} for a message that was ${way}`, message)
    const isReplay = genuine.some((one) => JSON.stringify(one) === JSON.stringify(message))
    if (ack.outcome === 'received' && !isReplay && !isSame(genuine, message))
      tally.wrong(`${moment.name}: ${to} took a message that was ${way}`, message)
    if (ack.outcome === 'refused' && ack.code === '') tally.wrong(`${to} refused without a code`, message)
    tally.count(way, ack.outcome === 'refused' ? ack.code : ack.outcome)
  }
}

/** What a signature covers is the same: the message is, too. */
const isSame = (genuine: readonly Envelope[], message: Envelope): boolean =>
  genuine.some((one) => one.signature === message.signature && one.bodyHash === message.bodyHash)

function wayward(way: Way, genuine: readonly Envelope[], to: string, random: Random): Envelope {
  const pick = (): Envelope => genuine[random.int(genuine.length)]!
  const mine = genuine.filter((one) => one.to === to)
  const message = mine.length > 0 && random.next() < 0.9 ? mine[random.int(mine.length)]! : pick()
  switch (way) {
    case 'mutated':
      return mutate(message, random)
    case 'replayed':
      return structuredClone(message)
    case 'misaddressed':
      return { ...message, to: pick().from }
    case 'expired':
      return { ...message, until: message.sentAt - random.int(1_000_000) }
    case 'under another name':
      return { ...message, from: pick().from, number: message.number + random.int(3) }
    case 'body of another':
      return { ...message, body: pick().body, number: message.number + random.int(3) }
  }
}

function differenceOf(
  before: ReadonlyMap<string, StoredRow>,
  after: ReadonlyMap<string, StoredRow>,
): string | undefined {
  for (const [key, row] of after) if (before.get(key)?.json !== row.json) return key.replace('\n', ' ')
  for (const key of before.keys()) if (!after.has(key)) return key.replace('\n', ' ')
  return undefined
}
