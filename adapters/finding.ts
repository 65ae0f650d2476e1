import type { Vector } from '../actors/leases/resources.ts'
import type { Millis } from '../actors/runtime/clock.ts'

/**
 * What an admin should know of her middleware before Sublet drives it:
 *
 *   missing   it will not do: Sublet does not work there, or work is not seen or lost
 *   unwise    it will do, and worse than it could
 *   unseen    it could not be looked at from here
 *   fine      it was looked at, and is as it should be
 */
export const SEVERITIES = ['missing', 'unwise', 'unseen', 'fine'] as const

interface About {
  readonly about: 'server' | 'rights' | 'visibility' | 'names' | 'clock' | 'ports' | 'settings' | 'job shapes'
  readonly sentence: string
}

/** What to do stands in the cure; only where all is fine there is nothing to be done. */
export type Finding =
  | (About & { readonly severity: Exclude<(typeof SEVERITIES)[number], 'fine'>; readonly cure: string })
  | (About & { readonly severity: 'fine'; readonly cure: '' })

/** What is only known outside of an adapter. */
export interface Examination {
  /** Names that machines of the site may get, some or all of them. */
  readonly names: readonly string[]
  /** What machines may come; none where it is not known. */
  readonly machines: readonly MachineType[]
  /** The most that clocks may differ. */
  readonly skewMsMax: Millis
}

/** Machines of one kind that may come, and what each offers to jobs. */
export interface MachineType {
  readonly type: string
  /** At most so many at once. */
  readonly units: number
  readonly cpus: number
  readonly memoryMiB: number
  /** By the middleware’s names. */
  readonly consumables: Vector
  readonly features: readonly string[]
}

/** The empty text is no cure. */
type Cure<C extends string> = C extends '' ? never : C

const of =
  <S extends Exclude<Finding['severity'], 'fine'>>(severity: S) =>
  <C extends string>(about: Finding['about'], sentence: string, cure: Cure<C>): Finding => ({
    ...{ severity, about, sentence, cure },
  })

export const missing = of('missing')
export const unwise = of('unwise')
export const unseen = of('unseen')
export const fine = (about: Finding['about'], sentence: string): Finding => ({
  ...{ severity: 'fine', about, sentence, cure: '' },
})

/** As the sentences of `check`: what is fine is not said. */
export const toldOf = (findings: readonly Finding[]): readonly string[] =>
  findings.filter(({ severity }) => severity !== 'fine').map(({ sentence, cure }) => `${sentence} ${cure}`)

/** Said once that a thing was looked at, if nothing was found about it. */
export const orFine = (
  findings: readonly Finding[],
  about: Finding['about'],
  sentence: string,
): readonly Finding[] =>
  findings.some((each) => each.about === about) ? findings : [...findings, fine(about, sentence)]

/** The ports of machines can be asked only while one is there. */
export const noMachine = (daemon: string): Finding =>
  unseen(
    'ports',
    `Whether a ${daemon} can be reached was not looked at: no machine is there whose ${daemon} is heard.`,
    'Look again once a machine has joined.',
  )
