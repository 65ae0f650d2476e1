import { createReadStream } from 'node:fs'
import { z } from 'zod'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { LINE_LENGTH_MAX } from '../../actors/runtime/ledger-line.ts'

export const EXPORTED = 'Give a file that `sublet ledger --export` wrote.'

/** What every line has; who exported it may have written anything there. */
const form = z.looseObject({
  ...{ seq: z.number(), at: z.number(), actor: z.string().min(1).max(200) },
  ...{ kind: z.string(), subject: z.string(), reason: z.string(), prev: z.string(), hash: z.string() },
})

/** The lines of a file that `sublet ledger --export` wrote, as somebody says. What is none is told with its number. */
export async function* exportedLines(file: string, charsMax = LINE_LENGTH_MAX): AsyncGenerator<LedgerEntry> {
  let number = 0
  for await (const text of textLines(file, charsMax)) {
    number++
    if (text === '') continue
    yield lineOf(text, `${file}:${number} is no line of a ledger`)
  }
}

function lineOf(text: string, wrong: string): LedgerEntry {
  try {
    const line: unknown = JSON.parse(text)
    if (form.safeParse(line).success) return line as LedgerEntry
  } catch (cause) {
    throw new SubletError('usage', wrong, { cause, cure: EXPORTED })
  }
  throw new SubletError('usage', wrong, { cure: EXPORTED })
}

/** A line that is longer than one may be is not waited for: it may never end. */
async function* textLines(file: string, charsMax: number): AsyncGenerator<string> {
  let parts: string[] = []
  let length = 0
  for await (const chunk of createReadStream(file, 'utf8') as AsyncIterable<string>) {
    let from = 0
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
      yield [...parts, chunk.slice(from, end)].join('').replace(/\r$/, '')
      parts = []
      length = 0
      from = end + 1
    }
    length += chunk.length - from
    parts.push(chunk.slice(from))
    if (length > charsMax)
      throw new SubletError(
        'usage',
        `${file} has a line of more than ${charsMax} characters, which no ledger has`,
        {
          cure: EXPORTED,
        },
      )
  }
  if (length > 0) yield parts.join('')
}
