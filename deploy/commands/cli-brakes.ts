import type { Command } from 'commander'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { Whose } from '../upkeep/work-folder.ts'
import { putOrder } from './order.ts'
import { perform } from './terminal.ts'

/** The commands by which a person holds a controller back. */
interface Options extends Whose {
  readonly json?: true
  readonly reason?: string
}

const KEPT = ' (default: what was said before, if anything was)'

export function brakeCommands(
  commandFor: (usage: string, description: string) => Command,
  clock: Clock,
): void {
  /** Absent, what was said before stands; where nothing was, the actor says that it was the operator. */
  const brake = (name: string, description: string, kept = ''): Command =>
    commandFor(name, description).option('--reason <text>', `why; goes into the ledger${kept}`)
  const perhaps = (options: Options, command: () => Promise<undefined>): Promise<void> =>
    perform(options.json === true, command)

  for (const [name, description, kept, said, none] of [
    [
      'freeze',
      'ask for nothing and take nothing out for being idle, until it is thawed; what works goes on',
      KEPT,
      'frozen',
      'nothing is frozen: no guest is here',
    ],
    [
      'thaw',
      'let the controllers go on, and ask at once for what was refused',
      '',
      'thawed',
      'nothing was frozen',
    ],
  ] as const)
    brake(name, description, kept)
      .option('--pool, --guest <name>', 'only this guest (default: all)')
      .action((options: Options & { readonly guest?: string }) =>
        perhaps(options, async () => {
          const { freezeAnswer } = await import('../control/control-protocol.ts')
          const { reason: why, guest } = options
          return putOrder(`/${name}`, { reason: why, ...(guest && { guest }) }, options, (answer) => {
            const { guests, hurried = [] } = freezeAnswer.parse(answer)
            const what = guests.length === 0 ? none : `${said}: ${guests.join(', ')}`
            return hurried.length === 0 ? what : `${what}; asked for again at once: ${hurried.join(', ')}`
          })
        }),
      )

  brake('pin <node>', 'keep a node, whatever waits, until a time', KEPT)
    .requiredOption('--until <time>', '14:00, 30m or 2026-11-21T14:00 (required)')
    .action((node: string, options: Options & { readonly until: string }) =>
      perhaps(options, async () => {
        const { momentToCome, otherDay } = await import('../settings/moments.ts')
        const until = momentToCome(options.until, clock.now())
        const day = otherDay(options.until, until, clock.now())
        return putOrder('/pin', { node, until, reason: options.reason }, options, () => {
          return `${node} is kept until ${new Date(until).toISOString()}; a recall, the host’s maintenance and the end of its lease still count${day}`
        })
      }),
    )

  brake('unpin <node>', 'let a node be given back again').action((node: string, options: Options) =>
    perhaps(options, async () => {
      const { unpinAnswer } = await import('../control/control-protocol.ts')
      return putOrder('/unpin', { node, reason: options.reason }, options, (answer) =>
        unpinAnswer.parse(answer).wasPinned ? `${node} is pinned no more` : `${node} was not pinned`,
      )
    }),
  )
}
