import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { both } from '../batch/both.ts'
import { askedRights } from './asked-rights.ts'
import type { Commands } from './commands.ts'
import { parseConfig, parseWords } from './parse-text.ts'

/** What seldom changes about the cluster and about ourselves in it. */
export interface Facts {
  readonly cluster: string
  readonly version: string
  readonly user: string
  /** Nothing is hidden from us: we are root, SlurmUser or, where anything is hidden, an Administrator. */
  readonly isPrivileged: boolean
  /** PrivateData, lower case. */
  readonly hidden: readonly string[]
  readonly nodeCountMax: number
  /** Slurm's own power saving, and the partitions that it leaves alone. */
  readonly power: { readonly isOn: boolean; readonly sparedPartitions: readonly string[] }
  /** Kinds of GRES that there may be, such as `gpu`; another is refused at submission. */
  readonly gresTypes: readonly string[]
  /** Hosts of slurmctld and its port; of slurmdbd if accounting goes there. */
  readonly controllers: readonly string[]
  readonly controllerPort: number
  readonly slurmdPort: number
  readonly accounting: { readonly host: string; readonly port: number } | undefined
  readonly partition:
    | {
        readonly isUp: boolean
        readonly nodesMax: number
        readonly cpusPerNodeMax: number
        readonly defaultMinutes: number | undefined
      }
    | undefined
}

/** Between two askings. An admin who closes the partition is noticed at the latest then. */
const KEEP_MS: Millis = 60_000

export function factsOf(
  commands: Commands,
  partition: string,
  clock: Clock,
): { read(signal: AbortSignal): Promise<Facts>; recent(signal: AbortSignal): Promise<Facts> } {
  let kept: { readonly facts: Facts; readonly at: Millis } | undefined

  const read = async (signal: AbortSignal): Promise<Facts> => {
    const [[config, found], [uid, user]] = await both(
      signal,
      (stop) =>
        both(
          stop,
          (end) => commands.ask('scontrol', ['show', 'config'], end),
          (end) => commands.run('scontrol', ['-a', '-o', 'show', 'partition', partition], end),
        ),
      (stop) =>
        both(
          stop,
          (end) => commands.other(['id', '-u'], end),
          (end) => commands.other(['id', '-un'], end),
        ),
    )
    const values = parseConfig(config)
    const version = values.get('SLURM_VERSION')
    if (version === undefined)
      throw new SubletError('middleware-garbage', '“scontrol show config” names no SLURM_VERSION')
    const words = found.exitCode === 0 ? parseWords(found.stdout) : undefined
    const slurmUid = /\((\d+)\)/.exec(values.get('SlurmUser') ?? '')?.[1]
    const hidden = (values.get('PrivateData') ?? 'none')
      .toLowerCase()
      .split(',')
      .filter((each) => each !== 'none')
    const isOwner = uid === '0' || uid === slurmUid
    const facts: Facts = {
      cluster: values.get('ClusterName') ?? '',
      version,
      user,
      isPrivileged: isOwner || (hidden.length > 0 && (await askedRights(commands, signal)).mayChange),
      hidden,
      nodeCountMax: Number(values.get('MaxNodeCount') ?? 0),
      power: powerOf(values),
      gresTypes: listOf(values.get('GresTypes')),
      controllers: [...values]
        .filter(([key]) => /^SlurmctldHost\[\d+\]$/.test(key))
        .map(([, value]) => value.replace(/\(.*$/, '').trim()),
      controllerPort: portOf(values.get('SlurmctldPort'), 6817),
      slurmdPort: portOf(values.get('SlurmdPort'), 6818),
      accounting:
        values.get('AccountingStorageType') === 'accounting_storage/slurmdbd'
          ? {
              host: values.get('AccountingStorageHost') ?? '',
              port: portOf(values.get('AccountingStoragePort'), 6819),
            }
          : undefined,
      partition: words && {
        isUp: words.get('State') === 'UP',
        nodesMax: Number(words.get('MaxNodes')) || Number.POSITIVE_INFINITY,
        cpusPerNodeMax: Number(words.get('MaxCPUsPerNode')) || Number.POSITIVE_INFINITY,
        defaultMinutes: minutesOf(words.get('DefaultTime') ?? ''),
      },
    }
    kept = { facts, at: clock.monotonic() }
    return facts
  }

  return {
    read,
    recent: async (signal) =>
      kept !== undefined && clock.monotonic() - kept.at < KEEP_MS ? kept.facts : read(signal),
  }
}

/** Slurm saves no power without both programs and a time. */
function powerOf(values: ReadonlyMap<string, string>): Facts['power'] {
  const isSet = (key: string): boolean => !['', '(null)', 'INFINITE', 'NONE'].includes(values.get(key) ?? '')
  return {
    isOn: ['SuspendProgram', 'ResumeProgram', 'SuspendTime'].every(isSet),
    sparedPartitions: (values.get('SuspendExcParts') ?? '').split(','),
  }
}

/** `1-12:30:00`; undefined for NONE and UNLIMITED. */
function minutesOf(text: string): number | undefined {
  const [, days = '0', hours, minutes, seconds] = /^(?:(\d+)-)?(\d+):(\d+):(\d+)$/.exec(text) ?? []
  if (hours === undefined) return undefined
  return Number(days) * 1440 + Number(hours) * 60 + Number(minutes) + Number(seconds) / 60
}

/** Words beside commas; none for `(null)`. */
const listOf = (text = '(null)'): readonly string[] => text.split(',').filter((each) => each !== '(null)')

/** The first of a range, `6817-6820`. */
const portOf = (text: string | undefined, otherwise: number): number =>
  Number(/^\d+/.exec(text ?? '')?.[0] ?? otherwise)
