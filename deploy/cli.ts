import { readFileSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { systemClock } from '../actors/runtime/clock.ts'
import type { BatchOptions, SubmitOptions } from './commands/batch.ts'
import { wholeNumber } from './commands/cli-arguments.ts'
import { brakeCommands } from './commands/cli-brakes.ts'
import { handCommands } from './commands/cli-hand.ts'
import { hostCommands } from './commands/cli-host.ts'
import { orderCommands } from './commands/cli-orders.ts'
import { peerCommands } from './commands/cli-peers.ts'
import { queryCommand } from './commands/cli-query.ts'
import { replayCommands } from './commands/cli-replay.ts'
import { rightsCommands } from './commands/cli-rights.ts'
import { storeCommands } from './commands/cli-store.ts'
import { mistakeOf, refuseUnknownHelp } from './commands/mistake.ts'
import { clientFor } from './commands/order.ts'
import {
  EXIT,
  outliveClosedPipes,
  perform,
  print,
  printJson,
  report,
  whenNobodyReads,
} from './commands/terminal.ts'
import { type Whose, workFolder } from './upkeep/work-folder.ts'

/**
 * The `sublet` command. What a command needs is loaded when it runs, so that `--help` is quick.
 * docs/operate.md describes the commands and their exit codes.
 */
const clock = systemClock

interface Common extends Whose {
  readonly json?: true
}

const upTo =
  (most: number) =>
  (text: string): number => {
    const value = wholeNumber(text)
    if (value > most) throw new InvalidArgumentError(`Expected at most ${most}.`)
    return value
  }

const each = (text: string, before: readonly string[]): readonly string[] => [...before, text]

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const BEGIN = `
Begin with:
  sublet demo                          needs nothing, and shows what happens
  sublet validate site.yaml --reach    is a configuration right, and is everything there?
  sublet start --config site.yaml      run it; in another terminal, in the same folder: sublet status
  sublet explain lease ID              why, of anything: a lease, a node, a job

\`sublet COMMAND --help\` lists the options of a command; docs/operate.md describes them all.`

const program = new Command('sublet')
  .version(version, '--version', 'print the version')
  .description('Lends and leases cluster nodes between middleware that each think they own their machines.')
  .showSuggestionAfterError()
  // Told below, with code and cure, as every other error is.
  .configureOutput({ outputError: () => undefined })
  .exitOverride()
  .addHelpText('after', BEGIN)

const command = (usage: string, description: string): Command =>
  program.command(usage).description(description).option('--json', 'print JSON')

/** A command for a Sublet that runs, or has run, in a work folder. */
const commandFor = (usage: string, description: string): Command =>
  command(usage, description)
    .option('--dir <folder>', 'the work folder (default: the only one in ./.sublet)')
    .option('--config <file>', 'the configuration that names the work folder')

// ── running ────────────────────────────────────────────────────────────────────────────────────────

program.commandsGroup('Running:')
command('start', 'run Sublet in the foreground until Ctrl-C; leases and jobs go on when it ends')
  .requiredOption('--config <file>', 'the configuration')
  .option('--foreground', 'the default, and the only way')
  .option(
    '--believe-clock',
    'the clock of this machine is right now, whatever it was when Sublet last ran here',
  )
  .action((options: Common & { config: string; believeClock?: true }) =>
    perform(options.json === true, async () => {
      const { config, json = false, believeClock = false } = options
      return (await import('./commands/start.ts')).start(config, { json, believeClock }, clock)
    }),
  )

command('demo', 'run a site of its own with real jobs in two waves, and show what happens')
  .option('--once', 'end when both waves are done and the pool is back to its minimum')
  .option('--dir <folder>', 'work in this folder, which must be new or empty')
  .option('--keep', 'leave the folder when the demo has ended')
  .action((options: { json?: true; once?: true; dir?: string; keep?: true }) =>
    perform(options.json === true, async () => (await import('./demo.ts')).demo(options, clock)),
  )

command('validate <file>', 'check a configuration: every mistake as file:line:column, with what was expected')
  .option('--reach', 'also check that programs, rights and middleware are there')
  .action((file: string, options: { json?: true; reach?: true }) =>
    perform(options.json === true, async () =>
      (await import('./commands/validate.ts')).validate(file, options, clock),
    ),
  )

rightsCommands(command)

commandFor(
  'reload',
  'read the configuration again, and have the controllers decide by it; no lease is touched',
)
  .option('--dry-run', 'only say what would change')
  .option('--reason <text>', 'why; goes into the ledger')
  .action((options: Common & { dryRun?: true; reason?: string }) =>
    perform(options.json === true, async () => {
      const { reloadAnswer } = await import('./control/control-protocol.ts')
      const { changeText } = await import('./control/reload.ts')
      const order = { dryRun: options.dryRun === true, reason: options.reason }
      const answer = await (await clientFor(options)).post('/reload', order)
      if (options.json) {
        printJson(answer)
        return undefined
      }
      const { changes, warnings } = reloadAnswer.parse(answer)
      for (const text of warnings) print(`${text} (warning)`)
      for (const change of changes) print(changeText({ from: undefined, to: undefined, ...change }))
      print(
        changes.length === 0
          ? 'nothing has changed in the file'
          : options.dryRun
            ? 'this would change; nothing was changed'
            : 'the controllers decide by this from now on',
      )
      return undefined
    }),
  )

commandFor('stop', 'end Sublet; leases and jobs go on, unless they are to be given back')
  .option('--release', 'give all leases back first')
  .option('--reason <text>', 'why; goes into the ledgers', 'stopped by the operator')
  .action((options: Common & { release?: true; reason: string }) =>
    perform(options.json === true, async () => {
      const { stop } = await import('./commands/stop.ts')
      const order = { release: options.release === true, reason: options.reason }
      return stop(await clientFor(options), order, options.json === true, clock)
    }),
  )

// ── looking ────────────────────────────────────────────────────────────────────────────────────────

program.commandsGroup('Looking:')
commandFor('status', 'guests, jobs, nodes and leases at a glance').action((options: Common) =>
  perform(options.json === true, async () => {
    const status = await (await clientFor(options)).get('/status')
    const { showStatus } = await import('./reports/show.ts')
    return output(options, status, showStatus as (value: unknown) => string)
  }),
)

commandFor('leases', 'the leases that are held')
  .option('--all', 'also those that are closed')
  .action((options: Common & { all?: true }) =>
    perform(options.json === true, async () => {
      const { showLeases } = await import('./reports/show.ts')
      const leases = (await (await clientFor(options)).get('/leases')) as Parameters<typeof showLeases>[0]
      const shown = options.all ? leases : leases.filter(({ state }) => state !== 'closed')
      return output(options, shown, () => showLeases(leases, options.all === true, clock.now()))
    }),
  )

commandFor('nodes', 'the machines that are held, and where each stands')
  .option('--all', 'also those that are gone')
  .action((options: Common & { all?: true }) =>
    perform(options.json === true, async () => {
      const { showNodes } = await import('./reports/show.ts')
      const { isGone } = await import('./reports/status.ts')
      const nodes = (await (await clientFor(options)).get('/nodes')) as Parameters<typeof showNodes>[0]
      const shown = options.all ? nodes : nodes.filter((node) => !isGone(node))
      return output(options, shown, () => showNodes(nodes, options.all === true))
    }),
  )

commandFor('plan', 'what the controllers would do now, per job and machine; nothing is done')
  .option('--guest <name>', 'only this guest')
  .option('--jobs <count>', 'explain so many waiting jobs', wholeNumber, 20)
  .option('--machines <count>', 'tell of so many machines to which nothing would be done', wholeNumber, 50)
  .action((options: Common & { guest?: string; jobs: number; machines: number }) =>
    perform(options.json === true, async () => {
      const { guest, jobs, machines } = options
      const bounds = { jobs: String(Math.min(jobs, 1_000)), machines: String(Math.min(machines, 1_000)) }
      const query = new URLSearchParams({ ...bounds, ...(guest && { guest }) })
      const plans = await (await clientFor(options)).get(`/plan?${query}`)
      const { showPlans } = await import('./control/plan.ts')
      return output(options, plans, showPlans as (value: unknown) => string)
    }),
  )

commandFor('metrics', 'figures in the text format of Prometheus').action((options: Common) =>
  perform(options.json === true, async () => {
    const answer = (await (await clientFor(options)).get('/metrics')) as { text: string }
    return output(options, answer, () => answer.text.trimEnd())
  }),
)

commandFor('ledger', 'what was decided, and why; also when Sublet does not run')
  .option('--actor <name>', 'only this actor')
  .option('--subject <id>', 'only this lease, unit, node, guest or type')
  .option('--limit <count>', 'the latest so many lines, 10000 at most', upTo(10_000), 200)
  .option('--follow', 'wait for further lines')
  .addOption(
    // Lines are left out of none of the chains: what is left could not be verified.
    new Option('--export', 'every line as JSON, one a line, for `sublet verify --file`').conflicts([
      'subject',
      'limit',
      'follow',
    ]),
  )
  .action(
    (options: Common & { actor?: string; subject?: string; limit: number; follow?: true; export?: true }) =>
      perform(options.json === true, async () => {
        const { exportLedger, ledger } = await import('./commands/read-ledger.ts')
        if (options.export) return exportLedger(await workFolder(options), options.actor)
        return ledger(await workFolder(options), options)
      }),
  )

commandFor(
  'explain <what> [id]',
  'in sentences: why a job waits, how a lease or node came and went, why something was decided (what: job, lease, node, decision; or only an id)',
)
  .option('--lines', 'of a lease: the lines of the ledgers as they are')
  .option('--guest <name>', 'the guest whose job it is')
  .action((what: string, id: string | undefined, options: Common & { guest?: string; lines?: true }) =>
    perform(options.json === true, async () => {
      const { explain, explained } = await import('./commands/read-ledger.ts')
      return explain(await workFolder(options), explained(what, id), options, clock)
    }),
  )

commandFor('verify', 'prove from the ledgers that no unit was ever held twice; also when Sublet does not run')
  .option('--file <file>', 'of exported lines, instead of a work folder')
  .option('--key <key>', 'with --file: a key that may have signed, or its file; may be repeated', each, [])
  .action((options: Common & { file?: string; key: readonly string[] }) =>
    perform(options.json === true, async () => {
      const { verify, verifyFile } = await import('./commands/read-ledger.ts')
      if (options.file !== undefined) return verifyFile(options.file, options)
      if (options.key.length > 0) {
        const { SubletError } = await import('../actors/runtime/errors.ts')
        throw new SubletError('usage', '--key is for --file: a work folder has its own keys')
      }
      return verify(await workFolder(options), options)
    }),
  )

queryCommand(commandFor, clock)

program.commandsGroup('Ordering:')
handCommands(commandFor, clock)
orderCommands(commandFor, clock)
brakeCommands(commandFor, clock)
hostCommands(program, clock)

program.commandsGroup('Keeping:')
storeCommands(commandFor, clock)

program.commandsGroup('Keys and other processes:')
peerCommands(program, clock)

// ── the embedded batch system ──────────────────────────────────────────────────────────────────────

program.commandsGroup('Trying:')
replayCommands(command)
const batch = program
  .command('batch')
  .description('the embedded batch system by hand: start and end it, submit and cancel jobs')

const batchCommand = (usage: string, description: string): Command =>
  batch
    .command(usage)
    .description(description)
    .requiredOption('--dir <folder>', 'its folder; its socket is `sock` in there (required)')
    .option('--json', 'print JSON')

batchCommand('start', 'start it in the background, unless it runs').action((options: BatchOptions) =>
  perform(options.json === true, async () =>
    (await import('./commands/batch.ts')).startBatch(options, clock),
  ),
)
batchCommand('stop', 'end it; its jobs go on').action((options: BatchOptions) =>
  perform(options.json === true, async () => (await import('./commands/batch.ts')).stopBatch(options, clock)),
)
batchCommand('submit <command>', 'submit a job: a line of shell')
  .option('--nodes <count>', 'on so many nodes', wholeNumber, 1)
  .option('--cpus <count>', 'so many cpus on each', wholeNumber, 1)
  .option('--memory <MiB>', 'so much memory on each', wholeNumber, 1)
  .option('--tasks <count>', 'so many times, as an array', wholeNumber, 1)
  .option('--time <duration>', 'its time limit, such as 10m')
  .option('--user <name>', 'whose job it is', 'user')
  .option('--hold', 'held until it is released')
  .action((line: string, options: SubmitOptions) =>
    perform(options.json === true, async () =>
      (await import('./commands/batch.ts')).submit(line, options, clock),
    ),
  )
batchCommand('jobs', 'the jobs it has')
  .option('--all', 'also those that have ended')
  .action((options: BatchOptions & { all?: true }) =>
    perform(options.json === true, async () => (await import('./commands/batch.ts')).jobs(options, clock)),
  )
for (const order of ['hold', 'release', 'cancel'] as const)
  batchCommand(`${order} <job>`, `${order} a job`).action((id: string, options: BatchOptions) =>
    perform(options.json === true, async () =>
      (await import('./commands/batch.ts')).orderJob(order, id, options, clock),
    ),
  )

function output(options: { readonly json?: true }, value: unknown, show: (value: unknown) => string): number {
  if (options.json) printJson(value)
  else print(show(value))
  return EXIT.done
}

outliveClosedPipes()
whenNobodyReads(() => process.exit(EXIT.done))
const words = process.argv.slice(2)
try {
  refuseUnknownHelp(program, words)
  await program.parseAsync()
} catch (error) {
  const mistake = error instanceof CommanderError ? mistakeOf(error, program, words) : error
  // Asking for help or the version is no mistake.
  const isDone = error instanceof CommanderError && error.exitCode === 0
  process.exitCode = isDone ? EXIT.done : report(mistake, words.includes('--json'))
}
