import type { Random } from '../../actors/runtime/random.ts'

/** How bad the weather is. Chances are per message, commit, machine or look. */
export interface Faults {
  readonly lose: number
  readonly double: number
  readonly delayMsMax: number
  readonly crash: number
  readonly setupFails: number
  readonly setupHangs: number
  readonly probeFails: number
  readonly joinFails: number
  readonly machineDies: number
  readonly teardownFails: number
  readonly lookFails: number
  /** A batch system that comes back with an older memory: a node that was removed is there again. */
  readonly nodeComesBack: number
  readonly skewMsMax: number
  /** Per machine: it stands still for a while, and comes back. */
  readonly machineHangs: number
  /** Times that the owner wants units back, everything is released, nodes are drained or forgotten. */
  readonly orders: number
  /** Per life of the site or the service manager: it begins with another configuration. */
  readonly reconfigured: number
  /** Per life: the wall clock jumps. */
  readonly clockSteps: number
  /** Times that some actors cannot reach the others for a while. */
  readonly partitions: number
  /** Times that an actor answers and is heard only after seconds. */
  readonly slow: number
  /** Per message that arrived: somebody tries to pass a false one. */
  readonly forged: number
  /** Per life: a row of the disk is read otherwise than it was written. */
  readonly corrupt: number
  /** Per look at the machines of a site or at one of them: it says that a dead one runs, or the reverse. */
  readonly lies: number
  /** Times that the power goes at any moment, not only at a commit. */
  readonly powerCuts: number
  /** Times that the power of the whole room goes: all actors and all machines, and what those need comes back last. */
  readonly roomCuts: number
  /** Per commit: the disk takes seconds. */
  readonly slowDisk: number
  /** Per actor: its program is an older one, which speaks only protocol 1, until it is upgraded between two lives. */
  readonly oldProgram: number
  /** Times that a host of a site is worked on. */
  readonly maintenance: number
  /** Times that a site withdraws a type for a while, reclaims one, or lends again what it recalled. */
  readonly withdrawals: number
  /** Per broker: somebody has to approve requests for many units. */
  readonly approvals: number
  /** Times that the stores of some actors are set back to older copies. */
  readonly restores: number
  /** Per actor: it tells an actor that was restored of no more than two leases at a time. */
  readonly fewHoldings: number
}

export const CALM: Faults = {
  ...{ lose: 0, double: 0, delayMsMax: 5, crash: 0, setupFails: 0, setupHangs: 0, probeFails: 0 },
  ...{ joinFails: 0, machineDies: 0, teardownFails: 0, lookFails: 0, nodeComesBack: 0, skewMsMax: 0 },
  ...{ machineHangs: 0, orders: 0, reconfigured: 0, clockSteps: 0 },
  ...{ partitions: 0, slow: 0, forged: 0, corrupt: 0, lies: 0, powerCuts: 0, roomCuts: 0, slowDisk: 0 },
  ...{ oldProgram: 0, restores: 0, maintenance: 0, withdrawals: 0, approvals: 0, fewHoldings: 0 },
}

/** A mixture of its own for each seed: some have only lost messages, some have everything. */
export function faultsOf(random: Random): Faults {
  const some = (most: number): number => (random.next() < 0.6 ? random.next() * most : 0)
  return {
    lose: some(0.3),
    double: some(0.3),
    delayMsMax: random.next() < 0.5 ? 20 : random.next() < 0.7 ? 800 : 6_000,
    crash: some(0.02),
    setupFails: some(0.3),
    setupHangs: some(0.05),
    probeFails: some(0.2),
    joinFails: some(0.2),
    machineDies: some(0.15),
    teardownFails: some(0.4),
    lookFails: some(0.2),
    nodeComesBack: some(0.2),
    skewMsMax: Math.round(some(800)),
    machineHangs: some(0.2),
    orders: random.next() < 0.5 ? random.int(6) : 0,
    reconfigured: some(0.5),
    clockSteps: some(0.5),
    partitions: random.next() < 0.5 ? 1 + random.int(4) : 0,
    slow: random.next() < 0.5 ? 1 + random.int(4) : 0,
    forged: some(0.05),
    corrupt: some(0.1),
    lies: some(0.05),
    powerCuts: random.next() < 0.5 ? random.int(6) : 0,
    slowDisk: some(0.01),
    oldProgram: random.next() < 0.4 ? random.next() * 0.6 : 0,
    // In one seed of five: what is forgotten excuses much, and the others are looked at without excuses.
    restores: random.next() < 0.2 ? 1 + random.int(3) : 0,
    maintenance: random.next() < 0.3 ? 1 + random.int(3) : 0,
    withdrawals: random.next() < 0.3 ? 1 + random.int(3) : 0,
    approvals: random.next() < 0.3 ? 0.6 : 0,
    fewHoldings: random.next() < 0.7 ? 0.6 : 0,
    roomCuts: severalOf(random.next()),
  }
}

/** The same weather without some of it. A name that is no fault is an error. */
export function without(faults: Faults, names: readonly string[]): Faults {
  const better: Record<string, number> = { ...faults }
  for (const name of names) {
    if (!(name in CALM))
      throw new Error(`no fault is named ${name}; there are ${Object.keys(CALM).join(', ')}`)
    better[name] = CALM[name as keyof Faults]
  }
  return better as unknown as Faults
}

/** None as a rule, one now and then, and sometimes a second one that may come soon after the first. */
const severalOf = (chance: number): number => (chance < 0.12 ? 2 : chance < 0.3 ? 1 : 0)
