import { describe, expect, test } from 'vitest'
import { MINUTE } from './desk.ts'
import { Holder } from './holder.ts'

/** One look at a middleware that has a node of this lease in it. */
function seen(holder: Holder, leaseId: string, responding: boolean, guest = 'g') {
  const nodes = [{ name: 'n9', mark: { leaseId, unitId: 'u9' }, responding }]
  const traces = { startedAt: holder.desk.now, nodes, launchFailed: [] }
  const look = { guest, observation: undefined, failure: undefined, traces }
  const draft = holder.desk.give({ kind: 'command', name: 'look', args: look })
  return [...draft.intended.values()].map((effect) => [effect?.verb, (effect?.args as Args).requeue])
}

type Args = { readonly requeue: boolean }

/** A lease that is closed, and of whose units an older store has no row. */
function closed(holder: Holder): string {
  const id = holder.ask()
  holder.grant(id, { conditions: { recallable: true, noticeMs: 0, graceMs: 10 * MINUTE } })
  holder.update(id, { state: 'closed' }, [])
  expect(holder.lease(id)).toMatchObject({ leaseState: 'closed', units: [] })
  return id
}

describe('a node of a lease that is over, and of whose unit an older store has no row', () => {
  test('leaves, and its jobs are let end for as long as the site does', () => {
    const holder = new Holder()
    const id = closed(holder)
    expect(seen(holder, id, false)).toEqual([['leave', false]])
    expect(holder.unit('u9')).toMatchObject({ leaseId: id, guest: 'g', state: 'leaving', mustLeave: true })
    holder.done('u9', 'leave', { kind: 'busy', jobs: ['7'] })
    const again = () => {
      const draft = holder.desk.due('unit', 'u9')
      return [...draft.intended.values()].map((effect) => [effect?.verb, (effect?.args as Args).requeue])
    }
    expect(again()).toEqual([['leave', false]])
    holder.done('u9', 'leave', { kind: 'busy', jobs: ['7'] })
    holder.desk.now = holder.lease(id).term!.end + 10 * MINUTE
    expect(again()).toEqual([['leave', true]])
    holder.done('u9', 'leave')
    expect(holder.unit('u9')).toMatchObject({ state: 'left' })
  })

  test('is removed as lost if its machine does not answer long after that', () => {
    const holder = new Holder()
    const id = closed(holder)
    seen(holder, id, true)
    holder.done('u9', 'leave', { kind: 'busy', jobs: ['7'] })
    holder.desk.now = holder.lease(id).term!.end + 10 * MINUTE
    expect(seen(holder, id, false)).toEqual([])
    holder.desk.now += MINUTE
    expect(seen(holder, id, true)).toEqual([])
    expect(seen(holder, id, false)).toEqual([['lost', true]])
    holder.done('u9', 'lost')
    expect(holder.unit('u9')).toMatchObject({ state: 'lost', settled: true })
  })

  test('is not given up because it fails to leave, and is removed with its jobs in the end', () => {
    const holder = new Holder()
    const id = closed(holder)
    seen(holder, id, true)
    const fails = (verb: string) => holder.failed('u9', verb)
    for (let i = 0; i < 3; i++) {
      if (i > 0) holder.desk.due('unit', 'u9')
      fails('leave')
    }
    expect(holder.unit('u9')).toMatchObject({ state: 'leaving', settled: false })
    holder.desk.now = holder.lease(id).term!.end + 11 * MINUTE
    expect(seen(holder, id, false)).toEqual([['lost', true]])
    holder.done('u9', 'lost')
    expect(holder.unit('u9')).toMatchObject({ state: 'lost', settled: true })
  })

  test('is left alone if its lease is nobody’s here, or another guest’s, or stands', () => {
    const holder = new Holder()
    expect(seen(holder, 'lease-unknown', false)).toEqual([])
    expect(seen(holder, closed(holder), false, 'h')).toEqual([])
    expect(seen(holder, holder.active(), false)).toEqual([])
    expect(holder.unit('u9')).toBeUndefined()
  })
})
