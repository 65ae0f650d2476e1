import { LOOK_THEN_RUN } from '../../adapters/exec/guard.ts'
import { quote, quoteAll } from '../../adapters/exec/quote.ts'
import { SCRIPT } from '../../adapters/exec/remote-command.ts'
import type { Line, Privileges, Word } from '../../adapters/privileges.ts'

/**
 * A script for /bin/sh that runs the commands of one list and refuses all others.
 *
 *   sshd ─ SSH_ORIGINAL_COMMAND, one line ─▶ cut into words ─┐
 *   sudo ─ the words themselves ─────────────────────────────┴▶ what comes before is taken off, literally
 *                                                              ─▶ listed? ─▶ input as listed? ─▶ run
 *                                                                     └─ no ─▶ a sentence, exit 126
 *
 * Nothing of what was sent is ever evaluated: words are cut at the quotes that adapters/exec/quote.ts writes,
 * compared, and handed on as arguments. The scripts that Sublet sends along are compared and not used.
 */
export interface WrapperAsk {
  readonly privileges: Privileges
  /** What it is for, such as `torque of guest grid`. */
  readonly title: string
  /** Where programs are looked for. */
  readonly path: string
}

/** A command line is some 1500 characters; with the ids of 200 jobs that have ended some 10,000. */
const LINE_CHARS_MAX = 32_768
const INPUT_BYTES_MAX = 65_536
/** Under sudo nobody who asked could end it. */
const SECONDS_MAX = 300

export function wrapper({ privileges, title, path }: WrapperAsk): string {
  const { env, lines } = privileges
  const settings = Object.entries(env)
  const exported = settings.map(([key, value]) => `${key}=${quote(value)}; export ${key}`)
  const told = lines.flatMap((line, at) => inputFunction(line, at))
  return `#!/bin/sh
# ${title.replaceAll(/\p{Cc}/gu, ' ')}: what Sublet may run, one line each. Written by \`sublet rights\`; print it anew
# when Sublet or its configuration has changed. It belongs to root, and only root may write it.
set -f
umask 077
IFS=' '
PATH=${quote(path)}; export PATH
LC_ALL=C; export LC_ALL
unset ENV BASH_ENV CDPATH GREP_OPTIONS LD_PRELOAD LD_LIBRARY_PATH
nl='
'
refuse() { printf 'sublet-rights: %s\\n' "$1" >&2; exit 126; }
like() { case $1 in *"$nl"*) return 1 ;; esac; printf '%s\\n' "$1" | grep -Eqx -e "$2"; }
rest() { # words that are not looked at, a pattern, all words
  skip=$1 pattern=$2; shift 2; shift "$skip"
  for each in "$@"; do like "$each" "$pattern" || return 1; done
}

# ── the list ──
${told.join('')}told=none
listed() {
${lines.map(condition).join('\n')}
  return 1
}

# ── what Sublet itself puts before a command ──
looks=${quote(LOOK_THEN_RUN)}
runs=${quote(SCRIPT)}

bytes=none
if [ $# -eq 0 ]; then
  line=\${SSH_ORIGINAL_COMMAND-}
  [ -n "$line" ] || refuse 'there is no shell here, only the commands of a list'
  [ \${#line} -le ${LINE_CHARS_MAX} ] || refuse 'the command is too long'
  set --
  while [ -n "$line" ]; do
    case $line in
      "'"*)
        word='' more=\${line#?}
        while :; do
          case $more in *"'"*) ;; *) refuse 'a quote is not closed' ;; esac
          word=$word\${more%%"'"*} more=\${more#*"'"}
          case $more in
            "\\\\''"*) word=$word"'" more=\${more#???} ;;
            *) break ;;
          esac
        done ;;
      *)
        word=\${line%%[!A-Za-z0-9_@%+:,./-]*} more=\${line#"\${line%%[!A-Za-z0-9_@%+:,./-]*}"}
        [ -n "$word" ] || refuse 'a word is not quoted as Sublet quotes' ;;
    esac
    case $more in
      '') ;;
      ' '?*) more=\${more#?} ;;
      *) refuse 'a word is not quoted as Sublet quotes' ;;
    esac
    set -- "$@" "$word"
    line=$more
  done
  [ "$1" = exec ] || refuse 'this is no command of Sublet’s'
  shift
  if [ "\${1-}" = env ]; then
    shift
    while [ $# -gt 0 ] && [ "$1" != sh ]; do
      case $1 in
        ${settings.length === 0 ? "''" : settings.map(([key, value]) => quote(`${key}=${value}`)).join(' | ')}) shift ;;
        *) refuse 'a setting is not on the list' ;;
      esac
    done
  fi
  [ $# -gt 6 ] && [ "$1" = sh ] && [ "$2" = -c ] && [ "$3" = "$runs" ] && [ "$4" = sublet ] ||
    refuse 'this is no command of this version of Sublet; print the wrapper anew with “sublet rights”'
  bytes=$5 seconds=$6
  for each in "$bytes" "$seconds"; do
    case $each in '' | *[!0-9]* | ???????*) refuse 'this is no command of Sublet’s' ;; esac
  done
  shift 6
fi
[ $# -gt 4 ] && [ "$1" = sh ] && [ "$2" = -c ] && [ "$3" = "$looks" ] && [ "$4" = sublet ] ||
  refuse 'this is no command of this version of Sublet; print the wrapper anew with “sublet rights”'
shift 4
listed "$@" || refuse 'this command is not on the list; see “sublet rights --form list”'

${exported.join('\n')}

spool=''
if [ "$told" != none ]; then
  [ "$bytes" = none ] && most=${INPUT_BYTES_MAX} || most=$bytes
  [ "$most" -le ${INPUT_BYTES_MAX} ] || refuse 'the input is too long'
  input=$(head -c "$most" && echo .) && input=\${input%.} || refuse 'the input cannot be read'
  [ "$bytes" = none ] || [ "\${#input}" -eq "$bytes" ] || refuse 'the input is not whole'
  case $input in "$nl"* | *"$nl$nl"*) refuse 'the input of this command is not on the list' ;; esac
  "$told" || refuse 'the input of this command is not on the list'
  spool=$(mktemp) && printf '%s' "$input" >"$spool" || refuse 'there is no room for the input'
  set -- sh -c 'exec <"$1" || exit 126; rm -f -- "$1"; shift; exec "$@"' sublet "$spool" sh -c "$looks" sublet "$@"
else
  [ "$bytes" = none ] || [ "$bytes" -eq 0 ] || refuse 'this command takes no input'
  set -- sh -c "$looks" sublet "$@"
fi
[ "$bytes" = none ] || exec sh -c "$runs" sublet 0 "$seconds" "$@"
exec timeout -k 5 ${SECONDS_MAX} "$@" </dev/null
`
}

