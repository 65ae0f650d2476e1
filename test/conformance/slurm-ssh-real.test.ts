import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { farHead } from '../../adapters/exec/far-head.ts'
import { netnsDoor } from '../../adapters/exec/netns-door.ts'
import { type SshConfig, sshExecutor } from '../../adapters/exec/ssh.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { wrapper } from '../../deploy/rights/wrapper.ts'
import { type BatchBench, batchSystemLaw } from './batch-system.ts'
import { FIXED, labMachines, openLab, shell, slurmSkip, title } from './slurm-bench.ts'
import { lawBench, lawConfig } from './slurm-law.ts'
import { sshServer } from './ssh-server.ts'

/** On the head, an ordinary user who is an Administrator of slurmdbd. */
const USER = { name: 'sublet-lent', uid: 54_322 }
/** In a command, its configuration. */
const FILE = 'FILE'
/** Whom machines are compared by. */
const USERS = ['daemon']

interface Open {
  readonly bench: BatchBench
  readonly ssh: SshConfig
  readonly confFile: string
  readonly dir: string
  readonly netns: string
}

/** A Slurm whose head is reached by its sshd only, by a key that may run the wrapper and nothing else. */
async function open(runId: string): Promise<Open> {
  const lab = await openLab(runId, ['PrivateData=jobs,nodes'], { accounts: true })
  const passwd = join(lab.dir, 'passwd')
  const line = `${USER.name}:*:${USER.uid}:${USER.uid}::/:/bin/sh`
  writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8').trimEnd()}\n${line}\n`)
  await shell(lab, `mount --bind ${passwd} /etc/passwd`)
  await shell(lab, 'sacctmgr -i add account sublet')
  await shell(lab, `sacctmgr -i add user ${USER.name} account=sublet adminlevel=Administrator`)

  const config = lawConfig(lab, { format: 'json', nodes: 'fixed' })
  const forced = join(lab.dir, 'sublet-rights')
  const privileges = slurmPrivileges(config, 'n[0-9]+', USERS)
  writeFileSync(
    forced,
    wrapper({ privileges, title: 'a test', path: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }),
  )
  chmodSync(forced, 0o755)
  const door = netnsDoor(lab.netns)
  const server = await sshServer({
    forced,
    user: USER.name,
    through: [...lab.throughHead(), 'sh', '-c', 'mkdir -p /run/sshd && exec "$@"', 'sh'],
    connect: door.connect,
  })
  const head = (ssh: SshConfig) => farHead(sshExecutor(ssh, { clock: systemClock, connect: door.connect }))
  const exec = head(server.config)
  const machines = labMachines(lab, { ...FIXED, alike: { users: USERS } }, exec)
  const bench = lawBench(lab, machines, config, {
    exec,
    // Nobody listens there.
    unreachable: () => slurm(config, head(server.configured({ port: 1 })), { clock: systemClock }),
    close: async () => {
      await exec.close()
      await server.close()
      await door.close()
    },
  })
  return { bench, ssh: server.config, confFile: lab.confFile, dir: lab.dir, netns: lab.netns }
}

batchSystemLaw(
  title('Slurm 22.05 over ssh, as an Administrator with a key that may run the wrapper only'),
  async () => (await open('lawr')).bench,
  { skip: slurmSkip, openMs: 180_000 },
)

describe.skipIf(slurmSkip !== undefined)(title('Slurm over ssh'), { timeout: 60_000 }, () => {
  let at: Open
  beforeAll(async () => {
    at = await open('sshc')
  }, 180_000)
  afterAll(() => at?.bench.close(), 60_000)

  /** The command itself, where the head's sshd can be dialled. */
  function sublet(over: Readonly<Record<string, unknown>>, ...words: readonly string[]) {
    const file = join(at.dir, 'site.json')
    const { host, port, user, privateKeyFile, hostKey } = at.ssh
    const ssh = { host, port, user, privateKeyFile, hostKey }
    const batch = { kind: 'slurm', confFile: at.confFile, partition: 'dyn', nodes: 'fixed' }
    const guest = {
      name: 'grid',
      batch: { ...batch, ssh: { ...ssh, ...over } },
      join: {
        ...{ kind: 'ssh-slurmd', nodes: 'fixed', conf: FIXED.conf, ssh: { privateKeyFile } },
        alike: { users: USERS, paths: ['/etc/passwd'] },
      },
      controller: 'by-hand',
    }
    const far = { name: 'far', role: 'broker', key: 'A'.repeat(43), url: 'https://far.example.org:7000' }
    const site = {
      name: 'here',
      dir: at.dir,
      serviceManager: { broker: 'far' },
      peers: [far],
      guests: [guest],
    }
    writeFileSync(file, JSON.stringify(site))
    const bin = new URL('../../deploy/bin.js', import.meta.url).pathname
    const argv = [
      `--net=/run/netns/${at.netns}`,
      process.execPath,
      bin,
      ...words.map((word) => (word === FILE ? file : word)),
    ]
    return spawnSync('nsenter', argv, { encoding: 'utf8', timeout: 50_000 })
  }

  test('check middleware finds nothing missing there, and ends', () => {
    const done = sublet({}, 'check', 'middleware', '--config', FILE, '--json', '--node', 'n1')
    expect(done.stderr).toBe('')
    expect(done.status).toBe(0)
    const [{ findings }] = JSON.parse(done.stdout) as [{ findings: { about: string; sentence: string }[] }]
    expect([...new Set(findings.map(({ about }) => about))].sort()).toEqual([
      ...['clock', 'job shapes', 'names', 'ports', 'rights', 'server', 'settings', 'visibility'],
    ])
    expect(findings.find(({ about }) => about === 'rights')?.sentence).toContain(USER.name)
  })

  test('validate --reach tells of a head that is not reached, and of another host key', () => {
    expect(sublet({}, 'validate', FILE, '--reach')).toMatchObject({ status: 0 })
    const away = sublet({ port: 1 }, 'validate', FILE, '--reach')
    expect(away.status).toBe(1)
    expect(away.stdout + away.stderr).toContain(
      `the batch system of grid: The head is not reached: ssh ${USER.name}@127.0.0.1: no connection`,
    )
    const strange = sublet({ hostKey: `SHA256:${'A'.repeat(43)}` }, 'validate', FILE, '--reach')
    expect(strange.status).toBe(1)
    expect(strange.stdout + strange.stderr).toContain('not the one agreed')
  })

  test('rights prints the very wrapper by which all this was done, and the line of this key', () => {
    const printed = sublet(
      {},
      'rights',
      '--config',
      FILE,
      '--nodes',
      'n[0-9]+',
      '--user',
      USER.name,
      '--form',
      'wrapper',
    )
    const body = (text: string): string => text.slice(text.indexOf('set -f')).replace(/^PATH=.*$/m, '')
    expect(body(printed.stdout)).toBe(body(readFileSync(join(at.dir, 'sublet-rights'), 'utf8')))
    const line = sublet(
      {},
      'rights',
      '--config',
      FILE,
      '--nodes',
      'n[0-9]+',
      '--user',
      USER.name,
      '--form',
      'forced-command',
    )
    expect(line.stdout).toContain(readFileSync(`${at.ssh.privateKeyFile}.pub`, 'utf8').trim())
  })
})
