import type { Settings } from './config.ts'

/** The names of actors that run here. */
export const namesHere = ({ site, broker, serviceManager }: Settings): readonly string[] =>
  [serviceManager, broker, site].flatMap((section) => section?.name ?? [])
