import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'

/** An actor's name on the network, such as `broker-a`. */
export type ActorName = string

/** Signs as one actor. */
export interface Identity {
  readonly name: ActorName
  sign(text: string): string
}

/** Knows the keys of the actors that are trusted. */
export interface Trust {
  knows(name: ActorName): boolean
  /** False for an unknown actor, too. */
  verify(name: ActorName, text: string, signature: string): boolean
}

export interface KeyPair {
  /** PKCS#8 PEM. Secret: a file of mode 0600, never a value in a message, log or property. */
  readonly privateKey: string
  /** SPKI PEM. */
  readonly publicKey: string
}

export function generateKeys(): KeyPair {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
}

/** Ed25519 over the UTF-8 of the text; signatures are base64url. */
export function ed25519Identity(name: ActorName, privateKey: string): Identity {
  const key = createPrivateKey(privateKey)
  return { name, sign: (text) => sign(null, Buffer.from(text), key).toString('base64url') }
}

export function ed25519Trust(publicKeys: Readonly<Record<ActorName, string>>): Trust {
  const keys = new Map<ActorName, KeyObject>(
    Object.entries(publicKeys).map(([name, key]) => [name, createPublicKey(key)]),
  )
  return {
    knows: (name) => keys.has(name),
    verify(name, text, signature) {
      const key = keys.get(name)
      const bytes = Buffer.from(signature, 'base64url')
      // One signature has one spelling: decoding forgives much, so it is spelled again and compared.
      if (key === undefined || bytes.length !== 64 || bytes.toString('base64url') !== signature) return false
      return verify(null, Buffer.from(text), key, bytes)
    },
  }
}
