import type { Random } from './random.ts'

/** Every kind of id there is; an id reads `lease-7f3a9c2k`. */
export const ID_KINDS = [
  'lease',
  'ticket',
  'unit',
  'message',
  'delegation',
  'epoch',
  'nonce',
  'decision',
  'modification',
  'query',
  'holdings',
] as const
export type IdKind = (typeof ID_KINDS)[number]

export interface IdSource {
  next(kind: IdKind): string
}

/** Without the letters that are misread: i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** 12 letters of 5 bits: a collision within a million ids has a chance below one in a million. */
const ID_LETTERS = 12

export function idSource(random: Random): IdSource {
  return {
    next(kind) {
      let text = ''
      for (let i = 0; i < ID_LETTERS; i++) text += ALPHABET[random.int(32)]
      return `${kind}-${text}`
    },
  }
}
