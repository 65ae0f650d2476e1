import type { Millis } from '../actors/runtime/clock.ts'

/**
 * What an admin should know of her middleware before Sublet drives it:
 *
 *   missing   it will not do: Sublet does not work there, or work is not seen or lost
 *   unwise    it will do, and worse than it could
 *   fine      it was looked at, and is as it should be
 */
export const SEVERITIES = ['missing', 'unwise', 'fine'] as const

export interface Finding {
  readonly severity: (typeof SEVERITIES)[number]
  readonly about: 'server' | 'rights' | 'visibility' | 'names' | 'clock' | 'settings' | 'job shapes'
  readonly sentence: string
  /** What to do; empty if there is nothing to be done. */
  readonly cure: string
}

/** What is only known outside of an adapter. */
export interface Examination {
  /** Names that machines of the site may get, some or all of them. */
  readonly names: readonly string[]
  /** The most that clocks may differ. */
  readonly skewMsMax: Millis
}

const of =
  (severity: Finding['severity']) =>
  (about: Finding['about'], sentence: string, cure = ''): Finding => ({ severity, about, sentence, cure })

export const missing = of('missing')
export const unwise = of('unwise')
export const fine = of('fine')

/** As the sentences of `check`: what is fine is not said. */
export const toldOf = (findings: readonly Finding[]): readonly string[] =>
  findings
    .filter(({ severity }) => severity !== 'fine')
    .map(({ sentence, cure }) => `${sentence} ${cure}`.trimEnd())

/** Said once that a thing was looked at, if nothing was found about it. */
export const orFine = (
  findings: readonly Finding[],
  about: Finding['about'],
  sentence: string,
): readonly Finding[] =>
  findings.some((each) => each.about === about) ? findings : [...findings, fine(about, sentence)]
