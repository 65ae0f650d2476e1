import {
  type Document,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type YAMLParseError,
} from 'yaml'
import type { z } from 'zod'
import { SubletError } from '../../actors/runtime/errors.ts'
import { duration } from '../../actors/runtime/settings.ts'
import { readBounded } from '../../adapters/bounded-file.ts'
import { readStored } from '../peers/peers.ts'
import { shapeOf } from './by-kind.ts'
import { type Complaint, complaintsOf } from './complaints.ts'
import { configSchema, type Settings } from './config.ts'
import { crossChecks } from './cross-checks.ts'
import { certificateFileChecks, keyFileChecks } from './network-checks.ts'
import { resolved } from './resolved.ts'
import { inDir } from './work-files.ts'

const FILE_BYTES_MAX = 1024 * 1024
/** Whoever has more has given another file. */
const ERRORS_MAX = 200

/** A complaint with its place, as an editor understands it: `file:line:column: path: sentence`. */
export interface Finding {
  readonly line: number
  readonly column: number
  readonly path: string
  readonly sentence: string
  readonly text: string
}

export interface ReadConfig {
  /** Undefined if there are errors. */
  readonly settings: Settings | undefined
  readonly errors: readonly Finding[]
  readonly warnings: readonly Finding[]
  /** Whether all that can be checked was; what does not fit together is looked for only in what is right by itself. */
  readonly complete: boolean
}

export interface ReadOptions {
  /** Whether the files that hold keys of peers have to be there. */
  readonly keyFiles?: boolean
}

/** Reads and checks a configuration; every error there is comes back at once. */
export function readConfig(file: string, { keyFiles = false }: ReadOptions = {}): ReadConfig {
  const lines = new LineCounter()
  const text = readText(file)
  const document = parseDocument(text, {
    lineCounter: lines,
    stringKeys: true,
    prettyErrors: false,
  })
  const place = (complaint: Complaint): Finding => {
    const { line, col } = lines.linePos(offsetOf(document, complaint))
    const path = complaint.path.map(String).join('.')
    const where = path === '' ? '' : `${path}: `
    return {
      line,
      column: col,
      path,
      sentence: complaint.sentence,
      text: `${file}:${line}:${col}: ${where}${complaint.sentence}`,
    }
  }
  const atOffset = (offset: number, sentence: string): Finding => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col, path: '', sentence, text: `${file}:${line}:${col}: ${sentence}` }
  }
  const syntax = causesOf(document).map(({ pos, code, message }) =>
    atOffset(pos[0], inOwnWords(code, message, text.slice(pos[0]))),
  )
  if (syntax.length > 0) return { settings: undefined, errors: syntax, warnings: [], complete: false }
  const alias = firstAlias(document)
  if (alias !== undefined)
    return {
      settings: undefined,
      errors: [atOffset(alias, 'an alias (*) may not stand here: write out what it stands for')],
      warnings: [],
      complete: false,
    }
  const { written, complaints } = check(document.toJS())
  const cross =
    written === undefined
      ? []
      : [
          ...crossChecks(written, file),
          ...(keyFiles ? [...keyFileChecks(written, file), ...certificateFileChecks(written, file)] : []),
        ]
  const wrong = [...complaints, ...cross.filter(({ grave }) => grave)]
  const errors = wrong.slice(0, ERRORS_MAX).map(place)
  if (wrong.length > errors.length)
    errors.push(atOffset(text.length, `${wrong.length - errors.length} more mistakes are not listed`))
  const settings = errors.length === 0 && written !== undefined ? resolved(written, file) : undefined
  const added = settings === undefined ? [] : brokersAdded(settings)
  const warnings = cross
    .filter(({ grave, unlessBroker }) => !grave && !added.includes(unlessBroker ?? ''))
    .map(place)
  const byPlace = (a: Finding, b: Finding): number => a.line - b.line || a.column - b.column
  return {
    settings,
    errors: errors.sort(byPlace),
    warnings: warnings.sort(byPlace),
    complete: written !== undefined,
  }
}

/** Brokers that commands added as peers. What is wrong with that file the start says. */
function brokersAdded({ dir }: Settings): readonly string[] {
  try {
    return readStored(inDir(dir).peers).flatMap(({ name, role }) => (role === 'broker' ? [name] : []))
  } catch {
    return []
  }
}

/** The settings, or one error that lists everything that is wrong. */
export function loadConfig(
  file: string,
  options?: ReadOptions,
): {
  readonly settings: Settings
  readonly warnings: readonly Finding[]
} {
  const { settings, errors, warnings } = readConfig(file, options)
  if (settings !== undefined) return { settings, warnings }
  throw new SubletError('config-invalid', errors.map(({ text }) => text).join('\n'))
}

