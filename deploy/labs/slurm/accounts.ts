import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LabGround } from '../namespaces.ts'

/**
 * slurmdbd with a database of its own, so that a lab has accounts, their limits and qualities of service.
 * Debian's slurmdbd and mariadb-server-core. Both are up in some 2 s; nothing of them is heard outside the lab.
 *
 *   slurmctld ──6819──▶ slurmdbd ──127.0.0.1:3306──▶ mariadbd (data in DIR/db, no passwords)
 */
export const accountsConf = (dir: string): readonly string[] => [
  'AccountingStorageType=accounting_storage/slurmdbd',
  'AccountingStorageHost=head',
  // With munge this is no password, but its socket.
  `AccountingStoragePass=${dir}/munge/s`,
  'AccountingStorageEnforce=associations,limits,qos',
  'PreemptType=preempt/qos',
  'PreemptMode=REQUEUE',
  // One that may take others' nodes is looked at before those that came earlier.
  'PriorityType=priority/multifactor',
  'PriorityWeightQOS=1000',
]

const SYSTEM_TABLES = '/usr/share/mysql/mysql_system_tables.sql'

const slurmdbdConfText = (dir: string): string => `DbdHost=head
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/s
PidFile=${dir}/slurmdbd.pid
LogFile=${dir}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=3306
StorageUser=root
StorageLoc=slurm
`

/** What is lost with the lab need not be safe on a disk. */
const mariadb = (dir: string): readonly [string, ...string[]] => [
  'mariadbd',
  '--no-defaults',
  '--user=root',
  `--datadir=${dir}/db`,
  `--tmpdir=${dir}/db-tmp`,
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-buffer-pool-size=32M',
  '--innodb-log-file-size=8M',
  '--innodb-use-native-aio=0',
  '--skip-grant-tables',
]

/** After munged, before slurmctld. */
export async function startAccounts(dir: string, ground: LabGround, signal: AbortSignal): Promise<void> {
  const onHead = ground.on('head')
  const answers = (argv: readonly [string, ...string[]]) => async (): Promise<boolean> =>
    (await onHead.run(argv, { signal })).exitCode === 0
  const isOpen = (port: number) => answers(['bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`])

  for (const folder of ['db', 'db/mysql', 'db-tmp']) mkdirSync(join(dir, folder))
  writeFileSync(join(dir, 'slurmdbd.conf'), slurmdbdConfText(dir), { mode: 0o600 })
  const [program, ...args] = mariadb(dir)
  const made = await onHead.run([program, ...args, '--bootstrap'], {
    signal,
    input: `use mysql;\n${readFileSync(SYSTEM_TABLES, 'utf8')}`,
  })
  if (made.exitCode !== 0) throw new Error(`lab: no database was made: ${made.stderr.slice(-300)}`)
  const listen = ['--bind-address=127.0.0.1', '--port=3306', `--socket=${dir}/db-tmp/s`]
  await ground.keep('mariadbd', ground.inside('head', [program, ...args, ...listen]), signal)
  await ground.until('the start of mariadbd', isOpen(3306), signal)
  await ground.keep('slurmdbd', ground.inside('head', ['slurmdbd', '-D']), signal)
  await ground.until('the start of slurmdbd', answers(['sacctmgr', '-n', 'show', 'qos']), signal)
}
