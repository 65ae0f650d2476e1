import type { Command } from 'commander'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { Whose } from '../upkeep/work-folder.ts'
import { clientFor } from './order.ts'
import { perform, print, printJson } from './terminal.ts'

/** The commands about the hosts of a site. */
interface Options extends Whose {
  readonly json?: true
  readonly by?: string
  readonly reason?: string
}

export function hostCommands(program: Command, clock: Clock): void {
  const host = program
    .command('host')
    .description('the hosts of a site: how they stand, and their maintenance')

  const hostCommand = (usage: string, description: string): Command =>
    host
      .command(usage)
      .description(description)
      .option('--json', 'print JSON')
      .option('--dir <folder>', 'the work folder (default: the only one in ./.sublet)')
      .option('--config <file>', 'the configuration that names the work folder')

  hostCommand('list', 'the hosts, what is on each, and which are to be worked on').action(
    (options: Options) =>
      perform(options.json === true, async () => {
        const { showHosts } = await import('../reports/show-hosts.ts')
        const hosts = (await (await clientFor(options)).get('/hosts')) as Parameters<typeof showHosts>[0]
        if (options.json === true) printJson(hosts)
        else print(showHosts(hosts))
      }),
  )

  hostCommand('maintain <host>', 'no new units there, and those that are there go by a time')
    .option(
      '--by <time>',
      '14:00, 30m or 2026-11-21T14:00 (default: after the notice of the terms, and a minute)',
    )
    .option('--reason <text>', 'why; goes into the ledgers (default: what was said before, if anything was)')
    .action((name: string, options: Options) =>
      perform(options.json === true, async () => {
        const { momentToCome, otherDay } = await import('../settings/moments.ts')
        const { showMaintenance } = await import('../reports/show-hosts.ts')
        const by = options.by === undefined ? undefined : momentToCome(options.by, clock.now())
        const order = { host: name, by, reason: options.reason }
        const report = (await (await clientFor(options)).post('/hosts/maintain', order)) as Parameters<
          typeof showMaintenance
        >[0]
        if (options.json === true) printJson(report)
        else
          print(`${showMaintenance(report)}${by === undefined ? '' : otherDay(options.by!, by, clock.now())}`)
      }),
    )

  hostCommand('resume <host>', 'it was worked on: as before')
    .option('--reason <text>', 'why; goes into the ledger', 'it was worked on')
    .action((name: string, options: Options) =>
      perform(options.json === true, async () => {
        const { resumeAnswer } = await import('../control/control-protocol.ts')
        const { some } = await import('../../controllers/sentence.ts')
        const order = { host: name, reason: options.reason }
        const answer = await (await clientFor(options)).post('/hosts/resume', order)
        const { offered } = resumeAnswer.parse(answer)
        if (options.json === true) printJson({ host: name, offered })
        else print(`host ${name} is in service${offered > 0 ? `; lent again: ${some(offered, 'unit')}` : ''}`)
      }),
    )
}
