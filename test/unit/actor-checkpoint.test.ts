import { describe, expect, test } from 'vitest'
import { CheckpointCheck } from '../../actors/ledger/checkpoint-check.ts'
import { CHECKPOINT_LINES, CHECKPOINT_MS } from '../../actors/runtime/checkpoint.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'
import { type Handle, NAMES, Stage } from './actor-stage.ts'

/** Writes as many lines as a command says. */
const scribe: Handle = (input, draft) => {
  if (input.kind === 'command')
    for (let i = 0; i < Number(input.args); i++) draft.note('wrote', `line ${i}`, 'it was told to')
}

const checkpoints = ({ disk }: Stage): number[] =>
  disk.ledger.filter(({ kind }) => kind === 'checkpoint').map(({ seq }) => seq)

describe('an actor signs its ledger', () => {
  test('after so many lines, over all lives, with the key that it then has', async () => {
    const stage = new Stage()
    for (const lines of [CHECKPOINT_LINES - 1, 1, CHECKPOINT_LINES + 5, 10]) {
      const life = await stage.begin({ handle: scribe })
      await stage.soon(life.actor.command('write', lines))
      life.crash()
    }
    expect(checkpoints(stage)).toEqual([CHECKPOINT_LINES + 1, 2 * CHECKPOINT_LINES + 7])
    const check = new CheckpointCheck(cheapTrust(NAMES).verifyBy)
    expect(stage.disk.ledger.flatMap((entry) => check.line(entry))).toEqual([])
    const { data } = stage.disk.ledger[CHECKPOINT_LINES]!
    expect(data).toMatchObject({ seq: CHECKPOINT_LINES, key: cheapKey('actor') })
    const altered = { ...stage.disk.ledger[CHECKPOINT_LINES]!, data: { ...(data as object), hash: 'x' } }
    expect(new CheckpointCheck(cheapTrust(NAMES).verifyBy).line(altered)).not.toEqual([])
  })

  test('with the first line after a day, and not without one', async () => {
    const stage = new Stage()
    const { actor } = await stage.begin({ handle: scribe })
    await stage.soon(actor.command('write', 2))
    await stage.pass(CHECKPOINT_MS)
    expect(checkpoints(stage)).toEqual([])
    await stage.soon(actor.command('write', 1))
    await stage.soon(actor.command('write', 1))
    expect(checkpoints(stage)).toEqual([4])
  })

  test('at once with a key that is new, and once', async () => {
    const stage = new Stage()
    let key = cheapKey('actor')
    const identity = {
      ...cheapIdentity('actor'),
      get key() {
        return key
      },
    }
    const { actor } = await stage.begin({ handle: scribe, identity })
    await stage.soon(actor.command('write', 2))
    key = cheapKey('other')
    await stage.soon(actor.command('write', 1))
    await stage.soon(actor.command('write', 1))
    expect(checkpoints(stage)).toEqual([4])
    expect(stage.disk.ledger[3]).toMatchObject({ data: { seq: 3, key: cheapKey('other') } })
  })
})
