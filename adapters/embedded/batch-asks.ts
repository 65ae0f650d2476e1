import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import type { Agent, BatchCore } from './batch-core.ts'
import { picture } from './batch-picture.ts'
import { type JobOrder, type PartReport, PROTOCOL } from './batch-records.ts'
import { asFields, count, type Fields, list, optional, text, textRecord, texts, yesNo } from './fields.ts'
import type { Caller } from './wire.ts'

type Ask = (body: Fields, caller: Caller, signal: AbortSignal) => unknown

/** What callers may ask, by name; what they send is read here and nowhere else. */
export function batchAsks(
  core: BatchCore,
  clock: Clock,
  watchers: Set<Caller>,
): Readonly<Record<string, Ask>> {
  let seat: { readonly owner: string; readonly caller: Caller } | undefined
  const freeSeat = (caller: Caller): void => {
    if (seat?.caller.number === caller.number) seat = undefined
  }
  const agentNames = new Map<number, string>()
  const nameOf = (caller: Caller): string => {
    const name = agentNames.get(caller.number)
    if (name === undefined || !core.isAgentOf(name, agentOf(caller)))
      throw new SubletError('unknown-id', 'This connection is not that of a registered node.')
    return name
  }
  return {
    hello: () => ({ protocol: PROTOCOL, pid: process.pid }),
    observe: () => picture(core, clock.now()),
    records: () => [...core.jobs.all()],
    watch: (_body, caller) => {
      watchers.add(caller)
      caller.gone.addEventListener('abort', () => watchers.delete(caller))
    },
    claim: (body, caller) => {
      const owner = text(body, 'owner')
      if (seat !== undefined && seat.caller.number !== caller.number)
        throw new SubletError('already-running', `The pool is driven by “${seat.owner}” already.`)
      seat = { owner, caller }
      caller.gone.addEventListener('abort', () => freeSeat(caller))
    },
    goodbye: (_body, caller) => freeSeat(caller),

    submit: (body) =>
      core.jobs.submit(readOrder(body), { held: yesNo(body, 'held'), tasks: count(body, 'tasks') }),
    cancel: (body) => core.jobs.cancel(text(body, 'id')),
    hold: (body) => core.jobs.hold(text(body, 'id'), true),
    release: (body) => core.jobs.hold(text(body, 'id'), false),
    'admin-drain': (body) => core.adminDrain(text(body, 'name'), text(body, 'reason')),
    'admin-resume': (body) => core.adminResume(text(body, 'name')),
    'admin-delete': (body) => core.adminDelete(text(body, 'name'), yesNo(body, 'lost')),

    expect: (body, _caller, signal) =>
      core.expect(
        {
          name: text(body, 'name'),
          address: text(body, 'address'),
          mark: readMark(asFields('mark', body.mark)),
          cpus: count(body, 'cpus'),
          memoryMiB: count(body, 'memoryMiB'),
        },
        signal,
      ),
    drain: (body) =>
      core.drain(text(body, 'name'), readMark(asFields('mark', body.mark)), text(body, 'reason')),
    resume: (body) => core.resume(text(body, 'name'), readMark(asFields('mark', body.mark))),
    remove: (body) =>
      core.remove(text(body, 'name'), readMark(asFields('mark', body.mark)), yesNo(body, 'lost')),
    requeue: (body) => core.jobs.requeue(texts(body, 'ids'), text(body, 'reason')),

    register: (body, caller) => {
      const name = text(body, 'name')
      core.register(agentOf(caller), {
        name,
        mark: body.mark === null ? null : readMark(asFields('mark', body.mark)),
        address: text(body, 'address'),
        cpus: count(body, 'cpus'),
        memoryMiB: count(body, 'memoryMiB'),
        parts: list(body, 'parts', readReport),
      })
      agentNames.set(caller.number, name)
      caller.gone.addEventListener('abort', () => {
        agentNames.delete(caller.number)
        core.agentGone(name, agentOf(caller))
      })
    },
    report: (body, caller) => core.report(nameOf(caller), readReport(body)),
    beat: (_body, caller) => core.beat(nameOf(caller)),
    bye: (body, caller) => core.bye(nameOf(caller), agentOf(caller), list(body, 'parts', readReport)),
  }
}

const agentOf = ({ number, tell, hangUp }: Caller): Agent => ({ number, tell, hangUp })

const readMark = (from: Fields): NodeMark => ({
  leaseId: text(from, 'leaseId'),
  unitId: text(from, 'unitId'),
})

const readOrder = (from: Fields): JobOrder => ({
  command: text(from, 'command'),
  user: text(from, 'user'),
  queue: text(from, 'queue'),
  nodes: count(from, 'nodes'),
  cpusPerNode: count(from, 'cpusPerNode'),
  memoryMiBPerNode: count(from, 'memoryMiBPerNode'),
  walltimeMs: optional(from, 'walltimeMs', count) ?? null,
  requeueable: yesNo(from, 'requeueable'),
  after: optional(from, 'after', text) ?? null,
  environment: textRecord(from, 'environment'),
  output: optional(from, 'output', text) ?? null,
})

const REPORTED = ['running', 'ended', 'done', 'killed'] as const

function readReport(from: Fields): PartReport {
  const state = REPORTED.find((each) => each === from.state)
  if (state === undefined)
    throw new SubletError('message-malformed', `A part cannot be “${String(from.state)}”.`)
  return {
    jobId: text(from, 'jobId'),
    attempt: count(from, 'attempt'),
    state,
    exitCode: optional(from, 'exitCode', count) ?? null,
    reason: text(from, 'reason'),
    nodeFault: text(from, 'nodeFault'),
  }
}
