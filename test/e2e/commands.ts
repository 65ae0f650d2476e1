import { describe, expect, test } from 'vitest'
import { controller, openPool, type Pool, until } from './pool.ts'

interface Command {
  readonly words: readonly string[]
  readonly code: number
  /** What the one JSON value it prints looks like. */
  readonly value: object
}

async function play(pool: Pool, commands: readonly Command[]): Promise<void> {
  const ended = await Promise.all(commands.map(({ words }) => pool.ask(...words, '--json')))
  for (const [i, { words, code, value }] of commands.entries()) {
    const { code: found, out, err } = ended[i]!
    expect({ words, code: found }).toEqual({ words, code })
    expect(out).toMatch(/^[^\n]+\n$/)
    expect(JSON.parse(out)).toMatchObject(value)
    if (code === 0) expect(err).toBe('')
  }
}

const told = (...parts: readonly string[]): object => ({
  sentences: expect.arrayContaining(parts.map((part) => expect.stringContaining(part))),
})
const refused = (code: string): object => ({ error: { code, cure: expect.any(String) } })

describe.concurrent('the commands with --json', { timeout: 450_000 }, () => {
  test('print one JSON value and nothing else, of a Sublet that runs and of one that has ended', async () => {
    const pool = await openPool(controller({ min: 1, max: 2, term: '30s' }))
    const sublet = await pool.start()
    const id = await pool.submit(60)
    await until(
      'it runs',
      15_000,
      () => pool.trail(id),
      ({ length }) => length === 1,
    )
    const [lease] = (await pool.leases()).filter(({ state }) => state === 'active')
    const leaseId = lease?.id ?? ''
    const sound = { verified: true, ledgers: [{ faults: [] }, { faults: [] }, { faults: [] }] }
    const life = [
      { words: ['explain', 'lease', leaseId], code: 0, value: told('asks for', 'vm1', 'node-seconds') },
      { words: ['explain', leaseId, '--lines'], code: 0, value: told('requested', 'unit assigned') },
      { words: ['explain', 'node', 'vm1'], code: 0, value: told('the probe passed') },
      { words: ['explain', 'node', 'vm99'], code: 1, value: refused('unknown-id') },
      { words: ['ledger', '--limit', '3'], code: 0, value: [{}, {}, {}] },
      { words: ['verify'], code: 0, value: sound },
    ]
    await play(pool, [
      ...life,
      {
        words: ['status'],
        code: 0,
        value: { name: 'pool', actors: [{}, {}, {}], guests: [{ jobs: { running: 1 } }] },
      },
      { words: ['leases'], code: 0, value: [{ id: leaseId, state: 'active' }] },
      {
        words: ['nodes'],
        code: 0,
        value: [{ name: 'vm1', membership: 'joined', machine: 'active', jobs: [id] }],
      },
      { words: ['explain', 'job', id], code: 0, value: told('running on vm1') },
      { words: ['ledger', '--actor', 'nobody'], code: 1, value: refused('unknown-id') },
    ])
    expect(await pool.ask('stop', '--json')).toMatchObject({
      code: 0,
      out: `{"stopped":true,"pid":${sublet.pid},"released":false}\n`,
    })
    await play(pool, [
      ...life,
      { words: ['status'], code: 3, value: refused('not-running') },
      { words: ['explain', 'job', id], code: 3, value: refused('not-running') },
    ])
  })
})
