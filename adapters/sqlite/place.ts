import { existsSync, realpathSync, statfsSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * File systems of other machines, by the magic number that statfs(2) gives. Locks and syncs there do not
 * hold what SQLite builds on: two machines could own one database.
 */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x5346414f, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
])

/** The name of the network file system with this number; undefined for any other. */
export const remoteKind = (type: number): string | undefined => REMOTE.get(type >>> 0)

/** Throws `store-remote` for a folder on a network file system. */
export function refuseRemote(dir: string, statfs: (path: string) => { type: number } = statfsSync): void {
  const kind = remoteKind(statfs(dir).type)
  if (kind !== undefined) throw new SubletError('store-remote', `${kind} (${dir})`)
}

/** Where a database really lies: by two links to one file two owners would take two locks. */
export const realPlace = (path: string): string => (existsSync(path) ? realpathSync(path) : path)

/** The file beside it on which its owner holds a transaction for as long as he has it. */
export const lockBeside = (path: string): string => `${realPlace(path)}.lock`
