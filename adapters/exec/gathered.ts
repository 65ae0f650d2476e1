import { StringDecoder } from 'node:string_decoder'

/** What a stream has printed, as text. */
export interface Gathered {
  add(chunk: Buffer): void
  text(): string
}

/** Each piece is decoded as it comes: of a list of 32 MB all at once would hold the event loop for 60 ms and more. */
export function gathered(): Gathered {
  const decoder = new StringDecoder('utf8')
  const parts: string[] = []
  return {
    add: (chunk) => void parts.push(decoder.write(chunk)),
    text: () => parts.join('') + decoder.end(),
  }
}
