import { readFile } from 'node:fs/promises'
import { deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Executor } from '../executor.ts'
import type { FoundMachine, Handler, ProbeOutcome, UnitFacts, UnitSpec } from '../handler.ts'
import { make, reach } from './birth.ts'
import { type Process, unlessAbsent } from './cgroups.ts'
import { missing } from './check.ts'
import type { NamespaceMachinesConfig } from './config.ts'
import { confirmed, endIn, giveOrder, giveProperties } from './dead-man.ts'
import { end } from './end.ts'
import { inside } from './inside.ts'
import { addressOf, greetingOf, type Mark, markOf, readMark } from './names.ts'
import { environmentOf, livingInit, readRecord } from './record.ts'
import { type NamespaceDeps, openSite } from './site.ts'
import { thawGuard } from './thaw-guard.ts'

/** What tests and labs do to a machine besides the contract. */
export interface NamespaceMachines extends Handler {
  /** Runs commands inside the machine, as its root. */
  inside(unit: Pick<UnitSpec, 'unitId' | 'leaseId'>): Promise<Executor>
  /** Stops and goes on as a suspended machine does; it does not know. */
  freeze(unitId: string, signal: AbortSignal): Promise<void>
  thaw(unitId: string): Promise<void>
  /** What pulling the plug does: nothing inside gets to tidy up. */
  powerCut(unitId: string): Promise<void>
}

const FREEZE_MS: Millis = 2000
const WATCH_EVERY_MS: Millis = 500
/** Undoing a setup that failed must not take as long as the setup. */
const UNDO_MS: Millis = 10_000
/**
 * Machines of Linux namespaces: own network with an address in the site's bridge, own processes, mounts,
 * host name and IPC; a root laid over the host's own or an image's, kept in memory; an sshd.
 *
 *   setup     record ─▶ cgroups ─▶ boot.sh (enter.sh ─▶ init.sh, veth) ─▶ sshd answers ─▶ record with pid
 *   found     alive as recorded ─▶ adopted          anything else under its mark ─▶ ended, then made anew
 *   teardown  freeze ─▶ work there? thaw, busy : kill ─▶ groups empty ─▶ interface, groups, folder gone
 *
 * The machine's namespaces have no names of their own: they live as long as its processes, so that its
 * death takes mounts and network with it, and what can be left over is a folder and empty groups.
 */
