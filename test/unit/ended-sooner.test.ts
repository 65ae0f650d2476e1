import { expect, test } from 'vitest'
import type { LeaseRow } from '../../actors/authority/rows.ts'
import { seal } from '../../actors/runtime/envelope.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import type { UnitRow } from '../../actors/service-manager/rows.ts'
import { extend, request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

/** As it is on disk. */
const row = <T>(stage: Stage, name: string, table: string, id: string): T =>
  JSON.parse(stage.disks[name]!.rows.get(`${table}\n${id}`)!.json!) as T

/**
 * A lease of two minutes that goes on for ten more, all of which its holder gave back in a time that he has forgotten:
 * its broker tells the site of one of the tickets, while work runs on all machines.
 */
async function givenBack(which: 'ticket' | 'next') {
  const stage = new Stage()
  await stage.begins()
  await stage.wishes([request({ durationMs: 120_000 })])
  await stage.runs(40)
  const { id } = stage.leases()[0]!
  await stage.wishes([extend(id, { durationMs: 600_000 })])
  await stage.runs(5)
  const lease = row<LeaseRow>(stage, 'site', 'lease', id)
  const ticket = lease[which]!
  const { now } = stage.world
  const letter = {
    ...{ id: 'message-forgotten', from: 'manager', to: 'broker', kind: 'relinquish', subject: id, number: 9 },
    ...{ body: { reason: 'done' }, sentAt: now, until: now + 60_000 },
  }
  const proof = requestProof(seal(letter, stage.identity('manager'), { generation: 0, seq: 9 }))
  const tickets = [{ ticketId: ticket.id, leaseId: id, until: ticket.term.end, proof }]
  await stage.slips({
    ...{ from: 'broker', to: 'site', kind: 'tickets-returned', subject: 'returned' },
    body: { tickets },
  })
  return { stage, lease, at: now }
}

/** When the work of each unit is put back into the queue, should it not have ended before. */
const requeued = (stage: Stage, { units }: LeaseRow) =>
  units.map((id) => row<UnitRow>(stage, 'manager', 'unit', id).requeueFrom!)

test('work on a lease that its site ends at once has the grace, and is put back before it is cut off', async () => {
  const { stage, lease, at } = await givenBack('ticket')
  await stage.runs(5)
  const { graceMs } = lease.ticket.conditions
  for (const from of requeued(stage, lease)) {
    expect(from).toBeGreaterThan(at)
    expect(from).toBeLessThan(at + graceMs)
  }
})

test('work on a lease whose extension its site undoes is put back before it is cut off at the old end', async () => {
  const { stage, lease } = await givenBack('next')
  const { end } = lease.ticket.term
  const { graceMs } = lease.ticket.conditions
  await stage.runs((end - stage.world.now) / 1_000 + 1)
  for (const from of requeued(stage, lease)) {
    expect(from).toBeGreaterThan(end)
    expect(from).toBeLessThan(end + graceMs)
  }
})
