import { createHash } from 'node:crypto'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { UnitSpec } from '../handler.ts'

/**
 * One name for everything that belongs to a machine: its folder and its cgroups are called after its
 * mark, so that a machine whose record was lost still says whose it is.
 *
 *   unit-3k9f@lease-7f3a        folder, cgroups
 *   sublet1f0c29ab4             its interface on the bridge (15 characters at most, hence a hash)
 *   02:53:0a:58:00:65           its MAC, from its address: who remembers the slot's last machine still reaches it
 */
export type Mark = string

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

export function markOf({ unitId, leaseId }: Pick<UnitSpec, 'unitId' | 'leaseId'>): Mark {
  for (const id of [unitId, leaseId])
    if (!ID.test(id)) throw new TypeError(`“${id}” cannot be part of a file name`)
  return `${unitId}@${leaseId}`
}

/** Undefined for what is not a mark: something else lies in that folder. */
export function readMark(mark: string): { readonly unitId: string; readonly leaseId: string } | undefined {
  const [unitId = '', leaseId = '', ...more] = mark.split('@')
  return more.length === 0 && ID.test(unitId) && ID.test(leaseId) ? { unitId, leaseId } : undefined
}

const hash = (text: string, digits: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, digits)

/** Two sites on one host (or two labs) have different folders, and so different cgroups and interfaces. */
export const groupName = (prefix: string, dir: string): string => `${prefix}-${hash(dir, 8)}`

export const interfaceName = (prefix: string, dir: string, mark: Mark): string =>
  `${prefix}${hash(`${dir}\n${mark}`, 15 - prefix.length)}`

/** What a machine's sshd says after its version: it tells this attempt's machine from any other. */
export const greetingOf = (nonce: string): string => `sublet-${hash(nonce, 16)}`

const FIRST_SLOT = 100

export interface MachineAddress {
  readonly address: string
  /** With the subnet's bits, such as 10.88.0.103/24. */
  readonly withBits: string
  readonly mac: string
}

export function addressOf(subnet: string, slot: number): MachineAddress {
  const [network = '', bits = ''] = subnet.split('/')
  const size = 2 ** (32 - Number(bits))
  const number = FIRST_SLOT + slot
  if (!Number.isInteger(slot) || slot < 0 || number >= size - 1)
    throw new SubletError('config-invalid', `The subnet ${subnet} has no address for slot ${slot}`, {
      cure: 'Give the site a larger subnet, or fewer units.',
    })
  const base = network.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  const value = base - (base % size) + number
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256)
  const address = octets.join('.')
  const mac = ['02', '53', ...octets.map((octet) => octet.toString(16).padStart(2, '0'))].join(':')
  return { address, withBits: `${address}/${bits}`, mac }
}
