import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { type ErrorCode, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { prefixed } from '../exec/prefixed.ts'
import type { Executor, Finished } from '../executor.ts'
import type { FoundMachine, Handler, ProbeOutcome, UnitFacts, UnitSpec } from '../handler.ts'
import { Cgroups, type Process, processOf, readLayout, unlessAbsent } from './cgroups.ts'
import { missing } from './check.ts'
import type { NamespaceMachinesConfig } from './config.ts'
import { confirmed, giveOrder } from './dead-man.ts'
import { addressOf, greetingOf, groupName, interfaceName, type Mark, markOf, readMark } from './names.ts'
import { bootId, environmentOf, livingInit, type MachineRecord, readRecord, writeRecord } from './record.ts'
import { script, sow } from './seed.ts'

export interface NamespaceDeps {
  /** Runs as root on the host the machines are on: this one. */
  readonly exec: Executor
  readonly clock: Clock
  /** A word without spaces that was never used before, for each attempt and each order. */
  readonly nonce: () => string
  /** What is mounted where, as /proc/mounts tells it; for tests of hosts that have only v1 or v2. */
  readonly mounts?: () => Promise<string>
}

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
const REACH_MS: Millis = 10_000
/** Undoing a setup that failed must not take as long as the setup. */
const UNDO_MS: Millis = 10_000
const CONSOLE_LINES = 6
const INSIDE_ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' }
/** Under the machine's limits, and ended with it, like everything else that runs there. */
const JOIN_THEN_RUN = 'for group in $1; do echo $$ >"$group/cgroup.procs" || exit 126; done; shift; exec "$@"'

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
  const { exec, clock, nonce, mounts = () => readFile('/proc/mounts', 'utf8') } = deps
  const units = join(config.dir, 'units')
  const folderOf = (mark: Mark): string => join(units, mark)
  const busy = new Set(config.busyProcesses.map((name) => name.slice(0, 15)))
  const netnsPath =
    config.netns === undefined || config.netns.startsWith('/') ? config.netns : `/run/netns/${config.netns}`
  const inSite: readonly string[] = netnsPath === undefined ? [] : ['nsenter', `--net=${netnsPath}`]

  let opened: Cgroups | undefined
  async function cgroups(): Promise<Cgroups> {
    if (opened !== undefined) return opened
    const layout = readLayout(await mounts())
    if (!('holding' in layout)) throw new SubletError('unsupported-platform', layout.join(' '))
    opened = new Cgroups(layout, groupName(config.namePrefix, config.dir), clock)
    return opened
  }

  const run = (
    argv: readonly string[],
    signal: AbortSignal,
    timeoutMs: Millis,
    env: Record<string, string> = {},
  ) => {
    const [program = '', ...rest] = argv
    return exec.run([program, ...rest], { signal, timeoutMs, env })
  }

  // ── setup ────────────────────────────────────────────────────────────────────────────────────────

  async function make(unit: UnitSpec, mark: Mark, signal: AbortSignal): Promise<UnitFacts> {
    const image = config.images[unit.image]
    if (image === undefined)
      throw new SubletError('machine-setup', `There is no image “${unit.image}” at this site`, {
        cure: 'Add it to the images of the configuration, or correct the type that names it.',
      })
    const folder = folderOf(mark)
    const place = addressOf(config.subnet, unit.slot)
    const groups = await cgroups()
    const begun: MachineRecord = {
      unitId: unit.unitId,
      leaseId: unit.leaseId,
      name: unit.name,
      nonce: nonce(),
      bootId: await bootId(),
    }
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeRecord(folder, begun)
    await writeFile(join(folder, 'nonce'), begun.nonce)
    await sow(folder, unit, image, config, greetingOf(begun.nonce))
    await giveOrder(folder, { token: nonce(), endsAt: unit.endsAt, graceMs: unit.graceMs }, clock)
    signal.throwIfAborted()
    await groups.make(mark, { cpus: unit.vector.cpu, memoryMiB: unit.vector.memoryMiB })
    const pid = await boot({
      HERE: join(script('enter'), '..'),
      FOLDER: folder,
      DIR: config.dir,
      NONCE: begun.nonce,
      MARK: mark,
      HOST_NAME: unit.name,
      GROUPS_OF_IT: groups.paths(mark).join(' '),
      NETNS: netnsPath ?? '',
      BRIDGE: config.bridge,
      INTERFACE: interfaceName(config.namePrefix, config.dir, mark),
      MAC: place.mac,
      ADDRESS_WITH_BITS: place.withBits,
      GATEWAY: config.gateway ?? '',
      BASE: image.root === 'host' ? '/' : image.root,
      TMPFS_MIB: String(config.tmpfsMiB),
      BINDS: image.binds.join('\n'),
      READ_ONLY_BINDS: image.readOnlyBinds.join('\n'),
      BUSY: [...busy].join('\n'),
    })
    await reach(place.address, greetingOf(begun.nonce), signal)
    const facts = await factsOf(folder, place.address)
    const startTicks = (await processOf(pid))?.startTicks
    if (startTicks === undefined)
      throw new SubletError('machine-setup', `${unit.unitId} ended as soon as it answered`)
    await writeRecord(folder, { ...begun, made: { pid, startTicks, facts } })
    return facts

    async function boot(env: Record<string, string>): Promise<number> {
      const finished = await run(['bash', script('boot')], signal, config.setupTimeout, env).catch(
        late('machine-setup', `${unit.unitId} did not start within ${config.setupTimeout} ms`),
      )
      if (finished.exitCode === 0) return Number(finished.stdout.trim())
      throw new SubletError('machine-setup', `${unit.unitId} did not start: ${await why(finished, folder)}`)
    }
  }

  async function reach(address: string, greeting: string, signal: AbortSignal): Promise<void> {
    const argv = [...inSite, 'bash', script('reach'), address, String(config.sshd.port), greeting]
    const { exitCode, stderr } = await run(argv, signal, REACH_MS).catch(
      late('machine-unreachable', `No sshd greets at ${address}`),
    )
    if (exitCode !== 0) throw new SubletError('machine-unreachable', `sshd: ${stderr.trim()}`)
  }

  async function factsOf(folder: string, address: string): Promise<UnitFacts> {
    const [kind, key] = (await readFile(join(folder, 'host_key.pub'), 'utf8')).split(' ')
    return { address, sshPort: String(config.sshd.port), sshUser: 'root', sshHostKey: `${kind} ${key}` }
  }

  async function why({ stderr, exitCode, signal }: Finished, folder: string): Promise<string> {
    const text = (await unlessAbsent(readFile(join(folder, 'console.log'), 'utf8'))) ?? ''
    const lines = `${stderr}\n${text}`.split('\n').filter((line) => line.trim() !== '')
    return lines.slice(-CONSOLE_LINES).join('; ') || `status ${exitCode ?? signal}`
  }

  async function setup(unit: UnitSpec, signal: AbortSignal): Promise<UnitFacts> {
    signal.throwIfAborted()
    const mark = markOf(unit)
    const record = await readRecord(folderOf(mark))
    const running = await livingInit(record)
    if (running !== undefined && record?.made !== undefined) {
      await reach(addressOf(config.subnet, unit.slot).address, greetingOf(record.nonce), signal)
      return record.made.facts
    }
    await end(mark, signal)
    try {
      return await make(unit, mark, signal)
    } catch (error) {
      const undo = deadline(clock, UNDO_MS, () => new Error(`undoing took longer than ${UNDO_MS} ms`))
      try {
        await end(mark, undo.signal)
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

  // ── teardown ─────────────────────────────────────────────────────────────────────────────────────

  /** Whatever there is of it; nothing there is as good. */
  async function end(mark: Mark, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const groups = await cgroups()
    const hadGroups = (await groups.marks()).includes(mark)
    if (hadGroups) {
      await groups.end(mark, config.teardownTimeout, signal)
      await removeInterface(interfaceName(config.namePrefix, config.dir, mark), signal)
    }
    await rm(folderOf(mark), { recursive: true, force: true })
  }

  /** The kernel removes it with its network, but in its own time; the next machine wants the name now. */
  async function removeInterface(name: string, signal: AbortSignal): Promise<void> {
    const { exitCode, stderr } = await run(
      [...inSite, 'ip', 'link', 'delete', name],
      signal,
      config.teardownTimeout,
    )
    // Which of the two it says depends on whether the kernel was quicker before or after ip looked it up.
    if (exitCode !== 0 && !/Cannot find device|No such device/.test(stderr))
      throw new SubletError('machine-teardown', `The interface ${name} cannot be removed: ${stderr.trim()}`)
  }

  async function workIn(mark: Mark): Promise<Process | undefined> {
    return (await (await cgroups()).processes(mark)).find(({ comm }) => busy.has(comm))
  }

  /** Nothing can begin between the look and the end: while we look, nothing there moves. */
  async function workInFrozen(mark: Mark, signal: AbortSignal): Promise<Process | undefined> {
    const groups = await cgroups()
    if ((await groups.processes(mark)).length === 0) return undefined
    const wasFrozen = await groups.isFrozen(mark)
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
    }
  }

  // ── the rest ─────────────────────────────────────────────────────────────────────────────────────

  async function inside(unit: Pick<UnitSpec, 'unitId' | 'leaseId'>): Promise<Executor> {
    const mark = markOf(unit)
    const pid = await livingInit(await readRecord(folderOf(mark)))
    if (pid === undefined) throw new SubletError('machine-unreachable', `${unit.unitId} does not run`)
    const enter = ['nsenter', `--target=${pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--']
    const paths = (await cgroups()).paths(mark).join(' ')
    const name = `inside ${unit.unitId}`
    return {
      name,
      run(argv, { env = {}, ...options }) {
        // Nothing of Sublet's own environment goes in there.
        const settings = Object.entries({ ...INSIDE_ENV, ...env }).map(([key, value]) => `${key}=${value}`)
        const prefix = [
          'sh',
          '-c',
          JOIN_THEN_RUN,
          'sublet',
          paths,
          ...enter,
          'env',
          '-i',
          ...settings,
        ] as const
        return prefixed(exec, prefix, name).run(argv, options)
      },
      close: async () => undefined,
    }
  }

  async function probe(
    unit: UnitSpec,
    { onlyIdle }: { onlyIdle: boolean },
    signal: AbortSignal,
  ): Promise<ProbeOutcome> {
    signal.throwIfAborted()
    const mark = markOf(unit)
    if ((await livingInit(await readRecord(folderOf(mark)))) === undefined)
      return { kind: 'failed', command: 'is it running?', reason: 'the machine has ended' }
    if (onlyIdle && (await workIn(mark)) !== undefined) return { kind: 'busy' }
    const machine = await inside(unit)
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

  async function marks(): Promise<readonly Mark[]> {
    const folders = (await unlessAbsent(readdir(units))) ?? []
    return [...new Set([...folders, ...(await (await cgroups()).marks())])]
  }

  async function find(mark: Mark): Promise<FoundMachine | undefined> {
    const ids = readMark(mark)
    if (ids === undefined) return undefined
    const record = await readRecord(folderOf(mark))
    const inits = await initsOf(await (await cgroups()).processes(mark))
    const [init] = inits
    const name = record?.name ?? (init === undefined ? '' : (await environmentOf(init)).SUBLET_NAME) ?? ''
    return { ...ids, name, running: inits.length > 0 }
  }

  async function markOfUnit(unitId: string): Promise<Mark> {
    const mark = (await marks()).find((mark) => readMark(mark)?.unitId === unitId)
    if (mark === undefined) throw new SubletError('unknown-id', `There is no machine ${unitId} on this host`)
    return mark
  }

  return {
    kind: 'namespace',
    check: (signal) => missing(config, inSite, exec, mounts, signal),
    setup,
    probe,

    async modify(unit, signal) {
      signal.throwIfAborted()
      const folder = folderOf(markOf(unit))
      if ((await livingInit(await readRecord(folder))) === undefined)
        throw new SubletError(
          'machine-unreachable',
          `${unit.unitId} does not run, so its end cannot be moved`,
        )
      const line = await giveOrder(
        folder,
        { token: nonce(), endsAt: unit.endsAt, graceMs: unit.graceMs },
        clock,
      )
      await confirmed(folder, line, config.confirmTimeout, clock, signal)
    },

    async teardown(unit, { force }, signal) {
      signal.throwIfAborted()
      const mark = markOf(unit)
      const work = force ? undefined : await workInFrozen(mark, signal)
      if (work !== undefined) return { kind: 'busy', what: `${work.comm} (${work.pid})` }
      await end(mark, signal)
      return { kind: 'gone' }
    },

    async list(signal) {
      signal.throwIfAborted()
      const found = await Promise.all((await marks()).map(find))
      return found.filter((machine) => machine !== undefined)
    },

    watch(onEnded, signal) {
      const told = new Set<Mark>()
      const look = async (): Promise<void> => {
        for (const mark of await marks()) {
          const record = await readRecord(folderOf(mark))
          // Half done is not ended: somebody is at it, or will be.
          if (record?.made === undefined || told.has(mark)) continue
          if ((await livingInit(record)) !== undefined) continue
          told.add(mark)
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

    inside,

    async freeze(unitId, signal) {
      const mark = await markOfUnit(unitId)
      if (!(await (await cgroups()).freeze(mark, FREEZE_MS, signal)))
        throw new SubletError('machine-busy', `${unitId} did not come to a halt within ${FREEZE_MS} ms`)
    },

    thaw: async (unitId) => (await cgroups()).thaw(await markOfUnit(unitId)),

    async powerCut(unitId) {
      const mark = await markOfUnit(unitId)
      for (const pid of await initsOf(await (await cgroups()).processes(mark))) process.kill(pid, 'SIGKILL')
    },
  }
}

/** What a script that took too long means for the machine. */
const late =
  (code: ErrorCode, sentence: string) =>
  (cause: unknown): never => {
    if (cause instanceof SubletError && cause.code === 'exec-timeout')
      throw new SubletError(code, sentence, { cause })
    throw cause
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
