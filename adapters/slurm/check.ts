import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Commands, complaint } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import type { factsOf } from './facts.ts'

/** The version this adapter was held to the law with. */
const VERSION = /^22\.05\./

/** A node that nobody has: the answer tells whether we might change one. */
export const NO_NODE = 'sublet-has-no-such-node'

/** What is missing or will not do, a sentence each. */
export async function checkSlurm(
  config: SlurmConfig,
  commands: Commands,
  facts: ReturnType<typeof factsOf>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted()
  const known = await facts.read(signal)
  const rights = await commands.run('scontrol', ['update', `NodeName=${NO_NODE}`, 'State=RESUME'], signal)
  for (const program of ['squeue', 'sinfo'] as const) await commands.ask(program, ['--version'], signal)

  const missing: string[] = []
  if (!VERSION.test(known.version))
    missing.push(`Slurm ${known.version} was not tried with this adapter, which was made for 22.05.`)
  if (config.cluster !== undefined && config.cluster !== known.cluster)
    missing.push(`The controller belongs to the cluster ${known.cluster}, not to ${config.cluster}.`)
  if (known.partition === undefined) missing.push(`There is no partition ${config.partition}.`)
  else if (!known.partition.isUp)
    missing.push(`The partition ${config.partition} is not UP: it starts no jobs.`)
  if (known.nodeCountMax === 0)
    missing.push('MaxNodeCount is not set: Slurm takes no nodes beyond slurm.conf.')
  if (!known.isPrivileged)
    for (const what of ['jobs', 'nodes'])
      if (known.hidden.includes(what))
        missing.push(`PrivateData hides other users’ ${what} from ${known.user}; let Sublet be an Operator.`)
  if (!/Invalid node name/i.test(rights.stderr))
    missing.push(`The user ${known.user} may not change nodes (${complaint(rights)}).`)
  for (const path of config.watchPaths)
    if (!existsSync(path) && !existsSync(dirname(path)))
      missing.push(`The path ${path} to be watched is not there.`)
  return missing
}
