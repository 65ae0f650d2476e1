import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkpointNote } from '../../actors/runtime/checkpoint.ts'
import { chain, type LedgerEntry, type LedgerNote } from '../../actors/runtime/commit.ts'
import { ed25519Identity, generateKeys, publicKeyOf } from '../../actors/runtime/identity.ts'
import { decodeRow, encodeRow, type Row } from '../../actors/runtime/rows.ts'
import { ledgerArchive } from '../../adapters/sqlite/archive.ts'
import { readRow, whileLocked } from '../../adapters/sqlite/copy.ts'
import { sqliteStore } from '../../adapters/sqlite/store.ts'
import type { KeptStore } from '../../adapters/store.ts'
import { fingerprint } from '../../deploy/peers/keys.ts'
import { explainLease, linesOf, openLedgers, verifyAll, verifyLines } from '../../deploy/reports/ledgers.ts'
import { archiveLedger } from '../../deploy/upkeep/archiving.ts'
import { backUp } from '../../deploy/upkeep/backup.ts'
import { ownStore } from '../../deploy/upkeep/own-store.ts'
import { planRepair, repairRows } from '../../deploy/upkeep/repair.ts'
import { refuseHalfRestored, restore } from '../../deploy/upkeep/restore.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-kept-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const HOUR = 3_600_000
const START = Date.UTC(2026, 10, 25)
let now = START
const clock = { now: () => now, monotonic: () => now, after: () => () => undefined }
const site = ed25519Identity('site', generateKeys().privateKey)
const file = (actor: string): string => join(dir, `${actor}.db`)

/** A store to which lines are added; `checkpoint` is one that is signed. */
async function opened(actor: string): Promise<
  KeptStore & {
    add(...notes: (LedgerNote | 'checkpoint')[]): Promise<void>
    put(...rows: [string, Row][]): Promise<void>
  }
> {
  const store = sqliteStore(file(actor), clock)
  let { head } = await store.open()
  return {
    ...store,
    async add(...notes) {
      const ledger: LedgerEntry[] = []
      for (const note of notes) {
        const entry = chain(note === 'checkpoint' ? checkpointNote(head, site) : note, now, actor, head)
        ledger.push(entry)
        head = entry
      }
      await store.commit({ rows: [], ledger })
    },
    async put(...rows) {
      await store.commit({ rows: rows.map(([table, row]) => encodeRow(table, row.id, row)), ledger: [] })
    },
  }
}

const said = (n: number, subject = 'lease-1'): LedgerNote => ({ kind: 'said', subject, reason: `word ${n}` })
const started: LedgerNote = {
  kind: 'started',
  subject: 'site',
  reason: 'the site begins epoch 1',
  data: { hosts: [{ name: 'a', capacity: { cpu: 4 } }] },
}

