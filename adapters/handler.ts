import type { Instant, Millis } from '../actors/runtime/clock.ts'

/** A command of the site's probe: it must exit 0 on the machine within its time. */
export interface ProbeCommand {
  readonly argv: readonly [string, ...string[]]
  readonly timeoutMs: Millis
}

/** One machine to be, as the authority assigned it. Plain data; it is kept in the authority's store. */
export interface UnitSpec {
  /** Unique for ever, such as `unit-3k9f`. The machine's mark. */
  readonly unitId: string
  readonly leaseId: string
  /** The machine's host name; free again only after teardown. Derived from `slot`. */
  readonly name: string
  /** A small integer, unique among the site's units that are not yet torn down; addresses derive from it. */
  readonly slot: number
  /** The inventory host it is placed on. */
  readonly host: string
  /** cpu, memoryMiB and other named integer dimensions. */
  readonly vector: Readonly<Record<string, number>>
  /** A name in the site's table of images. */
  readonly image: string
  /** The end of the lease: what the machine's dead-man holds. */
  readonly endsAt: Instant
  /** How long after `endsAt` the dead-man waits for running work before it ends the machine anyway. */
  readonly graceMs: Millis
  readonly probe: readonly ProbeCommand[]
  /** The guest's property list, such as `ssh.authorizedKey`; carried, not read, by the core. */
  readonly properties: Readonly<Record<string, string>>
}

/** What the guest needs to reach its machine. Travels in the lease; no secrets. */
export type UnitFacts = Readonly<Record<string, string>>

/** A machine found on a host, whether or not anybody remembers it. */
export interface FoundMachine {
  readonly unitId: string
  readonly leaseId: string
  readonly name: string
  /** False for leftovers (folders, mounts, namespaces) of a machine that no longer runs. */
  readonly running: boolean
  /** What it was set up with, where the handler keeps it: a site that has forgotten it gives the place to nobody else. */
  readonly slot?: number
  readonly host?: string
  readonly vector?: Readonly<Record<string, number>>
  /** What its dead-man was told last: a site that has forgotten it lets work there go on as long. */
  readonly endsAt?: Instant
  readonly graceMs?: Millis
}

export type ProbeOutcome =
  | { readonly kind: 'passed' }
  /** Work runs there; an active machine is probed only while it is idle. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'failed'; readonly command: string; readonly reason: string }

export type TeardownOutcome =
  /** Nothing of the machine is left: no process, mount, namespace, cgroup. Absence counts as gone. */
  | { readonly kind: 'gone' }
  /** Only without `force`: a job, prolog or epilog runs there. */
  | { readonly kind: 'busy'; readonly what: string }

/**
 * Brings one unit into and out of service: a kind of machine.
 *
 * Law (test/conformance/handler.ts): every verb may run again after a crash in the middle of it and
 * ends in the same state as one run; setup of a unit that runs adopts it (found again by unit id, pid,
 * start time, boot id and nonce) and never makes a second one; setup after a half-done setup ends the
 * half first; teardown returns `gone` only when every process of the machine has ended; teardown of
 * what never was is `gone`; modify is acknowledged by the machine itself, which then has the properties of the last one (after
 * setup, those of the setup); list says what it was told last, and finds a machine whose
 * record was lost; aborting the signal ends the verb's own processes. Different units may be worked on
 * at once; two verbs never run on one unit at once (the caller sees to it).
 */
export interface Handler {
  /** The kind of machine, such as `process` or `namespace`. */
  readonly kind: string
  /** Sentences about what is missing (a program, root, a kernel feature); empty if all is there. */
  check(signal: AbortSignal): Promise<readonly string[]>
  /** Resolves when the machine answers; its jobs wait for the probe. */
  setup(unit: UnitSpec, signal: AbortSignal): Promise<UnitFacts>
  /** Runs the unit's probe commands on the machine, in order, stopping at the first that fails. */
  probe(unit: UnitSpec, options: { readonly onlyIdle: boolean }, signal: AbortSignal): Promise<ProbeOutcome>
  /**
   * Pushes the unit's lease end and grace to its dead-man, and its properties to where the machine's own programs find
   * them; resolves when the machine has all of it durably. What runs there goes on.
   */
  modify(unit: UnitSpec, signal: AbortSignal): Promise<void>
  teardown(
    unit: UnitSpec,
    options: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<TeardownOutcome>
  /** Every machine of this handler's site on its hosts, by its mark. */
  list(signal: AbortSignal): Promise<readonly FoundMachine[]>
  /** Tells (as a hint; a lost call costs only time) that a machine has ended by itself. */
  watch?(onEnded: (unitId: string) => void, signal: AbortSignal): void
}
