import { z } from 'zod'
import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { BatchPicture, BatchSystem } from '../batch-system.ts'
import { batchLine } from './batch-client.ts'

export const embeddedBatchConfig = z.strictObject({
  /** The server's socket, `DIR/sock`. */
  socket: z.string().min(1),
})
export type EmbeddedBatchConfig = z.infer<typeof embeddedBatchConfig>

/** The caller's signal ends the wait for a machine; this only keeps a lost one from waiting for ever. */
const EXPECT_MS_MAX: Millis = 24 * 3_600_000
const ASK_MS: Millis = 10_000

/** The batch system of batch-server.ts, seen through the contract. */
export function embeddedBatch(config: EmbeddedBatchConfig, deps: { readonly clock: Clock }): BatchSystem {
  const line = batchLine(config.socket, deps.clock)
  let owner: string | undefined
  /** The seat is the connection's, so every new connection has to take it again. */
  line.onConnect = async (channel) => {
    if (owner !== undefined) await channel.ask('claim', { owner }, { timeoutMs: ASK_MS })
  }

  return {
    name: `embedded ${config.socket}`,
    capabilities: { events: true, nodes: 'self', requeue: true, settleMs: 0 },
    async check(signal) {
      await line.ask('hello', {}, signal)
      return []
    },
    async observe(signal) {
      // The protocol version was agreed on, so the shape is that of the contract; undefined fields are absent in JSON.
      return (await line.ask('observe', {}, signal)) as BatchPicture
    },
    async expect(node, signal) {
      await line.ask('expect', { ...node, mark: { ...node.mark } }, signal, EXPECT_MS_MAX)
    },
    async drain(name, mark, reason, signal) {
      await line.ask('drain', { name, mark, reason }, signal)
    },
    async resume(name, mark, signal) {
      await line.ask('resume', { name, mark }, signal)
    },
    async remove(name, mark, { lost }, signal) {
      await line.ask('remove', { name, mark, lost }, signal)
    },
    async requeue(ids, reason, signal) {
      return (await line.ask('requeue', { ids, reason }, signal)) as readonly { id: string; reason: string }[]
    },
    watch: (onChange, signal) => line.watch(onChange, signal),
    async claim(wanted, signal) {
      if (owner !== undefined && owner !== wanted)
        throw new SubletError(
          'already-running',
          `This connection holds the seat as “${owner}”, not as “${wanted}”.`,
        )
      await line.ask('claim', { owner: wanted }, signal)
      owner = wanted
    },
    async close() {
      owner = undefined
      await line.close()
    },
  }
}
