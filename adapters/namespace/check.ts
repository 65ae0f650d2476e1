import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inOneLine } from '../../actors/runtime/errors.ts'
import { readLayout } from './cgroups.ts'
import type { Site } from './site.ts'

const ON_THE_HOST = ['bash', 'unshare', 'nsenter', 'setsid', 'ip', 'mount', 'pivot_root', 'ssh-keygen']
const IN_AN_IMAGE = [
  'bin/bash',
  'bin/umount',
  'usr/bin/setpriv',
  'usr/bin/env',
  'usr/bin/sync',
  'usr/sbin/sshd',
]

/** Sentences about what these machines need and this host does not have. */
export async function missing(
  { config, inNetns, exec, mounts }: Site,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted()
  if (process.platform !== 'linux') return ['Machines of kind “namespace” need Linux.']
  if (process.getuid?.() !== 0) return ['Machines of kind “namespace” need root.']
  const said: string[] = []
  const ask = async (argv: readonly [string, ...string[]], otherwise: string): Promise<void> => {
    const answer = await exec.run(argv, { signal }).then(
      ({ exitCode }) => (exitCode === 0 ? undefined : otherwise),
      (error: unknown) => {
        signal.throwIfAborted()
        return `${otherwise} (${inOneLine(error)})`
      },
    )
    if (answer !== undefined) said.push(answer)
  }
  const look = async (path: string, otherwise: string): Promise<void> => {
    const there = await access(path).then(
      () => true,
      () => false,
    )
    if (!there) said.push(otherwise)
  }
  const layout = readLayout(await mounts())
  if (!('holding' in layout)) said.push(...layout)
  if (!(await readFile('/proc/filesystems', 'utf8')).includes('\toverlay\n'))
    said.push('The kernel has no overlay file system; try `modprobe overlay`.')
  for (const program of ON_THE_HOST)
    await ask(
      ['sh', '-c', 'command -v "$1" >/dev/null', 'sublet', program],
      `The program “${program}” is not installed.`,
    )
  const site = config.netns === undefined ? 'this host' : `the network namespace ${config.netns}`
  const [first = 'ip', ...rest] = [...inNetns, 'ip', 'link', 'show', config.bridge]
  await ask([first, ...rest], `There is no bridge “${config.bridge}” in ${site}.`)
  for (const [name, image] of Object.entries(config.images)) {
    const root = image.root === 'host' ? '/' : image.root
    const binds = [...image.binds, ...image.readOnlyBinds]
    for (const file of IN_AN_IMAGE) {
      const bound = binds.some((path) => `/${file}`.startsWith(`${path}/`))
      await look(join(bound ? '/' : root, file), `The image “${name}” has no /${file}.`)
    }
    for (const path of binds) await look(path, `The image “${name}” is to show ${path}, which is not there.`)
  }
  for (const path of [config.hosts, config.sshd.authorizedKeys])
    if (path !== undefined) await look(path, `The file ${path} is not there.`)
  return said
}
