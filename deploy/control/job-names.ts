/**
 * Which of the jobs that are listed somebody means by a word. Batch systems print one thing when a job is submitted, and list others:
 *
 *   said      listed
 *   12        12 · 12.head.site.org                                  a number without its server
 *   5         5_3, 5_[4-9%2] · 5[3].head · 22.1, 22.4-9:1            an array, of which its tasks are listed
 *   5[]       5[3].head                                              the same, as Torque and OpenPBS say it
 *   5_7       5_[4-9%2] · 22.7 → 22.4-9:1                            a task that waits among others
 */
export function jobsMeantBy(word: string, listed: readonly string[]): readonly string[] {
  if (listed.includes(word)) return [word]
  const begun = listed.filter((id) => id.startsWith(word) && /^[._[]/.test(id.slice(word.length)))
  if (begun.length > 0) return begun
  const [, array, task] = TASK.exec(word) ?? []
  if (array === undefined) return []
  const ofArray = listed.filter((id) => id.startsWith(array) && /^[._[]/.test(id.slice(array.length)))
  // A list of tasks that has changed meanwhile, or `[]`.
  return task === undefined ? ofArray : ofArray.filter((id) => hasTask(id.slice(array.length), Number(task)))
}

/** `5_7`, `5[7]`, `22.7`, `5[]`, `5_[4-9%2]`: an array, and one task of it unless it is several or all. */
const TASK = /^(\d+)(?:[._[](\d+)\]?|_?\[[^\]]*\])(?:\.[a-zA-Z].*)?$/

/** In `_[1,4-9:2%2]` or `.4-9:1`. */
function hasTask(rest: string, task: number): boolean {
  const ranges = rest.replace(/^[._]?\[?/, '').replace(/[\]%].*$/, '')
  return ranges.split(',').some((range) => {
    const [, from, to = from, step = '1'] = /^(\d+)(?:-(\d+))?(?::(\d+))?$/.exec(range) ?? []
    const first = Number(from)
    return (
      from !== undefined && task >= first && task <= Number(to) && (task - first) % (Number(step) || 1) === 0
    )
  })
}
