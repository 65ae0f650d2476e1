import { z } from 'zod'

type Kinds = Readonly<Record<string, z.ZodType>>

/** `kind` and the options of that kind, side by side. */
export type OfKind<K extends Kinds> = {
  [Kind in keyof K & string]: { readonly kind: Kind } & z.output<K[Kind]>
}[keyof K & string]

const kindsOf = new WeakMap<object, Kinds>()

/**
 * An object whose `kind` says which module reads the rest of it. Each module declares its options without
 * knowing of `kind`, and may check and transform them as it likes. With `nameAlone` the kind may be written alone,
 * without options.
 */
export function byKind<K extends Kinds>(
  kinds: K,
  { nameAlone = false }: { readonly nameAlone?: boolean } = {},
): z.ZodType<OfKind<K>> {
  const schema = z.unknown().transform((written, context): OfKind<K> => {
    const value = nameAlone && typeof written === 'string' ? { kind: written } : written
    const refuse = (issue: object): never => {
      context.issues.push({ input: value, ...issue } as z.core.$ZodRawIssue)
      return z.NEVER
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return refuse({ code: 'invalid_type', expected: 'object' })
    const { kind, ...rest } = value as Record<string, unknown>
    const options = typeof kind === 'string' && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
    if (options === undefined)
      return refuse({ code: 'invalid_value', values: Object.keys(kinds), path: ['kind'], input: kind })
    const read = options.safeParse(rest)
    if (!read.success) {
      for (const issue of read.error.issues) refuse({ ...issue, path: [...issue.path] })
      return z.NEVER
    }
    return { kind, ...(read.data as object) } as OfKind<K>
  })
  kindsOf.set(schema, kinds)
  return schema as z.ZodType<OfKind<K>>
}

/** One field of a configuration as a person writes it. */
export interface Shape {
  readonly type: string
  readonly fields: ReadonlyMap<string, Shape>
  readonly required: ReadonlySet<string>
  /** What fields that are not listed hold; undefined if there may be none. */
  readonly others: Shape | undefined
  readonly items: Shape | undefined
  readonly default: unknown
  readonly kinds: ReadonlyMap<string, Shape>
}

/** The shape of what may be written, for suggestions and for the documentation. */
export function shapeOf(schema: z.ZodType, duration: z.ZodType): Shape {
  const json = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const kinds = kindsOf.get(zodSchema)
      if (kinds !== undefined)
        jsonSchema.oneOf = Object.entries(kinds).map(([kind, options]) => ({
          ...z.toJSONSchema(options, { io: 'input', unrepresentable: 'any', override: nameDurations }),
          title: kind,
        }))
      nameDurations({ zodSchema, jsonSchema })
    },
  })
  function nameDurations({ zodSchema, jsonSchema }: { zodSchema: unknown; jsonSchema: Json }): void {
    if (zodSchema === duration) jsonSchema.format = 'duration'
    // Its default is in milliseconds, which is not what one writes.
    if (zodSchema instanceof z.ZodDefault && zodSchema.def.innerType === duration)
      jsonSchema.default = durationText(Number(zodSchema.def.defaultValue))
  }
  return fromJson(json)
}

/** As one writes it: `50ms`, `20s`, `10m`, `72h`. */
export function durationText(ms: number): string {
  const [unit, unitMs] = [['h', 3_600_000] as const, ['m', 60_000] as const, ['s', 1000] as const].find(
    ([, each]) => ms % each === 0 && (ms > 0 || each === 1000),
  ) ?? ['ms', 1]
  return `${ms / unitMs}${unit}`
}

type Json = z.core.JSONSchema.BaseSchema

function fromJson(json: Json): Shape {
  const { properties, required, additionalProperties, items, oneOf } = json
  const asShape = (value: Json | boolean | undefined): Shape | undefined =>
    typeof value === 'object' ? fromJson(value) : undefined
  const kinds = new Map<string, Shape>()
  for (const option of oneOf ?? [])
    if (typeof option === 'object' && option.title !== undefined) kinds.set(option.title, fromJson(option))
  const fields = new Map<string, Shape>()
  // Of what may be written in short or in full, the full form has the fields.
  const forms = (json.anyOf ?? []).filter((form): form is Json => typeof form === 'object')
  for (const { properties: those } of [{ properties }, ...forms])
    for (const [key, value] of Object.entries(those ?? {})) {
      const shape = asShape(value)
      if (shape !== undefined) fields.set(key, shape)
    }
  return {
    type: nameOf(json),
    fields,
    required: new Set([required, ...forms.map((form) => form.required)].flatMap((keys) => keys ?? [])),
    others: asShape(additionalProperties),
    items: Array.isArray(items) ? undefined : asShape(items),
    default: json.default,
    kinds,
  }
}

function nameOf(json: Json): string {
  if (json.oneOf?.some((option) => typeof option === 'object' && option.title !== undefined)) return 'by kind'
  if (json.format === 'duration') return 'duration'
  if (json.enum !== undefined) return json.enum.map(String).join(' or ')
  if (json.const !== undefined) return String(json.const)
  if (json.anyOf !== undefined) return json.anyOf.map((each) => nameOf(each as Json)).join(' or ')
  return typeof json.type === 'string' ? json.type : 'any'
}

/** The shape at a path of what was written; the written value decides between kinds. */
export function shapeAt(shape: Shape, written: unknown, path: readonly PropertyKey[]): Shape | undefined {
  let [at, value]: [Shape | undefined, unknown] = [shape, written]
  for (const key of path) {
    at =
      typeof key === 'number'
        ? at?.items
        : (ofKind(at, value)?.fields.get(String(key)) ?? ofKind(at, value)?.others)
    value =
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }
  return ofKind(at, value)
}

function ofKind(shape: Shape | undefined, value: unknown): Shape | undefined {
  if (shape === undefined || shape.kinds.size === 0) return shape
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  return shape.kinds.get(String(kind)) ?? shape
}
