import { type UserOf, usersOf } from './passwd.ts'

/** What a machine says of itself before slurmd is started there. */
export interface MachineSays {
  /** A slurmd of this unit runs there already: it was looked at before that. */
  readonly isRunning: boolean
  /** Of slurmd, such as `22.05.8`; undefined if there is none. */
  readonly version: string | undefined
  /** Undefined if it was not asked for one. */
  readonly munge:
    | { readonly kind: 'sealed'; readonly credential: string }
    | { readonly kind: 'failed'; readonly words: string }
    | undefined
  readonly users: ReadonlyMap<string, UserOf>
  /** Users whose home is not there. */
  readonly homeless: readonly string[]
  /** Paths that are not there. */
  readonly missing: readonly string[]
  /** What did not answer in time; nothing after it was asked. */
  readonly hung: string | undefined
}

/** Each question may take so long: on a dead file server each would take for ever. */
const ASK_SECONDS = 5

/**
 * For a machine with no more than a shell, after the functions of the join. What it prints are lines of a word and
 * what is said, in any order. What hangs ends the script: the rest would hang, too.
 */
export const EXAMINE = `
own=$1 socket=$2 users=$3; shift 3
heard=$(mktemp) || exit 1; trap 'rm -f "$heard"' EXIT
[ -z "$(slurmds ours)" ] || { echo 'running'; exit 0; }
soon() { if command -v timeout >/dev/null; then timeout -s KILL ${ASK_SECONDS} "$@"; else "$@"; fi; }
asked() { # NAME COMMAND...: sets said and got, and ends the script if it hangs
  what=$1; shift
  said=$(soon "$@" 2>"$heard"); got=$?
  [ "$got" -ne 137 ] || { echo "hung $what"; exit 0; }
}
is_there() { asked "$2" test "$1" "$2"; return "$got"; }

command -v slurmd >/dev/null && { asked slurmd slurmd -V; printf 'version %s\\n' "$said"; }
if [ "$socket" != none ]; then
  # Its own slurm.conf comes before the head's: slurmd reads that one.
  if [ -r "$SLURM_CONF" ]; then
    theirs=$(grep -i '^[[:space:]]*AuthInfo=' "$SLURM_CONF" | sed -n 's/.*socket=\\([^",[:space:]]*\\).*/\\1/p' | tail -n 1)
    # One that includes others may leave it to them: it is taken to be the head's then.
    if [ -n "$theirs" ] || ! grep -qi '^[[:space:]]*include[[:space:]]' "$SLURM_CONF"; then
      socket=\${theirs:-default}
    fi
  fi
  if command -v munge >/dev/null; then
    if [ "$socket" = default ]; then asked munge munge -n; else asked munge munge -n --socket="$socket"; fi
    case $said in
      MUNGE:*) printf 'munge %s\\n' "$said" ;;
      *) printf 'unsealed %s\\n' "$(tail -n 1 "$heard")" ;;
    esac
  else
    echo 'unsealed munge is not installed'
  fi
fi
if [ -n "$users" ]; then
  asked getent getent passwd $users
  known=$said
  for user in $users; do
    line=
    while IFS= read -r each; do
      case $each in "$user:"*) line=$each; break ;; esac
    done <<EOF
$known
EOF
    [ -n "$line" ] || continue
    printf 'user %s\\n' "$line"
    home=$(printf '%s\\n' "$line" | cut -d: -f6)
    is_there -d "$home" || echo "homeless $user"
  done
fi
for path in "$@"; do is_there -e "$path" || echo "missing $path"; done
`

/** Of what a machine prints only so much is read: its site may lie. */
const LINES_MAX = 500
const WORDS_MAX = 200

export function machineSays(printed: string): MachineSays {
  const said = new Map<string, string[]>()
  for (const line of printed
    .replaceAll(/[^\P{Cc}\n]/gu, ' ')
    .split('\n')
    .slice(0, LINES_MAX)) {
    const [, word = '', rest = ''] = /^(\w+) ?(.*)$/.exec(line) ?? []
    said.set(word, [...(said.get(word) ?? []), rest])
  }
  const all = (word: string): readonly string[] => said.get(word) ?? []
  const first = (word: string): string | undefined => all(word)[0]?.slice(0, WORDS_MAX)
  const credential = all('munge')[0]
  const failed = first('unsealed')
  return {
    isRunning: said.has('running'),
    version: /(\d+\.\d+(?:\.\d+)?)/.exec(first('version') ?? '')?.[1],
    munge:
      failed !== undefined
        ? { kind: 'failed', words: failed.replace(/^munge: Error: /, '') }
        : credential === undefined
          ? undefined
          : { kind: 'sealed', credential },
    users: usersOf(all('user')),
    homeless: all('homeless'),
    missing: all('missing').map((path) => path.slice(0, WORDS_MAX)),
    hung: first('hung'),
  }
}
