import { chmodSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { digest } from '../../actors/runtime/canonical.ts'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { instantSchema } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import {
  ed25519Identity,
  generateKeys,
  type Identity,
  type PublicKey,
  publicKeyOf,
  type TrustedKey,
} from '../../actors/runtime/identity.ts'
import { readBounded } from '../../adapters/bounded-file.ts'
import { makeDurably, syncFile, writeDurably, writeTextDurably } from '../../adapters/durable-file.ts'
import { publicKey } from '../settings/network-config.ts'
import { inDir } from '../settings/work-files.ts'
import { makeNamedFolder } from '../upkeep/make-folder.ts'

/**
 * The keys of the actors of a work folder: made on first use, private ones readable by the owner only.
 *
 *   NAME.key, NAME.pub             the key that signs
 *   NAME.next.key, NAME.next.json  another one that follows it
 *
 *   old  signs ────────────────────┤ half of the overlap   still good ┤ oldUntil
 *   new  good ├────────────────────┤ signs ──────────────────────────────────────
 *
 * So peers have half of the overlap to add the new key, and the other half for what was signed before. Of an actor that
 * has signed before, none is made in the place of one that is gone, unless somebody says so (`sublet keygen`): no peer
 * would believe it, and nobody would know why.
 */
export class OwnKeys {
  readonly #dir: string
  readonly #clock: Clock
  readonly #isNew: (name: string) => boolean
  readonly #held = new Map<string, HeldKeys>()

  constructor(
    dir: string,
    names: readonly string[],
    clock: Clock,
    isNew: (name: string) => boolean = () => true,
  ) {
    this.#dir = dir
    this.#clock = clock
    this.#isNew = isNew
    makeNamedFolder(dir, 'Name a work folder that can be made with `dir` in the configuration.')
    for (const name of names) this.#held.set(name, this.#read(name))
  }

  /** Reads again what a command may have changed. */
  reload(): void {
    for (const name of this.#held.keys()) this.#held.set(name, this.#read(name))
  }

  #read(name: string): HeldKeys {
    return held(this.#dir, name, this.#clock.now(), this.#isNew(name))
  }

  identity(name: string): Identity {
    const at = (): Identity => {
      const { signs, next } = this.#held.get(name)!
      return next !== undefined && this.#clock.now() >= next.signFrom ? next.identity : signs
    }
    return {
      name,
      get key() {
        return at().key
      },
      get notAfter() {
        return at().notAfter
      },
      sign: (text) => at().sign(text),
    }
  }

  /** What peers should trust. */
  trusted(name: string): readonly TrustedKey[] {
    const { signs, next } = this.#held.get(name)!
    if (next === undefined) return [{ key: signs.key }]
    return [{ key: signs.key, notAfter: next.oldUntil }, { key: next.identity.key }]
  }

  /** ... without one whose time is over, which nobody has taken off the disk yet. */
  good(name: string): readonly TrustedKey[] {
    const now = this.#clock.now()
    return this.trusted(name).filter(({ notAfter }) => notAfter === undefined || now < notAfter)
  }
}

interface HeldKeys {
  readonly signs: Identity
  readonly next:
    | { readonly identity: Identity; readonly signFrom: Instant; readonly oldUntil: Instant }
    | undefined
}

const nextSchema = z.strictObject({ signFrom: instantSchema, oldUntil: instantSchema })

const filesOf = (dir: string, name: string) => ({
  secret: join(dir, `${name}.key`),
  open: join(dir, `${name}.pub`),
  nextSecret: join(dir, `${name}.next.key`),
  nextTimes: join(dir, `${name}.next.json`),
})

/** Whether an actor of a work folder has not begun yet. */
export const isNewIn =
  (dir: string) =>
  (name: string): boolean =>
    !existsSync(inDir(dir).database(name))

/** The keys as they are on disk. One that has taken the other's place by now is given its name. */
function held(dir: string, name: string, now: Instant, isNew: boolean): HeldKeys {
  const { secret, open, nextSecret, nextTimes } = filesOf(dir, name)
  const times = existsSync(nextTimes) ? timesIn(nextTimes) : undefined
  const isOver = times !== undefined && now >= times.oldUntil
  if (isOver && existsSync(nextSecret)) {
    renameSync(nextSecret, secret)
    syncFile(dir)
  }
  if (!existsSync(secret)) {
    if (!isNew)
      throw damaged(secret, `the key of ${name} is gone, and its database is there: there is no ${secret}`)
    makeDurably(secret, generateKeys().privateKey)
  }
  if (times !== undefined && !isOver)
    return {
      signs: identityIn(secret, name, times.oldUntil),
      next: { ...times, identity: identityIn(nextSecret, name) },
    }
  if (isOver) rmSync(nextTimes)
  const signs = identityIn(secret, name)
  if (!existsSync(open) || readFileSync(open, 'utf8').trim() !== signs.key)
    writeTextDurably(open, `${signs.key}\n`, 0o644)
  return { signs, next: undefined }
}

function identityIn(file: string, name: string, notAfter?: Instant): Identity {
  let text: string
  try {
    chmodSync(file, 0o600)
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw damaged(file, `the key ${file} cannot be read`, cause)
  }
  if (text.trim() === '') throw damaged(file, `the key ${file} is empty`)
  try {
    return ed25519Identity(name, text, notAfter)
  } catch (cause) {
    throw damaged(file, `the key ${file} is damaged: it is no private key of Ed25519`, cause)
  }
}

const damaged = (file: string, sentence: string, cause?: unknown): SubletError =>
  new SubletError('key-damaged', sentence, {
    ...(cause instanceof Error && 'syscall' in cause ? { cause } : {}),
    cure: `Put ${file} back from a copy of \`keys/\`. If there is none, move it away and make a new one with \`sublet keygen\`: peers believe the actor when each has added that, with the command which it prints.`,
  })

/** When the next key signs, and until when the old one is good. */
function timesIn(file: string): z.output<typeof nextSchema> {
  try {
    return nextSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    throw new SubletError('key-damaged', `${file} does not say when a key follows another`, {
      ...(cause instanceof z.ZodError ? {} : { cause }),
      cure: `Put ${file} back from a copy of \`keys/\`. If there is none, move it away: the old key signs on, and \`sublet keygen --rotate\` makes another one that is to follow it.`,
    })
  }
}

/** What an actor may sign with now, read beside it; undefined if its keys are not in the folder, or not for us to read. */
export function publicKeysIn(dir: string, name: string): readonly PublicKey[] | undefined {
  const { open, nextSecret } = filesOf(dir, name)
  const read = (file: string): readonly PublicKey[] => {
    try {
      const text = readFileSync(file, 'utf8').trim()
      return [text.startsWith('-----') ? publicKeyOf(text) : text]
    } catch {
      return []
    }
  }
  const keys = [...read(open), ...read(nextSecret)]
  return keys.length === 0 ? undefined : keys
}

/** Makes the key that is to follow; refuses while another one does. */
export function rotate(dir: string, name: string, overlapMs: Millis, now: Instant): HeldKeys {
  const { nextSecret, nextTimes } = filesOf(dir, name)
  if (held(dir, name, now, true).next !== undefined)
    throw new SubletError('usage', `the key of ${name} is being changed already`, {
      cure: 'Wait until the overlap is over; `sublet keygen` says when.',
    })
  writeTextDurably(nextSecret, generateKeys().privateKey)
  // Only with this file the other one counts.
  writeDurably(nextTimes, { signFrom: now + Math.ceil(overlapMs / 2), oldUntil: now + overlapMs })
  return held(dir, name, now, true)
}

/** Short enough to be read out over the telephone. */
export const fingerprint = (key: PublicKey): string =>
  digest(key)
    .slice(0, 16)
    .replaceAll(/.{4}(?=.)/g, '$&:')

/** The longest PEM of a key, with words around it. */
const KEY_BYTES_MAX = 16_384

/** The key in a file: PEM, or its 43 characters. Errors are those of whoever named the file. */
export function readPublicKey(file: string): PublicKey {
  const wrong = (sentence: string, cause?: unknown): SubletError =>
    new SubletError('config-invalid', sentence, {
      cause,
      cure: 'Name a file with the public key alone, as `sublet keygen` prints it, or with its PEM.',
    })
  let bytes: Buffer | undefined
  try {
    bytes = readBounded(file, KEY_BYTES_MAX)
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? cause.code : cause
    throw wrong(
      why === 'ENOENT' ? `there is no file ${file}` : `the key ${file} cannot be read (${why})`,
      cause,
    )
  }
  const text = bytes?.toString().trim() ?? ''
  try {
    const key = text.startsWith('-----') ? publicKeyOf(text) : text
    if (publicKey.safeParse(key).success) return key
  } catch (cause) {
    if (!(cause instanceof SubletError)) throw cause
    throw wrong(`${file} holds no public key: ${cause.message}`, cause)
  }
  throw wrong(`${file} holds no public key: expected 43 characters, as \`sublet keygen\` prints them`)
}