function readText(file: string): string {
  try {
    const bytes = readBounded(file, FILE_BYTES_MAX)
    if (bytes !== undefined) return decoded(file, bytes)
    throw new SubletError(
      'config-invalid',
      `${file} has more than the ${FILE_BYTES_MAX} bytes that a configuration has at most`,
      { cure: 'Name a configuration file, or make this one shorter.' },
    )
  } catch (error) {
    if (error instanceof SubletError) throw error
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    if (why === 'ENOENT')
      throw new SubletError('config-missing', `there is no file ${file}`, { cure: 'Name an existing file.' })
    throw new SubletError(
      'config-missing',
      why === 'EISDIR'
        ? `${file} is a folder, not a configuration`
        : why === 'EACCES'
          ? `this user may not read ${file}`
          : `the configuration ${file} cannot be read (${why})`,
      { cure: 'Name a configuration file that this user may read.' },
    )
  }
}

function decoded(file: string, bytes: Uint8Array): string {
  const notText = (): SubletError =>
    new SubletError('config-invalid', `${file} is not text: expected YAML in UTF-8`, {
      cure: 'Name a configuration file, or save this one as UTF-8.',
    })
  if (bytes.includes(0)) throw notText()
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) throw notText()
    throw error
  }
}

/** What is found after a mistake of the syntax may be so only for it: of a tab, that it stands there says all. */
function causesOf({ errors }: Document.Parsed): readonly YAMLParseError[] {
  const tabs = errors.filter(({ code }) => code === 'TAB_AS_INDENT')
  if (tabs.length > 0) return tabs
  const depth = errors.filter(({ message }) => isTooDeep(message))
  if (depth.length > 0) return depth.slice(0, 1)
  const syntax = errors.filter(({ code }) => code !== 'DUPLICATE_KEY' && code !== 'NON_STRING_KEY')
  return syntax.length > 0 ? syntax : errors
}

/** The parser calls itself for each level, until the machine has no room for more. */
const isTooDeep = (message: string): boolean => /call stack|stack overflow/i.test(message)

/** What the parser says is meant for the programmer who calls it; a person needs the key and what to do. */
function inOwnWords(code: string, message: string, from: string): string {
  if (code === 'DUPLICATE_KEY')
    return `“${/^["']?([^:"'\n]{1,60})/.exec(from)?.[1]?.trim()}” is given twice here`
  if (isTooDeep(message)) return 'is nested too deeply to be a configuration'
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here (---), expected one'
  // Control characters of a broken file are not for the terminal.
  return message.replace(/\.$/, '').replace(/\p{Cc}+/gu, ' ')
}

/** Also keeps a few lines from unfolding into millions. */
function firstAlias(document: Document): number | undefined {
  let found: number | undefined
  visit(document, {
    Alias(_, node) {
      found = node.range?.[0] ?? 0
      return visit.BREAK
    },
  })
  return found
}

/**
 * Unknown fields keep a schema from looking at the rest, so they are taken out and what is left is read
 * again: a spelling mistake does not hide what else is wrong.
 */
function check(value: unknown): {
  readonly written: z.output<typeof configSchema> | undefined
  readonly complaints: readonly Complaint[]
} {
  const shape = shapeOf(configSchema, duration)
  const first = configSchema.safeParse(value)
  if (first.success) return { written: first.data, complaints: [] }
  const complaints = complaintsOf(first.error.issues, value, shape)
  const unknown = first.error.issues.filter((issue) => issue.code === 'unrecognized_keys')
  if (unknown.length === 0) return { written: undefined, complaints }
  const stripped = structuredClone(value)
  for (const { path, keys } of unknown) for (const key of keys) remove(stripped, [...path, key])
  const second = configSchema.safeParse(stripped)
  if (second.success) return { written: second.data, complaints }
  // What was meant instead is known only while it is still there.
  const said = ({ path, sentence }: Complaint): string => `${path.join('.')} ${sentence.split('; ')[0]}`
  const known = new Set(complaints.map(said))
  const more = complaintsOf(second.error.issues, stripped, shape)
  return {
    written: undefined,
    complaints: [...complaints, ...more.filter((complaint) => !known.has(said(complaint)))],
  }
}

function remove(from: unknown, path: readonly PropertyKey[]): void {
  let at = from as Record<PropertyKey, unknown>
  for (const key of path.slice(0, -1)) at = at[key] as Record<PropertyKey, unknown>
  delete at[path.at(-1)!]
}

/** Where the value stands; of a field that is not there, the nearest thing around it that is. */
function offsetOf(document: Document, { path, at }: Complaint): number {
  const keys = [...path]
  if (at === 'key') {
    const offset = keyOffset(document, keys)
    if (offset !== undefined) return offset
  }
  for (; keys.length > 0; keys.pop()) {
    const node = document.getIn(keys, true)
    if (isNode(node) && node.range) return node.range[0]
    const offset = keyOffset(document, keys)
    if (offset !== undefined) return offset
  }
  return document.contents?.range?.[0] ?? 0
}

function keyOffset(document: Document, path: readonly PropertyKey[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (!isMap(parent)) return undefined
  const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)))
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined
}
