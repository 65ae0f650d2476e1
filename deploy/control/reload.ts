import { SubletError } from '../../actors/runtime/errors.ts'
import { duration } from '../../actors/runtime/settings.ts'
import type { SiteView } from '../reports/site-view.ts'
import { durationText, type Shape, shapeOf } from '../settings/by-kind.ts'
import { configSchema, type Settings } from '../settings/config.ts'
import { loadConfig } from '../settings/settings-file.ts'

/** One setting that is another one now, by its path, such as `guests.batch.controller.max`. */
export interface Change {
  readonly path: string
  /** As one writes it; undefined if it is not there. */
  readonly from: string | undefined
  readonly to: string | undefined
}

/**
 * The configuration is read again while Sublet runs:
 *
 *   file ──read, checked whole──▶ difference ──every change may be made──▶ ledger ──▶ controllers decide by it
 *             └── a mistake: nothing        └── one needs a restart: nothing
 *
 * What controllers decide by may change: no lease is touched by that, only by what they decide afterwards.
 */
export async function reload(
  site: SiteView,
  {
    by,
    reason,
    dryRun,
  }: { readonly by: string; readonly reason?: string | undefined; readonly dryRun: boolean },
): Promise<{ readonly changes: readonly Change[]; readonly warnings: readonly string[] }> {
  const { settings: next, warnings } = loadConfig(site.settings.file)
  const changes = differences(site.settings, next)
  const fixed = changes.filter(({ path }) => !isLive(path))
  if (fixed.length > 0)
    throw new SubletError(
      'restart-needed',
      `${placesOf(fixed, site.settings, next).join(', ')} cannot change while Sublet runs, so nothing was changed`,
    )
  if (!dryRun && changes.length > 0) {
    const guests = [...new Set(changes.map(({ path }) => guestIn(path)))].map((name) => ({
      name,
      changes: changes.filter(({ path }) => guestIn(path) === name).map(changeText),
    }))
    await site.serviceManager?.command('configured', { by, reason, guests })
    site.take?.(next)
  }
  return { changes, warnings: warnings.map(({ text }) => text) }
}

/** A guest that came or went is named once, and not by each of its options. */
function placesOf(changes: readonly Change[], before: Settings, after: Settings): readonly string[] {
  const has = ({ guests }: Settings, guest: string): boolean => guests.some(({ name }) => name === guest)
  const placeOf = (path: string): string => {
    const guest = path.startsWith('guests.') ? guestIn(path) : undefined
    if (guest === undefined || has(before, guest) === has(after, guest)) return path
    return `guests.${guest} (${has(after, guest) ? 'new' : 'gone'})`
  }
  return [...new Set(changes.map(({ path }) => placeOf(path)))]
}

export const changeText = ({ path, from, to }: Change): string =>
  `${path}: ${from ?? 'none'} → ${to ?? 'none'}`

/** Of which guest it is. Names of guests have no dots. */
const guestIn = (path: string): string => path.split('.')[1] ?? ''

const isLive = (path: string): boolean => /^guests\.[^.]+\.controller\.(?!kind$)/.test(path)

/** Every value that differs, by its path; guests go by their names, so that their order says nothing. */
export function differences(before: Settings, after: Settings): readonly Change[] {
  const [was, is] = [leavesOf(before), leavesOf(after)]
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((path) => was.get(path) !== is.get(path))
    .sort()
    .map((path) => ({ path, from: was.get(path), to: is.get(path) }))
}

function leavesOf(settings: Settings): ReadonlyMap<string, string> {
  const leaves = new Map<string, string>()
  const root = shapeOf(configSchema, duration)
  const walk = (path: string, value: unknown): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [key, part] of Object.entries(value)) walk(path === '' ? key : `${path}.${key}`, part)
    else if (path.endsWith('.controller.queues') && isNamed(value))
      for (const { name, ...queue } of value) walk(`${path}.${name}`, queue)
    else if (value !== undefined) leaves.set(path, textOf(value, path, root))
  }
  walk('', { ...settings, guests: Object.fromEntries(settings.guests.map((guest) => [guest.name, guest])) })
  return leaves
}

const isNamed = (value: unknown): value is readonly { readonly name: string }[] =>
  Array.isArray(value) &&
  value.every((one) => typeof one === 'object' && one !== null && typeof one.name === 'string')

/** Lengths of time are milliseconds here, and nobody writes them so. */
const textOf = (value: unknown, path: string, root: Shape): string =>
  typeof value === 'number' && shapeAt(root, path.split('.'))?.type === 'duration'
    ? durationText(value)
    : JSON.stringify(value)

function shapeAt(shape: Shape, [step, ...rest]: readonly string[]): Shape | undefined {
  if (step === undefined) return shape
  // Guests and queues are lists in the file, and go by their names here.
  if (shape.items !== undefined) return shapeAt(shape.items, rest)
  for (const { fields, others } of [shape, ...shape.kinds.values()]) {
    const next = fields.get(step) ?? others
    if (next !== undefined) return shapeAt(next, rest)
  }
  return undefined
}
