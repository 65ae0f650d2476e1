import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Millis } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'
import type { ReplayArguments } from '../replay/command.ts'
import { SCHEDULERS } from '../replay/scheduler.ts'
import { wholeNumber } from './cli-arguments.ts'
import { perform } from './terminal.ts'

/** `60s-120s`, or one length for all. */
export function span(text: string): { readonly least: Millis; readonly most: Millis } {
  const [from, to = from, ...more] = text.split('-').map(parseDuration)
  if (from === undefined || to === undefined || to < from || more.length > 0)
    throw new InvalidArgumentError('Expected two durations, the shorter one first, such as 60s-120s.')
  return { least: from, most: to }
}

const BOOT = { least: 60_000, most: 120_000 }

/** Replays a queue of the past under other thresholds; needs no batch system, and touches nothing that runs. */
export function replayCommands(command: (usage: string, description: string) => Command): void {
  command('replay', 'last month’s queue against new thresholds: waits, node-hours, boots')
    .option('--trace <file>', 'the jobs: Standard Workload Format, plain or .gz')
    .option('--recording <folder>', '… or what Sublet recorded: WORK/recordings/GUEST')
    .option('--synthetic <model>', '… or made up: lublin')
    .option('--jobs <count>', 'with --synthetic: so many', wholeNumber, 1000)
    .option('--seed <text>', 'of boots, and of what is made up', '1')
    .requiredOption('--config <file>', 'the configuration whose thresholds are tried (required)')
    .option('--against <file>', 'another one, to compare with')
    .option('--guest <name>', 'the guest whose thresholds they are')
    .option('--nodes <count>', 'so many nodes there are (default: max of the thresholds)', wholeNumber)
    .option('--cpus <count>', 'so many cpus a node has (default: those of the unit)', wholeNumber)
    .addOption(
      new Option('--boot <range>', 'how long machines boot, or from one to the other')
        .argParser(span)
        .default(BOOT, '60s-120s'),
    )
    .addOption(
      new Option('--scheduler <kind>', 'how the batch system orders jobs')
        .choices(SCHEDULERS)
        .default('easy'),
    )
    .option('--html <file>', 'also a page with both curves side by side')
    .action((options: ReplayArguments) =>
      perform(options.json === true, async () =>
        (await import('../replay/command.ts')).replayCommand(options),
      ),
    )
}
