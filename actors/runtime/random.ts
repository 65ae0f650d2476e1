import { randomBytes } from 'node:crypto'

/** The only source of chance. Seeded in tests and simulations, so that a run can be repeated. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [0, below). */
  int(below: number): number
  /** A generator of its own, so that one more draw here does not shift every draw there. */
  child(name: string): Random
}

/** sfc32, a small fast generator of good quality (public domain, PractRand). */
export function seededRandom(seed: number | string): Random {
  let [a, b, c, d] = seedWords(String(seed))
  const nextUint32 = (): number => {
    const t = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) nextUint32()
  const next = (): number => nextUint32() / 2 ** 32
  return {
    next,
    int: (below) => Math.floor(next() * below),
    child: (name) => seededRandom(`${seed}/${name}`),
  }
}

/**
 * From the operating system, drawn by the page. Not a seeded generator: ids must not repeat over the
 * lives of an actor, and a seed is folded into 32 bits, of which two lives in some ten thousand agree.
 */
export function systemRandom(): Random {
  let page = Buffer.alloc(0)
  let at = 0
  const next = (): number => {
    if (at >= page.length) {
      page = randomBytes(RANDOM_PAGE_BYTES)
      at = 0
    }
    const word = page.readUInt32LE(at)
    at += 4
    return word / 2 ** 32
  }
  const random: Random = { next, int: (below) => Math.floor(next() * below), child: () => random }
  return random
}

const RANDOM_PAGE_BYTES = 4_096

/** Four 32-bit words from a text (xmur3). */
function seedWords(text: string): [number, number, number, number] {
  let h = 1779033703 ^ text.length
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353)
    h = (h << 13) | (h >>> 19)
  }
  const word = (): number => {
    h = Math.imul(h ^ (h >>> 16), 2246822507)
    h = Math.imul(h ^ (h >>> 13), 3266489909)
    h ^= h >>> 16
    return h
  }
  return [word(), word(), word(), word()]
}
