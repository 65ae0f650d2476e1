import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Millis } from '../../actors/runtime/clock.ts'
import { type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Finished } from '../executor.ts'
import type { UnitFacts, UnitSpec } from '../handler.ts'
import { processOf, unlessAbsent } from './cgroups.ts'
import { giveOrder, giveProperties } from './dead-man.ts'
import { addressOf, greetingOf, interfaceName, type Mark } from './names.ts'
import { bootId, type MachineRecord, writeRecord } from './record.ts'
import { script, sow } from './seed.ts'
import type { Site } from './site.ts'

const REACH_MS: Millis = 10_000
const CONSOLE_LINES = 6

/**
 * Makes a machine where there is nothing of it.
 *
 *   record (begun) ─▶ seed, first order ─▶ cgroups ─▶ boot.sh ─▶ sshd greets ─▶ record (made)
 *
 * The record comes first: whatever a crash leaves, its mark leads to the rest.
 */
export async function make(site: Site, unit: UnitSpec, mark: Mark, signal: AbortSignal): Promise<UnitFacts> {
  const { config, nonce, clock } = site
  const image = config.images[unit.image]
  if (image === undefined)
    throw new SubletError('machine-setup', `There is no image “${unit.image}” at this site`, {
      cure: 'Add it to the images of the configuration, or correct the type that names it.',
    })
  const folder = site.folder(mark)
  const place = addressOf(config.subnet, unit.slot)
  const groups = await site.cgroups()
  const begun: MachineRecord = {
    unitId: unit.unitId,
    leaseId: unit.leaseId,
    name: unit.name,
    nonce: nonce(),
    bootId: await bootId(),
    place: { slot: unit.slot, host: unit.host, vector: { ...unit.vector } },
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeRecord(folder, begun)
  await writeFile(join(folder, 'nonce'), begun.nonce)
  await sow(folder, unit, image, config, greetingOf(begun.nonce))
  await giveProperties(folder, unit.properties)
  await giveOrder(folder, { token: nonce(), endsAt: unit.endsAt, graceMs: unit.graceMs }, clock)
  signal.throwIfAborted()
  await groups.make(mark, { cpus: unit.vector.cpu, memoryMiB: unit.vector.memoryMiB })
  const pid = await boot({
    HERE: join(script('enter'), '..'),
    FOLDER: folder,
    DIR: config.dir,
    NONCE: begun.nonce,
    MARK: mark,
    HOST_NAME: unit.name,
    GROUPS_OF_IT: groups.paths(mark).join(' '),
    NETNS: site.netns,
    BRIDGE: config.bridge,
    INTERFACE: interfaceName(config.namePrefix, config.dir, mark),
    MAC: place.mac,
    ADDRESS_WITH_BITS: place.withBits,
    GATEWAY: config.gateway ?? '',
    BASE: image.root === 'host' ? '/' : image.root,
    TMPFS_MIB: String(config.tmpfsMiB),
    BINDS: image.binds.join('\n'),
    READ_ONLY_BINDS: image.readOnlyBinds.join('\n'),
    BUSY: [...site.busy].join('\n'),
  })
  await reach(site, place.address, greetingOf(begun.nonce), signal)
  const facts = await factsOf(site, folder, place.address)
  const startTicks = (await processOf(pid))?.startTicks
  if (startTicks === undefined)
    throw new SubletError('machine-setup', `${unit.unitId} ended as soon as it answered`)
  await writeRecord(folder, { ...begun, made: { pid, startTicks, facts } })
  return facts

  async function boot(env: Record<string, string>): Promise<number> {
    const finished = await site
      .run(['bash', script('boot')], signal, config.setupTimeout, env)
      .catch(late('machine-setup', `${unit.unitId} did not start within ${period(config.setupTimeout)}`))
    if (finished.exitCode === 0) return Number(finished.stdout.trim())
    throw new SubletError('machine-setup', `${unit.unitId} did not start: ${await why(finished, folder)}`)
  }
}

export async function reach(
  site: Site,
  address: string,
  greeting: string,
  signal: AbortSignal,
): Promise<void> {
  const argv = [...site.inNetns, 'bash', script('reach'), address, String(site.config.sshd.port), greeting]
  const { exitCode, stderr } = await site
    .run(argv, signal, REACH_MS)
    .catch(late('machine-unreachable', `No sshd greets at ${address}`))
  if (exitCode !== 0) throw new SubletError('machine-unreachable', `sshd: ${stderr.trim()}`)
}

async function factsOf(site: Site, folder: string, address: string): Promise<UnitFacts> {
  const [kind, key] = (await readFile(join(folder, 'host_key.pub'), 'utf8')).split(' ')
  return { address, sshPort: String(site.config.sshd.port), sshUser: 'root', sshHostKey: `${kind} ${key}` }
}

async function why({ stderr, exitCode, signal }: Finished, folder: string): Promise<string> {
  const text = (await unlessAbsent(readFile(join(folder, 'console.log'), 'utf8'))) ?? ''
  const lines = `${stderr}\n${text}`.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(-CONSOLE_LINES).join('; ') || `status ${exitCode ?? signal}`
}

/** What a script that took too long means for the machine. */
const late =
  (code: ErrorCode, sentence: string) =>
  (cause: unknown): never => {
    if (cause instanceof SubletError && cause.code === 'exec-timeout')
      throw new SubletError(code, sentence, { cause })
    throw cause
  }
