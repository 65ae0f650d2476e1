import { z } from 'zod'
import type { BrokerPolicy } from '../controller.ts'
import {
  type PriorityConfig,
  priorityConfig,
  type WeightedShareConfig,
  weightedShareConfig,
} from './config.ts'
import { earliestDeadline } from './earliest-deadline.ts'
import { firstCome } from './first-come.ts'
import { priority } from './priority.ts'
import { weightedShare } from './weighted-share.ts'

/** The options of each policy, by its name. */
export const policyOptions = {
  'first-come': z.strictObject({}),
  priority: priorityConfig,
  'earliest-deadline': z.strictObject({}),
  'weighted-share': weightedShareConfig,
}

export type PolicySettings =
  | { readonly kind: 'first-come' }
  | { readonly kind: 'earliest-deadline' }
  | ({ readonly kind: 'priority' } & PriorityConfig)
  | ({ readonly kind: 'weighted-share' } & WeightedShareConfig)

/** Whether it looks at who holds what, which takes the broker time to collect. */
export const readsHoldings = ({ kind }: PolicySettings): boolean => kind === 'weighted-share'

export function policyOf(settings: PolicySettings): BrokerPolicy {
  switch (settings.kind) {
    case 'first-come':
      return firstCome
    case 'earliest-deadline':
      return earliestDeadline
    case 'priority':
      return priority(settings)
    case 'weighted-share':
      return weightedShare(settings)
  }
}
