import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type SshConfig, type SshDeps, sshConfig } from '../../adapters/exec/ssh.ts'
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

export interface SshServerOptions {
  /** The one command that the key may run; absent: any. */
  readonly forced?: string
  /** An account that is seen by this server alone, without rights; needs root. Absent: the user of the test. */
  readonly account?: { readonly name: string; readonly uid: number }
  /** Another who logs in, and whom it knows; needs root. */
  readonly user?: string
  /** Set for what it starts. */
  readonly env?: Readonly<Record<string, string>>
  /** Of both keys; absent: ed25519. */
  readonly keys?: 'rsa' | 'ed25519'
  /** Lines of its sshd_config that come first, which count. */
  readonly settings?: readonly string[]
  /** Words before sshd, such as those that lead into another network, and who dials it there. */
  readonly through?: readonly string[]
  readonly connect?: NonNullable<SshDeps['connect']>
}

/** A real sshd on loopback with keys of its own, as an ordinary process; it takes the user the test runs as. */
export async function sshServer(options: SshServerOptions = {}): Promise<SshServer> {
  const { forced, account, env = {}, keys = 'ed25519', settings = [] } = options
  const { user = account?.name, through = [], connect: dial = dialled } = options
  const folder = await mkdtemp(join(tmpdir(), 'sublet-sshd-'))
  const path = (name: string): string => join(folder, name)
  for (const key of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', keys, '-N', '', '-f', path(key)])
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  const key = await readFile(path('user.pub'), 'utf8')
  await writeFile(path('authorized'), forced === undefined ? key : `restrict,command="exec ${forced}" ${key}`)
  await writeFile(
    path('sshd_config'),
    [
      ...settings,
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${path('host')}`,
      `AuthorizedKeysFile ${path('authorized')}`,
      `PidFile ${path('pid')}`,
      // The login shell must not read the profile of the user who runs the tests: it may be slow or talk.
      `SetEnv ${Object.entries({ HOME: folder, ...env })
        .map(([key, value]) => `${key}=${value}`)
        .join(' ')}`,
      'UsePAM no',
      'UseDNS no',
      'StrictModes no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      '',
    ].join('\n'),
  )
  // Whose key it is reads the file of those that may log in.
  if (user !== undefined) await chmod(folder, 0o755)
  const argv = [...through, SSHD, '-D', '-e', '-f', path('sshd_config')]
  if (account !== undefined) argv.unshift(...(await withAccount(account, folder)))
  const server = spawn(argv[0] ?? SSHD, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  server.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000)
  })
  await eventually(() => answers(dial, port), 5000).catch((cause: unknown) => {
    server.kill()
    throw new Error(`sshd did not start: ${said}`, { cause })
  })
  const config = sshConfig.parse({
    host: '127.0.0.1',
    port,
    user: user ?? userInfo().username,
    privateKeyFile: path('user'),
    hostKey: (await readFile(path('host.pub'), 'utf8')).trim(),
  })
  return {
    config,
    configured: (over) => ({ ...config, ...over }),
    cutConnections: () => killChildren(server),
    async close() {
      server.kill('SIGTERM')
      killChildren(server)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** One may have ended since it was seen. */
function killChildren(server: ChildProcess): void {
  for (const pid of childrenOf(server))
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
}

/** Words before a command that then sees one account more, in a mount namespace of its own. */
async function withAccount(
  { name, uid }: { readonly name: string; readonly uid: number },
  folder: string,
): Promise<readonly string[]> {
  const passwd = join(folder, 'passwd')
  const line = `${name}:*:${uid}:${uid}::${folder}:/bin/sh\n`
  await writeFile(passwd, `${(await readFile('/etc/passwd', 'utf8')).trimEnd()}\n${line}`)
  const bind = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', bind, 'sh', passwd]
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

const dialled: NonNullable<SshDeps['connect']> = (host, port) =>
  new Promise((resolve, reject) => {
    const socket: Socket = connect(port, host, () => resolve(socket))
    socket.once('error', reject)
  })

async function answers(dial: NonNullable<SshDeps['connect']>, port: number): Promise<boolean> {
  const signal = AbortSignal.timeout(1000)
  const stream = await dial('127.0.0.1', port, signal).catch(() => undefined)
  if (stream === undefined) return false
  try {
    const [banner] = (await once(stream, 'data', { signal })) as [Buffer]
    return banner.length > 0
  } catch {
    return false
  } finally {
    stream.destroy()
  }
}
