import type { Clock } from '../../actors/runtime/clock.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import { some } from '../../controllers/sentence.ts'
import { readConfig } from '../settings/settings-file.ts'
import { EXIT, print, printJson } from './terminal.ts'

export async function validate(
  file: string,
  options: { readonly json?: true; readonly reach?: true },
  clock: Clock,
): Promise<number> {
  const { settings, errors, warnings, complete } = readConfig(file, { keyFiles: true })
  const missing =
    settings === undefined || !options.reach
      ? []
      : await (await import('./reach.ts')).unreachable(settings, { clock, random: systemRandom() })
  const isUnreached = options.reach === true && settings === undefined
  const valid = errors.length === 0 && missing.length === 0
  if (options.json) printJson({ valid, errors, warnings, missing, complete: complete && !isUnreached })
  else {
    for (const { text } of errors) print(text)
    for (const { text } of warnings) print(`${text} (warning)`)
    for (const sentence of missing) print(`${file}: ${sentence}`)
    print(
      valid
        ? `${file} is valid${warnings.length > 0 ? `, with ${some(warnings.length, 'warning')}` : ''}`
        : `${file}: ${some(errors.length + missing.length, 'error')}`,
    )
    if (!complete || isUnreached)
      print(
        `${file}: when ${errors.length === 1 ? 'it is' : 'they are'} corrected, more is checked: ${[...(complete ? [] : ['whether the parts go together']), ...(isUnreached ? ['what is there (--reach)'] : [])].join(', and ')}`,
      )
  }
  if (errors.length > 0) return EXIT.usage
  return valid ? EXIT.done : EXIT.failed
}
