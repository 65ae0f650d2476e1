import type { Commands } from './commands.ts'
import { complaint } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import type { factsOf } from './facts.ts'
import { parseList, parseObject } from './parse-text.ts'

/** The version this adapter was held to the law with. */
const VERSION = /^SGE 8\.1\./

/** A host that nobody has: the answer tells whether we might change one. */
export const NO_HOST = 'sublet-has-no-such-host'

/** What is missing or will not do, a sentence each. */
export async function checkGridengine(
  config: GridengineConfig,
  commands: Commands,
  facts: ReturnType<typeof factsOf>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted()
  const known = await facts.read(signal)
  const help = await commands.run('qstat', ['-help'], signal)
  const rights = await commands.run('qconf', ['-dh', NO_HOST], signal)
  const group = await commands.run('qconf', ['-shgrp', config.hostGroup], signal)
  const { queue, hostGroup } = config
  const instances = await commands.run('qselect', ['-q', queue], signal)
  const missing: string[] = []

  const version = help.stdout.split('\n')[0]?.trim() ?? ''
  if (!VERSION.test(version))
    missing.push(`GridEngine “${version}” was not tried with this adapter, which was made for SGE 8.1.`)
  if (known.queue === undefined) missing.push(`There is no cluster queue ${queue}.`)
  else {
    if (!known.queue.hosts.includes(hostGroup))
      missing.push(`The host group ${hostGroup} is not in the hostlist of the queue ${queue}.`)
    if (known.queue.closed)
      missing.push(`The queue ${queue} has initial_state disabled: machines that come in take no job.`)
  }
  if (instances.exitCode !== 0)
    missing.push(
      `The queue ${queue} has no host at all now: qsub refuses jobs that name it (-q ${queue}). Keep one in its hostlist, even without slots.`,
    )
  if (group.exitCode !== 0)
    missing.push(`There is no host group ${hostGroup} (make one with qconf -ahgrp ${hostGroup}).`)
  for (const name of [config.markComplex, config.drainComplex]) {
    const complex = known.complexes.get(name)
    if (complex === undefined)
      missing.push(
        `There is no complex ${name}; add the row “${name} ${name} RESTRING == YES NO NONE 0” (qconf -mc).`,
      )
    else if (!/STRING/.test(complex.type) || complex.consumable !== 'NO')
      missing.push(`The complex ${name} is not a plain RESTRING.`)
  }
  if (!known.explains)
    missing.push(
      'The scheduler does not say why jobs wait (schedd_job_info false): limits of users are not seen.',
    )
  if (/denied|must be|no permission/i.test(rights.stderr + rights.stdout) && !/not exist/.test(rights.stderr))
    missing.push(`Sublet’s user may not change hosts (${complaint(rights)}).`)
  for (const host of parseList(parseObject(group.stdout).get('hostlist') ?? ''))
    if (host.startsWith('@'))
      missing.push(`The host group ${hostGroup} has ${host} in it, whose hosts are others’.`)
  return missing
}
