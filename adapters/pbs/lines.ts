import { ID, type Line, like, literally, type Word } from '../privileges.ts'

/** `17.head`, `17[3].head`, `17[].head`. */
export const JOB = like('[0-9]+(\\[[0-9]*\\])?(\\.[A-Za-z0-9.-]+)?')

/** See marks.ts. */
export const markedWord = (prefix: string): string => `${prefix}${ID}_${ID}_[A-Za-z0-9.-]*`

/** Comma-separated: the mark, and always the same ones after it. */
export const propertiesOf = (mark: string, others: readonly string[]): string =>
  [mark, ...others.map(literally)].join(',')

const PBS_PROGRAMS = new Set(['qstat', 'qmgr', 'pbsnodes', 'pbs_rstat', 'qrerun', 'qrls', 'qdel'])

/** Lines of one right, with programs where the adapter looks for them. */
export function lineMaker(bin: string | undefined) {
  const of =
    (right: Line['right']) =>
    (verb: Line['verb'], [program, ...words]: Line['words'], why: string): Line => {
      const found = bin !== undefined && PBS_PROGRAMS.has(program) ? `${bin}/${program}` : program
      return { right, verb, words: [found, ...words] as readonly [string, ...Word[]], why }
    }
  return { look: of('read'), line: of('change') }
}
