import type { Migration } from './step.ts'

export const rowsAndLedger: Migration = {
  to: 1,
  what: 'the rows of an actor, and its ledger',
  up(database) {
    database.exec(`
      CREATE TABLE row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
        PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
      CREATE TABLE ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
      CREATE INDEX ledger_subject ON ledger (subject, seq);`)
  },
}
