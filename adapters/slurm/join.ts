import { z } from 'zod'
import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { duration } from '../../actors/runtime/settings.ts'
import { daemonJoin, filled, marksOf, type NodeDaemon, tenthsOf, WHOSE } from '../batch/daemon.ts'
import type { Executor } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler, JoinUnit } from '../join.ts'
import { alikeConfig, differences, unlike } from './alike.ts'
import { NODES } from './config.ts'
import type { Head } from './head.ts'
import { EXAMINE, machineSays } from './machine.ts'
import { markFeature } from './marks.ts'

export const slurmJoinConfig = z.strictObject({
  /** The cluster's slurm.conf on the machine. */
  confFile: z.string().startsWith('/').default('/etc/slurm/slurm.conf'),
  /** As in the batch system's configuration. */
  nodes: z.enum(NODES).default('self'),
  feature: z.string().min(1).default('dynf'),
  /**
   * The node's line, with the unit's vector and facts in braces. `State=DRAIN` is what keeps jobs away
   * until the batch system lets the node in; `{mark}` is what makes it ours. Where names are listed, slurm.conf has it.
   */
  conf: z
    .string()
    .default('CPUs={cpu} RealMemory={memoryMiB} Feature={feature},{mark} State=DRAIN')
    .refine((text) => text.includes('{mark}'), 'expected {mark} among the features'),
  /** slurmd's log on the machine, `%n` for the node's name; its end is shown when slurmd does not start. */
  logFile: z.string().startsWith('/').default('/var/log/slurm/slurmd.log'),
  /** Added to slurmd's environment. */
  env: z.record(z.string(), z.string()).default({}),
  alike: alikeConfig.prefault({}),
  startTimeout: duration.default(15_000),
  /** Between TERM and KILL. */
  stopTimeout: duration.default(5_000),
})
export type SlurmJoinConfig = z.infer<typeof slurmJoinConfig>

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Shell functions, for a machine may have no more than a shell. A slurmd of Sublet's carries a mark on its command
 * line: ours is that of this unit, foreign another lease's; neither that nor any other is ever ended. A zombie has no
 * command line, so it counts as ended.
 */
const FUNCTIONS = `${WHOSE}
line() { tr '\\0' ' ' <"/proc/$1/cmdline" 2>/dev/null; }
mark_on() {
  found=$(line "$1" | grep -o 'sublet_[A-Za-z0-9.-]*_[A-Za-z0-9.-]*' | head -n 1); echo "\${found%.conf}"
}
slurmds() { # ours | foreign | others
  for each in /proc/[0-9]*; do
    pid=\${each#/proc/}
    { read -r comm <"$each/comm"; } 2>/dev/null && [ "$comm" = slurmd ] || continue
    [ -n "$(line "$pid")" ] || continue
    [ "$(kind_of "$(mark_on "$pid")")" = "$1" ] && echo "$pid"
  done
}
end() { # tenths of a second between TERM and KILL
  pids=$(slurmds ours); [ -z "$pids" ] && return 0
  kill $pids 2>/dev/null
  for i in $(seq "$1"); do [ -z "$(slurmds ours)" ] && return 0; sleep 0.1; done
  kill -KILL $(slurmds ours) 2>/dev/null
  for i in $(seq 20); do [ -z "$(slurmds ours)" ] && return 0; sleep 0.1; done
  echo "slurmd does not end: $(slurmds ours)" >&2; return 1
}
`

/**
 * A slurmd of this name and mark is kept if the controller knows its node; a controller that lost its
 * state does not take it back by itself, nor after a reload, so it is started anew. One that a lease left
 * behind which is over is ended; of any other lease it may be at work.
 */
