import { describe, expect, test } from 'vitest'
import type { LeaseRow } from '../../actors/authority/rows.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { Plants } from './plants.ts'
import { trial } from './trial.ts'

/** Seeds within which each fault has to be found. */
const SEEDS = 20

/** `before` may change the input, or answer for it (undefined); `after` may change what the mind wrote. */
function worse<T extends Tables>(
  mind: Mind<T>,
  { before = (input) => input, after = () => undefined }: Worse<T>,
): Mind<T> {
  return {
    handle(input, draft) {
      const sent = draft.outgoing.length
      const changed = before(input, draft)
      if (changed === undefined) return undefined
      const value = mind.handle(changed, draft)
      after(draft, sent)
      return value
    },
  }
}

interface Worse<T extends Tables> {
  readonly before?: (input: Input, draft: Draft<T>) => Input | undefined
  readonly after?: (draft: Draft<T>, sentBefore: number) => void
}

function withBody(input: Input, kind: string, change: (body: object) => object): Input {
  if (input.kind !== 'message' || input.envelope.kind !== kind) return input
  const envelope: Envelope = { ...input.envelope, body: change(input.envelope.body as object) }
  return { ...input, envelope }
}

const FAULTS: Readonly<Record<string, Plants>> = {
  'the broker counts one unit more than the site lends': {
    broker: (mind) =>
      worse(mind, {
        before: (input) =>
          withBody(input, 'delegation', (body) => ({
            ...body,
            units: (body as { units: number }).units + 1,
          })),
      }),
  },
  'the ticket goes back together with the close, before the site’s final word': {
    serviceManager: (mind) =>
      worse(mind, {
        after: (draft, before) => {
          for (const message of draft.outgoing.slice(before))
            if (message.kind === 'close') draft.send({ ...message, to: 'broker', kind: 'relinquish' })
        },
      }),
  },
  'a unit’s place is free before its teardown is complete': {
    authority: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const unit of draft.all('unit'))
            if (unit.state === 'teardown' && unit.type !== '')
              draft.put('unit', { ...unit, type: '', vector: {}, slot: 0 })
        },
      }),
  },
  'what is due at a unit is skipped': {
    serviceManager: (mind) =>
      worse(mind, {
        before: (input, draft) => {
          if (input.kind !== 'due' || input.table !== 'unit') return input
          draft.put('unit', { ...draft.get('unit', input.row.id)!, due: undefined })
          return undefined
        },
      }),
  },
  'the site reads one unit more into a ticket': {
    authority: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const lease of draft.changed.get('lease')?.values() ?? []) {
            const row = lease as LeaseRow | undefined
            if (row?.state === 'pending' && row.units.length === 0)
              draft.put('lease', {
                ...row,
                due: draft.now,
                ticket: { ...row.ticket, units: row.ticket.units + 1 },
              })
          }
        },
      }),
  },
  'the outbox is lost at a restart': { restart: (rows) => rows.filter(({ table }) => table !== '$out') },
  'the numbers of conversations are lost at a restart': {
    restart: (rows) => rows.filter(({ table }) => table !== '$link'),
  },
  'what was under way is lost at a restart': {
    restart: (rows) => rows.filter(({ table }) => table !== '$effect'),
  },
  'a machine is torn down whatever runs there': {
    handler: (handler) => ({
      ...handler,
      teardown: (unit, _options, signal) => handler.teardown(unit, { force: true }, signal),
    }),
  },
}

describe('a fault that is planted is found', () => {
  for (const [fault, plants] of Object.entries(FAULTS))
    test(`${fault}, within ${SEEDS} seeds`, { timeout: 60_000 }, async () => {
      const found: string[] = []
      for (let seed = 1; seed <= SEEDS && found.length === 0; seed++)
        found.push(...(await trial({ seed, plants })).violations)
      expect(found).not.toEqual([])
    })
})
