import { type Examination, type Finding, missing, orFine } from '../finding.ts'
import type { Commands } from '../pbs/commands.ts'
import type { Dialect } from '../pbs/dialect.ts'
import { commonFindings, rightsFinding } from '../pbs/examine.ts'
import type { OpenpbsConfig } from './config.ts'
import { makeResource } from './dialect.ts'

/** The versions this adapter was held to recordings of. */
const VERSION = /^2[23]\./

/** What is missing or will not do, with its cure. */
export async function openpbsFindings(
  { markResource }: OpenpbsConfig,
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const facts = await dialect.facts(signal)
  await dialect.nodes(signal)
  const resource = await commands.run('qmgr', ['-c', `list resource ${markResource}`], { signal })

  const found: Finding[] = []
  if (!VERSION.test(facts.version))
    found.push(
      missing(
        'server',
        `OpenPBS ${facts.version} was not tried with this adapter, which was made for 23.06.`,
        'Try it beside a server that nobody needs, with jobs of each kind, before it drives this one; or use one of that version.',
      ),
    )
  found.push(...(await rightsFinding(commands, facts, signal)), ...commonFindings(facts))
  if (resource.exitCode !== 0 || !/type = string/.test(resource.stdout))
    found.push(
      missing(
        'settings',
        `There is no resource ${markResource} for the mark of nodes.`,
        makeResource(markResource),
      ),
    )
  return found
}

/** The same, and which jobs would be refused for what they ask for; qsub takes jobs of any size, also with no node. */
export async function openpbsExamined(
  config: OpenpbsConfig,
  commands: Commands,
  dialect: Dialect,
  { machines }: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const found = [...(await openpbsFindings(config, commands, dialect, signal))]
  for (const resource of askedFor(config, machines)) {
    const known = await commands.run('qmgr', ['-c', `list resource ${resource}`], { signal })
    if (known.exitCode === 0) continue
    found.push(
      missing(
        'job shapes',
        `“qsub -l select=1:${resource}=…” is refused: the server knows no resource ${resource}, which machines may bring.`,
        `As a manager: qmgr -c 'create resource ${resource} type=${resource in config.resources ? 'string' : 'long'},flag=h${resource in config.resources ? '' : 'n'}', and put it on the line “resources:” of sched_config.`,
      ),
    )
  }
  return orFine(found, 'job shapes', 'Jobs of any size may be submitted, also with no node there.')
}

/** Resources that OpenPBS brings along. */
const OWN = new Set([
  ...['ncpus', 'mem', 'vmem', 'ngpus', 'naccelerators', 'hbmem', 'arch', 'host', 'vnode'],
  ...['software', 'accelerator', 'accelerator_model', 'accelerator_memory', 'mpiprocs', 'ompthreads'],
])
const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/

/** Names of resources that jobs may ask of our machines, and that an admin has to have made. */
export const askedFor = (
  { resources }: OpenpbsConfig,
  machines: Examination['machines'],
): readonly string[] => [
  ...new Set(
    [...Object.keys(resources), ...machines.flatMap(({ consumables }) => Object.keys(consumables))].filter(
      (name) => name !== 'gpu' && NAME.test(name) && !OWN.has(name),
    ),
  ),
]
