import type { Finished } from '../executor.ts'

/**
 * Where a shell or another program starts ours, "no such program" comes back as exit status 127, which
 * a command may also answer by itself. So we look first, and say it in words nobody else would use.
 */
const MISSING = 'sublet: this program is not on this machine'

export const LOOK_THEN_RUN = `command -v "$1" >/dev/null 2>&1 || { echo '${MISSING}' >&2; exit 127; }; exec "$@"`

export const guarded = (argv: readonly [string, ...string[]]): [string, ...string[]] => [
  'sh',
  '-c',
  LOOK_THEN_RUN,
  'sublet',
  ...argv,
]

export const saysMissing = ({ exitCode, stderr }: Finished): boolean =>
  exitCode === 127 && stderr.trimEnd().endsWith(MISSING)
