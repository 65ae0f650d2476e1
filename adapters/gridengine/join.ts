import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'
import { daemonJoin, marksOf, tenthsOf, WHOSE } from '../batch/daemon.ts'
import type { Executor } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler } from '../join.ts'
import { markValue } from './marks.ts'

export const gridengineJoinConfig = z.strictObject({
  /** SGE_ROOT and SGE_CELL on the machine, where the cell's common folder has to be, by NFS or as a copy. */
  root: z.string().startsWith('/').default('/var/lib/gridengine'),
  cell: z.string().min(1).default('default'),
  qmasterPort: z.int().min(1).max(65_535).optional(),
  execdPort: z.int().min(1).max(65_535).optional(),
  /** Where sge_execd is, if not in PATH. */
  bin: z.string().startsWith('/').optional(),
  /** Added to sge_execd's environment. */
  env: z.record(z.string(), z.string()).default({}),
  startTimeout: duration.default(15_000),
  /** Between TERM and KILL. */
  stopTimeout: duration.default(5_000),
})
export type GridengineJoinConfig = z.infer<typeof gridengineJoinConfig>

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Shell functions, for a machine may have no more than a shell. An sge_execd of Sublet's, or the keeper that starts
 * it, carries a mark in its environment: ours is that of this unit, foreign another lease's; neither that nor any
 * other is ever ended. A zombie has no environment, so it counts as ended.
 */
const FUNCTIONS = `${WHOSE}
mark_on() { tr '\\0' '\\n' <"/proc/$1/environ" 2>/dev/null | sed -n 's/^SUBLET_UNIT=//p' | head -n 1; }
execds() { # ours | foreign | others
  for each in /proc/[0-9]*; do
    pid=\${each#/proc/}
    { read -r comm <"$each/comm"; } 2>/dev/null || continue
    case "$comm" in sge_execd|sublet-execd) ;; *) continue ;; esac
    [ -n "$(tr -d '\\0' <"$each/environ" 2>/dev/null | head -c 1)" ] || continue
    [ "$(kind_of "$(mark_on "$pid")")" = "$1" ] && echo "$pid"
  done
}
end() { # tenths of a second between TERM and KILL
  pids=$(execds ours); [ -z "$pids" ] && return 0
  kill $pids 2>/dev/null
  for i in $(seq "$1"); do [ -z "$(execds ours)" ] && return 0; sleep 0.1; done
  kill -KILL $(execds ours) 2>/dev/null
  for i in $(seq 20); do [ -z "$(execds ours)" ] && return 0; sleep 0.1; done
  echo "sge_execd does not end: $(execds ours)" >&2; return 1
}
`

/**
 * sge_execd gives up after some seconds when qmaster does not know its host yet, which is so until the batch
 * system expects it; so a keeper starts it again until it has stayed. Where qmaster still had word for a lost machine of
 * this name, it calls the new sge_execd itself; then that one's own call is refused (“endpoint is not unique”), and both
 * wait for each other without end: what has said that it has no configuration and is not registered six seconds later is
 * started again as well. One with this mark is left as it is, one that
 * a lease left behind which is over is ended; of any other lease it may be at work.
 */
const JOIN = `${FUNCTIONS}
mark=$1 own=$2 tenths=$3 execd=$4
foreign=$(execds foreign)
[ -n "$foreign" ] && { echo "the sge_execd of another lease runs there: $(mark_on "\${foreign%%[!0-9]*}")" >&2; exit 1; }
for pid in $(execds ours); do [ "$(mark_on "$pid")" = "$mark" ] && exit 0; done
end "$tenths" || exit 1
[ -n "$(execds others)" ] && { echo "an sge_execd that is not Sublet's runs there: $(execds others)" >&2; exit 1; }
command -v "$execd" >/dev/null || { echo "$execd is not on the machine" >&2; exit 1; }
[ -r "$SGE_ROOT/$SGE_CELL/common/act_qmaster" ] || { echo "$SGE_ROOT/$SGE_CELL/common/act_qmaster cannot be read" >&2; exit 1; }
log="/run/sublet-execd.log"
SUBLET_UNIT=$mark SGE_ND=1 setsid sh -c '
  echo sublet-execd >/proc/$$/comm
  trap "kill \\$child 2>/dev/null; exit 0" TERM INT
  while :; do
    "$1" >"$2" 2>&1 & child=$!
    polls=0
    while [ $polls -lt 20 ] && kill -0 $child 2>/dev/null && ! grep -q "registered at" "$2"; do
      grep -q backgrounding "$2" && polls=$((polls + 1))
      sleep 0.3
    done
    [ $polls -lt 20 ] || kill -KILL $child
    wait $child
    sleep 0.2
  done' sublet-execd "$execd" "$log" </dev/null >/dev/null 2>&1 &
for i in $(seq 40); do
  [ -n "$(execds ours)" ] && exit 0
  sleep 0.05
done
{ echo "sge_execd does not start"; tail -n 5 "$log"; } >&2
exit 1
`

const LEAVE = `${FUNCTIONS}
own=$1
end "$2"
`

/** Starts and stops sge_execd inside the machines, through whatever `connect` reaches them by. */
export function gridengineJoin(
  config: GridengineJoinConfig,
  connect: (facts: UnitFacts) => Executor,
): JoinHandler {
  const tenths = tenthsOf(config.stopTimeout)
  const execd = config.bin === undefined ? 'sge_execd' : `${config.bin}/sge_execd`
  const env = {
    PATH,
    ...config.env,
    SGE_ROOT: config.root,
    SGE_CELL: config.cell,
    ...(config.qmasterPort !== undefined && { SGE_QMASTER_PORT: String(config.qmasterPort) }),
    ...(config.execdPort !== undefined && { SGE_EXECD_PORT: String(config.execdPort) }),
  }
  return daemonJoin(
    {
      name: 'sge_execd',
      env,
      start: {
        script: JOIN,
        words: (unit) => [markValue(unit), marksOf(unit, markValue), tenths, execd],
      },
      end: { script: LEAVE, words: (unit) => [markValue(unit), tenths] },
      startTimeoutMs: config.startTimeout,
      stopTimeoutMs: config.stopTimeout,
      cure: 'Read /run/sublet-execd.log and /tmp/execd_messages.* on the machine; run sge_execd there by hand.',
    },
    connect,
  )
}
