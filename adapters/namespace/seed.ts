import { chmod, chown, copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SubletError } from '../../actors/runtime/errors.ts'
import { quoteAll } from '../exec/quote.ts'
import type { UnitSpec } from '../handler.ts'
import { unlessAbsent } from './cgroups.ts'
import type { Image, NamespaceMachinesConfig } from './config.ts'
import { addressOf } from './names.ts'

export const script = (name: 'boot' | 'enter' | 'init' | 'reach'): string =>
  fileURLToPath(new URL(`./${name}.sh`, import.meta.url))

/**
 * What a machine's folder holds before it is started.
 *
 *   seed/   laid over the image's root           ssh/   becomes /etc/ssh, with the host key made by enter.sh
 *   run/    shown inside as /run/sublet: init, boot commands, the dead-man's order and answer
 *   fs/     where its root is mounted, in its own mount namespace only
 */
export async function sow(
  folder: string,
  unit: UnitSpec,
  image: Image,
  config: NamespaceMachinesConfig,
  greeting: string,
): Promise<void> {
  for (const part of ['seed', 'ssh', 'run', 'fs'])
    await mkdir(join(folder, part), { recursive: true, mode: 0o755 })
  await copyFile(script('init'), join(folder, 'run', 'init.sh'))
  await writeFile(
    join(folder, 'run', 'boot-commands.sh'),
    image.boot.map((argv) => `${quoteAll(argv)}\n`).join(''),
  )
  await writeFile(join(folder, 'ssh', 'sshd_config'), sshdConfig(config.sshd.port, greeting))
  await writeFile(join(folder, 'ssh', 'authorized_keys'), await authorizedKeys(unit, config), { mode: 0o600 })
  const files: Record<string, string> = { ...image.files, '/etc/hostname': `${unit.name}\n` }
  files['/etc/hosts'] =
    config.hosts === undefined
      ? `127.0.0.1 localhost\n${addressOf(config.subnet, unit.slot).address} ${unit.name}\n`
      : await readFile(config.hosts, 'utf8')
  const base = image.root === 'host' ? '/' : image.root
  for (const [path, content] of Object.entries(files)) await plant(join(folder, 'seed'), base, path, content)
  await unlockRoot(join(folder, 'seed'), base)
}

const sshdConfig = (port: number, greeting: string): string =>
  [
    `Port ${port}`,
    'HostKey /etc/ssh/host_key',
    `VersionAddendum ${greeting}`,
    'PidFile /run/sublet-sshd.pid',
    'AuthorizedKeysFile /etc/ssh/authorized_keys .ssh/authorized_keys',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    'UseDNS no',
    'Subsystem sftp internal-sftp',
    '',
  ].join('\n')

const PUBLIC_KEY = /^(ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ [A-Za-z0-9+/]+=*( .*)?$/

async function authorizedKeys(unit: UnitSpec, config: NamespaceMachinesConfig): Promise<string> {
  const site =
    config.sshd.authorizedKeys === undefined ? '' : await readFile(config.sshd.authorizedKeys, 'utf8')
  const guest = (unit.properties['ssh.authorizedKey'] ?? '').split('\n').filter((line) => line.trim() !== '')
  for (const line of guest)
    if (!PUBLIC_KEY.test(line))
      throw new SubletError(
        'bad-property',
        `The property ssh.authorizedKey of ${unit.unitId} is not a public key`,
      )
  return [...site.split('\n'), ...guest]
    .filter((line) => line !== '')
    .join('\n')
    .concat('\n')
}

/** A folder of the seed hides its namesake's owner and mode; so it takes them over. */
async function plant(seed: string, base: string, path: string, content: string): Promise<void> {
  await likeBase(seed, base, dirname(path))
  await writeFile(join(seed, path), content)
  await takeOver(join(base, path), join(seed, path), 0o644)
}

async function likeBase(seed: string, base: string, folder: string): Promise<void> {
  if (folder === '/') return
  await likeBase(seed, base, dirname(folder))
  await mkdir(join(seed, folder), { recursive: true })
  await takeOver(join(base, folder), join(seed, folder), 0o755)
}

/** What has no namesake is for all users of the machine to read, whatever the umask of this process. */
async function takeOver(from: string, to: string, modeOfNew: number): Promise<void> {
  const there = await unlessAbsent(stat(from))
  if (there === undefined) return chmod(to, modeOfNew)
  await chown(to, there.uid, there.gid)
  await chmod(to, there.mode & 0o7777)
}

/** sshd lets nobody in whose password is locked (`!`), not even with a key; `*` means only "no password". */
async function unlockRoot(seed: string, base: string): Promise<void> {
  const shadow = await unlessAbsent(readFile(join(base, 'etc/shadow'), 'utf8'))
  if (shadow === undefined || !/^root:!/m.test(shadow)) return
  await plant(seed, base, '/etc/shadow', shadow.replace(/^root:![^:]*/m, 'root:*'))
}
