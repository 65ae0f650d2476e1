import { constants, type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Clock, deadline, type Instant, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { unlessAbsent } from './cgroups.ts'
import { writeDurably } from './durable.ts'

/**
 * The host's side of the dead-man in init.sh.
 *
 *   order  "TOKEN END GRACE"  ──renamed into FOLDER/run──▶ init takes it, syncs it, answers with the same line
 *
 * The end is told in the host's uptime: the lease's remaining time, fixed at this moment. So an order that
 * is read late does not move the end, and a step of the wall clock afterwards does not either.
 *
 * The guest is root in there and may have put anything in these places: drafts are written outside, and
 * nothing is opened through a link.
 */
export interface Order {
  readonly token: string
  readonly endsAt: Instant
  readonly graceMs: Millis
}

const end = z.object({ endsAt: z.number(), graceMs: z.number() })
const END_FILE = 'end.json'

const LOOK_MS: Millis = 5
const ANSWER_BYTES_MAX = 200

/** The lease's properties, where programs in the machine find them: `/run/sublet/properties.json`. */
export const giveProperties = (folder: string, properties: Readonly<Record<string, string>>): Promise<void> =>
  writeDurably(
    join(folder, 'run', 'properties.json'),
    `${JSON.stringify(properties)}\n`,
    join(folder, 'properties.new'),
  )

export async function giveOrder(
  folder: string,
  { token, endsAt, graceMs }: Order,
  clock: Clock,
): Promise<string> {
  await writeDurably(join(folder, END_FILE), `${JSON.stringify({ endsAt, graceMs })}\n`)
  const uptimeMs = Math.round(Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]) * 1000)
  const line = `${token} ${Math.max(0, uptimeMs + endsAt - clock.now())} ${graceMs}`
  await writeDurably(join(folder, 'run', 'order'), `${line}\n`, join(folder, 'order.new'))
  return line
}

/** What it was told last, as the host has written it down: the machine's own word could be its guest's. */
export async function endIn(folder: string): Promise<z.infer<typeof end> | undefined> {
  const text = await unlessAbsent(readFile(join(folder, END_FILE), 'utf8'))
  if (text === undefined) return undefined
  try {
    return end.parse(JSON.parse(text))
  } catch {
    // Without it the machine is found all the same; only how long it is promised is not told.
    return undefined
  }
}

/** Resolves once the dead-man has this very order on disk. */
export async function confirmed(
  folder: string,
  line: string,
  withinMs: Millis,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const limit = deadline(
    clock,
    withinMs,
    () =>
      new SubletError(
        'machine-unreachable',
        `The dead-man in ${folder} did not confirm its new end within ${period(withinMs)}`,
      ),
    signal,
  )
  try {
    await poke(join(folder, 'run', 'wake'))
    while ((await answer(folder)) !== line) await sleep(clock, LOOK_MS, limit.signal)
  } finally {
    limit.done()
  }
}

async function answer(folder: string): Promise<string | undefined> {
  const file = await openUntrusted(join(folder, 'run', 'answer'), constants.O_RDONLY)
  if (file === undefined) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(ANSWER_BYTES_MAX), 0, ANSWER_BYTES_MAX, 0)
    return buffer.toString('utf8', 0, bytesRead).trim()
  } finally {
    await file.close()
  }
}

/** Wakes init at once; if nobody holds the pipe's other end, init takes the order within a second by itself. */
async function poke(pipe: string): Promise<void> {
  const file = await openUntrusted(pipe, constants.O_WRONLY)
  if (file === undefined) return
  try {
    if ((await file.stat()).isFIFO()) await file.write('order\n')
  } catch (error) {
    // A full pipe wakes as well as one more line does.
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  } finally {
    await file.close()
  }
}

/** ENXIO: a pipe that nobody reads. ELOOP: a link, which is not followed. */
const NOT_THERE = new Set(['ENOENT', 'ENXIO', 'ELOOP'])

async function openUntrusted(path: string, way: number): Promise<FileHandle | undefined> {
  try {
    return await open(path, way | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
