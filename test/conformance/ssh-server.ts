import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type SshConfig, sshConfig } from '../../adapters/exec/ssh.ts'
import { eventually } from './eventually.ts'

const SSHD = '/usr/sbin/sshd'

/** Undefined if a real one is to be started, which needs the package and an account that may log in. */
export const noSshd: string | undefined =
  process.env.SUBLET_REAL === '1' ? undefined : 'a real sshd only with SUBLET_REAL=1'

export interface SshServer {
  readonly config: SshConfig
  /** The same server with another pinned key, and such. */
  configured(over: Partial<SshConfig>): SshConfig
  /** Ends every connection, as a cut line does, but not the server. */
  cutConnections(): void
  close(): Promise<void>
}

/** A real sshd on loopback with keys of its own, as an ordinary process; it takes the user the test runs as. */
export async function sshServer(): Promise<SshServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sublet-sshd-'))
  const path = (name: string): string => join(folder, name)
  for (const key of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path(key)])
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  await writeFile(
    path('sshd_config'),
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${path('host')}`,
      `AuthorizedKeysFile ${path('user.pub')}`,
      `PidFile ${path('pid')}`,
      // The login shell must not read the profile of the user who runs the tests: it may be slow or talk.
      `SetEnv HOME=${folder}`,
      'UsePAM no',
      'UseDNS no',
      'StrictModes no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      '',
    ].join('\n'),
  )
  const server = spawn(SSHD, ['-D', '-e', '-f', path('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  server.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000)
  })
  await eventually(() => answers(port), 5000).catch((cause: unknown) => {
    server.kill()
    throw new Error(`sshd did not start: ${said}`, { cause })
  })
  const config = sshConfig.parse({
    host: '127.0.0.1',
    port,
    user: userInfo().username,
    privateKeyFile: path('user'),
    hostKey: (await readFile(path('host.pub'), 'utf8')).trim(),
  })
  return {
    config,
    configured: (over) => ({ ...config, ...over }),
    cutConnections: () => {
      for (const pid of childrenOf(server)) process.kill(pid, 'SIGKILL')
    },
    async close() {
      server.kill('SIGTERM')
      for (const pid of childrenOf(server)) process.kill(pid, 'SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function childrenOf({ pid }: ChildProcess): readonly number[] {
  const listed = spawnPs()
  return listed.filter(([, parent]) => parent === pid).map(([child]) => child)
}

const spawnPs = (): readonly (readonly [number, number])[] =>
  execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([pid = 0, parent = 0]) => [pid, parent] as const)

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