describe('a ledger of which old lines are archived', () => {
  const policy = { now: START + 40 * HOUR, keptMs: 30 * HOUR }

  async function archived(): Promise<LedgerEntry[]> {
    now = START
    const store = await opened('site')
    await store.add(started, said(1), said(2), 'checkpoint', said(3, 'lease-2'))
    now = START + 20 * HOUR
    await store.add('checkpoint', said(4), said(5), 'checkpoint', said(6))
    const all = [...(await store.entries({ afterSeq: 0, limit: 100 }))]
    const archive = ledgerArchive(join(dir, 'archive'), 'site')
    now = START + 40 * HOUR
    expect(await archiveLedger(store, archive, policy)).toMatchObject({
      ranges: [{ first: 1, last: 9 }],
      base: 0,
    })
    await store.close()
    return all
  }

  test('is put away up to its last checkpoint; nothing leaves that is not old enough', async () => {
    const all = await archived()
    const archive = ledgerArchive(join(dir, 'archive'), 'site')
    expect(await archive.entries({ afterSeq: 0, limit: 100 })).toEqual(all.slice(0, 9))
    expect(await archive.entries({ afterSeq: 3, limit: 2 })).toEqual(all.slice(3, 5))
    expect(await archive.entries({ afterSeq: 0, limit: 100, subject: 'lease-2' })).toEqual([all[4]])
    expect(archive.ranges()[0]).toMatchObject({ hash: all[8]!.hash, from: START, to: START + 20 * HOUR })
  })

  test('loses them from the database when they are, and is one ledger all the same', async () => {
    const all = await archived()
    const store = await opened('site')
    now = START + 60 * HOUR
    await archiveLedger(store, ledgerArchive(join(dir, 'archive'), 'site'), { ...policy, now })
    expect(store.base()).toMatchObject({ seq: 9 })
    expect(await store.entries({ afterSeq: 0, limit: 100 })).toEqual(all.slice(9))
    await store.add(said(7), 'checkpoint')
    await store.close()
    const again = sqliteStore(file('site'), clock)
    expect((await again.open()).head.seq).toBe(12)
    await again.close()
    const { ledgers, close } = await openLedgers(dir)
    expect(await verifyAll(ledgers)).toMatchObject([
      { actor: 'site', entries: 12, faults: [], checkpoints: { count: 4, signedTo: 11, unsigned: 0 } },
    ])
    expect(await explainLease(ledgers, 'lease-1', undefined)).toHaveLength(6)
    expect((await linesOf(ledgers, { limit: 4 })).map(({ seq }) => seq)).toEqual([9, 10, 11, 12])
    await close()
  })

  test('is not verified when an archive is altered or missing', async () => {
    await archived()
    const store = await opened('site')
    await archiveLedger(store, ledgerArchive(join(dir, 'archive'), 'site'), {
      ...policy,
      now: START + 60 * HOUR,
    })
    await store.close()
    const path = join(dir, 'archive', 'site-000000001.jsonl.gz')
    const whole = readFileSync(path)
    writeFileSync(path, whole.subarray(1))
    const other = await opened('other')
    await other.add(said(1))
    await other.close()
    writeFileSync(file('third'), 'no database at all')
    const first = await openLedgers(dir)
    expect(await verifyAll(first.ledgers)).toMatchObject([
      { actor: 'other', entries: 1, faults: [] },
      { actor: 'site', faults: [{ seq: 1, sentence: expect.stringContaining(path) }] },
      { actor: 'third', faults: [{ seq: 1, sentence: expect.stringContaining('third.db is damaged') }] },
    ])
    await first.close()
    rmSync(file('third'))
    rmSync(join(dir, 'archive'), { recursive: true })
    const second = await openLedgers(dir)
    const [, verdict] = await verifyAll(second.ledgers)
    expect(verdict?.faults[0]?.sentence).toBe('line 10 follows line 0: lines are missing or swapped')
    await second.close()
  })

  test('without a checkpoint stays where it is', async () => {
    const store = await opened('site')
    await store.add(started, said(1))
    const archive = ledgerArchive(join(dir, 'archive'), 'site')
    expect(await archiveLedger(store, archive, policy)).toEqual({ ranges: [], base: 0 })
    await store.close()
  })

  test('can be exported, and what was exported is verified as it is', async () => {
    const all = await archived()
    async function* lines(entries: readonly LedgerEntry[]) {
      yield* entries
    }
    expect(await verifyLines(lines(all))).toMatchObject([{ actor: 'site', entries: 10, faults: [] }])
    const [cut] = await verifyLines(lines(all.toSpliced(4, 1)))
    expect(cut?.faults).not.toEqual([])
  })
})

test('a database has one owner, by whatever name it goes', async () => {
  const store = await opened('site')
  await store.close()
  symlinkSync(file('site'), file('other'))
  const owner = sqliteStore(file('other'), clock)
  await owner.open()
  await expect(sqliteStore(file('site'), clock).open()).rejects.toMatchObject({ code: 'store-locked' })
  await owner.close()
  const direct = sqliteStore(file('site'), clock)
  await direct.open()
  await expect(sqliteStore(file('other'), clock).open()).rejects.toMatchObject({ code: 'store-locked' })
  await expect(whileLocked([file('other')], async () => undefined)).rejects.toMatchObject({
    code: 'store-locked',
  })
  await direct.close()
})

test('a database that was put in the place of another is not opened', async () => {
  const store = await opened('broker')
  await store.add(started)
  await store.close()
  renameSync(file('broker'), file('site'))
  const mistaken = ownStore(sqliteStore(file('site'), clock), 'site')
  await expect(mistaken.open()).rejects.toMatchObject({
    code: 'store-corrupt',
    message: expect.stringContaining('is that of broker'),
  })
  const right = ownStore(sqliteStore(file('site'), clock), 'broker')
  await right.open()
  await right.close()
})

