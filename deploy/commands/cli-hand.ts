import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'
import type { HandReport } from '../control/by-hand.ts'
import type { Whose } from '../upkeep/work-folder.ts'
import { duration, wholeNumber } from './cli-arguments.ts'
import { clientFor } from './order.ts'
import { perform, print, printJson } from './terminal.ts'

/** The commands by which a person asks for units, and gives them back. */
interface Common extends Whose {
  readonly json?: true
  readonly reason: string
}

interface RequestOptions extends Common {
  readonly guest?: string
  readonly type: string
  readonly units: number
  readonly for: Millis
  readonly elastic?: number
  readonly start?: string
  readonly deadline?: string
  readonly group?: string
  readonly groupSize?: number
  readonly label?: string
  readonly after?: string
  readonly joinAfter?: string
  readonly property?: Readonly<Record<string, string>>
  readonly wait: Millis
}

interface ExtendOptions extends Common {
  readonly for: Millis
  readonly units?: number
  readonly elastic?: number
  readonly wait: Millis
}

const WAIT_MS_MAX: Millis = 25_000
const ANSWER_MS: Millis = 10_000

const wait = (text: string): Millis => {
  const ms = parseDuration(text)
  if (ms === undefined || ms > WAIT_MS_MAX)
    throw new InvalidArgumentError('Expected a duration of at most 25s.')
  return ms
}

const waitOption = (): Option =>
  new Option('--wait <duration>', 'wait so long for the answer, at most 25s')
    .argParser(wait)
    .default(5_000, '5s')

const property = (text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw new InvalidArgumentError('Expected KEY=VALUE.')
  return { ...before, [key]: value }
}

export function handCommands(
  commandFor: (usage: string, description: string) => Command,
  clock: Clock,
): void {
  const order = async (
    path: string,
    body: object,
    options: Common,
    timeoutMs: Millis = ANSWER_MS,
  ): Promise<undefined> => {
    const { handText } = await import('../control/by-hand.ts')
    const client = await clientFor(options)
    const report = (await client.post(path, body, { timeoutMs })) as HandReport
    if (options.json === true) printJson(report)
    else print(handText(report))
    return undefined
  }

  commandFor('request', 'ask the broker for units, in the name of a guest')
    .requiredOption('--type <type>', 'of this type (required)')
    .requiredOption('--units <count>', 'so many (required)', wholeNumber)
    .requiredOption('--for <duration>', 'for so long (required)', duration)
    .option('--guest <name>', 'for this guest (default: the only one)')
    .option('--elastic <least>', 'fewer will do, down to so many', wholeNumber)
    .option('--start <time>', 'not before: an advance reservation (default: now)')
    .option('--deadline <time>', 'a later start will do, until then (default: it will not)')
    .option('--group <id>', 'all requests of this group start together, or none; with --group-size')
    .option('--group-size <count>', 'how many requests there are in the group', wholeNumber)
    .option('--label <word>', 'what other requests of the guest call it')
    .option('--after <label>', 'take up the ticket only when the units of that one have joined')
    .option('--join-after <label>', 'its units join only when those of that one have')
    .option('--property <key=value>', 'sent with the request, such as image=plain; may be repeated', property)
    .option('--reason <text>', 'why; goes into the ledgers', 'asked for by hand')
    .addOption(waitOption())
    .action((options: RequestOptions) =>
      perform(options.json === true, async () => {
        const { momentToCome } = await import('../settings/moments.ts')
        const { SubletError } = await import('../../actors/runtime/errors.ts')
        const at = (text: string | undefined): Instant | undefined =>
          text === undefined ? undefined : momentToCome(text, clock.now())
        const { group, groupSize, after, joinAfter, elastic, wait: withinMs } = options
        if ((group === undefined) !== (groupSize === undefined))
          throw new SubletError('usage', '--group and --group-size belong together', {
            cure: 'Give both: the name of the group, and how many requests there are in it.',
          })
        const { guest, type, units, label, property: properties, reason } = options
        const body = {
          ...{ guest, type, units, unitsMin: elastic, durationMs: options.for },
          ...{
            startAt: at(options.start),
            startBy: at(options.deadline),
            label,
            properties,
            reason,
            withinMs,
          },
          ...(group === undefined ? {} : { group: { id: group, size: groupSize } }),
          ...(after === undefined && joinAfter === undefined
            ? {}
            : { after: { redeem: after, join: joinAfter } }),
        }
        return order('/request', body, options, withinMs + ANSWER_MS)
      }),
    )

  commandFor('extend <lease>', 'ask the broker to let a lease go on after its end')
    .requiredOption('--for <duration>', 'for so long from its end on (required)', duration)
    .option('--units <count>', 'with so many from then on, if more than it has', wholeNumber)
    .option('--elastic <least>', 'fewer will do, down to so many', wholeNumber)
    .option('--reason <text>', 'why; goes into the ledgers', 'extended by hand')
    .addOption(waitOption())
    .action((leaseId: string, options: ExtendOptions) =>
      perform(options.json === true, async () => {
        const { units, elastic: unitsMin, reason, wait: withinMs } = options
        const body = { leaseId, durationMs: options.for, units, unitsMin, reason, withinMs }
        return order('/extend', body, options, withinMs + ANSWER_MS)
      }),
    )

  commandFor('release <lease>', 'give a lease back once its work has ended, or give up a request')
    .option('--reason <text>', 'why; goes into the ledgers', 'given back by hand')
    .action((leaseId: string, options: Common) =>
      perform(options.json === true, () => order('/release', { leaseId, reason: options.reason }, options)),
    )
}
