import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { DoorAnswer, DoorRequest } from './netns-door-child.ts'

const SAID_CHARS_MAX = 500

/** A way to dial inside another network namespace. */
export interface NetnsDoor {
  connect(host: string, port: number, signal: AbortSignal): Promise<Socket>
  close(): Promise<void>
}

/**
 * A process cannot change its network for one socket, but a socket keeps the network it was made in. So
 * one small child lives inside the namespace, dials there, and hands the connected socket over: the
 * bytes then flow without it. It ends when this process does.
 *
 *   connect ──▶ child in the namespace dials ──▶ the socket itself comes back over their channel
 */
export function netnsDoor(netns: string): NetnsDoor {
  const path = netns.startsWith('/') ? netns : `/run/netns/${netns}`
  const waiting = new Map<number, { resolve: (socket: Socket) => void; reject: (error: unknown) => void }>()
  let child: ChildProcess | undefined
  let lastId = 0

  const forget = (id: number): void => {
    waiting.delete(id)
    if (waiting.size === 0 && child !== undefined) hold(child, 'unref')
  }
  const shut = (cause: unknown): void => {
    child = undefined
    const error = new SubletError('ssh-unreachable', `The door into the network namespace ${netns} closed`, {
      cause,
    })
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }

  const opened = (): ChildProcess => {
    if (child !== undefined) return child
    const here = fileURLToPath(import.meta.url)
    const inside = fileURLToPath(new URL(`./netns-door-child${extname(here)}`, import.meta.url))
    const started = spawn('nsenter', [`--net=${path}`, '--', process.execPath, inside], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let said = ''
    started.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-SAID_CHARS_MAX)
    })
    started.on('message', ({ id, refusal }: DoorAnswer, socket: Socket | undefined) => {
      const asked = waiting.get(id)
      forget(id)
      if (asked === undefined) socket?.destroy()
      else if (socket !== undefined) asked.resolve(socket)
      else asked.reject(new SubletError('ssh-unreachable', `Dialling inside ${netns} failed: ${refusal}`))
    })
    started.once('error', shut)
    started.once('close', (code) => {
      if (child === started) shut(new Error(`it ended with status ${code}: ${said.trim()}`))
    })
    child = started
    return started
  }

  return {
    connect: (host, port, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const id = ++lastId
        const onAbort = (): void => {
          forget(id)
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        const settled =
          <T>(act: (value: T) => void) =>
          (value: T): void => {
            signal.removeEventListener('abort', onAbort)
            act(value)
          }
        waiting.set(id, { resolve: settled(resolve), reject: settled(reject) })
        const request: DoorRequest = { id, host, port }
        // A child that is no longer there to hear it ends with a word of its own, which is the better cause.
        const door = opened()
        hold(door, 'ref')
        door.send(request, () => undefined)
      }),
    async close() {
      const open = child
      shut(new Error('nobody needs it any more'))
      if (open?.connected) open.disconnect()
    },
  }
}

/** A door must keep this process alive while somebody waits at it, and not when it is idle. */
function hold(door: ChildProcess, how: 'ref' | 'unref'): void {
  door[how]()
  door.channel?.[how]()
  if (door.stderr instanceof Socket) door.stderr[how]()
}
