import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import { PROTOCOLS } from '../../actors/runtime/envelope.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { Approver } from './approver.ts'
import { Caretaker } from './caretaker.ts'
import { Disk } from './disk.ts'
import type { Faults } from './faults.ts'
import { type Machine, Site } from './machines.ts'
import { Middleware } from './middleware.ts'
import { Administrator, Operator } from './operator.ts'
import type { BrokerPlan, ManagerPlan, Plan, Role, SitePlan } from './plan.ts'
import type { SiteConfig } from './roles.ts'
import type { World } from './world.ts'
import { Yard } from './yard.ts'

/** One actor: what outlives its lives, and the one that lives. */
export interface Stage<T extends Tables> {
  readonly name: string
  readonly role: Role
  readonly disk: Disk
  actor: Actor<T> | undefined
  /** What its program speaks: an older one is replaced between two lives. */
  protocols: readonly number[]
  /** It spoke less at first. */
  wasOld: boolean
  die: () => void
}

export interface BrokerStage extends Stage<BrokerTables> {
  readonly plan: BrokerPlan
  readonly approver: Approver
}

export interface SiteStage extends Stage<AuthorityTables> {
  readonly plan: SitePlan
  readonly machines: Site
  readonly operator: Operator
  readonly caretaker: Caretaker
  readonly units: number
  config: SiteConfig
}

export interface ManagerStage extends Stage<ServiceManagerTables> {
  readonly plan: ManagerPlan
  readonly middleware: Middleware | undefined
  readonly yard: Yard
  readonly administrator: Administrator
  guestIsThere: boolean
}

export type AnyStage = SiteStage | BrokerStage | ManagerStage

export interface Stages {
  readonly sites: readonly SiteStage[]
  readonly brokers: readonly BrokerStage[]
  readonly managers: readonly ManagerStage[]
}

/** Everybody who takes part, before anybody lives. */
export function stagesOf(plan: Plan, world: World, random: Random, faults: () => Faults): Stages {
  const sites = plan.sites.map((site) => siteStage(site, world, random.child(site.name), faults))
  const machineOf = (unitId: string): Machine | undefined => {
    for (const { machines } of sites) {
      const machine = machines.machines.get(unitId)
      if (machine !== undefined) return machine
    }
    return undefined
  }
  return {
    sites,
    brokers: plan.brokers.map((broker) => brokerStage(broker, world, random.child(broker.name))),
    managers: plan.managers.map((manager) =>
      managerStage(manager, world, random.child(manager.name), faults, machineOf),
    ),
  }
}

function brokerStage(plan: BrokerPlan, world: World, random: Random): BrokerStage {
  const self = stage<BrokerTables>(plan.name, 'broker')
  const approver = new Approver(world, self.disk, () => broker.actor, random.child('approver'))
  const broker: BrokerStage = { ...self, plan, approver }
  return broker
}

function siteStage(plan: SitePlan, world: World, random: Random, faults: () => Faults): SiteStage {
  const machines = new Site(world, random.child('machines'), faults)
  const self = stage<AuthorityTables>(plan.name, 'authority')
  const grip = { world, plan, disk: self.disk, authority: () => site.actor }
  const caretaker = new Caretaker(grip, random.child('caretaker'))
  const site: SiteStage = {
    ...self,
    ...{ plan, machines, caretaker, config: configOf(plan) },
    units: Object.values(plan.types).reduce((sum, { units }) => sum + units, 0),
    operator: new Operator(grip, caretaker, random.child('operator')),
  }
  return site
}

function managerStage(
  plan: ManagerPlan,
  world: World,
  random: Random,
  faults: () => Faults,
  machineOf: (unitId: string) => Machine | undefined,
): ManagerStage {
  const middleware =
    plan.guest === 'groc' ? new Middleware(world, machineOf, random.child('middleware'), faults) : undefined
  const grip = { world, middleware, serviceManager: () => manager.actor }
  const manager: ManagerStage = {
    ...stage<ServiceManagerTables>(plan.name, 'service-manager'),
    ...{ plan, middleware, guestIsThere: true },
    yard: new Yard(world, random.child('yard'), faults, machineOf),
    administrator: new Administrator(grip, random.child('administrator')),
  }
  return manager
}

const stage = <T extends Tables>(name: string, role: Role): Stage<T> => ({
  ...{
    name,
    role,
    disk: new Disk(),
    actor: undefined,
    protocols: PROTOCOLS,
    wasOld: false,
    die: () => undefined,
  },
})

/** A site as its plan says. */
export const configOf = ({ conditions: { graceMs } }: SitePlan): SiteConfig => ({
  ...{ fewer: 0, graceMs, typed: true },
})

export const isSite = (self: AnyStage): self is SiteStage => self.role === 'authority'
export const isManager = (self: AnyStage): self is ManagerStage => self.role === 'service-manager'
