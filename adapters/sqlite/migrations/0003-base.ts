import type { Migration } from './step.ts'

export const base: Migration = {
  to: 3,
  what: 'the number and hash of the last line that is only in archives any more',
  up(database) {
    database.exec(`
      CREATE TABLE base (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
      INSERT INTO base (one, seq, hash) VALUES (1, 0, '');`)
  },
}