test('rows of one that is its own are handed over while they are read', async () => {
  const store = await opened('site')
  await store.add(started)
  await store.put(['unit', { id: 'unit-1' }], ['unit', { id: 'unit-2' }])
  await store.close()
  const own = ownStore(sqliteStore(file('site'), clock), 'site')
  const taken: string[] = []
  expect((await own.open(({ ids }) => taken.push(...ids))).rows).toEqual([])
  expect(taken).toEqual(['unit-1', 'unit-2'])
  await own.close()
})

describe('a backup', () => {
  async function filled(): Promise<void> {
    const store = await opened('site')
    await store.add(started, said(1))
    await store.put(
      ['$meta', { id: 'meta', ...{ epoch: 3, attempt: 4, outSeq: 5 } }],
      ['unit', { id: 'unit-1' }],
    )
    await store.close()
    const broker = await opened('broker')
    await broker.add({ ...started, reason: 'the broker begins epoch 1' })
    await broker.close()
  }

  test('is taken while others write, is whole, and says what is in it', async () => {
    await filled()
    const store = await opened('site')
    let n = 0
    let going = true
    const writing = (async () => {
      while (going) await store.add(said(++n))
    })()
    const { folder, manifest } = await backUp(dir, undefined, clock)
    going = false
    await writing
    await store.close()
    expect(readdirSync(folder).toSorted()).toEqual(['broker.db', 'manifest.json', 'site.db'])
    expect(manifest.actors.map(({ name, rows }) => [name, rows])).toEqual([
      ['broker', 0],
      ['site', 2],
    ])
    const copy = sqliteStore(join(folder, 'site.db'), clock)
    expect((await copy.open()).head).toEqual(manifest.actors[1]!.head)
    await copy.close()
  })

  test('put back marks each actor as restored, and keeps what was there', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const store = await opened('site')
    await store.add(said(2), said(3))
    await store.put(['unit', { id: 'unit-2' }])
    await store.close()
    now = START + 6 * HOUR
    const { replaced, actors } = await restore(dir, folder, { clock })
    expect(actors).toEqual(['broker', 'site'])
    const restored = sqliteStore(file('site'), clock)
    const { rows, head } = await restored.open()
    await restored.close()
    expect(head.seq).toBe(2)
    expect(rows.map((row) => decodeRow(row)).find(({ id }) => id === 'meta')).toMatchObject({
      ...{ epoch: 3, attempt: 4, outSeq: 5 },
      restored: { at: now, from: expect.stringContaining('2026-11-2') },
    })
    expect(rows.map((row) => decodeRow(row).id)).not.toContain('unit-2')
    expect(readRow(join(replaced, 'site.db'), 'unit', 'unit-2')).toEqual({ id: 'unit-2' })
    expect(readdirSync(dir)).not.toContain('restoring')
  })

  test('of one actor leaves the others alone', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const before = readFileSync(file('broker'))
    await restore(dir, folder, { only: 'site', clock })
    expect(readFileSync(file('broker')).equals(before)).toBe(true)
    await expect(restore(dir, folder, { only: 'nobody', clock })).rejects.toMatchObject({
      code: 'unknown-id',
    })
  })

  test('is not put back where one of its actors does not run, and it is said who is where', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const before = readFileSync(file('broker'))
    for (const only of [undefined, 'site'])
      await expect(
        restore(dir, folder, { clock, here: ['broker', 'manager'], ...(only && { only }) }),
      ).rejects.toMatchObject({
        code: 'unknown-id',
        message: 'site of the backup is no actor here',
        cure: expect.stringContaining('The backup has broker, site; here there is broker, manager.'),
      })
    expect(readFileSync(file('broker')).equals(before)).toBe(true)
    expect((await restore(dir, folder, { clock, here: ['broker'], only: 'broker' })).actors).toEqual([
      'broker',
    ])
  })

  test('is not put back while somebody has the databases, and nothing is changed', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const store = await opened('site')
    await expect(restore(dir, folder, { clock })).rejects.toMatchObject({
      code: 'store-locked',
      cure: expect.stringContaining(`\`sublet stop --dir ${dir}\``),
    })
    await store.add(said(9))
    await store.close()
    expect(existsSync(join(dir, 'restoring'))).toBe(false)
  })

  test('that is not whole is refused', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const bytes = readFileSync(join(folder, 'site.db'))
    const spoil = async (change: (to: string) => void): Promise<void> => {
      const to = mkdtempSync(join(dir, 'spoilt-'))
      cpSync(folder, to, { recursive: true })
      change(to)
      await expect(restore(dir, to, { clock })).rejects.toMatchObject({ code: 'backup-damaged' })
    }
    await spoil((to) => rmSync(join(to, 'manifest.json')))
    await spoil((to) => rmSync(join(to, 'site.db')))
    await spoil((to) => writeFileSync(join(to, 'manifest.json'), '{}'))
    await spoil((to) => writeFileSync(join(to, 'site.db'), bytes.with(bytes.length - 1, 7)))
    await expect(backUp(dir, folder, clock)).rejects.toMatchObject({ code: 'usage' })
  })

  test('is not put where a file is, nor below one', async () => {
    await filled()
    const taken = join(dir, 'taken')
    writeFileSync(taken, 'kept')
    for (const to of [taken, join(taken, 'b')])
      await expect(backUp(dir, to, clock)).rejects.toMatchObject({
        ...{ code: 'usage', cure: 'Name a new folder with --to FOLDER.' },
      })
    expect(readFileSync(taken, 'utf8')).toBe('kept')
  })

  test('put back by half keeps Sublet from starting until it is put back whole', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const work = join(dir, 'restoring')
    cpSync(folder, work, { recursive: true })
    writeFileSync(join(work, 'journal.json'), '{}')
    rmSync(file('site'))
    expect(() => refuseHalfRestored(dir)).toThrow('was interrupted')
    await restore(dir, folder, { clock })
    expect(() => refuseHalfRestored(dir)).not.toThrow()
    expect(existsSync(file('site'))).toBe(true)
  })

  test('is neither taken of a folder that was restored by half, nor is that repaired', async () => {
    await filled()
    await interrupted({ actors: ['site'] })
    const refused = { code: 'store-failed', message: expect.stringContaining('interrupted') }
    await expect(backUp(dir, join(dir, 'b'), clock)).rejects.toMatchObject(refused)
    await expect(planRepair(dir, clock)).rejects.toMatchObject(refused)
    await expect(repairRows(dir, clock)).rejects.toMatchObject(refused)
  })

  test('of one actor does not end the restore of another that was interrupted', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    await interrupted({ actors: ['broker', 'site'] })
    const refused = { code: 'usage', message: expect.stringContaining('interrupted') }
    await expect(restore(dir, folder, { only: 'site', clock })).rejects.toMatchObject(refused)
    expect(() => refuseHalfRestored(dir)).toThrow('was interrupted')
    await interrupted({})
    await expect(restore(dir, folder, { only: 'site', clock })).rejects.toMatchObject(refused)
    await interrupted({ actors: ['site'] })
    await restore(dir, folder, { only: 'site', clock })
    expect(() => refuseHalfRestored(dir)).not.toThrow()
  })

  test('is put back twice within a second', async () => {
    await filled()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const first = await restore(dir, folder, { clock })
    const second = await restore(dir, folder, { clock })
    expect(second.replaced).not.toBe(first.replaced)
    expect(existsSync(join(first.replaced, 'site.db'))).toBe(true)
  })

  async function interrupted(journal: object): Promise<void> {
    mkdirSync(join(dir, 'restoring'), { recursive: true })
    writeFileSync(join(dir, 'restoring', 'journal.json'), JSON.stringify(journal))
  }

  test('takes archives that go beyond it aside', async () => {
    const store = await opened('site')
    await store.add(started, 'checkpoint')
    await store.close()
    const { folder } = await backUp(dir, join(dir, 'b'), clock)
    const again = await opened('site')
    await again.add(said(1), 'checkpoint', said(2))
    const archive = ledgerArchive(join(dir, 'archive'), 'site')
    await archiveLedger(again, archive, { now: now + 9 * HOUR, keptMs: HOUR })
    await again.close()
    const { replaced } = await restore(dir, folder, { clock })
    expect(archive.ranges()).toEqual([])
    expect(
      readdirSync(replaced).filter((name) => name.includes('archive') || name.endsWith('.gz')),
    ).toHaveLength(2)
    const { ledgers, close } = await openLedgers(dir)
    expect(await verifyAll(ledgers)).toMatchObject([{ entries: 2, faults: [] }])
    await close()
  })
})

