import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { sqliteStore } from '../../adapters/sqlite/store.ts'
import { numberedCommit } from './store.ts'

/**
 * A process of its own that opens a database and counts in it:
 *
 *   node store-child.ts FILE open      prints `open`, or the code of what is wrong
 *   node store-child.ts FILE count     prints each number once its commit is durable, until it is killed
 *                                      or a commit fails; then prints its code and sentence
 */
const [path, task] = process.argv.slice(2)
if (path === undefined) throw new Error('name a file')
const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const store = sqliteStore(path)
try {
  let { head } = await store.open()
  say('open')
  for (let n = head.seq + 1; task === 'count'; n++) {
    const { commit, entry } = numberedCommit(n, head)
    await store.commit(commit)
    head = entry
    say(String(n))
  }
} catch (error) {
  say(error instanceof SubletError ? `${error.code} ${inOneLine(error)}` : `unexpected ${inOneLine(error)}`)
}
await store.close()
