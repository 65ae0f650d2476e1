import type { Caretaker } from './caretaker.ts'
import type { Disk } from './disk.ts'
import type { Site } from './machines.ts'
import type { Middleware } from './middleware.ts'
import type { Operator } from './operator.ts'
import type { Role } from './plan.ts'
import type { World } from './world.ts'

/** What is looked at by those who check: the disks of the actors, and the world. */
export interface Scene {
  readonly world: World
  readonly sites: readonly SiteScene[]
  readonly brokers: readonly ActorScene[]
  readonly managers: readonly ManagerScene[]
}

export interface ActorScene {
  readonly name: string
  readonly role: Role
  readonly disk: Disk
  /** It speaks, or spoke at first, protocol 1 alone. */
  readonly wasOld: boolean
}

export interface SiteScene extends ActorScene {
  readonly machines: Site
  readonly operator: Operator
  readonly caretaker: Caretaker
  /** All that it ever lends. */
  readonly units: number
}

export interface ManagerScene extends ActorScene {
  /** Of a guest that has one. */
  readonly middleware: Middleware | undefined
}
