import { z } from 'zod'
import { doubtDimensions, type Vector } from '../../actors/leases/resources.ts'
import { duration, name } from '../../actors/runtime/settings.ts'
import { processMachinesConfig } from '../../adapters/embedded/process-machines.ts'
import type { ProbeCommand } from '../../adapters/handler.ts'
import { namespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import { byKind } from './by-kind.ts'

/** Hosts, what is lent of them, and how machines are made there. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const amount = z.int().min(0)

/** More of them no broker would hear of. */
function checkDimensions(vector: object, context: z.RefinementCtx): void {
  const message = doubtDimensions(Object.keys(vector))
  if (message !== undefined) context.addIssue({ code: 'custom', message })
}

const host = z
  .object({
    ...{ name, cpu: z.int().min(1), memoryMiB: z.int().min(1) },
    /** The switch that it is plugged into. */
    switch: name.optional(),
  })
  .catchall(amount)
  .superRefine(({ name: _, switch: __, ...capacity }, context) => checkDimensions(capacity, context))
  .transform(
    ({ name, switch: group, ...capacity }): Host => ({
      ...{ name, capacity },
      ...(group === undefined ? {} : { switch: group }),
    }),
  )

interface Host {
  readonly name: string
  readonly capacity: Vector
  readonly switch?: string | undefined
}

const type = z
  .object({
    ...{ cpu: z.int().min(1), memoryMiB: z.int().min(1), image: name, units: amount },
    /** Who gives them away, if not the configured broker. */
    broker: name.optional(),
  })
  .catchall(amount)
  .superRefine(({ image: _, units: __, broker: ___, ...vector }, context) => checkDimensions(vector, context))
  .transform(({ image, units, broker, ...vector }): LentType => ({ image, units, broker, vector }))

interface LentType {
  readonly image: string
  readonly units: number
  readonly broker: string | undefined
  readonly vector: Vector
}

const probe = z
  .strictObject({
    run: z.tuple([z.string().min(1)], z.string()),
    timeout: duration.default(10 * SECOND),
  })
  .transform(({ run, timeout }): ProbeCommand => ({ argv: run, timeoutMs: timeout }))

const machines = byKind({
  process: processMachinesConfig.extend({ dir: z.string().min(1).optional() }),
  namespace: namespaceMachinesConfig.extend({ dir: z.string().min(1).optional() }),
})

const terms = z.strictObject({
  /** No ticket may be for longer. */
  max: duration.default(24 * HOUR),
  /** How long what is delegated to the broker is good; told anew at half time. Absent: twice `max`, at least 7 days. */
  delegation: duration.optional(),
  /** Whether a machine that served and died is replaced within the term, while at least `repairMin` is left. */
  repair: z.boolean().default(true),
  repairMin: duration.default(10 * MINUTE),
  /** How long after the end running work is let go on. */
  grace: duration.default(72 * HOUR),
  /** Whether a recall binds the holder before the term ends, given this notice. */
  recallable: z.boolean().default(true),
  notice: duration.default(10 * MINUTE),
})

const timing = z.strictObject({
  setup: duration.default(5 * MINUTE),
  probe: duration.default(MINUTE),
  modify: duration.default(15 * SECOND),
  teardown: duration.default(2 * MINUTE),
  probeEvery: duration.default(5 * MINUTE),
  sweepEvery: duration.default(30 * SECOND),
  backoff: duration.default(5 * SECOND),
  retry: duration.default(5 * SECOND),
  answer: duration.default(HOUR),
  /** After a restore from an older store: how long peers are waited for. */
  recover: duration.default(10 * MINUTE),
  failuresMax: z.int().min(1).default(3),
})

/** Most machines of the site dead at one time: taken for a power cut of the room, in which LDAP, DNS and NFS come last. */
const powerCut = z.strictObject({
  /** Machines started in a minute then. Absent: a tenth of what is lent, at least 30. */
  startsPerMinute: z.int().min(1).max(100_000).optional(),
  /** For so long what fails then counts against no lease. */
  patience: duration.default(30 * MINUTE),
})

export const site = z.strictObject({
  name,
  /** Whom it lends to. */
  broker: name.optional(),
  hosts: z.array(host).min(1),
  types: z.record(name, type),
  machines,
  probe: z.array(probe).default([]),
  terms: terms.prefault({}),
  /** Machines are named prefix + slot. */
  names: z
    .strictObject({
      prefix: z
        .string()
        .regex(/^[a-z][a-z0-9-]{0,30}$/, 'expected up to 31 lower-case letters, digits and dashes')
        .default('vm'),
      slots: z.int().min(1).max(60_000).default(100),
    })
    .prefault({}),
  timing: timing.prefault({}),
  powerCut: powerCut.prefault({}),
})