describe('a row that does not fit its checksum', () => {
  const assigned: LedgerNote = {
    ...{ kind: 'unit assigned', subject: 'unit-1', reason: 'best fit' },
    data: {
      ...{
        leaseId: 'lease-1',
        holder: 'manager',
        type: 'small',
        image: 'debian',
        name: 'vm1',
        host: 'a',
        slot: 1,
      },
      vector: { cpu: 1 },
    },
  }
  const spoil = (actor: string, table: string, id: string): void => {
    const database = new DatabaseSync(file(actor))
    database.prepare("UPDATE row SET json = json || ' ' WHERE tbl = ? AND id = ?").run(table, id)
    database.close()
  }

  async function spoilt(...rows: [string, Row][]): Promise<void> {
    const store = await opened('site')
    await store.add(started, assigned)
    await store.put(['$meta', { id: 'meta', ...{ epoch: 3, attempt: 4, outSeq: 5 } }], ...rows)
    await store.close()
    for (const [table, { id }] of rows) spoil('site', table, id)
    await expect(sqliteStore(file('site')).open()).rejects.toMatchObject({ code: 'store-corrupt' })
  }

  test('of a unit is rebuilt as held, after it was said what would be done, with a line in the ledger', async () => {
    await spoilt(['unit', { id: 'unit-1' }])
    const plan = await planRepair(dir, clock)
    expect(plan).toEqual([
      {
        actor: 'site',
        rows: [{ table: 'unit', id: 'unit-1', how: 'rebuilt', what: 'rebuilt: vm1 on a, held for lease-1' }],
      },
    ])
    await expect(sqliteStore(file('site')).open()).rejects.toMatchObject({ code: 'store-corrupt' })
    expect(await repairRows(dir, clock)).toEqual(plan)
    const store = sqliteStore(file('site'))
    const { rows, head } = await store.open()
    await store.close()
    expect(rows.map((row) => decodeRow(row)).find(({ id }) => id === 'unit-1')).toMatchObject({
      ...{ state: 'suspect', slot: 1, host: 'a', holder: 'manager', leaseId: 'lease-1', wasActive: true },
    })
    expect(head.seq).toBe(3)
    const { ledgers, close } = await openLedgers(dir)
    expect(await verifyAll(ledgers)).toMatchObject([{ faults: [], entries: 3 }])
    await close()
    expect(await planRepair(dir, clock)).toEqual([{ actor: 'site', rows: [] }])
  })

  describe('of a ticket', () => {
    const ticketOf = (id: string, start: number, end: number) => ({
      ...{
        id,
        leaseId: 'lease-1',
        holder: 'manager',
        site: 'site',
        type: 'small',
        units: 2,
        broker: 'broker',
      },
      ...{ term: { start, end }, predecessor: null, issuedAt: START, signature: 'x' },
      conditions: { recallable: false, noticeMs: 0, graceMs: 0 },
    })
    const broker: LedgerNote = { ...started, reason: 'the broker begins epoch 1' }
    const granting = (kind: string, id = 'ticket-1', from = START): LedgerNote => ({
      ...{ kind, subject: 'lease-1', reason: 'two units' },
      data: { ticket: ticketOf(id, from, from + 9 * HOUR) },
    })

    async function rebuilt(...notes: LedgerNote[]): Promise<Row | undefined> {
      now = START
      const store = await opened('broker')
      await store.add(broker, ...notes)
      await store.put(['ticket', { id: 'lease-1' }])
      await store.close()
      spoil('broker', 'ticket', 'lease-1')
      await repairRows(dir, clock)
      return readRow(file('broker'), 'ticket', 'lease-1')
    }

    test('is not taken to be free because somebody else asked under its id', async () => {
      const refused = { kind: 'refused', subject: 'lease-1', reason: 'eve: the lease id lease-1 is in use' }
      expect(await rebuilt(granting('ticket granted'), refused)).toMatchObject({
        state: 'granted',
        holder: 'manager',
        tickets: [{ id: 'ticket-1', units: 2 }],
      })
    })

    test('that was adopted after a restore counts as one that was granted', async () => {
      expect(await rebuilt(granting('ticket adopted'))).toMatchObject({ tickets: [{ id: 'ticket-1' }] })
    })

    test('is rebuilt with its extension, in whatever order they were adopted', async () => {
      const row = await rebuilt(
        granting('ticket adopted', 'ticket-2', START + 9 * HOUR),
        granting('ticket adopted'),
      )
      expect(row).toMatchObject({ tickets: [{ id: 'ticket-1' }, { id: 'ticket-2' }] })
    })

    test('is rebuilt without an extension that its holder gave back unused', async () => {
      const unused = { kind: 'extension unused', subject: 'lease-1', reason: 'given back' }
      const granted = [granting('ticket granted'), granting('ticket granted', 'ticket-2', START + 9 * HOUR)]
      const row = await rebuilt(...granted, { ...unused, data: { ticketId: 'ticket-2' } })
      expect(row).toMatchObject({ tickets: [{ id: 'ticket-1' }], due: START + 9 * HOUR + 600_000 })
      // Lines of older programs do not say which one it was: it counts.
      expect(await rebuilt(...granted, unused)).toMatchObject({ tickets: [{}, { id: 'ticket-2' }] })
    })

    test('that was given back stays so', async () => {
      const closed = { kind: 'ticket closed', subject: 'lease-1', reason: 'given back' }
      expect(await rebuilt(granting('ticket granted'), closed)).toBeUndefined()
    })
  })

  test('is not repaired in a layout that another version wrote', async () => {
    for (const [version, code, cure] of [
      [99, 'store-newer', 'newer'],
      [2, 'store-failed', 'Start Sublet once'],
    ] as const) {
      await spoilt(['unit', { id: 'unit-1' }])
      const database = new DatabaseSync(file('site'))
      database.prepare("UPDATE meta SET value = ? WHERE key = 'version'").run(version)
      database.close()
      await expect(repairRows(dir, clock)).rejects.toMatchObject({
        code,
        cure: expect.stringContaining(cure),
      })
      rmSync(file('site'))
    }
  })

  test('of a conversation is dropped, and its actor asks its peers as one that was restored', async () => {
    await spoilt(['$link', { id: 'manager lease-1' }])
    await repairRows(dir, clock)
    expect(readRow(file('site'), '$link', 'manager lease-1')).toBeUndefined()
    expect(readRow(file('site'), '$meta', 'meta')).toMatchObject({ epoch: 3, restored: { at: now } })
  })

  test('of an effect is dropped, and its unit waits for nothing', async () => {
    const store = await opened('site')
    await store.add(started)
    await store.put(['$effect', { id: 'unit-1' }], ['unit', { id: 'unit-1', ...{ doing: 'setup' } }])
    await store.close()
    spoil('site', '$effect', 'unit-1')
    await repairRows(dir, clock)
    expect(readRow(file('site'), 'unit', 'unit-1')).toEqual({ id: 'unit-1', due: now })
  })

  test('that the ledger does not tell of is left, and so are the others', async () => {
    await spoilt(['unit', { id: 'unit-1' }], ['offer', { id: 'small' }])
    const plan = await repairRows(dir, clock)
    expect(plan[0]?.rows.map(({ how }) => how).toSorted()).toEqual(['impossible', 'rebuilt'])
    await expect(sqliteStore(file('site')).open()).rejects.toMatchObject({ code: 'store-corrupt' })
  })

  test('is not rebuilt from a ledger that was altered, nor while somebody has the database', async () => {
    await spoilt(['unit', { id: 'unit-1' }])
    const database = new DatabaseSync(file('site'))
    database.exec("UPDATE ledger SET json = replace(json, 'epoch 1', 'epoch 9') WHERE seq = 1")
    await expect(repairRows(dir, clock)).rejects.toMatchObject({ code: 'store-corrupt' })
    database.exec("UPDATE ledger SET json = replace(json, 'epoch 9', 'epoch 1') WHERE seq = 1")
    database.close()
    const lock = new DatabaseSync(`${file('site')}.lock`)
    lock.exec('BEGIN EXCLUSIVE')
    await expect(repairRows(dir, clock)).rejects.toMatchObject({
      code: 'store-locked',
      cure: expect.stringContaining(`\`sublet stop --dir ${dir}\``),
    })
    lock.close()
  })
})

