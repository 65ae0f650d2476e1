import { existsSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { PublicKey } from '../../actors/runtime/identity.ts'
import { publicKey } from '../settings/network-config.ts'
import { inDir } from '../settings/work-files.ts'
import { type Whose, workFolder } from '../upkeep/work-folder.ts'
import { publicKeysIn, readPublicKey } from './keys.ts'
import { knownPeers, readStored } from './peers.ts'

/** Where it is written what actors may have signed with. */
export interface KeysOptions extends Whose {
  /** Keys, or files of them: good for any actor. */
  readonly key: readonly string[]
}

/**
 * What an actor may have signed with, as far as it is known here; undefined if it is not.
 *
 *   --key K               any actor
 *   --dir, --config       the actors of the work folder, by its keys, and their peers
 */
export async function knownKeys({
  key,
  ...whose
}: KeysOptions): Promise<(actor: string) => readonly PublicKey[] | undefined> {
  const given = key.map(keyGiven)
  const isNamed = whose.dir !== undefined || whose.config !== undefined
  const byName = isNamed ? await keysOfFolder(whose) : () => []
  return (actor) => {
    const known = [...given, ...byName(actor)]
    return known.length === 0 ? undefined : known
  }
}

function keyGiven(text: string): PublicKey {
  const read = publicKey.safeParse(existsSync(text) ? readPublicKey(text) : text)
  if (read.success) return read.data
  throw new SubletError('usage', `--key: “${text}” is neither a public key nor a file of one`)
}

async function keysOfFolder(whose: Whose): Promise<(actor: string) => readonly PublicKey[]> {
  const dir = await workFolder(whose)
  const peers = await peersOf(whose, dir)
  return (actor) => [
    ...(publicKeysIn(inDir(dir).keys, actor) ?? []),
    ...peers.filter(({ name }) => name === actor).flatMap(({ keys }) => keys.map((one) => one.key)),
  ]
}

/** Of a work folder alone, only the peers that commands added. */
async function peersOf({ config }: Whose, dir: string) {
  if (config === undefined) return readStored(inDir(dir).peers)
  const { loadConfig } = await import('../settings/settings-file.ts')
  return knownPeers(loadConfig(config).settings)
}
