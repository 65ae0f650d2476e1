import type { Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor, Finished } from '../executor.ts'
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

/** The script's own time on top of the waits in it. */
const SCRIPT_MS: Millis = 5_000
const PATH = '/usr/local/sbin:/usr/local/bin:/opt/pbs/sbin:/opt/pbs/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Shell functions, for a machine may have no more than a shell. Ours is a pbs_mom that was started with a mark
 * of Sublet's in its environment, which it keeps; no other is ever ended. A zombie has none, and counts as ended.
 */
const FUNCTIONS = `
told() { tr '\\0' '\\n' <"/proc/$1/environ" 2>/dev/null; }
moms() { # ours | others
  for each in /proc/[0-9]*; do
    pid=\${each#/proc/}
    { read -r comm <"$each/comm"; } 2>/dev/null && [ "$comm" = pbs_mom ] || continue
    home_of=$(told "$pid" | sed -n 's/^SUBLET_MOM_HOME=//p')
    case "$1:$home_of" in
      ours:"$home") echo "$pid" ;;
      others:) [ -n "$(told "$pid")" ] && echo "$pid" ;;
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

/** Words: home, mark, tenths, number of files, path and text of each, then the mom's own command line. */
const JOIN = `${FUNCTIONS}
home=$1 mark=$2 tenths=$3 files=$4; shift 4
same=1
while [ "$files" -gt 0 ]; do
  [ "$(cat "$1" 2>/dev/null)" = "$2" ] || same=
  mkdir -p "\${1%/*}" && printf '%s\\n' "$2" >"$1.sublet" && mv -f "$1.sublet" "$1" || exit 1
  shift 2; files=$((files - 1))
done
for pid in $(moms ours); do
  [ -n "$same" ] && [ "$(told "$pid" | sed -n 's/^SUBLET_MOM_MARK=//p')" = "$mark" ] && exit 0
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
home=$1
end "$2"
`

/** `{name}`, `{address}`, `{mark}`, `{cpu}` and any other dimension or fact, filled in. */
export function filled(text: string, unit: JoinUnit): string {
  const values: Readonly<Record<string, string | number>> = {
    ...unit.facts,
    ...unit.vector,
    ...{ name: unit.name, mark: markWord(unit, unit.facts.address ?? '') },
  }
  return text.replaceAll(/\{([^}]+)\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined)
      throw new SubletError(
        'config-invalid',
        `The mom’s configuration asks for {${key}}, which unit ${unit.unitId} does not have`,
      )
    return String(value)
  })
}

/** Starts and stops pbs_mom inside the machines, through whatever `connect` reaches them by. */
export function momJoin(plan: MomPlan, connect: (facts: UnitFacts) => Executor): JoinHandler {
  const connected = new Map<string, Executor>()
  const tenths = String(Math.max(1, Math.round(plan.stopTimeoutMs / 100)))
  const env = { PATH, ...plan.env }

  const run = (
    unit: JoinUnit,
    script: string,
    args: readonly string[],
    timeoutMs: Millis,
    signal: AbortSignal,
  ): Promise<Finished> => {
    const exec = connected.get(unit.unitId) ?? connect(unit.facts)
    connected.set(unit.unitId, exec)
    return exec.run(['sh', '-c', script, 'sh', ...args], { signal, env, timeoutMs: timeoutMs + SCRIPT_MS })
  }

  const hangUp = async (unitId: string): Promise<void> => {
    const exec = connected.get(unitId)
    connected.delete(unitId)
    await exec?.close()
  }

  return {
    async join(unit, signal) {
      signal.throwIfAborted()
      const files = plan.files(unit)
      const mark = markWord(unit, unit.facts.address ?? '')
      const args = [plan.home, mark, tenths, String(files.length), ...files.flat(), ...plan.argv]
      const done = await run(unit, JOIN, args, plan.startTimeoutMs + plan.stopTimeoutMs, signal)
      if (done.exitCode !== 0)
        throw new SubletError('machine-setup', `pbs_mom did not start on ${unit.name}: ${lastLines(done)}`, {
          cure: `Read ${plan.home}/mom_logs on the machine; start ${plan.product}’s pbs_mom there by hand.`,
        })
    },
    async leave(unit, signal) {
      signal.throwIfAborted()
      try {
        const done = await run(unit, LEAVE, [plan.home, tenths], plan.stopTimeoutMs, signal)
        if (done.exitCode !== 0)
          throw new SubletError('machine-busy', `pbs_mom did not stop on ${unit.name}: ${lastLines(done)}`)
      } catch (error) {
        // Nothing runs on a machine that is gone.
        if (!(error instanceof SubletError) || !isGone(error)) throw error
      } finally {
        await hangUp(unit.unitId)
      }
    },
    async close() {
      await Promise.all([...connected.keys()].map(hangUp))
    },
  }
}

const isGone = ({ code }: SubletError): boolean =>
  code === 'machine-unreachable' || code === 'ssh-unreachable'

const lastLines = ({ stderr, exitCode }: Finished): string =>
  stderr.trim() === '' ? `exit ${exitCode}` : stderr.trim().split('\n').slice(-8).join(' | ').slice(0, 800)
