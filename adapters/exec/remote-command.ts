import type { Millis } from '../../actors/runtime/clock.ts'
import { guarded } from './guard.ts'
import { quote, quoteAll } from './quote.ts'

/** TERM, then KILL after half a second, as the local executor does. */
const KILL_AFTER_S = '0.5'
/** Our own deadline comes first; this one is for a line that was cut without a word. */
const BACKSTOP_MS: Millis = 5000

/**
 * What the far shell runs. sshd leads the session by this shell's pid, so it is also the process group.
 *
 *   input ─▶ spooled (exactly so many bytes) ─▶ the command, by exec: its exit or signal reaches sshd whole
 *   then the stream stays open; its end means that nobody waits any more ─▶ TERM to the group ─▶ KILL
 *
 * sshd passes no signals on for root, and ends nothing when a connection is lost; hence the watcher. A
 * command that has finished by itself is not touched: what it left behind lives on, as it would here.
 */
export const SCRIPT = `
n=$1 limit=$2; shift 2
exec 3<&0 </dev/null
if [ "$n" -gt 0 ]; then
  spool=$(mktemp) || exit 126
  head -c "$n" <&3 >"$spool"; got=$(wc -c <"$spool")
  exec <"$spool"; rm -f "$spool"
  [ "$got" -eq "$n" ] || exit 126
fi
( timeout "$limit" cat <&3
  kill -0 $$ || exit 0
  trap '' TERM; kill -TERM -$$; sleep ${KILL_AFTER_S}; kill -KILL -$$ ) >/dev/null 2>&1 </dev/null &
exec 3<&-
exec "$@"`

/** The one line that is sent. The far user's login shell must read POSIX single quotes. */
export function remoteCommand(
  argv: readonly [string, ...string[]],
  {
    inputBytes,
    timeoutMs,
    env,
  }: { inputBytes: number; timeoutMs: Millis; env: Readonly<Record<string, string>> },
): string {
  const limit = String(Math.ceil((timeoutMs + BACKSTOP_MS) / 1000))
  const settings = Object.entries(env).map(([key, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key))
      throw new TypeError(`“${key}” cannot name an environment variable`)
    return quote(`${key}=${value}`)
  })
  const inEnv = settings.length === 0 ? '' : `env ${settings.join(' ')} `
  return `exec ${inEnv}sh -c ${quote(SCRIPT)} sublet ${inputBytes} ${limit} ${quoteAll(guarded(argv))}`
}
