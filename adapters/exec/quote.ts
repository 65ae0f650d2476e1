/**
 * One argument as a POSIX shell reads it back: inside single quotes everything stands for itself but
 * the single quote, which is closed, escaped and opened again.
 *
 *   plain-word ─▶ plain-word      it's ─▶ 'it'\''s'      (empty) ─▶ ''
 */
export function quote(argument: string): string {
  if (argument.includes('\0')) throw new TypeError('An argument of a command cannot hold a NUL character')
  if (/^[A-Za-z0-9_@%+:,./-]+$/.test(argument)) return argument
  return `'${argument.replaceAll("'", `'\\''`)}'`
}

export const quoteAll = (argv: readonly string[]): string => argv.map(quote).join(' ')
