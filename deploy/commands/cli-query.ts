import type { Command } from 'commander'
import type { Body } from '../../actors/leases/messages.ts'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { parseMoment } from '../settings/moments.ts'
import type { Whose } from '../upkeep/work-folder.ts'
import { duration, wholeNumber } from './cli-arguments.ts'
import { clientFor } from './order.ts'
import { perform, print, printJson } from './terminal.ts'

interface Options extends Whose {
  readonly json?: true
  readonly to?: string
  readonly type?: string
  readonly units?: number
  readonly for?: Millis
  readonly after?: Instant
  readonly latest?: Instant
}

const ABOUT = ['types', 'availability'] as const

/** Asks a broker or a site what there is; changes nothing. */
export function queryCommand(
  commandFor: (usage: string, description: string) => Command,
  clock: Clock,
): void {
  const moment = (text: string): Instant => parseMoment(text, clock.now())
  commandFor('query <about>', `ask what there is: ${ABOUT.join(' or ')}`)
    .option('--to <name>', 'this broker or site (default: the broker)')
    .option('--type <type>', 'of this type')
    .option('--units <count>', 'for so many units', wholeNumber)
    .option('--for <duration>', 'for so long', duration)
    .option('--after <time>', 'not before', moment)
    .option('--latest <time>', 'not after', moment)
    .action((about: string, options: Options) =>
      perform(options.json === true, async () => {
        const { SubletError } = await import('../../actors/runtime/errors.ts')
        const { answerText } = await import('../control/ask.ts')
        if (about !== 'types' && about !== 'availability')
          throw new SubletError('usage', `“${about}” cannot be asked; expected ${ABOUT.join(' or ')}`)
        const { to, type, units: count, for: durationMs, after, latest } = options
        const client = await clientFor(options)
        const question = { about, to, type, units: count, durationMs, after, latest }
        const answer = (await client.post('/query', question)) as Body<'query-answer'>
        if (options.json === true) printJson(answer)
        else print(answerText({ about, units: count, durationMs }, answer))
      }),
    )
}
