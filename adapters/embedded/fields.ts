import { SubletError } from '../../actors/runtime/errors.ts'

/** The body of a message or a file, whose fields nobody has looked at yet. */
export type Fields = Readonly<Record<string, unknown>>

const bad = (field: string, wanted: string, found: unknown): SubletError =>
  new SubletError(
    'message-malformed',
    `The field “${field}” must be ${wanted}, not ${JSON.stringify(found)?.slice(0, 80)}.`,
  )

export function asFields(what: string, value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(what, 'an object', value)
  return { ...value }
}

export function text(from: Fields, field: string): string {
  const value = from[field]
  if (typeof value !== 'string') throw bad(field, 'a text', value)
  return value
}

export function count(from: Fields, field: string): number {
  const value = from[field]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw bad(field, 'a whole number', value)
  return value
}

export function yesNo(from: Fields, field: string): boolean {
  const value = from[field]
  if (typeof value !== 'boolean') throw bad(field, 'true or false', value)
  return value
}

export function list<T>(from: Fields, field: string, each: (item: Fields) => T): readonly T[] {
  const value = from[field]
  if (!Array.isArray(value)) throw bad(field, 'a list', value)
  return value.map((item: unknown) => each(asFields(field, item)))
}

export function texts(from: Fields, field: string): readonly string[] {
  const value = from[field]
  if (!Array.isArray(value)) throw bad(field, 'a list of texts', value)
  return value.map((item: unknown) => {
    if (typeof item !== 'string') throw bad(field, 'a list of texts', item)
    return item
  })
}

export function textRecord(from: Fields, field: string): Readonly<Record<string, string>> {
  const value = asFields(field, from[field])
  for (const [key, item] of Object.entries(value))
    if (typeof item !== 'string') throw bad(`${field}.${key}`, 'a text', item)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]))
}

/** Null and absent are the same. */
export function optional<T>(
  from: Fields,
  field: string,
  read: (from: Fields, field: string) => T,
): T | undefined {
  return from[field] === undefined || from[field] === null ? undefined : read(from, field)
}
