import { join } from 'node:path'
import type { PublicKey } from '../../../actors/runtime/identity.ts'

export const ROLES = ['broker', 'site', 'manager'] as const
export type Place = (typeof ROLES)[number]

export interface TextParts {
  /** One folder for each process: DIR/broker, DIR/site, DIR/manager. */
  readonly dir: string
  readonly ports: Readonly<Record<Place, number>>
  readonly keys: Readonly<Record<Place, PublicKey>>
  /** Of the embedded batch system. */
  readonly socket: string
  readonly poolMax: number
  readonly termSeconds: number
}

/**
 * Three processes. Broker and site are called by everybody. The manager is called by the broker, but the site
 * cannot get to it: what the site has for it waits there, and the manager fetches it.
 *
 *            ┌────────── broker ◀─────────┐
 *            ▼              ▲             │
 *         manager ──────────┼──────────▶ site
 *            └── polls ─────┘──────────────▲
 */
export function configurations({
  dir,
  ports,
  keys,
  socket,
  poolMax,
  termSeconds,
}: TextParts): Record<Place, string> {
  const peer = (name: Place, role: string, way: string): string =>
    `  - { name: ${name}, role: ${role}, ${way}, key: ${keys[name]} }`
  const at = (name: Place): string => `url: "http://127.0.0.1:${ports[name]}"`
  const head = (name: Place): string => `name: ${name}
dir: ${JSON.stringify(join(dir, name))}
skewMax: 500ms
listen: { port: ${ports[name]} }`
  return {
    broker: `${head('broker')}
broker: { name: broker, batch: 50ms, quarantine: 10s, answer: 60s }
peers:
${peer('site', 'site', at('site'))}
${peer('manager', 'service-manager', at('manager'))}
`,
    site: `${head('site')}
site:
  name: site
  hosts:
    - { name: host-a, cpu: ${poolMax}, memoryMiB: 8192 }
    - { name: host-b, cpu: ${poolMax}, memoryMiB: 8192 }
  types:
    vm.small: { cpu: 2, memoryMiB: 1024, image: plain, units: ${poolMax} }
  machines: { kind: process, bootMs: [100, 300], dir: ${JSON.stringify(join(dir, 'm'))} }
  probe:
    - { run: [test, -w, /tmp], timeout: 5s }
  terms: { max: 1h, grace: 30s, recallable: true, notice: 2s }
  names: { prefix: vm, slots: ${2 * poolMax} }
  timing: { setup: 20s, probe: 10s, modify: 5s, teardown: 15s, probeEvery: 10s, sweepEvery: 3s, backoff: 1s, retry: 1s, answer: 60s }
peers:
${peer('broker', 'broker', at('broker'))}
${peer('manager', 'service-manager', 'poll: true')}
`,
    manager: `${head('manager')}
serviceManager: { name: manager, leaveBudget: 2s, join: 20s, leave: 10s, ask: 60s, retry: 1s, poll: 1s, lookTimeout: 5s, quarantine: 10s, answer: 60s }
peers:
${peer('broker', 'broker', at('broker'))}
${peer('site', 'site', `${at('site')}, poll: true`)}
guests:
  - name: batch
    batch: { kind: embedded, socket: ${JSON.stringify(socket)} }
    join: { kind: embedded }
    controller:
      kind: groc
      type: vm.small
      unit: { cpus: 2, memoryMiB: 1024 }
      max: ${poolMax}
      step: 2
      grow: { wait: 0s, run: 2s }
      shrink: { idle: 2s }
      term: ${termSeconds}s
      retry: { first: 1s, most: 5s }
      settle: 0s
      missing: 10s
      every: 1s
`,
  }
}
