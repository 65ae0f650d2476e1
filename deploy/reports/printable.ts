/**
 * What peers, guests and jobs call things, as it may go to a terminal. A terminal does what it is told by control
 * characters, and by those that turn the direction of writing: they are shown as `\u001b`, as JSON writes them.
 */

/** Line ends stay: what is written has several lines. */
export const printable = (text: string): string =>
  text.replaceAll(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, shown)

/** Of what is one line: a word in it cannot begin another one that looks like ours. */
export const onOneLine = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, shown)

/** Of a sentence its begin and its end: how long what stands in it is, others say. */
export const middleOut = (text: string): string =>
  text.length <= HEAD + TAIL ? text : `${text.slice(0, HEAD)} … ${text.slice(-TAIL)}`

const HEAD = 500
const TAIL = 300

/** Some of them are two halves. */
const shown = (letter: string): string =>
  letter
    .split('')
    .map((half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

/**
 * A cell of comma-separated values, as RFC 4180 has it. What a spreadsheet would reckon is kept from it by an
 * apostrophe: names are given by others.
 */
export function csvCell(cell: string): string {
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
