import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor } from '../executor.ts'
import { slurmCommands, slurmEnv } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import { parseConfig } from './parse-text.ts'
import { type UserOf, usersOf } from './passwd.ts'

/** What the head says that each machine is compared with. */
export interface HeadSays {
  /** Of slurmctld, such as `22.05.8`. */
  readonly version: string
  /** Munge's socket, or `default`; `none` where Slurm does not authenticate by munge. */
  readonly socket: string
  /** SlurmUser, of whom only the uid matters, and the users that were asked for. */
  readonly users: ReadonlyMap<string, HeadUser>
}

/** Of SlurmUser no more is known than its uid. */
export type HeadUser = Pick<UserOf, 'uid'> & Partial<UserOf>

/** What came of a machine's credential on the head; its times are those of the two munged. */
export type Opened =
  | { readonly kind: 'opened'; readonly sealedAt: Instant; readonly openedAt: Instant }
  | { readonly kind: 'refused'; readonly words: string }

export interface Head {
  /** At most a minute old. */
  says(users: readonly string[], signal: AbortSignal): Promise<HeadSays>
  open(credential: string, socket: string, signal: AbortSignal): Promise<Opened>
}

const KEEP_MS: Millis = 60_000

/** A credential as munge writes it: one word, no line end. */
const CREDENTIAL = /^MUNGE:[A-Za-z0-9+/]+={0,2}:$/
const CREDENTIAL_CHARS_MAX = 4096

/** Unmunge's exit status is munge's own number of the error: these are faults of the credential. */
const BAD_CREDENTIAL = { first: 8, last: 14 }

/** The head of a Slurm cluster, through the executor that reaches it. */
export function slurmHead(
  config: Pick<SlurmConfig, 'confFile' | 'bin' | 'commandTimeout'>,
  exec: Executor,
  { clock }: { readonly clock: Clock },
): Head {
  const { confFile, bin, commandTimeout: timeoutMs } = config
  const commands = slurmCommands(exec, { confFile, bin, timeoutMs })
  let kept: { readonly says: HeadSays; readonly users: string; readonly at: Millis } | undefined

  const passwd = async (names: readonly string[], signal: AbortSignal): Promise<readonly string[]> => {
    if (names.length === 0) return []
    const options = { signal, timeoutMs, env: slurmEnv(confFile) }
    const { stdout, stderr, exitCode } = await exec.run(['getent', 'passwd', ...names], options)
    // It ends with 2 if it does not know one of them. Whatever else it ends with tells nothing of users.
    if (exitCode === 0 || exitCode === 2) return stdout.split('\n')
    const words = stderr.trim().slice(-300) || `exit ${exitCode}`
    throw new SubletError('middleware-unreachable', `getent on the head failed: ${words}`, {
      cure: 'Run `getent passwd` there by hand; a wrapper of `sublet rights` names the users of join.alike, and is printed anew when they change.',
    })
  }

  return {
    async says(names, signal) {
      const asked = names.join(' ')
      if (kept?.users === asked && clock.monotonic() - kept.at < KEEP_MS) return kept.says
      const values = parseConfig(await commands.ask('scontrol', ['show', 'config'], signal))
      const known = usersOf(await passwd(names, signal))
      const unknown = names.find((each) => !known.has(each))
      if (unknown !== undefined)
        throw new SubletError('config-invalid', `alike.users names ${unknown}, whom the head does not know`)
      const version = values.get('SLURM_VERSION')
      if (version === undefined)
        throw new SubletError('middleware-garbage', '“scontrol show config” names no SLURM_VERSION')
      const [, owner, uid] = /^([^(]+)\((\d+)\)$/.exec(values.get('SlurmUser') ?? '') ?? []
      const says: HeadSays = {
        version,
        socket:
          values.get('AuthType') === 'auth/munge'
            ? (/(?:^|,)socket=([^,\s]+)/.exec(values.get('AuthInfo') ?? '')?.[1] ?? 'default')
            : 'none',
        users: new Map<string, HeadUser>([
          ...(owner === undefined ? [] : [[owner, { uid: Number(uid) }] as const]),
          ...known,
        ]),
      }
      kept = { says, users: asked, at: clock.monotonic() }
      return says
    },

    async open(credential, socket, signal) {
      if (credential.length > CREDENTIAL_CHARS_MAX || !CREDENTIAL.test(credential))
        return { kind: 'refused', words: 'what munge printed there is no credential' }
      const where = socket === 'default' ? [] : [`--socket=${socket}`]
      const done = await exec.run(['unmunge', ...where], {
        ...{ signal, timeoutMs, env: slurmEnv(confFile) },
        input: `${credential}\n`,
      })
      const [sealedAt, openedAt] = ['ENCODE_TIME', 'DECODE_TIME'].map((key) => timeOf(done.stdout, key))
      if (sealedAt !== undefined && openedAt !== undefined) return { kind: 'opened', sealedAt, openedAt }
      const words = done.stderr.trim().replace(/^unmunge: Error: /, '')
      const code = done.exitCode ?? 0
      if (code >= BAD_CREDENTIAL.first && code <= BAD_CREDENTIAL.last) return { kind: 'refused', words }
      throw new SubletError(
        'middleware-unreachable',
        `unmunge on the head failed: ${words || `exit ${code}`}`,
        {
          cure: 'Check that munged runs on the head, and that unmunge may be run there.',
        },
      )
    },
  }
}

/** `ENCODE_TIME:     2026-11-30 21:04:15 +0000 (1796072655)`; there also of one that came too late or too early. */
function timeOf(printed: string, key: string): Instant | undefined {
  const seconds = new RegExp(`^${key}:.*\\((\\d+)\\)$`, 'm').exec(printed)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}
