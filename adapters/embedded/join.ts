import { z } from 'zod'
import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { JoinHandler, JoinUnit } from '../join.ts'
import { asFields, text } from './fields.ts'
import { type Channel, dial, isNobodyThere } from './wire.ts'

export const embeddedJoinConfig = z.strictObject({
  /** The socket of the batch server that the machines are to register with. */
  socket: z.string().min(1),
})
export type EmbeddedJoinConfig = z.infer<typeof embeddedJoinConfig>

const DIAL_MS = 2_000
const ASK_MS = 5_000

/** Starts and stops the node daemon in machines of kind `process`, over the socket that their facts name. */
export function embeddedJoin(config: EmbeddedJoinConfig, deps: { readonly clock: Clock }): JoinHandler {
  async function call(unit: JoinUnit, signal: AbortSignal): Promise<Channel> {
    const socket = unit.facts.socket
    if (socket === undefined)
      throw new SubletError(
        'bad-property',
        `The facts of unit ${unit.unitId} name no socket, so it is no machine of kind “process”.`,
      )
    const who = `The machine ${unit.name}`
    const channel = await dial(socket, {
      clock: deps.clock,
      who,
      code: 'machine-unreachable',
      timeoutMs: DIAL_MS,
      signal,
    })
    const hello = asFields('hello', await channel.ask('hello', {}, { timeoutMs: ASK_MS, signal }))
    if (text(hello, 'unitId') === unit.unitId) return channel
    channel.hangUp()
    throw new SubletError(
      'machine-unreachable',
      `At the socket of ${unit.name} answers unit ${text(hello, 'unitId')}.`,
    )
  }

  async function ask(
    unit: JoinUnit,
    what: 'attach' | 'detach',
    body: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const channel = await call(unit, signal)
    try {
      await channel.ask(what, body, { timeoutMs: ASK_MS, signal })
    } finally {
      channel.hangUp()
    }
  }

  return {
    async join(unit, signal) {
      if (signal.aborted) throw signal.reason
      const mark = { leaseId: unit.leaseId, unitId: unit.unitId }
      const { cpu: cpus = 1, memoryMiB = 0 } = unit.vector
      await ask(unit, 'attach', { socket: config.socket, name: unit.name, mark, cpus, memoryMiB }, signal)
    },
    async leave(unit, signal) {
      if (signal.aborted) throw signal.reason
      // A machine that is gone has left. One that dies while it is asked is gone when it is asked again.
      for (const last of [false, true]) {
        try {
          await ask(unit, 'detach', {}, signal)
          return
        } catch (error) {
          if (isNobodyThere(error)) return
          if (last || signal.aborted) throw error
        }
      }
    },
    async close() {},
  }
}
