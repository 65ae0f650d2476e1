import type { PriorityConfig, WeightedShareConfig } from '../../controllers/brokers/config.ts'

/** Of 60 units 30, 18 and 12. */
export const SHARES: WeightedShareConfig = {
  guests: { ana: { weight: 5, min: 6, max: 45 }, ben: { weight: 3, min: 6 }, cem: { weight: 2, min: 6 } },
  otherwise: { weight: 1, min: 0 },
}

export const CLASSES: PriorityConfig = {
  guests: { ana: { class: 3 }, ben: { class: 2 }, cem: { class: 1 } },
  otherwise: { class: 0 },
}

export const weightOf = (guest: string): number => {
  const all = Object.values(SHARES.guests).reduce((sum, { weight }) => sum + weight, 0)
  return SHARES.guests[guest]!.weight / all
}
