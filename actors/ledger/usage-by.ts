/** By whom or what node-seconds are added up. */
export const USAGE_BY = ['guest', 'queue', 'site'] as const
export type UsageBy = (typeof USAGE_BY)[number]