const bin = join(import.meta.dirname, '../../deploy/bin.js')

test('the commands say what they did, with exit codes', async () => {
  const store = await opened('site')
  await store.add(started, 'checkpoint')
  await store.close()
  const sublet = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, [bin, ...args, '--dir', dir])
    return stdout
  }
  const to = join(dir, 'b')
  expect(await sublet('backup', '--to', to)).toContain(`backed up to ${to}\n`)
  // Whatever the copy is, and whatever the umask of whoever restores: nobody else reads a database.
  chmodSync(join(to, 'site.db'), 0o644)
  expect(await sublet('restore', to)).toContain('site restored; what was there before is in ')
  expect(statSync(join(dir, 'site.db')).mode & 0o777).toBe(0o600)
  expect(await sublet('repair', '--from-ledger')).toBe(
    'every row fits its checksum; nothing is to be repaired\n',
  )
  expect(await sublet('usage', '--csv')).toBe('guest,granted_s,held_s,joined_s,to_come_s\n')
  const lines = join(dir, 'lines')
  writeFileSync(lines, await sublet('ledger', '--export'))
  const verify = (...args: string[]) => promisify(execFile)(process.execPath, [bin, 'verify', ...args])
  expect((await verify('--file', lines)).stdout).toBe(
    `site: 2 lines, unbroken, signed up to line 1 with the key ${fingerprint(site.key)}, which nobody vouches for here\nverified: 2 lines\n`,
  )
  const ours = 'site: 2 lines, unbroken, signed up to line 1 with its key\nverified: 2 lines\n'
  expect((await verify('--file', lines, '--key', site.key)).stdout).toBe(ours)
  const other = publicKeyOf(generateKeys().publicKey)
  await expect(verify('--file', lines, '--key', other)).rejects.toMatchObject({
    ...{ code: 5, stdout: expect.stringContaining(`signed with the key ${site.key}, which site is not`) },
  })
  expect((await verify('--file', lines, '--key', other, '--key', site.key)).stdout).toBe(ours)
  await expect(verify('--file', lines, '--key', 'nonsense')).rejects.toMatchObject({ code: 2 })
  await expect(verify('--dir', dir, '--key', site.key)).rejects.toMatchObject({ code: 2 })
  mkdirSync(join(dir, 'keys'))
  writeFileSync(join(dir, 'keys', 'site.pub'), `${site.key}\n`)
  expect(await sublet('verify')).toBe(ours)
  expect((await verify('--file', lines, '--dir', dir)).stdout).toBe(ours)
  writeFileSync(lines, readFileSync(lines, 'utf8').replace('epoch 1', 'epoch 2'))
  await expect(verify('--file', lines)).rejects.toMatchObject({ code: 5 })
}, 180_000)

test('usage does not say of what no ledger here tells that it was nothing', async () => {
  const store = await opened('broker')
  const term = { start: START, end: START + HOUR }
  await store.add({
    kind: 'ticket granted',
    subject: 'lease-1',
    reason: 'r',
    data: { units: 1, site: 'rack', term },
  })
  await store.close()
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [bin, 'usage', '--dir', dir])
  expect(stdout).toMatch(/^\(unknown\) +3600\.000 +- +-$/m)
  expect(stderr).toContain('the ledgers of broker are here; what was held is in that of a site')
  const asJson = await promisify(execFile)(process.execPath, [bin, 'usage', '--json', '--dir', dir])
  expect(JSON.parse(asJson.stdout)).toMatchObject({ usage: [{ grantedS: 3600, heldS: null, joinedS: null }] })
  const told = await promisify(execFile)(process.execPath, [bin, 'explain', 'lease', 'lease-1', '--dir', dir])
  expect(told.stdout).toContain('Only the ledger of broker is here')
})
