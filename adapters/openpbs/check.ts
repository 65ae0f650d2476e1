import { type Finding, missing } from '../finding.ts'
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
