import { readdir, readFile } from 'node:fs/promises'

/** How many living processes have the word in their command line; a zombie has none any more. */
export async function runningWith(marker: string): Promise<number> {
  const lines = await Promise.all(
    (await readdir('/proc'))
      .filter((entry) => /^\d+$/.test(entry))
      // A process may end between the two looks; then it does not run.
      .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => line.includes(marker)).length
}
