import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type Commands, complaint } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import { expandHosts } from './hostlist.ts'
import { parseJobsJson, parseNodesJson } from './parse-json.ts'
import { JOBS_TEXT_ARGS, NODES_TEXT_ARGS, parseJobsText, parseNodesText } from './parse-text.ts'
import type { JobRecord, NodeRecord, Records, Turn } from './records.ts'

/** Reads jobs and nodes in the configured format. */
export interface Reader {
  jobs(signal: AbortSignal): Promise<Records<JobRecord>>
  nodes(signal: AbortSignal): Promise<Records<NodeRecord>>
  /**
   * One node, always as text: it is the cheapest, and all 22.05 offers. Undefined if there is none. Also
   * one that is only announced (FUTURE), which the lists leave out.
   */
  node(name: string, signal: AbortSignal): Promise<NodeRecord | undefined>
  /** All nodes, also those that are only announced, always as text: the JSON of 22.05 leaves them out. */
  all(signal: AbortSignal): Promise<Records<NodeRecord>>
  /** On which nodes the scheduler plans to start which waiting job. Not part of the JSON of 22.05. */
  plans(signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>>
  /** How many jobs that have not ended `scontrol show jobs` tells, which formats them in another way. */
  liveJobs(signal: AbortSignal): Promise<number>
}

/** The command is older than JSON, or its plugin is not installed. */
const NO_JSON =
  /unrecognized option|invalid option|ambiguous|plugin|serializer|not (?:been )?(?:built|compiled)/i

const ENDED =
  /\bJobState=(?:COMPLETED|CANCELLED|FAILED|TIMEOUT|NODE_FAIL|PREEMPTED|BOOT_FAIL|DEADLINE|OUT_OF_MEMORY|REVOKED)\b/

type Parse<R> = (printed: string, turn: Turn) => Promise<Records<R>>

export function slurmReader(
  commands: Commands,
  { format, clock }: { readonly format: SlurmConfig['format']; readonly clock: Clock },
): Reader {
  let speaks: 'json' | 'text' | undefined = format === 'auto' ? undefined : format
  /** Programs whose JSON was longer than is taken, and what was said of it. */
  const tooLong = new Map<string, string>()

  /** Undefined if there is no JSON to be had, and text may be read. */
  const printedJson = async (
    program: 'squeue' | 'sinfo',
    signal: AbortSignal,
  ): Promise<string | undefined> => {
    try {
      const done = await commands.run(program, ['-a', '--json'], signal)
      if (done.exitCode === 0) return done.stdout
      if (speaks === 'json' || !NO_JSON.test(done.stderr))
        throw new SubletError('middleware-refused', `“${program} --json” failed: ${complaint(done)}`)
      speaks = 'text'
    } catch (error) {
      if (!(error instanceof SubletError) || error.code !== 'exec-output-too-large') throw error
      if (format !== 'auto')
        throw new SubletError('exec-output-too-large', error.message, {
          cause: error,
          cure: 'Set batch.format to auto or text: the text of Slurm is a tenth as long.',
        })
      tooLong.set(program, error.message)
    }
    return undefined
  }

  const read = async <R>(
    json: { program: 'squeue' | 'sinfo'; parse: Parse<R> },
    text: { program: 'squeue' | 'scontrol'; args: readonly string[]; parse: Parse<R> },
    signal: AbortSignal,
  ): Promise<Records<R>> => {
    if (speaks !== 'text' && !tooLong.has(json.program)) {
      const printed = await printedJson(json.program, signal)
      if (printed !== undefined) {
        const records = await json.parse(printed, { clock, signal })
        speaks = 'json'
        return records
      }
    }
    const found = await text.parse(await commands.ask(text.program, text.args, signal), { clock, signal })
    const why = tooLong.get(json.program)
    if (why === undefined) return found
    const sentence = `The text of ${text.program} is read, which tells less of jobs and nodes, until Sublet starts anew: ${why}`
    return { ...found, warnings: [sentence, ...found.warnings] }
  }

  return {
    jobs: (signal) =>
      read(
        { program: 'squeue', parse: parseJobsJson },
        { program: 'squeue', args: JOBS_TEXT_ARGS, parse: parseJobsText },
        signal,
      ),
    nodes: (signal) =>
      read(
        { program: 'sinfo', parse: parseNodesJson },
        { program: 'scontrol', args: NODES_TEXT_ARGS, parse: parseNodesText },
        signal,
      ),
    async node(name, signal) {
      // Slurm would read brackets and commas as a list of nodes.
      if (!/^[A-Za-z0-9_.-]+$/.test(name)) throw new Error(`not the name of one node: “${name}”`)
      const done = await commands.run('scontrol', ['-F', ...NODES_TEXT_ARGS, name], signal)
      if (done.exitCode !== 0 && !/not found/i.test(`${done.stdout}${done.stderr}`))
        throw new SubletError('middleware-refused', `Slurm would not show node ${name}: ${complaint(done)}`)
      if (done.exitCode !== 0) return undefined
      return (await parseNodesText(done.stdout, { clock, signal })).records[0]
    },
    all: async (signal) =>
      parseNodesText(await commands.ask('scontrol', ['-F', ...NODES_TEXT_ARGS], signal), { clock, signal }),
    async plans(signal) {
      const printed = await commands.ask(
        'squeue',
        ['-h', '-a', '-t', 'PD', '-O', 'JobArrayID:|,SchedNodes:|'],
        signal,
      )
      const lines = printed.split('\n').map((line) => line.split('|'))
      return new Map(
        lines
          .filter(([id, nodes]) => id !== '' && nodes !== undefined && nodes !== '' && nodes !== '(null)')
          .map(([id = '', nodes = '']) => [id.trim(), expandHosts(nodes.trim())]),
      )
    },
    async liveJobs(signal) {
      const printed = await commands.ask('scontrol', ['-a', '-o', 'show', 'jobs'], signal)
      const lines = printed.split('\n').filter((line) => line.startsWith('JobId='))
      return lines.filter((line) => !ENDED.test(line)).length
    },
  }
}
