import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { ALL_REDUCE, type AllReduced, agentText, bySrun, bySsh, readAllReduced } from './mpi-jobs.ts'
import { countOrphans, SlurmSite } from './slurm-site.ts'

/**
 * npm -s run lab:mpi -- [--json] [--keep]
 *
 * Debian's Open MPI over leased machines of the Slurm lab: an all-reduce on three machines, started once by
 * `srun --mpi=pmix` and once by mpirun over ssh. Needs root and Debian's packages (.ci/packages). Ends with 0 only if
 * every rank said the right sums, on three machines, and nothing is left.
 */
const words = process.argv.slice(2)
const has = (word: string): boolean => words.includes(word)
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const cli = fileURLToPath(new URL('../../cli.ts', import.meta.url))
const NODES = 3
const RANKS_PER_NODE = { srun: 1, ssh: 2 } as const

if (process.getuid?.() !== 0) {
  say('error: the Slurm lab makes network namespaces and machines: run it as root')
  process.exit(2)
}

/** A key of the user's own, for the way from machine to machine. */
const keyDir = mkdtempSync(join(tmpdir(), 'mpi-key-'))
const keyFile = join(keyDir, 'key')
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
const site = new SlurmSite({
  ...{ clock: systemClock, max: NODES, termSeconds: 30, epilogSeconds: 0, say },
  userKeys: readFileSync(`${keyFile}.pub`, 'utf8').trim(),
})
const isInterrupted = endOnInterrupt(site, has('--keep'), say)

const problems: string[] = []
const done: Record<string, AllReduced> = {}
try {
  const program = join(site.lab.dir, 'all-reduce')
  const key = join(site.lab.dir, 'mpi-key')
  writeFileSync(`${program}.c`, ALL_REDUCE)
  execFileSync('mpicc', ['-O', '-Wall', '-o', program, `${program}.c`])
  writeFileSync(key, readFileSync(keyFile), { mode: 0o600 })
  const [agent, reached] = [join(site.lab.dir, 'mpi-agent'), join(site.lab.dir, 'mpi-reached')]
  writeFileSync(agent, agentText(key, reached), { mode: 0o755 })
  await site.up([cli, 'start', '--config'])
  await site.sublet.up()
  for (const [how, script] of [
    ['srun', bySrun(program)],
    ['ssh', bySsh(program, agent, RANKS_PER_NODE.ssh)],
  ] as const) {
    const args = [
      `--nodes=${NODES}`,
      `--ntasks-per-node=${RANKS_PER_NODE[how]}`,
      '-p',
      site.lab.partition,
      '-t',
      '2',
    ]
    const id = await site.lab.submit(`#!/bin/bash\n${script}`, { args }, site.signal)
    const state = () => site.lab.jobRecords().find(({ jobId }) => jobId === id)?.state
    await site.until(`the end of the job by ${how}`, () => state() !== undefined, 120_000)
    const output = readFileSync(join(site.lab.dir, 'jobs', `${id}.out`), 'utf8')
    if (state() !== 'COMPLETED') problems.push(`by ${how} it ended as ${state()}: ${output.trim()}`)
    else done[how] = readAllReduced(output)
  }
  for (const [how, { hosts }] of Object.entries(done))
    if (hosts.length !== NODES) problems.push(`by ${how} it ran on ${hosts.join(', ')} only`)
  // From the first machine to each of the others.
  const gone = new Set(readFileSync(reached, 'utf8').trim().split('\n'))
  if (gone.size !== NODES - 1) problems.push(`ssh went to ${[...gone].join(', ')} only`)
  await site.sublet.release()
  const orphans = await site.orphans()
  if (countOrphans(orphans) > 0) problems.push(`orphans: ${JSON.stringify(orphans)}`)
  const lines = Object.entries(done).map(
    ([how, { ranks, hosts, sums, lost }]) =>
      `${how.padEnd(5)} ${ranks} ranks on ${hosts.join(', ')}: sums ${sums.join(' to ')}${lost === 0 ? '' : ` (${lost} tries ended while they started)`}`,
  )
  process.stdout.write(has('--json') ? `${JSON.stringify(done)}\n` : `${lines.join('\n')}\n`)
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  rmSync(keyDir, { recursive: true })
  if (!isInterrupted()) await site.down(has('--keep') || problems.length > 0)
}
const left = site.lab.leftovers()
if (left.processes + left.netns + left.mounts + left.cgroups > 0)
  problems.push(`left behind: ${JSON.stringify(left)}`)
for (const problem of problems) say(`error: ${problem}`)
if (problems.length > 0) say(`what was written is in ${site.dir}`)
process.exitCode = problems.length > 0 ? 1 : 0
