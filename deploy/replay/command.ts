import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { EXIT, print, printJson, tell } from '../commands/terminal.ts'
import { readRecording } from '../recording/reading.ts'
import { loadConfig } from '../settings/settings-file.ts'
import { type Contest, type Contestant, contest } from './contest.ts'
import { lublin } from './lublin.ts'
import { contestPage } from './page.ts'
import type { SchedulerKind } from './scheduler.ts'
import { readSwf } from './swf.ts'
import { contestText } from './table.ts'
import type { Trace, UnitSize } from './trace.ts'

export interface ReplayArguments {
  readonly json?: true
  readonly trace?: string
  readonly recording?: string
  readonly synthetic?: string
  readonly jobs: number
  readonly seed: string
  readonly config: string
  readonly against?: string
  readonly guest?: string
  readonly nodes?: number
  readonly cpus?: number
  readonly boot: { readonly least: Millis; readonly most: Millis }
  readonly scheduler: SchedulerKind
  readonly html?: string
}

/** Synthetic jobs come from then on, a Monday. */
const SYNTHETIC_FROM: Instant = Date.UTC(2026, 0, 5)

/** Replays a trace under one configuration or two, and says what came of it. */
export async function replayCommand(options: ReplayArguments): Promise<number> {
  const files = [options.against, options.config].filter((file) => file !== undefined)
  const read = files.map(
    (file): Contestant => ({ name: nameOf(file, files), config: grocOf(file, options.guest) }),
  )
  const units = options.nodes ?? Math.max(...read.map(({ config }) => config.max))
  const unit = unitOf(read.at(-1)!.config, options.cpus)
  const contestants = read.map(({ name, config }) => ({ name, config: ofOneType(config, unit) }))
  const trace = await traceOf(options, units * unit.cpus)
  if (trace.jobs.length === 0) throw new SubletError('usage', `the trace ${trace.name} has no job that ran`)
  const { scheduler, seed, boot: bootMs } = options
  const outcome = contest(trace, { units, unit, scheduler, bootMs, seed }, contestants)
  if (options.html !== undefined) writePage(options.html, outcome)
  if (options.json) printJson(outcome)
  else print(contestText(outcome))
  return EXIT.done
}

async function traceOf(
  { trace, recording, synthetic, jobs, seed }: ReplayArguments,
  processors: number,
): Promise<Trace> {
  if ([trace, recording, synthetic].filter((source) => source !== undefined).length > 1)
    throw new SubletError(
      'usage',
      '--trace, --recording and --synthetic are sources of jobs: name one of them',
    )
  if (recording !== undefined) return readRecording(recording)
  if (trace !== undefined) return readSwf(trace)
  if (synthetic === 'lublin') return lublin({ jobs, seed, processors, from: SYNTHETIC_FROM })
  throw new SubletError(
    'usage',
    synthetic === undefined
      ? 'nothing to replay: name a trace with --trace FILE.swf, a --recording FOLDER, or --synthetic lublin'
      : `“${synthetic}” is no synthetic workload; there is lublin`,
  )
}

/** The thresholds of the guest that is named or, of one alone, its. */
function grocOf(file: string, wanted: string | undefined): GrocConfig {
  const { settings, warnings } = loadConfig(file)
  for (const { text } of warnings) tell(`${text} (warning)`)
  const found = settings.guests.flatMap(({ name, controller }) =>
    controller.kind === 'groc' && (wanted === undefined || name === wanted) ? [{ name, controller }] : [],
  )
  const [one, another] = found
  if (one === undefined)
    throw new SubletError(
      'usage',
      `${file} has no guest ${wanted === undefined ? '' : `“${wanted}” `}whose controller is groc`,
    )
  if (another !== undefined)
    throw new SubletError(
      'usage',
      `${file} has several guests: name one with --guest (${found.map(({ name }) => name).join(', ')})`,
    )
  const { kind: _, ...config } = one.controller
  return config
}

/** As the preferred type is, which all of the pool are. */
function unitOf({ types }: GrocConfig, cpus: number | undefined): UnitSize {
  const { unit } = types[0]!
  return {
    ...{ cpus: cpus ?? unit.cpus, memoryMiB: unit.memoryMiB },
    ...(Object.keys(unit.consumables).length > 0 && { consumables: unit.consumables }),
    ...(unit.features.length > 0 && { features: unit.features }),
  }
}

/** The modelled pool is of one type: the preferred one. */
const ofOneType = (config: GrocConfig, unit: UnitSize): GrocConfig => ({
  ...config,
  types: [{ type: config.types[0]!.type, unit: { ...config.types[0]!.unit, ...unit } }],
})

/** The file’s own name, unless both are called the same. */
function nameOf(file: string, files: readonly string[]): string {
  const same = files.filter((other) => basename(other) === basename(file))
  return same.length > 1 ? file : basename(file)
}

function writePage(file: string, outcome: Contest): void {
  try {
    writeFileSync(file, contestPage(outcome))
  } catch (error) {
    throw new SubletError('usage', `the page ${file} cannot be written: ${inOneLine(error)}`)
  }
  tell(`written: ${file}`)
}
