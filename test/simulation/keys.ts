import {
  ed25519Identity,
  ed25519Trust,
  generateKeys,
  type Identity,
  type KeyRing,
} from '../../actors/runtime/identity.ts'
import { cheapIdentity, cheapTrust } from './identities.ts'

/** Who signs how, and whom all of them trust. */
export interface Keys {
  identity(name: string): Identity
  trust(): KeyRing
}

/** One seed in so many signs with Ed25519. Its keys are made anew; nothing that happens depends on them. */
export const REAL_KEYS_EVERY = 50

export function keysFor(names: readonly string[], real: boolean): Keys {
  if (!real) return { identity: (name) => cheapIdentity(name), trust: () => cheapTrust(names) }
  const pairs = new Map(names.map((name) => [name, generateKeys()]))
  return {
    identity: (name) => ed25519Identity(name, pairs.get(name)!.privateKey),
    trust: () =>
      ed25519Trust(Object.fromEntries([...pairs].map(([name, { publicKey }]) => [name, publicKey]))),
  }
}