const JOIN = `${FUNCTIONS}
name=$1 mark=$2 own=$3 conf=$4 log=$5 tenths=$6 mode=$7
foreign=$(slurmds foreign)
[ -n "$foreign" ] && { echo "the slurmd of another lease runs there: $(mark_on "\${foreign%%[!0-9]*}")" >&2; exit 1; }
for pid in $(slurmds ours); do
  case "$(line "$pid")" in
    *" -N $name "*"$mark"*|*" -F$mark "*)
      # Not shown is also one that is FUTURE.
      shown=$(scontrol -o show node "$name" 2>&1) && exit 0
      case "$shown" in *"not found"*) ;; *) exit 0 ;; esac ;;
  esac
done
end "$tenths" || exit 1
others=$(slurmds others)
[ -n "$others" ] && { echo "a slurmd that is not Sublet's runs there: $(line "\${others%%[!0-9]*}")" >&2; exit 1; }
out=$(mktemp) || exit 1
sizes() { echo $(echo "$1" | grep -Eo '(CPUTot|CPUs|Sockets|SocketsPerBoard|CoresPerSocket|ThreadsPerCore)=[0-9]+' | sort); }
is_called() { scontrol -F -o show node "$name" | grep -q " AvailableFeatures=[^ ]*$mark"; }
# By this name, which no node has, it is given the record with our mark, and not that of a host of its own name.
start_future() { slurmd "-F$mark" -N "$mark" </dev/null; }
[ "$mode" = self ] || command -v scontrol >/dev/null || { echo "scontrol is not on the machine" >&2; exit 1; }
if [ "$mode" = self ]; then
  slurmd -Z -N "$name" --conf "$conf" </dev/null >"$out" 2>&1; status=$?
elif [ "$mode" = listed ]; then
  shown=$(scontrol -F -o show node "$name" 2>&1) || { echo "$shown" >&2; exit 1; }
  case "$shown" in
    *" State=FUTURE"*) # The batch system puts our mark there when the machine is to come in.
      echo "$$" >"/run/$mark.waits" || exit 1
      for i in $(seq 10); do is_called && break; sleep 0.1; done
      is_called || { # By now nobody waits for it here.
        ( for i in $(seq 3000); do
          sleep 0.1; [ "$(cat "/run/$mark.waits" 2>/dev/null)" = "$$" ] || exit
          is_called && { start_future; exit; }
        done ) </dev/null >/dev/null 2>&1 &
        rm -f "$out"; exit 0
      }
      start_future >"$out" 2>&1; status=$?
      # slurmd itself says nothing of it.
      [ "$status" = 0 ] || echo "a FUTURE record has to be like the machine: slurm.conf has $(sizes "$shown"), slurmd -C says $(sizes "$(slurmd -C)")" >>"$out" ;;
    *DYNAMIC_FUTURE*) slurmd "-F$mark" -N "$name" </dev/null >"$out" 2>&1; status=$? ;;
    *)
      cp "$SLURM_CONF" "/run/$mark.conf" || exit 1
      slurmd -N "$name" -f "/run/$mark.conf" </dev/null >"$out" 2>&1; status=$? ;;
  esac
else
  merged="/run/$mark.conf"
  { cat "$SLURM_CONF" && echo "NodeName=$name $conf"; } >"$merged" || exit 1
  slurmd -N "$name" -f "$merged" </dev/null >"$out" 2>&1; status=$?
  # Its record may be made later, and slurmd asks but once: it is reloaded until Slurm shows the node.
  ( for i in $(seq 600); do
    sleep 0.5; scontrol -o show node "$name" && exit
    pids=$(slurmds ours); [ -n "$pids" ] && kill -HUP $pids || exit
  done ) </dev/null >/dev/null 2>&1 &
fi
# What was started returns a moment before the daemon it leaves behind can be seen.
[ "$status" = 0 ] && for i in $(seq 20); do
  [ -n "$(slurmds ours)" ] && { rm -f "$out"; exit 0; }
  sleep 0.05
done
{ echo "slurmd ended with status $status"; tail -n 5 "$out"; [ -r "$log" ] && tail -n 5 "$log"; } >&2
rm -f "$out"; exit 1
`

