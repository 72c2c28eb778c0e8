/** Brings a SQLite file to the schema that this version needs: numbered SQL files, each applied whole or not at all. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
}

/** Files named `0001-what-it-does.sql`, counted without a gap. */
export function readMigrations(folder: string): Migration[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file, position) => {
      const number = Number(file.slice(0, 4))
      if (number !== position + 1) throw new Error(`${file}: migrations are numbered from 0001 without a gap`)
      return { number, name: file.slice(5, -4), sql: readFileSync(join(folder, file), 'utf8') }
    })
}

/** Safe at any moment in any number of processes: whoever gets the write lock first does the work, the others find it done. */
export function migrate(db: DatabaseSync, migrations: readonly Migration[]): void {
  let applied = check(db, migrations)
  while (applied < migrations.length) {
    db.exec('begin immediate')
    try {
      // Looked at again now that nobody else can write: another process may have been faster.
      applied = check(db, migrations)
      const next = migrations[applied]
      if (next) apply(db, next)
      db.exec('commit')
    } catch (error) {
      if (db.isTransaction) db.exec('rollback')
      throw error
    }
  }
}

/** How many migrations the file has; throws when they are not the first so many of ours. */
function check(db: DatabaseSync, migrations: readonly Migration[]): number {
  if (!db.prepare(`select 1 from sqlite_schema where type = 'table' and name = 'migrations'`).get()) return 0
  return appliedOf(db.prepare('select number, checksum from migrations order by number').all(), migrations)
}

/** The same of the rows of `migrations`, whatever the database. */
export function appliedOf(rows: readonly Readonly<Record<string, unknown>>[], migrations: readonly Migration[]): number {
  for (const row of rows) {
    const known = migrations[Number(row['number']) - 1]
    if (!known) {
      const { length } = migrations
      throw new Error(
        `schema version ${rows.length} is newer than this Latchstring, which knows ${length}: start the newer version again`,
      )
    }
    if (row['checksum'] === checksum(known)) continue
    throw new Error(
      `migration ${known.number} “${known.name}” was applied with other contents: a released migration never changes, add a new one`,
    )
  }
  return rows.length
}

function apply(db: DatabaseSync, migration: Migration): void {
  const { number, name, sql } = migration
  try {
    db.exec(
      'create table if not exists migrations (number integer primary key, name text not null, checksum text not null, applied_at integer not null) strict',
    )
    db.exec(sql)
    db.prepare('insert into migrations values (?, ?, ?, ?)').run(number, name, checksum(migration), Date.now())
  } catch (error) {
    throw new Error(`migration ${number} “${name}” failed and left no trace: ${(error as Error).message}`, { cause: error })
  }
}

export function checksum({ sql }: Migration): string {
  return createHash('sha256').update(sql).digest('hex')
}
