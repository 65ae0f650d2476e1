import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  ed25519Identity,
  ed25519Trust,
  generateKeys,
  type Identity,
  type Trust,
} from '../actors/runtime/identity.ts'

/** The keys of actors that share a work folder: made on first use, private ones readable by the owner only. */
export function identities(
  dir: string,
  names: readonly string[],
): { identity: (name: string) => Identity; trust: Trust } {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const made = new Map(names.map((name) => [name, keysOf(dir, name)]))
  const publicKeys = Object.fromEntries([...made].map(([name, { publicKey }]) => [name, publicKey]))
  return {
    identity: (name) => ed25519Identity(name, made.get(name)!.privateKey),
    trust: ed25519Trust(publicKeys),
  }
}

function keysOf(dir: string, name: string): { privateKey: string; publicKey: string } {
  const secret = join(dir, `${name}.key`)
  const open = join(dir, `${name}.pub`)
  if (!existsSync(secret) || !existsSync(open)) {
    const pair = generateKeys()
    writeFileSync(open, pair.publicKey)
    writeFileSync(secret, pair.privateKey, { mode: 0o600 })
  }
  chmodSync(secret, 0o600)
  return { privateKey: readFileSync(secret, 'utf8'), publicKey: readFileSync(open, 'utf8') }
}
