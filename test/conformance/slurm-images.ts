import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem, ExpectedNode } from '../../adapters/batch-system.ts'
import type { UnitSpec } from '../../adapters/handler.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import { type Image, namespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import { namespaceMachines } from '../../adapters/namespace/namespace.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmJoinConfig } from '../../adapters/slurm/join.ts'
import { joinOf } from '../../deploy/adapters.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { ssh } from '../../deploy/settings/guest-schema.ts'
import { closeLab, exec, never, openLab, shell } from './slurm-bench.ts'
import { FAKETIME } from './slurm-clocks.ts'

/**
 * A real Slurm whose machines have a root of their own each: the host's files below, laid over them what the image
 * has, in namespaces, reached over ssh as by Sublet itself.
 *
 *   head   passwd with ada (uid 4001), /home shared, munged with the key, slurmctld
 *   image  right         the same passwd, the same /home, a munged of its own with the same key, a slurm.conf of its own
 *          all others    as right, but for one thing
 */
export const USER = { name: 'ada', uid: 4001 }
/** Lies in the shared file system. */
export const SENTINEL = '/home/.shared'

const passwdWith = (uid: number): string =>
  `${readFileSync('/etc/passwd', 'utf8').trimEnd()}\n${USER.name}:x:${uid}:${uid}::/home/${USER.name}:/bin/sh\n`

export type ImageName = keyof ReturnType<typeof imagesOf>

function imagesOf(lab: SlurmLab) {
  const { dir } = lab
  const files = {
    '/etc/passwd': passwdWith(USER.uid),
    // Its munged is where Slurm looks for it if nothing is said.
    '/etc/slurm/slurm.conf': readFileSync(lab.confFile, 'utf8').replace(/^AuthInfo=.*\n/m, ''),
  }
  // For every process of the machine.
  const clockOff = (by: string) => ({ '/etc/ld.so.preload': `${FAKETIME}\n`, '/etc/faketimerc': `${by}\n` })
  const home = ['mount', '--bind', join(dir, 'home'), '/home']
  const keyFrom = (file: string) => ['install', '-m', '600', join(dir, file), '/run/munge.key']
  const munged = [
    ['mkdir', '-m', '755', '/run/munge'],
    [
      'munged',
      '--key-file=/run/munge.key',
      ...['pid', 'log', 'seed'].map((what) => `--${what}-file=/run/munge/${what}`),
    ],
  ]
  const image = (over: Partial<Image>): Image => ({
    ...{ root: 'host', binds: [dir, '/sys/fs/cgroup'], readOnlyBinds: [], files },
    boot: [home, keyFrom('munge/key'), ...munged],
    ...over,
  })
  const slurmdPath = '/usr/local/sbin/slurmd'
  return {
    right: image({}),
    otherUids: image({ files: { ...files, '/etc/passwd': passwdWith(4002) } }),
    // The real one behind it: only its answer is old.
    oldSlurmd: image({
      files: {
        ...files,
        [slurmdPath]: `#!/bin/sh\n[ "$1" = -V ] && exec echo slurm-wlm 20.02.7\nexec /usr/sbin/slurmd "$@"\n`,
      },
      boot: [['chmod', '755', slurmdPath], home, keyFrom('munge/key'), ...munged],
    }),
    otherKey: image({ boot: [home, keyFrom('other-key'), ...munged] }),
    noMunged: image({ boot: [home] }),
    noHome: image({ boot: [keyFrom('munge/key'), ...munged] }),
    clockAhead: image({ files: { ...files, ...clockOff('+600s') } }),
    clockBehind: image({ files: { ...files, ...clockOff('-600s') } }),
  }
}

export async function openImages(runId: string, daemonsThrough: readonly string[] = []) {
  const lab = await openLab(runId, [], { daemonsThrough })
  try {
    return await imagesIn(lab)
  } catch (error) {
    await closeLab(lab)
    throw error
  }
}

async function imagesIn(lab: SlurmLab) {
  const { runId } = lab
  const dir = mkdtempSync('/tmp/sublet-images-')
  const inLab = (name: string): string => join(lab.dir, name)
  mkdirSync(inLab('home/ada'), { recursive: true })
  execFileSync('chown', [`${USER.uid}:${USER.uid}`, inLab('home/ada')])
  writeFileSync(inLab('home/.shared'), '')
  writeFileSync(inLab('other-key'), 'the key of another cluster, of 32 bytes and more', { mode: 0o600 })
  writeFileSync(inLab('passwd'), passwdWith(USER.uid))
  await shell(lab, `mount --bind ${inLab('passwd')} /etc/passwd && mount --bind ${inLab('home')} /home`)
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')])
  let nonces = 0
  const machines = namespaceMachines(
    namespaceMachinesConfig.parse({
      ...{ dir: join(dir, 'm'), netns: lab.netns, bridge: lab.bridge, subnet: '10.88.0.0/24' },
      ...{ namePrefix: `i${runId}`, images: imagesOf(lab), sshd: {}, hosts: lab.hostsFile },
    }),
    { exec, clock: systemClock, nonce: () => `${runId}-${process.pid}-${++nonces}` },
  )
  const batch = slurmConfig.parse({ confFile: lab.confFile, partition: lab.partition, lockFolder: lab.dir })
  const joining = slurmJoinConfig.parse({
    logFile: join(lab.dir, 'log/%n.log'),
    alike: { users: [USER.name], paths: [SENTINEL] },
  })
  const units = new Map<string, UnitSpec>()
  const joins: JoinHandler[] = []
  let slot = 0

  const systemBy = (clock: Clock): BatchSystem => slurm(batch, lab.onHead, { clock })
  /** Sublet's own, with this clock. */
  const joinBy = (clock: Clock): JoinHandler => {
    const made = joinOf(
      {
        join: {
          kind: 'ssh-slurmd',
          ...joining,
          ssh: ssh.parse({ privateKeyFile: join(dir, 'key'), netns: lab.netns }),
        },
        batch: { kind: 'slurm', ...batch, through: [...lab.throughHead()] },
      },
      { clock, random: undefined as never },
    )
    joins.push(made)
    return made
  }

  return {
    lab,
    systemBy,
    joinBy,
    /** Boots one, which is on nobody's list yet. */
    async machine(image: ImageName): Promise<JoinUnit> {
      slot += 1
      const unit: UnitSpec = {
        ...{
          unitId: `unit-${runId}-${slot}`,
          leaseId: `lease-${runId}`,
          name: `n${slot}`,
          slot,
          host: 'here',
        },
        ...{ vector: { cpu: 2, memoryMiB: 1000 }, image, endsAt: systemClock.now() + 3_600_000, graceMs: 0 },
        ...{
          probe: [],
          properties: { 'ssh.authorizedKey': readFileSync(join(dir, 'key.pub'), 'utf8').trim() },
        },
      }
      units.set(unit.unitId, unit)
      const facts = await machines.setup(unit, never)
      const { unitId, leaseId, name, vector } = unit
      return { unitId, leaseId, name, vector, facts }
    },
    node: ({ unitId, leaseId, name, facts }: JoinUnit): ExpectedNode => ({
      ...{ name, address: facts.address ?? '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 },
    }),
    /** In the machine, as root, without Sublet. */
    run: async ({ unitId }: JoinUnit, line: string) =>
      (await machines.inside(units.get(unitId)!)).run(['sh', '-c', line], { signal: never }),
    async close(): Promise<void> {
      for (const each of joins) await each.close()
      for (const unit of units.values()) await machines.teardown(unit, { force: true }, never)
      rmSync(dir, { recursive: true })
      await closeLab(lab)
    },
  }
}
