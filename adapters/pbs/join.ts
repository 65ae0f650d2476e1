import type { Millis } from '../../actors/runtime/clock.ts'
import { daemonJoin, filled, marksOf, tenthsOf, WHOSE } from '../batch/daemon.ts'
import type { NodeMark } from '../batch-system.ts'
import type { Executor } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler, JoinUnit } from '../join.ts'
import { markWord } from './marks.ts'

/** How a mom is started on a machine. Paths are the machine's. */
export interface MomPlan {
  readonly product: 'Torque' | 'OpenPBS'
  /** Its program, and the words after it. */
  readonly argv: readonly [string, ...string[]]
  /** PBS_HOME. */
  readonly home: string
  /** Written before it starts, each whole: path and text. */
  readonly files: (unit: JoinUnit) => readonly (readonly [string, string])[]
  readonly env: Readonly<Record<string, string>>
  readonly startTimeoutMs: Millis
  readonly stopTimeoutMs: Millis
}

const PATH = '/usr/local/sbin:/usr/local/bin:/opt/pbs/sbin:/opt/pbs/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Shell functions, for a machine may have no more than a shell. A pbs_mom of Sublet's was started with a mark in its
 * environment, which it keeps: ours is that of this unit, foreign another lease's; neither that nor any other is ever
 * ended. A zombie has none, and counts as ended.
 */
const FUNCTIONS = `${WHOSE}
told() { tr '\\0' '\\n' <"/proc/$1/environ" 2>/dev/null; }
mark_on() { told "$1" | sed -n 's/^SUBLET_MOM_MARK=//p'; }
moms() { # ours | foreign | others
  for each in /proc/[0-9]*; do
    pid=\${each#/proc/}
    { read -r comm <"$each/comm"; } 2>/dev/null && [ "$comm" = pbs_mom ] || continue
    home_of=$(told "$pid" | sed -n 's/^SUBLET_MOM_HOME=//p')
    case "$home_of" in
      "$home") [ "$(kind_of "$(mark_on "$pid")")" = "$1" ] && echo "$pid" ;;
      '') [ "$1" = others ] && [ -n "$(told "$pid")" ] && echo "$pid" ;;
    esac
  done
}
end() { # tenths of a second between TERM and KILL
  pids=$(moms ours); [ -z "$pids" ] && return 0
  kill $pids 2>/dev/null
  for i in $(seq "$1"); do [ -z "$(moms ours)" ] && return 0; sleep 0.1; done
  kill -KILL $(moms ours) 2>/dev/null
  for i in $(seq 20); do [ -z "$(moms ours)" ] && return 0; sleep 0.1; done
  echo "pbs_mom does not end: $(moms ours)" >&2; return 1
}
`

/**
 * Words: home, mark, marks of this unit and of what is over, tenths, number of files, path and text of each, then
 * the mom's own command line. Nothing is written where a mom of another lease may be at work.
 */
const JOIN = `${FUNCTIONS}
home=$1 mark=$2 own=$3 tenths=$4 files=$5; shift 5
foreign=$(moms foreign)
[ -n "$foreign" ] && { echo "the pbs_mom of another lease runs there: $(mark_on "\${foreign%%[!0-9]*}")" >&2; exit 1; }
same=1
while [ "$files" -gt 0 ]; do
  [ "$(cat "$1" 2>/dev/null)" = "$2" ] || same=
  mkdir -p "\${1%/*}" && printf '%s\\n' "$2" >"$1.sublet" && mv -f "$1.sublet" "$1" || exit 1
  shift 2; files=$((files - 1))
done
for pid in $(moms ours); do
  [ -n "$same" ] && [ "$(mark_on "$pid")" = "$mark" ] && exit 0
done
end "$tenths" || exit 1
others=$(moms others)
[ -n "$others" ] && { echo "a pbs_mom that is not Sublet's runs there: $others" >&2; exit 1; }
command -v "$1" >/dev/null || { echo "$1 is not on the machine" >&2; exit 1; }
out=$(mktemp) || exit 1
SUBLET_MOM_HOME=$home SUBLET_MOM_MARK=$mark "$@" </dev/null >"$out" 2>&1; status=$?
# What was started returns a moment before the daemon it leaves behind can be seen.
[ "$status" = 0 ] && for i in $(seq 40); do
  [ -n "$(moms ours)" ] && { rm -f "$out"; exit 0; }
  sleep 0.05
done
{ echo "pbs_mom ended with status $status"; tail -n 5 "$out"; tail -qn 5 "$home"/mom_logs/* 2>/dev/null | tail -n 5; } >&2
rm -f "$out"; exit 1
`

const LEAVE = `${FUNCTIONS}
home=$1 own=$2
end "$3"
`

/** `{name}`, `{address}`, `{mark}`, `{cpu}` and any other dimension or fact, filled in. */
export const momText = (text: string, unit: JoinUnit): string =>
  filled('The mom’s configuration', text, unit, { mark: markOf(unit) })

const markOf = (unit: JoinUnit): string => markWord(unit, unit.facts.address ?? '')

/** Without the address, which is that of the moment: it may be another one when the mom is ended. */
const anywhere = (mark: NodeMark): string => markWord(mark, '').slice(0, -1)

/** Starts and stops pbs_mom inside the machines, through whatever `connect` reaches them by. */
export function momJoin(plan: MomPlan, connect: (facts: UnitFacts) => Executor): JoinHandler {
  const tenths = tenthsOf(plan.stopTimeoutMs)
  const words = (unit: JoinUnit): readonly string[] => {
    const files = plan.files(unit)
    return [
      ...[plan.home, markOf(unit), marksOf(unit, anywhere), tenths],
      ...[String(files.length), ...files.flat(), ...plan.argv],
    ]
  }
  return daemonJoin(
    {
      name: 'pbs_mom',
      env: { PATH, ...plan.env },
      start: { script: JOIN, words },
      end: { script: LEAVE, words: (unit) => [plan.home, anywhere(unit), tenths] },
      startTimeoutMs: plan.startTimeoutMs,
      stopTimeoutMs: plan.stopTimeoutMs,
      cure: `Read ${plan.home}/mom_logs on the machine; start ${plan.product}’s pbs_mom there by hand.`,
    },
    connect,
  )
}
