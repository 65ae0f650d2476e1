import type { ServerSettings } from './settings.ts'

/** `root@*` and `ann@head.site` both name a user at a host; the server itself decides about the host. */
export const isListed = (user: string, { managers, operators }: ServerSettings): boolean =>
  [...managers, ...operators].some((entry) => entry.split('@')[0] === user)

/** A node that nobody has: the answer to its deletion tells whether we might delete one. */
export const NO_NODE = 'sublet-has-no-such-node'
