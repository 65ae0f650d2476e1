import type { Command } from 'commander'
import type { Clock } from '../../actors/runtime/clock.ts'
import { checkCommand } from './cli-check.ts'
import type { PeerOptions } from './peer-commands.ts'
import { perform } from './terminal.ts'

/** The commands about keys, and about actors in other processes. */
export function peerCommands(program: Command, clock: Clock): void {
  program
    .command('keygen')
    .description('make the keys of the actors of a configuration, and print the public ones')
    .option('--json', 'print JSON')
    .requiredOption('--config <file>', 'the configuration (required)')
    .option('--rotate', 'make another key that follows the present one')
    .option('--overlap <duration>', 'how long the present one is still good', '7d')
    .action((options: { config: string; json?: true; rotate?: true; overlap: string }) =>
      perform(options.json === true, async () =>
        (await import('./peer-commands.ts')).keygen(options.config, options, clock),
      ),
    )

  const peer = program.command('peer').description('actors in other processes: who they are, and their keys')

  const peerCommand = (usage: string, description: string): Command =>
    peer
      .command(usage)
      .description(description)
      .option('--json', 'print JSON')
      .option('--dir <folder>', 'the work folder (default: the only one in ./.sublet)')
      .option('--config <file>', 'the configuration that names the work folder')

  const way = (of: Command): Command =>
    of
      .option('--role <role>', 'site, broker, service-manager or observer')
      .option('--url <url>', 'where it is called')
      .option('--poll', 'it comes here and fetches; with --url: it is fetched from')
      .option('--old-until <duration>', 'its other keys are good for so long from now')

  peerCommand('list', 'the peers, and who came with a key that is not trusted').action(
    (options: PeerOptions) =>
      perform(options.json === true, async () =>
        (await import('./peer-commands.ts')).listPeers(options, clock),
      ),
  )
  way(peerCommand('add <name>', 'add a peer, or another key to it'))
    .option('--key <key>', 'its public key, 43 characters')
    .option('--key-file <file>', '... or a file with it')
    .action((name: string, options: PeerOptions) =>
      perform(options.json === true, async () =>
        (await import('./peer-commands.ts')).addPeer(name, options, clock),
      ),
    )
  way(peerCommand('approve <name>', 'trust a key that came and was not known'))
    .option('--fingerprint <fingerprint>', 'which, if it came with several')
    .action((name: string, options: PeerOptions) =>
      perform(options.json === true, async () =>
        (await import('./peer-commands.ts')).approvePeer(name, options, clock),
      ),
    )
  peerCommand('remove <name>', 'trust a peer that a command added no more')
    .option('--key <key>', 'only this key of it')
    .action((name: string, options: PeerOptions) =>
      perform(options.json === true, async () =>
        (await import('./peer-commands.ts')).removePeer(name, options),
      ),
    )
  checkCommand(program, clock)
}
