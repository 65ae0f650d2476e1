import type { z } from 'zod'
import { type Shape, shapeAt } from './by-kind.ts'
import { nearest } from './near.ts'

/** What is wrong with one place of a configuration: what was found, what was expected. */
export interface Complaint {
  readonly path: readonly PropertyKey[]
  readonly sentence: string
  /** Whether the name of the field is wrong, or its value. */
  readonly at: 'key' | 'value'
}

/** The words of the schema made into sentences for the person who wrote the file. */
export function complaintsOf(
  issues: readonly z.core.$ZodIssue[],
  written: unknown,
  shape: Shape,
): readonly Complaint[] {
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownField([...issue.path, key], written, shape))
      : [{ path: issue.path, ...sentenceOf(issue, written, shape) }],
  )
}

function unknownField(path: readonly PropertyKey[], written: unknown, shape: Shape): Complaint {
  const parent = shapeAt(shape, written, path.slice(0, -1))
  const known = [...(parent?.fields.keys() ?? [])]
  const meant = nearest(String(path.at(-1)), known)
  const hint = meant === undefined ? `expected ${anyOf(known)}` : `did you mean “${meant}”?`
  return { path, sentence: `is no option here, ${hint}`, at: 'key' }
}

function sentenceOf(
  issue: z.core.$ZodIssue,
  written: unknown,
  shape: Shape,
): Pick<Complaint, 'sentence' | 'at'> {
  const found = valueAt(written, issue.path)
  const value = found === undefined ? kindAlone(issue.path, written) : found
  const value_ = (sentence: string): Pick<Complaint, 'sentence' | 'at'> => ({ sentence, at: 'value' })
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue, value, written, shape)
    case 'invalid_value': {
      const allowed = issue.values.map(String)
      const meant = typeof value === 'string' ? nearest(value, allowed) : undefined
      const hint = meant === undefined ? '' : `; did you mean “${meant}”?`
      return value_(`found ${show(value)}, expected ${anyOf(allowed)}${hint}`)
    }
    case 'too_small':
      return value_(
        `found ${sizeOf(issue.origin, value)}, expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${nounOf(issue.origin)}`,
      )
    case 'too_big':
      return value_(
        `found ${sizeOf(issue.origin, value)}, expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${nounOf(issue.origin)}`,
      )
    case 'invalid_key':
      return {
        sentence: `is not a name that may stand here: ${issue.issues.map(({ message }) => message).join('; ')}`,
        at: 'key',
      }
    case 'invalid_format':
      return value_(
        isOurs(issue.message)
          ? wordsOf(issue.message, value)
          : `found ${show(value)}, which has not the form that is expected`,
      )
    case 'invalid_union':
      return value_(`found ${show(value)}, expected one of the forms that are allowed here`)
    default:
      return value_(wordsOf(issue.message, value))
  }
}

/** The library says of a form that it is invalid; schemas of ours say what is expected. */
const isOurs = (message: string): boolean => !message.startsWith('Invalid')

const wordsOf = (message: string, value: unknown): string =>
  /^expected/.test(message) && !message.includes('found') ? `found ${show(value)}, ${message}` : message

/** A kind may be written alone, without options: then it stands where these would. */
function kindAlone(path: readonly PropertyKey[], written: unknown): string | undefined {
  const around = path.at(-1) === 'kind' ? valueAt(written, path.slice(0, -1)) : undefined
  return typeof around === 'string' ? around : undefined
}

function wrongType(
  issue: z.core.$ZodIssueInvalidType,
  value: unknown,
  written: unknown,
  shape: Shape,
): Pick<Complaint, 'sentence' | 'at'> {
  const parent = shapeAt(shape, written, issue.path.slice(0, -1))
  const key = String(issue.path.at(-1) ?? '')
  if (value === undefined) {
    const around = valueAt(written, issue.path.slice(0, -1))
    const strangers = Object.keys(Object(around)).filter((name) => parent?.fields.has(name) === false)
    const instead = nearest(key, strangers)
    const hint = instead === undefined ? '' : `; is “${instead}” meant to be it?`
    return {
      sentence: `is missing, expected ${expected(issue, parent?.fields.get(key))}${hint}`,
      at: 'value',
    }
  }
  // Where further dimensions may be named, a field that is none of them was probably meant to be another.
  const meant =
    parent !== undefined && !parent.fields.has(key) ? nearest(key, [...parent.fields.keys()]) : undefined
  const hint = meant === undefined ? '' : `; did you mean “${meant}”?`
  return {
    sentence: `found ${show(value)}, expected ${expected(issue, parent?.fields.get(key))}${hint}`,
    at: meant === undefined ? 'value' : 'key',
  }
}

function expected(issue: z.core.$ZodIssueInvalidType, shape: Shape | undefined): string {
  if (shape?.type === 'integer') return 'a whole number'
  if (shape?.type === 'duration') return 'a duration such as 20s, 10m or 72h'
  const words: Readonly<Record<string, string>> = {
    int: 'a whole number',
    number: 'a number',
    string: 'a text',
    boolean: 'true or false',
    object: 'an object',
    record: 'an object',
    array: 'a list',
    tuple: 'a list',
  }
  return words[issue.expected] ?? issue.expected
}

const valueAt = (written: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    written,
  )

function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'an empty value'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  const text = typeof value === 'string' ? `“${value}”` : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

const anyOf = (words: readonly string[]): string =>
  words.length === 1 ? `“${words[0]}”` : `one of ${words.map((word) => `“${word}”`).join(', ')}`

const nounOf = (origin: string): string =>
  origin === 'array' ? ' entries' : origin === 'string' ? ' characters' : ''

function sizeOf(origin: string, value: unknown): string {
  if (origin === 'array' && Array.isArray(value)) return `${value.length} entries`
  return show(value)
}
