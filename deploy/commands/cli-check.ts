import type { Command } from 'commander'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { PeerOptions } from './peer-commands.ts'
import { perform } from './terminal.ts'

type CheckOptions = PeerOptions & {
  readonly config?: string
  readonly guest?: string
  readonly node: readonly string[]
}

const each = (text: string, before: readonly string[]): readonly string[] => [...before, text]

/** Looks at what is not ours and says what is not as it should be, with the cure; changes nothing. */
export function checkCommand(program: Command, clock: Clock): void {
  program
    .command('check <what>')
    .description(
      'peers: is each reachable, are the keys known on both sides, do the clocks agree; middleware: will the batch systems of the guests do',
    )
    .option('--json', 'print JSON')
    .option('--dir <folder>', 'the work folder (default: the only one in ./.sublet)')
    .option('--config <file>', 'the configuration; asks also when Sublet does not run')
    .option('--guest <name>', 'middleware: only of this guest')
    .option('--node <name>', 'middleware: a name that a machine may get; may be repeated', each, [])
    .action((what: string, options: CheckOptions) =>
      perform(options.json === true, async () => {
        if (what === 'middleware') return middleware(options, clock)
        const { SubletError } = await import('../../actors/runtime/errors.ts')
        if (what !== 'peers')
          throw new SubletError(
            'usage',
            `nothing is known of ${what}: expected \`check peers\` or \`check middleware\``,
          )
        return (await import('./peer-commands.ts')).check(options, clock)
      }),
    )
}

async function middleware({ config, guest, node, json }: CheckOptions, clock: Clock): Promise<number> {
  const { SubletError } = await import('../../actors/runtime/errors.ts')
  if (config === undefined)
    throw new SubletError(
      'usage',
      'which batch systems? `check middleware` looks at those of a configuration',
      {
        cure: 'Name it with --config.',
      },
    )
  const { checkMiddleware } = await import('./check-middleware.ts')
  return checkMiddleware({ config, node, ...(guest && { guest }), ...(json && { json }) }, clock)
}