const LEAVE = `${FUNCTIONS}
own=$1
rm -f "/run/$own.waits"
end "$2"
`

/** `{cpu}`, `{memoryMiB}`, `{mark}`, `{feature}` and any other dimension or fact, filled in. */
export const nodeLine = (config: SlurmJoinConfig, unit: JoinUnit): string =>
  filled('The node line', config.conf, unit, { feature: config.feature, mark: markFeature(unit) })

/** Four questions that hang, with time to reach the machine. */
const EXAMINE_MS: Millis = 30_000

/** A head that is away for a moment, as for a restart, says nothing against the machine. */
const AWAY_MS_MAX: Millis = 60_000
const AGAIN_MS: Millis = 5_000

async function whileAway<T>(ask: () => Promise<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  const until = clock.monotonic() + AWAY_MS_MAX
  for (;;)
    try {
      return await ask()
    } catch (error) {
      const isAway = error instanceof SubletError && error.code === 'middleware-unreachable'
      if (!isAway || clock.monotonic() + AGAIN_MS > until) throw error
      await sleep(clock, AGAIN_MS, signal)
    }
}

/** Rejects with `machine-unlike` if the machine is not like the head; the times are those of our clock. */
const examine =
  (
    { alike, nodes }: SlurmJoinConfig,
    env: Readonly<Record<string, string>>,
    { head, clock }: SlurmJoinDeps,
  ): NonNullable<NodeDaemon['examine']> =>
  async (unit, machine, signal) => {
    const says = await whileAway(() => head.says(alike.users, signal), clock, signal)
    // Not the marks that are over: what they left is ended, and the machine looked at as any other.
    const words = [markFeature(unit), says.socket, [...says.users.keys()].join(' '), ...alike.paths]
    const began = clock.monotonic()
    const argv = ['sh', '-c', `${FUNCTIONS}${EXAMINE}`, 'sh', ...words] as const
    const done = await machine.run(argv, { signal, env, timeoutMs: EXAMINE_MS })
    if (done.exitCode !== 0)
      throw new SubletError('exec-failed', `${unit.name} could not be looked at: ${done.stderr.slice(-300)}`)
    const said = machineSays(done.stdout)
    if (said.isRunning) return
    const sealed = said.munge?.kind === 'sealed' ? said.munge : undefined
    const opened =
      sealed && (await whileAway(() => head.open(sealed.credential, says.socket, signal), clock, signal))
    const asked = { at: clock.now(), tookMs: clock.monotonic() - began }
    const found = differences(unit.name, says, said, opened, { config: alike, nodes, asked })
    if (found.length > 0) throw unlike(unit.name, found)
  }

export interface SlurmJoinDeps {
  readonly head: Head
  readonly clock: Clock
}

/**
 * Starts and stops slurmd inside the machines, through whatever `connect` reaches them by. What a machine has to have in
 * common with the head is looked at first; without `deps` it is not.
 */
export function slurmJoin(
  config: SlurmJoinConfig,
  connect: (facts: UnitFacts) => Executor,
  deps?: SlurmJoinDeps,
): JoinHandler {
  const env = { PATH, ...config.env, SLURM_CONF: config.confFile }
  const tenths = tenthsOf(config.stopTimeout)
  const words = (unit: JoinUnit): readonly string[] => {
    const log = config.logFile.replaceAll('%n', unit.name)
    const marks = marksOf(unit, markFeature)
    return [...[unit.name, markFeature(unit), marks], ...[nodeLine(config, unit), log, tenths, config.nodes]]
  }
  return daemonJoin(
    {
      name: 'slurmd',
      env,
      ...(deps && { examine: examine(config, env, deps) }),
      start: { script: JOIN, words },
      end: { script: LEAVE, words: (unit) => [markFeature(unit), tenths] },
      startTimeoutMs: config.startTimeout,
      stopTimeoutMs: config.stopTimeout,
      cure: 'Read slurmd’s log on the machine; run slurmd -D -vvv there by hand.',
    },
    connect,
  )
}
