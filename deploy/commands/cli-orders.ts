import type { Command } from 'commander'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { Whose } from '../upkeep/work-folder.ts'
import { wholeNumber } from './cli-arguments.ts'
import { putOrder } from './order.ts'
import { perform } from './terminal.ts'

/** The commands by which a site is told what it lends, and a broker what it may grant. */
interface Options extends Whose {
  readonly json?: true
  readonly type: string
  readonly units: number
  readonly by: string
  readonly reason?: string
}

const iso = (at: number): string => new Date(at).toISOString()
/** On a line of its own: it changes what the order is good for. */
const advised = (advice: string | null | undefined): string => (advice == null ? '' : `\n  ${advice}`)

export function orderCommands(
  commandFor: (usage: string, description: string) => Command,
  clock: Clock,
): void {
  const unitsOf = async (units: number, type: string): Promise<string> => {
    const { some } = await import('../../controllers/sentence.ts')
    return `${some(units, 'unit')} of ${type}`
  }
  /** ... with what is said of it if it is not today. */
  const timeToCome = async (text: string): Promise<{ by: number; day: string }> => {
    const { momentToCome, otherDay } = await import('../settings/moments.ts')
    const by = momentToCome(text, clock.now())
    return { by, day: otherDay(text, by, clock.now()) }
  }
  const perhaps = (options: Options, command: () => Promise<undefined>): Promise<void> =>
    perform(options.json === true, command)

  commandFor('recall', 'ask units back by a time')
    .requiredOption('--type <type>', 'of this type (required)')
    .requiredOption('--units <count>', 'so many (required)', wholeNumber)
    .requiredOption('--by <time>', '14:00, 30m or 2026-11-21T14:00 (required)')
    .option('--reason <text>', 'why; goes into the ledgers', 'asked back by the operator')
    .action((options: Options) =>
      perhaps(options, async () => {
        const { type, units, reason } = options
        const { by, day } = await timeToCome(options.by)
        const what = await unitsOf(units, type)
        const { recallAnswer } = await import('../control/control-protocol.ts')
        return putOrder('/recall', { type, units, by, reason }, options, (answer) => {
          const { advice, recallId } = recallAnswer.parse(answer)
          return `${what} asked back by ${iso(by)} (${recallId})${day}${advised(advice)}`
        })
      }),
    )

  commandFor('call-off <recall>', 'call off a recall that has not taken effect; `status` names it')
    .option('--reason <text>', 'why; goes into the ledgers', 'the operator no longer needs them')
    .action((recallId: string, options: Options) =>
      perhaps(options, async () => {
        const { lendAnswer } = await import('../control/control-protocol.ts')
        const { some } = await import('../../controllers/sentence.ts')
        const { reason } = options
        return putOrder('/call-off', { recallId, reason }, options, (answer) => {
          const { lent } = lendAnswer.parse(answer)
          const gone = lent === 0 ? ' (a type that was withdrawn stays so until `sublet lend`)' : ''
          return `${recallId} is called off: ${some(lent, 'unit')} lent now${gone}; what guests promised to give back for it they give back, and it is lent again`
        })
      }),
    )

  commandFor('lend', 'lend again what was recalled, or a type that was withdrawn')
    .requiredOption('--type <type>', 'of this type (required)')
    .option('--units <count>', 'so many (default: none but what was withdrawn)', wholeNumber)
    .option('--reason <text>', 'why; goes into the ledgers', 'the operator no longer needs them')
    .action((options: Options) =>
      perhaps(options, async () => {
        const { lendAnswer } = await import('../control/control-protocol.ts')
        const { some } = await import('../../controllers/sentence.ts')
        const { type, units = 0, reason } = options
        return putOrder('/lend', { type, units, reason }, options, (answer) => {
          const { lent, withheld } = lendAnswer.parse(answer)
          return `${some(lent, 'unit')} of ${type} lent now${withheld > 0 ? `, ${withheld} withheld` : ''}`
        })
      }),
    )

  commandFor('withdraw', 'give nothing of a type away any more; what was promised is kept')
    .requiredOption('--type <type>', 'this type (required)')
    .option('--reason <text>', 'why; goes into the ledgers (default: what was said before, if anything was)')
    .action((options: Options) =>
      perhaps(options, async () => {
        const { withdrawAnswer } = await import('../control/control-protocol.ts')
        const { some } = await import('../../controllers/sentence.ts')
        const { type, reason } = options
        return putOrder('/withdraw', { type, reason }, options, (answer) => {
          const { promised } = withdrawAnswer.parse(answer)
          return `nothing of ${type} is given away any more; leases on up to ${some(promised, 'unit')} go on to their end`
        })
      }),
    )

  commandFor('reclaim', 'withdraw a type, and ask all of it back by a time')
    .requiredOption('--type <type>', 'this type (required)')
    .requiredOption('--by <time>', '14:00, 30m or 2026-11-21T14:00 (required)')
    .option('--reason <text>', 'why; goes into the ledgers (default: what was said before, if anything was)')
    .action((options: Options) =>
      perhaps(options, async () => {
        const { reclaimAnswer } = await import('../control/control-protocol.ts')
        const { some } = await import('../../controllers/sentence.ts')
        const { type, reason } = options
        const { by, day } = await timeToCome(options.by)
        return putOrder('/reclaim', { type, by, reason }, options, (answer) => {
          const { units, advice } = reclaimAnswer.parse(answer)
          return `nothing of ${type} is given away any more; asked back by ${iso(by)}: ${some(units, 'unit')}${day}${advised(advice)}`
        })
      }),
    )

  commandFor('approve <lease>', 'let a request that waits for it be decided on')
    .option('--reason <text>', 'why; goes into the ledger')
    .action((leaseId: string, options: Options) =>
      perhaps(options, () => {
        const order = { leaseId, reason: options.reason }
        return putOrder('/approve', order, options, () => `${leaseId} is approved, and will be decided on`)
      }),
    )

  commandFor('disapprove <lease>', 'refuse a request that waits to be approved')
    .option('--reason <text>', 'why; its holder is told', 'not approved')
    .action((leaseId: string, options: Options) =>
      perhaps(options, () => {
        const { reason } = options
        return putOrder('/disapprove', { leaseId, reason }, options, () => `${leaseId} is refused: ${reason}`)
      }),
    )
}