const test = (at: string, wanted: Word): string =>
  typeof wanted === 'string' ? `[ "${at}" = ${quote(wanted)} ]` : `like "${at}" ${quote(wanted.like)}`

/** Words that are to be the same are compared first: a pattern costs two processes. */
const inOrder = (words: readonly Word[], at: (index: number) => string): readonly string[] =>
  words
    .map((word, index) => ({ word, text: test(at(index), word) }))
    .toSorted((a, b) => Number(typeof a.word !== 'string') - Number(typeof b.word !== 'string'))
    .map(({ text }) => text)

// From the tenth on a parameter needs its braces.
const parameter = (index: number): string => `\${${index + 1}}`

function condition(line: Line, at: number): string {
  const { words, rest, inputs, right, verb, why } = line
  const count = rest === undefined ? `[ $# -eq ${words.length} ]` : `[ $# -ge ${words.length} ]`
  const tests = [
    count,
    ...inOrder(words, parameter),
    ...(rest === undefined ? [] : [`rest ${words.length} ${quote(rest.like)} "$@"`]),
  ]
  const yes = inputs === undefined ? 'return 0' : `{ told=told_${at}; return 0; }`
  return `  # ${right === 'read' ? 'reads' : 'changes'}, ${verb}: ${why}\n  ${tests.join(' && ')} && ${yes}`
}

/** Whether $input is, line by line, one of the texts that the command may be told. */
function inputFunction({ inputs, words }: Line, at: number): readonly string[] {
  if (inputs === undefined) return []
  const ways = inputs.map(
    (lines) => `  [ $# -eq ${lines.length} ] && ${inOrder(lines, parameter).join(' && ')} && return 0`,
  )
  const program = words.find(
    (word) => typeof word === 'string' && !/^(?:sh|-)/.test(word) && !/\s/.test(word),
  )
  return [
    `# what ${typeof program === 'string' ? quoteAll([program]) : 'it'} may be told\n`,
    `told_${at}() {\n  IFS=$nl; set -- $input; IFS=' '\n${ways.join('\n')}\n  return 1\n}\n`,
  ]
}
