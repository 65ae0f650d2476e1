/** `1 unit`, `3 units`: as reasons say it. */
export const someUnits = (count: number): string => `${count} unit${count === 1 ? '' : 's'}`

/** Who has said what he holds, after a restore of the one who asked. */
export function spokenBy(silent: readonly string[], unsure: readonly string[]): string {
  const without = silent.length === 0 ? 'all have answered' : `without the word of ${silent.join(', ')}`
  return unsure.length === 0 ? without : `${without}; ${unsure.join(', ')} may have forgotten, too`
}
