/** Brings a SQLite file to the schema that this version needs: numbered SQL files, each applied whole or not at all. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
  /** How many migrations a version must know to work on what this one leaves. Default: this one, too. */
  readonly needs?: number
}

export interface MigrateOptions {
  /** Told before what may take long, and after it. */
  readonly tell?: (message: string) => void
  /** How many bytes the disk with that folder has left. */
  readonly freeBytes?: (folder: string) => number
}

const PATIENCE_MS = 600_000
const BYTES_IN_MB = 1e6

/** From here on the table says what each needs. */
const FIRST_WITH_NEEDS = 10

/** Files named `0001-what-it-does.sql`, counted without a gap. One that only adds what older versions need not know says `-- needs: 9`. */
export function readMigrations(folder: string): Migration[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file, position) => {
      const number = Number(file.slice(0, 4))
      if (number !== position + 1) throw new Error(`${file}: migrations are numbered from 0001 without a gap`)
      const sql = readFileSync(join(folder, file), 'utf8')
      return { number, name: file.slice(5, -4), sql, ...needsOf(file, number, sql) }
    })
}

function needsOf(file: string, number: number, sql: string): { readonly needs?: number } {
  const told = /^-- needs: (.*)$/m.exec(sql)?.[1]
  if (told === undefined) return {}
  const needs = Number(told)
  if (!Number.isInteger(needs) || needs < FIRST_WITH_NEEDS - 1 || needs >= number)
    throw new Error(`${file}: “needs” is the number of an earlier migration, ${FIRST_WITH_NEEDS - 1} or later`)
  return { needs }
}

/** Safe at any moment in any number of processes: whoever gets the write lock first does the work, the others find it done. */
export function migrate(
  db: DatabaseSync,
  migrations: readonly Migration[],
  { tell = () => {}, freeBytes = bytesLeft }: MigrateOptions = {},
): void {
  const applied = check(db, migrations)
  if (applied === migrations.length) return
  // A new file is made at once.
  if (applied > 0) tell('the database is brought up to date: where there are millions of connections, this takes minutes')
  const usual = Number(db.prepare('pragma busy_timeout').get()?.['timeout'])
  // Where there are millions of rows, whoever is first takes longer than any other write.
  db.exec(`pragma busy_timeout = ${PATIENCE_MS}`)
  applyFrom(applied, db, migrations, freeBytes)
  db.exec(`pragma busy_timeout = ${usual}`)
  if (applied === 0) return
  // The log beside the file has become as large as what was written, and would stay so for as long as anybody has the file open.
  db.exec('pragma wal_checkpoint(truncate)')
  tell('the database is up to date')
}

function applyFrom(
  first: number,
  db: DatabaseSync,
  migrations: readonly Migration[],
  freeBytes: (folder: string) => number,
): void {
  let applied = first
  while (applied < migrations.length) {
    db.exec('begin immediate')
    try {
      // Looked at again now that nobody else can write: another process may have been faster.
      applied = check(db, migrations)
      const next = migrations[applied]
      if (next) apply(db, next)
      assertRoom(db, freeBytes)
      db.exec('commit')
    } catch (error) {
      if (db.isTransaction) db.exec('rollback')
      throw error
    }
  }
}

/** What was written is in the log beside the file by now, and comes into the file once it is committed: then it is too late to find the disk full. */
function assertRoom(db: DatabaseSync, freeBytes: (folder: string) => number): void {
  const file = String(db.prepare(`select file from pragma_database_list where name = 'main'`).get()?.['file'] ?? '')
  if (file === '') return
  const size = db.prepare('select page_count * page_size as bytes from pragma_page_count, pragma_page_size').get()?.['bytes']
  const missing = Number(size) - statSync(file).size - freeBytes(dirname(file))
  if (missing <= 0) return
  throw new Error(
    `to bring it up to date takes ${Math.ceil(missing / BYTES_IN_MB)} MB more than the disk has left: make room. Nothing was changed`,
  )
}

function bytesLeft(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

/** How many of ours the file has; throws when they are others, or when a newer version left something that ours cannot work on. */
function check(db: DatabaseSync, migrations: readonly Migration[]): number {
  if (!db.prepare(`select 1 from sqlite_schema where type = 'table' and name = 'migrations'`).get()) return 0
  return appliedOf(db.prepare('select * from migrations order by number').all(), migrations)
}

/** The same of the rows of `migrations`, whatever the database. */
export function appliedOf(rows: readonly Readonly<Record<string, unknown>>[], migrations: readonly Migration[]): number {
  for (const row of rows) {
    const known = migrations[Number(row['number']) - 1]
    const { length } = migrations
    if (!known) {
      // Two versions serve side by side while one takes the other's place, and the older one may have to take it back.
      if (Number(row['needs'] ?? row['number']) <= length) continue
      throw new Error(
        `schema version ${rows.length} is newer than this Latchstring, which knows ${length}: start the newer version again`,
      )
    }
    if (row['checksum'] === checksum(known)) continue
    throw new Error(
      `migration ${known.number} “${known.name}” was applied with other contents: a released migration never changes, add a new one`,
    )
  }
  return Math.min(rows.length, migrations.length)
}

function apply(db: DatabaseSync, migration: Migration): void {
  const { number, name, sql, needs } = migration
  try {
    db.exec(
      'create table if not exists migrations (number integer primary key, name text not null, checksum text not null, applied_at integer not null) strict',
    )
    const triggers = triggersOf(db)
    db.exec(sql)
    for (const { sql: text } of lostOf(triggers, db)) db.exec(text)
    const entry = 'insert into migrations (number, name, checksum, applied_at) values (?, ?, ?, ?)'
    db.prepare(entry).run(number, name, checksum(migration), Date.now())
    if (needs !== undefined) db.prepare('update migrations set needs = ? where number = ?').run(needs, number)
  } catch (error) {
    throw new Error(`migration ${number} “${name}” failed and left no trace: ${(error as Error).message}`, { cause: error })
  }
}

interface Trigger {
  readonly name: string
  readonly table: string
  readonly sql: string
}

function triggersOf(db: DatabaseSync): Trigger[] {
  const found = db.prepare(`select name, tbl_name, sql from sqlite_schema where type = 'trigger'`).all()
  return found.map(({ name, tbl_name: table, sql }) => ({ name: String(name), table: String(table), sql: String(sql) }))
}

/** A table that is made anew has lost its triggers, and with them that the file was moved (`moved.ts`): whoever still runs on it would write to it again. */
function lostOf(triggers: readonly Trigger[], db: DatabaseSync): Trigger[] {
  const there = db.prepare('select 1 from sqlite_schema where type = ? and name = ?')
  return triggers.filter(({ name, table }) => there.get('table', table) && !there.get('trigger', name))
}

export function checksum({ sql }: Migration): string {
  return createHash('sha256').update(sql).digest('hex')
}