export function namespaceMachines(config: NamespaceMachinesConfig, deps: NamespaceDeps): NamespaceMachines {
  const site = openSite(config, deps)
  const { clock } = site
  const livingOf = async (mark: Mark) => livingInit(await readRecord(site.folder(mark)))

  async function setup(unit: UnitSpec, signal: AbortSignal): Promise<UnitFacts> {
    signal.throwIfAborted()
    const mark = markOf(unit)
    const record = await readRecord(site.folder(mark))
    const running = await livingInit(record)
    if (running !== undefined && record?.made !== undefined) {
      await reach(site, addressOf(config.subnet, unit.slot).address, greetingOf(record.nonce), signal)
      return record.made.facts
    }
    await end(site, mark, signal)
    try {
      return await make(site, unit, mark, signal)
    } catch (error) {
      const undo = deadline(clock, UNDO_MS, () => new Error(`undoing took longer than ${period(UNDO_MS)}`))
      try {
        await end(site, mark, undo.signal)
      } catch (left) {
        throw new SubletError(
          'machine-teardown',
          `${inOneLine(error)}; and what was made of ${mark} is still there`,
          { cause: left },
        )
      } finally {
        undo.done()
      }
      throw error
    }
  }

  async function workIn(mark: Mark): Promise<Process | undefined> {
    return (await (await site.cgroups()).processes(mark)).find(({ comm }) => site.busy.has(comm))
  }

  /**
   * Nothing can begin between the look and the end: while we look, nothing there moves. A machine that is
   * seen to work is not touched at all; one that stands still goes on by itself should we die.
   */
  async function workInFrozen(mark: Mark, signal: AbortSignal): Promise<Process | undefined> {
    const groups = await site.cgroups()
    if ((await groups.processes(mark)).length === 0) return undefined
    const seen = await workIn(mark)
    if (seen !== undefined) return seen
    const wasFrozen = await groups.isFrozen(mark)
    const { file, word } = groups.thawing(mark)
    const dismiss = wasFrozen ? undefined : await thawGuard(file, word)
    let goesOn = true
    try {
      if (!(await groups.freeze(mark, FREEZE_MS, signal)))
        throw new SubletError(
          'machine-busy',
          `${mark} could not be held still to see whether work runs there`,
        )
      const work = await workIn(mark)
      goesOn = work !== undefined
      return work
    } finally {
      if (goesOn && !wasFrozen) await groups.thaw(mark)
      dismiss?.()
    }
  }

  async function probe(
    unit: UnitSpec,
    { onlyIdle }: { onlyIdle: boolean },
    signal: AbortSignal,
  ): Promise<ProbeOutcome> {
    signal.throwIfAborted()
    const mark = markOf(unit)
    const pid = await livingOf(mark)
    if (pid === undefined)
      return { kind: 'failed', command: 'is it running?', reason: 'the machine has ended' }
    if (onlyIdle && (await workIn(mark)) !== undefined) return { kind: 'busy' }
    const machine = await inside(site, mark, pid)
    for (const { argv, timeoutMs } of unit.probe) {
      const reason = await machine.run(argv, { signal, timeoutMs }).then(
        ({ exitCode, signal: by, stderr }) =>
          exitCode === 0 ? undefined : `exit ${exitCode ?? by}${stderr.trim() && `: ${lastLine(stderr)}`}`,
        (error: unknown) => {
          signal.throwIfAborted()
          return inOneLine(error)
        },
      )
      if (reason !== undefined) return { kind: 'failed', command: argv.join(' '), reason }
    }
    return { kind: 'passed' }
  }

  async function find(mark: Mark): Promise<FoundMachine | undefined> {
    const ids = readMark(mark)
    if (ids === undefined) return undefined
    const record = await readRecord(site.folder(mark))
    const inits = await initsOf(await (await site.cgroups()).processes(mark))
    const [init] = inits
    const name = record?.name ?? (init === undefined ? '' : (await environmentOf(init)).SUBLET_NAME) ?? ''
    const end = await endIn(site.folder(mark))
    return { ...ids, name, running: inits.length > 0, ...record?.place, ...end }
  }

  return {
    kind: 'namespace',
    check: (signal) => missing(site, signal),
    setup,
    probe,

    async modify(unit, signal) {
      signal.throwIfAborted()
      const mark = markOf(unit)
      const folder = site.folder(mark)
      if ((await livingOf(mark)) === undefined)
        throw new SubletError(
          'machine-unreachable',
          `${unit.unitId} does not run, so its end cannot be moved`,
        )
      // Before the order: what confirms it has them, too.
      await giveProperties(folder, unit.properties)
      const line = await giveOrder(
        folder,
        { token: site.nonce(), endsAt: unit.endsAt, graceMs: unit.graceMs },
        clock,
      )
      await confirmed(folder, line, config.confirmTimeout, clock, signal)
    },

    async teardown(unit, { force }, signal) {
      signal.throwIfAborted()
      const mark = markOf(unit)
      const work = force ? undefined : await workInFrozen(mark, signal)
      if (work !== undefined) return { kind: 'busy', what: `${work.comm} (${work.pid})` }
      await end(site, mark, signal)
      return { kind: 'gone' }
    },

    async list(signal) {
      signal.throwIfAborted()
      const found = await Promise.all((await site.marks()).map(find))
      return found.filter((machine) => machine !== undefined)
    },

    watch(onEnded, signal) {
      const told = new Set<string>()
      const look = async (): Promise<void> => {
        for (const mark of await site.marks()) {
          const record = await readRecord(site.folder(mark))
          // Half done is not ended: somebody is at it, or will be.
          if (record?.made === undefined || told.has(record.nonce)) continue
          if ((await livingInit(record)) !== undefined) continue
          told.add(record.nonce)
          onEnded(record.unitId)
        }
      }
      const go = async (): Promise<void> => {
        while (!signal.aborted) {
          // A look that fails is made up for by the next one; nobody relies on this, `list` is the truth.
          await look().catch(() => undefined)
          await sleep(clock, WATCH_EVERY_MS, signal)
        }
      }
      // Only the signal ends the loop, by rejecting the sleep.
      go().catch(() => undefined)
    },

    async inside(unit) {
      const mark = markOf(unit)
      const pid = await livingOf(mark)
      if (pid === undefined) throw new SubletError('machine-unreachable', `${unit.unitId} does not run`)
      return inside(site, mark, pid)
    },

    async freeze(unitId, signal) {
      const mark = await site.markOf(unitId)
      if (!(await (await site.cgroups()).freeze(mark, FREEZE_MS, signal)))
        throw new SubletError('machine-busy', `${unitId} did not come to a halt within ${period(FREEZE_MS)}`)
    },

    thaw: async (unitId) => (await site.cgroups()).thaw(await site.markOf(unitId)),

    async powerCut(unitId) {
      const mark = await site.markOf(unitId)
      for (const pid of await initsOf(await (await site.cgroups()).processes(mark)))
        process.kill(pid, 'SIGKILL')
    },
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

/** Pid 1 of their own pid namespace, directly below ours. */
async function initsOf(processes: readonly Process[]): Promise<readonly number[]> {
  const found = await Promise.all(
    processes.map(async ({ pid }) => {
      const status = (await unlessAbsent(readFile(`/proc/${pid}/status`, 'utf8'))) ?? ''
      const numbers = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? []
      return numbers.length > 1 && numbers.at(-1) === '1' ? pid : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}
