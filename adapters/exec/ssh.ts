import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import ssh2, { type ClientChannel, type ConnectConfig, type ParsedKey, type PublicKeyAuthMethod } from 'ssh2'
import { z } from 'zod'
import { fingerprint } from '../../actors/runtime/canonical.ts'
import { type Clock, deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { duration } from '../../actors/runtime/settings.ts'
import type { Executor, Finished } from '../executor.ts'
import { algorithms, disagreement, offered } from './algorithms.ts'
import { type Gathered, gathered } from './gathered.ts'
import { saysMissing } from './guard.ts'
import { readOffer } from './offer.ts'
import { OUTPUT_BYTES_MAX, outputTooLarge, programMissing, shown, TIMEOUT_MS, timedOut } from './outcome.ts'
import { remoteCommand } from './remote-command.ts'
import { seats } from './seats.ts'

const HOST_KEY = /^(SHA256:[A-Za-z0-9+/]{43}=?|(ssh-|ecdsa-)[a-z0-9-]+ [A-Za-z0-9+/]+=*( .*)?)$/

export const sshConfig = z.strictObject({
  host: z.string().min(1),
  port: z.int().min(1).max(65_535).default(22),
  user: z.string().min(1),
  /** A file, so that no secret stands in a configuration. */
  privateKeyFile: z.string().min(1),
  /** The machine's one host key: its public key line, or its fingerprint. There is no "accept any". */
  hostKey: z.string().regex(HOST_KEY, 'expected a public key line or SHA256:fingerprint'),
  /** Old ones that may be spoken beside today’s; `ssh-rsa` also lets our own key sign with SHA-1. */
  algorithms,
  ready: duration.default(10_000),
  keepalive: duration.default(5_000),
  /** Commands at once over the one connection; sshd's own bound (MaxSessions) is 10. */
  channelsMax: z.int().min(1).max(10).default(10),
})
export type SshConfig = z.infer<typeof sshConfig>

export interface SshDeps {
  readonly clock: Clock
  /** Makes the stream to the machine's sshd, for one that cannot be dialled from here; see netns-door.ts. */
  readonly connect?: (host: string, port: number, signal: AbortSignal) => Promise<Duplex>
}

/** Missed answers to keepalives after which a connection counts as lost. */
const KEEPALIVES_MISSED_MAX = 3
const WAITING_MAX = 1000
/** sshd counts an ended session for a moment longer than we do, and refuses the channel that follows it. */
const OPEN_TRIES_MAX = 40
const OPEN_AGAIN_MS: Millis = 25
/** RFC 4254, 5.1: SSH_OPEN_CONNECT_FAILED, which is what sshd says at its MaxSessions. */
const OPEN_REFUSED = 2
/** The far side kills after half a second; past this the caller is told, whatever the far side does. */
const LAST_WAIT_MS: Millis = 2000

/** The library does not say what the server would have. */
class NothingInCommon extends Error {}

/**
 * Runs commands on another machine, over one connection that is opened when first needed.
 *
 *   none ──run──▶ opening ──host key and login accepted──▶ open ──close, error, keepalive missed──▶ none
 *
 * A command that was under way when the connection was lost is rejected (`ssh-unreachable`) and not run
 * again: nobody knows how far it came. The next run opens a new connection.
 */
export function sshExecutor(config: SshConfig, deps: SshDeps): Executor {
  const { clock } = deps
  const name = `ssh ${config.user}@${config.host}`
  const channels = seats(config.channelsMax, WAITING_MAX)
  let connection: Promise<ssh2.Client> | undefined
  const agreed = kindOf(config.hostKey)
  const ours = offered(config.algorithms, agreed)

  const unreachable = (what: string, cause?: unknown, cure?: string): SubletError =>
    new SubletError('ssh-unreachable', `${name}: ${what}`, { cause, ...(cure === undefined ? {} : { cure }) })

  async function open(forget: () => void): Promise<ssh2.Client> {
    const limit = deadline(clock, config.ready, () => unreachable(`no login within ${period(config.ready)}`))
    try {
      const privateKey = await readFile(config.privateKeyFile).catch((cause: unknown) => {
        throw new SubletError('config-invalid', `The private key “${config.privateKeyFile}” cannot be read`, {
          cause,
        })
      })
      const key = keyIn(privateKey, config.privateKeyFile)
      if (ours.serverHostKey.length === 0)
        throw tooOld(
          `its host key of kind ${agreed} is none that is trusted unasked`,
          `Allow it by name: ssh.algorithms: [${agreed}]; a newer key of the machine is safer.`,
        )
      const sock = await deps.connect?.(config.host, config.port, limit.signal)
      return await login(key, sock === undefined ? {} : { sock }, limit.signal, forget)
    } catch (error) {
      if (!(error instanceof NothingInCommon)) throw error
      throw await apart(error, limit.signal)
    } finally {
      limit.done()
    }
  }

  const tooOld = (what: string, cure: string, cause?: unknown): SubletError =>
    new SubletError('ssh-algorithms', `${name}: ${what}`, { cause, cure })

  /** What it would take, which the library does not tell: a second connection asks for it. */
  async function apart(cause: Error, signal: AbortSignal): Promise<SubletError> {
    const { host, port } = config
    const dialled = (await deps.connect?.(host, port, signal)) ?? { host, port }
    const offer = await readOffer(dialled, signal)
    signal.throwIfAborted()
    const found = offer && disagreement({ offer, allowed: config.algorithms, agreed })
    if (found === undefined)
      return tooOld(
        `no common algorithm (${inOneLine(cause)})`,
        'See what its sshd is set to: sshd -T | grep -i algorithms.',
        cause,
      )
    const all = [...config.algorithms, ...(found.allow ?? [])]
    return tooOld(
      `it offers ${found.offers}`,
      found.allow === undefined
        ? 'Nothing of that can be allowed: give the machine a newer sshd, or allow more in its sshd_config.'
        : `Better a newer sshd there; else allow that by name: ssh.algorithms: [${all.join(', ')}].`,
      cause,
    )
  }

  const login = (
    key: ParsedKey,
    ways: ConnectConfig,
    signal: AbortSignal,
    forget: () => void,
  ): Promise<ssh2.Client> =>
    new Promise((resolve, reject) => {
      const client = new ssh2.Client()
      let strangeKey: string | undefined
      let isSha1Asked = false
      const sign = key.sign.bind(key)
      // The library signs with SHA-1 for a server that names nothing newer, as those before 7.2.
      key.sign = (data, algorithm) => {
        isSha1Asked = algorithm === 'sha1' && !config.algorithms.includes('ssh-rsa')
        if (isSha1Asked) throw new Error('the server takes SHA-1 only')
        return sign(data, algorithm)
      }
      const fail = (error: unknown): void => {
        client.destroy()
        reject(error)
      }
      const onAbort = (): void => fail(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      client.once('ready', () => {
        signal.removeEventListener('abort', onAbort)
        resolve(client)
      })
      client.on('error', (cause: Error & { level?: string }) => {
        forget()
        if (strangeKey !== undefined)
          return fail(
            new SubletError('ssh-host-key', `${name} showed the host key ${strangeKey}, not the one agreed`),
          )
        if (isSha1Asked)
          return fail(
            tooOld(
              `it takes signatures of the key ${config.privateKeyFile} with SHA-1 only`,
              `Better a key of another kind (ssh-keygen -t ed25519, or ecdsa), if its sshd takes one; else allow that by name: ssh.algorithms: [${[...config.algorithms, 'ssh-rsa'].join(', ')}].`,
              cause,
            ),
          )
        if (cause.level === 'handshake' && /no matching/i.test(cause.message))
          return fail(new NothingInCommon(cause.message, { cause }))
        if (cause.level === 'client-authentication')
          return fail(
            unreachable(
              'login refused',
              cause,
              `Put the public half of ${config.privateKeyFile} into the machine’s authorized keys.`,
            ),
          )
        fail(unreachable('no connection', cause))
      })
      client.on('close', () => {
        forget()
        fail(unreachable('the connection was closed'))
      })
      const login: PublicKeyAuthMethod = { type: 'publickey', username: config.user, key }
      client.connect({
        host: config.host,
        port: config.port,
        username: config.user,
        // Without asking first what else there would be: that is a round trip more.
        authHandler: [login],
        // Our own deadline is the one that counts: it also covers the hook.
        readyTimeout: 0,
        keepaliveInterval: config.keepalive,
        keepaliveCountMax: KEEPALIVES_MISSED_MAX,
        hostVerifier: (key: Buffer) => {
          if (isAgreed(config.hostKey, key)) return true
          strangeKey = fingerprint(key)
          return false
        },
        algorithms: ours,
        ...ways,
      })
      // From the first packet: a login is small packets there and back, and each that waits to be
      // acknowledged costs the 40 ms that the other side takes over that.
      client.setNoDelay(true)
    })

  function connected(): Promise<ssh2.Client> {
    if (connection === undefined) {
      const mine: Promise<ssh2.Client> = open(() => {
        if (connection === mine) connection = undefined
      })
      connection = mine
      mine.catch(() => {
        if (connection === mine) connection = undefined
      })
    }
    return connection
  }

  const run: Executor['run'] = async (argv, options) => {
    options.signal.throwIfAborted()
    const { timeoutMs = TIMEOUT_MS, input = '', outputBytesMax = OUTPUT_BYTES_MAX, env = {} } = options
    const inputBytes = Buffer.byteLength(input)
    const line = remoteCommand(argv, { inputBytes, timeoutMs, env })
    const limit = deadline(clock, timeoutMs, () => timedOut(argv, timeoutMs), options.signal)
    try {
      const leave = await channels.take(limit.signal)
      try {
        const client = await orAborted(connected(), limit.signal)
        const talking = await openChannel(client, line, limit.signal, (channel) =>
          talk(channel, argv, { input, outputBytesMax, signal: limit.signal }),
        )
        const finished = await talking.finished
        if (saysMissing(finished)) throw programMissing(argv, name)
        return finished
      } finally {
        leave()
      }
    } finally {
      limit.done()
    }
  }

  interface Talking {
    readonly finished: Promise<Finished>
  }

  async function openChannel(
    client: ssh2.Client,
    line: string,
    signal: AbortSignal,
    begin: (channel: ClientChannel) => Promise<Finished>,
  ): Promise<Talking> {
    for (let tries = 1; ; tries++) {
      try {
        return await openOnce(client, line, signal, begin)
      } catch (error) {
        signal.throwIfAborted()
        const again = (error as { reason?: unknown }).reason === OPEN_REFUSED && tries < OPEN_TRIES_MAX
        if (!again) throw unreachable('no command could be started', error)
        await sleep(clock, OPEN_AGAIN_MS, signal)
      }
    }
  }

  /** Listens within the callback: a short command's exit may already stand in the packet that opened it. */
  const openOnce = (
    client: ssh2.Client,
    line: string,
    signal: AbortSignal,
    begin: (channel: ClientChannel) => Promise<Finished>,
  ): Promise<Talking> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      client.exec(line, (error, channel) => {
        signal.removeEventListener('abort', onAbort)
        if (error) return reject(error)
        // Nobody waits for it any more, but it has been started.
        if (signal.aborted) channel.resume().end()
        else resolve({ finished: begin(channel) })
      })
    })

  const talk = (
    channel: ClientChannel,
    argv: readonly [string, ...string[]],
    { input, outputBytesMax, signal }: { input: string; outputBytesMax: number; signal: AbortSignal },
  ): Promise<Finished> =>
    new Promise((resolve, reject) => {
      let ending: { readonly reason: unknown } | undefined
      let exit: Pick<Finished, 'exitCode' | 'signal'> | undefined
      let bytes = 0
      const stdout = gathered()
      const stderr = gathered()
      const stops: (() => void)[] = []
      const settle = (act: () => void): void => {
        for (const stop of stops) stop()
        act()
      }
      // The end of the input is the far side's sign to end the command; see remote-command.ts.
      const end = (reason: unknown): void => {
        if (ending !== undefined) return
        ending = { reason }
        channel.end()
        stops.push(
          clock.after(LAST_WAIT_MS, () => {
            channel.destroy()
            settle(() => reject(reason))
          }),
        )
      }
      const onAbort = (): void => end(signal.reason)
      const keep = (into: Gathered) => (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > outputBytesMax) end(outputTooLarge(argv, outputBytesMax))
        else into.add(chunk)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      stops.push(() => signal.removeEventListener('abort', onAbort))
      channel.on('data', keep(stdout))
      channel.stderr.on('data', keep(stderr))
      channel.on('error', (cause: Error) => end(unreachable('the channel broke', cause)))
      channel.on('exit', (exitCode: number | null, by?: string) => {
        exit = { exitCode, signal: by ?? null }
      })
      channel.on('close', () =>
        settle(() => {
          if (ending !== undefined) reject(ending.reason)
          else if (exit === undefined)
            reject(unreachable(`the connection was lost while “${shown(argv)}” ran`))
          else resolve({ ...exit, stdout: stdout.text(), stderr: stderr.text() })
        }),
      )
      if (signal.aborted) onAbort()
      else if (input !== '') channel.write(input)
    })

  return {
    name,
    run,
    async close() {
      const opened = connection
      connection = undefined
      if (opened === undefined) return
      const client = await opened.catch((error: unknown) => inOneLine(error))
      if (typeof client !== 'string') client.end()
    },
  }
}

/** Waits no longer than the signal; what was begun goes on and is somebody else's. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function isAgreed(agreed: string, key: Buffer): boolean {
  if (agreed.startsWith('SHA256:')) return agreed.replace(/=+$/, '') === fingerprint(key)
  return agreed.split(' ')[1] === key.toString('base64')
}

/** A server has keys of several kinds: ask for the kind that was agreed. A fingerprint does not tell it. */
const kindOf = (agreed: string): string | undefined =>
  agreed.startsWith('SHA256:') ? undefined : agreed.split(' ')[0]

function keyIn(content: Buffer, file: string): ParsedKey {
  const key = ssh2.utils.parseKey(content)
  if (!(key instanceof Error) && key.isPrivateKey()) return key
  throw new SubletError('config-invalid', `“${file}” holds no private key that can be read`, {
    cause: key instanceof Error ? key : undefined,
    cure: 'Make one without a passphrase: ssh-keygen -t ed25519 -N "" -f FILE.',
  })
}
