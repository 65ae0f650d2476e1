import { type Command, InvalidArgumentError, Option } from 'commander'
import { USAGE_BY, type UsageBy } from '../../actors/ledger/usage-by.ts'
import type { Clock } from '../../actors/runtime/clock.ts'
import { dateOf } from '../settings/moments.ts'
import { type Whose, workFolder } from '../upkeep/work-folder.ts'
import { perform } from './terminal.ts'

/** The commands about databases and ledgers, apart from those that only look at the running Sublet. */
interface Common extends Whose {
  readonly json?: true
}

const moment = (text: string): number => {
  const at = dateOf(text.trim())
  if (at === undefined)
    throw new InvalidArgumentError('Expected a date such as 2026-11-01 or 2026-11-01T14:00.')
  return at
}

export function storeCommands(
  commandFor: (usage: string, description: string) => Command,
  clock: Clock,
): void {
  const json = (options: Common): boolean => options.json === true
  /** Databases, and copies of them, are nobody else's business. */
  const mine = (): void => void process.umask(0o077)

  commandFor('backup', 'copy the database of each actor, while Sublet runs or not')
    .option('--to <folder>', 'a new folder (default: backups/TIME in the work folder)')
    .action((options: Common & { to?: string }) =>
      perform(json(options), async () => {
        mine()
        const { backup } = await import('./store-commands.ts')
        return backup(await workFolder(options), options.to, json(options), clock)
      }),
    )

  commandFor('restore <folder>', 'put a backup in the place of what is there; only while Sublet does not run')
    .option('--actor <name>', 'only this actor')
    .action((folder: string, options: Common & { actor?: string }) =>
      perform(json(options), async () => {
        mine()
        const { restoreBackup } = await import('./store-commands.ts')
        const { actorsHere } = await import('../actors-here.ts')
        const dir = await workFolder(options)
        const whose = { only: options.actor, here: await actorsHere(dir, options.config) }
        return restoreBackup(dir, folder, whose, json(options), clock)
      }),
    )

  commandFor('repair', 'rebuild rows that do not fit their checksum; says first what it would do')
    .requiredOption('--from-ledger', 'from the ledger of the same database (the only way)')
    .option('--yes', 'do it')
    .action((options: Common & { yes?: true }) =>
      perform(json(options), async () => {
        mine()
        const { repair } = await import('./store-commands.ts')
        return repair(await workFolder(options), options.yes === true, json(options), clock)
      }),
    )

  commandFor('usage', 'node-seconds granted, held and joined; also when Sublet does not run')
    .addOption(new Option('--by <what>', 'guest, queue or site').choices(USAGE_BY).default('guest'))
    .option('--from <date>', 'from then on, such as 2026-11-01 or 2026-11-01T14:00', moment)
    .option('--to <date>', 'until then (default: now)', moment)
    .option('--csv', 'print comma-separated values')
    .action((options: Common & { by: UsageBy; from?: number; to?: number; csv?: true }) =>
      perform(json(options), async () => {
        const { usage } = await import('./store-commands.ts')
        return usage(await workFolder(options), options, clock)
      }),
    )
}
