import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { syncFile, writeDurably } from '../durable-file.ts'
import type { UnitSpec } from '../handler.ts'
import { makeFolder } from '../make-folder.ts'
import { asFields, count, type Fields, text } from './fields.ts'
import type { LeaseEnd } from './machine-deadman.ts'
import { bootId, type MachineMark, type MarkedProcess } from './machine-marks.ts'

/** What chance has in store for one start of a machine. */
export interface Boot {
  readonly bootMs: Millis
  readonly luck: 'boots' | 'fails' | 'hangs'
}

/** Compiled code of the supervisor, shared by all machines of a site; it starts three times as fast. */
const COMPILED = '.compiled'

/** The folder of a site, with one folder for each of its machines; what is in there is drawn in supervisor.ts. */
export interface MachineFolders {
  readonly site: string
  readonly compiled: string
  unitIds(): readonly string[]
  of(unitId: string): MachineFolder
}

/** What the site gave it. */
export type MachinePlace = Pick<UnitSpec, 'slot' | 'host' | 'vector'>

export interface MachineFolder {
  readonly path: string
  readonly socket: string
  readonly work: string
  readonly console: string
  /** Who the machine is, as far as its file is there. */
  unit(): { readonly leaseId: string; readonly name: string; readonly nonce: string } | undefined
  /** What it takes up, as far as its file is there. */
  place(): MachinePlace | undefined
  /** What its dead-man was told last, as far as its file is there. */
  end(): LeaseEnd | undefined
  /** Makes what a new start needs; the process of an earlier start has ended. */
  prepare(mark: MachineMark, boot: Boot, end: LeaseEnd, place: MachinePlace): void
  /** Writes down who a machine is that was found without a file. */
  remember(mark: MachineMark): void
  /**
   * Whether this live process is the machine that the files speak of. A file that is lost, or not yet
   * written, speaks of none; then the marks alone have to do, and the nonce asked over the socket.
   */
  speaksOf(supervisor: MarkedProcess): boolean
  /** `JOB.ATTEMPT` of those that began and have no result. */
  openParts(): readonly string[]
  lastWords(): string
  remove(): void
}

export function machineFolders(dir: string): MachineFolders {
  makeFolder(dir, 0o700)
  const site = realpathSync(dir)
  return {
    site,
    compiled: join(site, COMPILED),
    unitIds: () =>
      readdirSync(site, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() && entry.name !== COMPILED ? [entry.name] : [],
      ),
    of(unitId) {
      if (!/^[a-z0-9][a-z0-9._-]*$/i.test(unitId))
        throw new SubletError('bad-property', `The unit id “${unitId}” cannot be the name of a folder.`)
      return machineFolder(site, unitId)
    },
  }
}

function machineFolder(site: string, unitId: string): MachineFolder {
  const path = join(site, unitId)
  const file = (name: string): string => join(path, name)

  function read(name: string): Fields | undefined {
    if (!existsSync(file(name))) return undefined
    try {
      return asFields(name, JSON.parse(readFileSync(file(name), 'utf8')))
    } catch (error) {
      throw new SubletError('machine-setup', `The file ${file(name)} cannot be read.`, {
        cause: error,
        cure: 'Tear the machine down; its processes are found without the file.',
      })
    }
  }

  function unit(): { leaseId: string; name: string; nonce: string } | undefined {
    const from = read('unit.json')
    return from && { leaseId: text(from, 'leaseId'), name: text(from, 'name'), nonce: text(from, 'nonce') }
  }

  function write({ leaseId, name, nonce }: MachineMark, { bootMs, luck }: Boot): void {
    writeDurably(file('unit.json'), { site, unitId, leaseId, name, nonce, bootMs, luck })
  }

  return {
    path,
    socket: file('s'),
    work: file('work'),
    console: file('console.log'),
    unit,
    place() {
      if (!existsSync(file('place.json'))) return undefined
      try {
        const from = asFields('place.json', JSON.parse(readFileSync(file('place.json'), 'utf8')))
        const vector = asFields('vector', from.vector)
        const amounts = Object.keys(vector).map((dimension) => [dimension, count(vector, dimension)])
        return { slot: count(from, 'slot'), host: text(from, 'host'), vector: Object.fromEntries(amounts) }
      } catch {
        // Without it the machine is found all the same; only where it is placed is not told.
        return undefined
      }
    },
    end() {
      if (!existsSync(file('end.json'))) return undefined
      try {
        const from = asFields('end.json', JSON.parse(readFileSync(file('end.json'), 'utf8')))
        return { endsAt: count(from, 'endsAt'), graceMs: count(from, 'graceMs') }
      } catch {
        // Without it the machine is found all the same; only how long it is promised is not told.
        return undefined
      }
    },
    prepare(mark, boot, end, place) {
      mkdirSync(file('work'), { recursive: true, mode: 0o700 })
      writeDurably(file('place.json'), { ...place, vector: { ...place.vector } })
      rmSync(file('identity.json'), { force: true })
      writeDurably(file('end.json'), end)
      write(mark, boot)
      syncFile(site)
    },
    remember: (mark) => write(mark, { bootMs: 0, luck: 'boots' }),
    speaksOf({ nonce, leaseId, pid, startTicks }) {
      const said = unit()
      const identity = read('identity.json')
      return (
        (said === undefined || (said.nonce === nonce && said.leaseId === leaseId)) &&
        (identity === undefined ||
          (text(identity, 'nonce') === nonce &&
            count(identity, 'pid') === pid &&
            count(identity, 'startTicks') === startTicks &&
            text(identity, 'bootId') === bootId()))
      )
    },
    openParts() {
      const files = existsSync(file('jobs')) ? readdirSync(file('jobs')) : []
      const begun = files.flatMap((name) => /^(.*)\.start$/.exec(name)?.[1] ?? [])
      return begun.filter((part) => !files.includes(`${part}.end`))
    },
    lastWords: () =>
      existsSync(file('console.log'))
        ? (readFileSync(file('console.log'), 'utf8').trimEnd().split('\n').at(-1) ?? '')
        : '',
    remove() {
      if (!existsSync(path)) return
      // Who the machine was goes last, so that a removal cut short is found again.
      for (const name of readdirSync(path))
        if (name !== 'unit.json') rmSync(file(name), { recursive: true, force: true })
      rmSync(path, { recursive: true, force: true })
    },
  }
}
