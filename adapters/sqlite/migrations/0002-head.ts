import { lastLine } from '../ledger-ends.ts'
import type { Migration } from './step.ts'

export const head: Migration = {
  to: 2,
  what: 'the number and hash of the last line, so that lines cut off at the end are missed',
  up(database) {
    database.exec(
      'CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT',
    )
    const { seq, hash } = lastLine(database)
    database.prepare('INSERT INTO head (one, seq, hash) VALUES (1, ?, ?)').run(seq, hash)
  },
}
