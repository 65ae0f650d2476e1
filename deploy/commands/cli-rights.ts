import { type Command, Option } from 'commander'
import { FORMS, PATH } from '../rights/defaults.ts'
import type { RightsOptions } from '../rights/show.ts'
import { perform } from './terminal.ts'

/** What an admin needs before Sublet drives her batch system; nothing is changed. */
export function rightsCommands(command: (usage: string, description: string) => Command): void {
  command('rights', 'what Sublet runs in a guest’s batch system, and how to allow that and nothing else')
    .requiredOption('--config <file>', 'the configuration')
    .option('--guest <name>', 'whose batch system (default: the only one)')
    .option('--user <name>', 'who runs Sublet, or logs in for it', 'sublet')
    .addOption(new Option('--form <what>', 'print only this (default: what to do with them)').choices(FORMS))
    .option('--nodes <pattern>', 'the names of its nodes, such as vm[0-9]+ (default: those of the site)')
    .option('--as <name>', 'with sudo: as whom the commands run', 'root')
    .option('--wrapper <path>', 'where the wrapper is put', '/usr/local/sbin/sublet-rights')
    .option('--path <folders>', 'where the wrapper looks for programs', PATH)
    .action((options: RightsOptions) =>
      perform(options.json === true, async () => (await import('../rights/show.ts')).rights(options)),
    )
}
