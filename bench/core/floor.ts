import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'
import { sqliteStore } from '../../adapters/sqlite/store.ts'
import type { Tally } from './tally.ts'

/**
 * As many signatures and verifications, and the same commits to three databases, each as soon as the one
 * before is on disk; nothing else. In seconds. `inTurn`: one thing after the other, as one lease needs them.
 */
export async function floor(dir: string, tally: Tally, inTurn = false): Promise<number> {
  mkdirSync(dir, { recursive: true })
  const stores = await Promise.all(
    [...tally.commits].map(async ([name, commits]) => {
      const store = sqliteStore(join(dir, `floor-${name}.sqlite`))
      await store.open()
      return { store, commits }
    }),
  )
  const commitAll = async ({ store, commits }: (typeof stores)[number]): Promise<void> => {
    let seq = 0
    for (const { rows, ledger } of commits)
      await store.commit({ rows, ledger: ledger.map((entry) => ({ ...entry, seq: ++seq })) })
  }
  const began = performance.now()
  if (inTurn) {
    await signAndVerify(tally)
    for (const one of stores) await commitAll(one)
  } else await Promise.all([signAndVerify(tally), ...stores.map(commitAll)])
  const seconds = (performance.now() - began) / 1000
  await Promise.all(stores.map(({ store }) => store.close()))
  return seconds
}

/** As many signatures on texts of the mean length, and as many verifications. */
export async function signAndVerify({ signatures, signedChars, verifications }: Tally): Promise<void> {
  const { privateKey, publicKey } = generateKeys()
  const identity = ed25519Identity('floor', privateKey)
  const trust = ed25519Trust({ floor: publicKey })
  const text = 'x'.repeat(Math.round(signedChars / Math.max(1, signatures)))
  const signature = identity.sign(text)
  // Signing goes on while the disks sync, as it does in the run.
  const perTurn = Math.max(1, Math.ceil(signatures / 200))
  let verified = 0
  for (let signed = 0; signed < signatures; ) {
    for (const end = Math.min(signatures, signed + perTurn); signed < end; signed++) identity.sign(text)
    const due = Math.round((signed / signatures) * verifications)
    for (; verified < due; verified++) trust.verify('floor', text, signature)
    await new Promise(setImmediate)
  }
}
