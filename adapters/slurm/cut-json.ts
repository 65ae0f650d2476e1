import { SubletError } from '../../actors/runtime/errors.ts'

const garbage = (sentence: string, cause?: unknown): SubletError =>
  new SubletError('middleware-garbage', sentence, { cause })

const notJson = (source: string, printed: string, cause?: unknown): SubletError =>
  garbage(
    `${source} printed ${printed.length} characters that are not JSON, ending in “${printed.slice(-40)}”`,
    cause,
  )

const BEGIN = '\n    {'
const END = '\n    }'

/**
 * What `squeue --json` and `sinfo --json` print, cut into its records without reading them: of ten thousand jobs it is
 * 34 MB, which JSON.parse holds the event loop for. 22.05 indents by two blanks, and no word of anybody's can hold a
 * line end there, so that a record begins with a line `⎵⎵⎵⎵{` and ends before the next `⎵⎵⎵⎵}`. What is laid out in
 * another way is read as a whole.
 *
 *   { "meta": …, "jobs": [   ─▶ check
 *     { … }, { … }           ─▶ one piece each
 *   ] }                      ─▶ check; a list that has no end was cut off, and half a list is worse than none
 */
export function* cutJson(
  source: string,
  printed: string,
  section: 'jobs' | 'nodes',
  /** Throws if what stands around the records will not do; first what is before them, in the end all of it. */
  check: (around: unknown) => void,
): Generator<string> {
  const read = (text: string): unknown => {
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw notJson(source, printed, cause)
    }
  }
  const opening = `\n  "${section}": [`
  const from = printed.indexOf(opening)
  if (from < 0) {
    const all = read(printed)
    check(all)
    const list: unknown = Object.entries(all ?? {}).find(([key]) => key === section)?.[1]
    if (!Array.isArray(list)) throw garbage(`${source} printed no list of records`)
    for (const record of list) yield JSON.stringify(record)
    return
  }
  let at = from + opening.length
  const head = printed.slice(0, at)
  check(read(`${head}]}`))
  while (printed.startsWith(BEGIN, at)) {
    const end = printed.indexOf(END, at + BEGIN.length)
    if (end < 0) throw notJson(source, printed)
    yield printed.slice(at, end + END.length)
    at = end + END.length
    if (printed[at] === ',') at += 1
  }
  // Whatever is left of the list was no record as 22.05 prints it.
  const rest = /^\s*\]/.exec(printed.slice(at, at + 100))
  if (rest === null) throw notJson(source, printed)
  check(read(`${head}${printed.slice(at)}`))
}
