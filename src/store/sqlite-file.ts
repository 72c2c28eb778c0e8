/** One open SQLite file: made private, set to lose nothing, brought to our schema, with its statements kept. */

import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { migrate, readMigrations } from './migrate.ts'
import { Snapshot } from './snapshot.ts'

/** How long a writer waits for another process's write; each takes a few milliseconds. */
const BUSY_MS_MAX = 5_000
/** ‘Ltch’: marks a file as ours, so that another program's database is never migrated. */
const APPLICATION_ID = 0x4c746368
/** In the low byte: an extended code says more above it, such as that it is the folder that cannot be written. */
const PRIMARY = 0xff
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_FULL = 13
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

const MIGRATIONS = readMigrations(join(import.meta.dirname, 'migrations', 'sqlite'))

export class SqliteFile {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #snapshot: Snapshot | null

  /** `reader` is a second connection to the same file; a database in memory has none. */
  constructor(db: DatabaseSync, reader: DatabaseSync | null) {
    this.#db = db
    this.#snapshot = reader && new Snapshot(reader)
  }

  /** A read for the path that must be fast, which answers with a row's values in the order of the columns: see `Snapshot`. */
  reading(sql: string): (...values: SQLInputValue[]) => unknown {
    if (this.#snapshot) return this.#snapshot.reading(sql)
    const statement = this.#db.prepare(sql)
    statement.setReturnArrays(true)
    return (...values) => statement.get(...values)
  }

  /** Texts come from a closed set, values are always bound: the statements kept stay few. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)))
    return statement
  }

  /** Takes the write lock first, so that what `work` reads still holds when it writes. Durable when it returns. */
  transaction<T>(work: () => T): T {
    this.prepare('begin immediate').run()
    try {
      const result = work()
      this.prepare('commit').run()
      this.#snapshot?.end()
      return result
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.#db.isTransaction) this.prepare('rollback').run()
      throw error
    }
  }

  /**
   * Writes the file anew without what was deleted from it, and empties the log beside it. Says whether it could: a process that is reading
   * just now keeps the log until it has done.
   */
  shred(): boolean {
    this.#snapshot?.end()
    this.#db.exec('vacuum')
    return this.#db.prepare('pragma wal_checkpoint(truncate)').get()?.['busy'] === 0
  }

  close(): void {
    if (!this.#db.isOpen) return
    this.#snapshot?.close()
    this.#statements.clear()
    this.#db.close()
  }
}

/** `tell`: what is told of work that may take long. */
export function openSqliteFile(path: string, tell?: (message: string) => void): SqliteFile {
  if (path !== ':memory:') makePrivate(path)
  let db: DatabaseSync | null = null
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS_MAX })
    claimFile(db)
    // FULL: a commit is on the disk before it is acknowledged. A refresh token that was spent exists nowhere else.
    db.exec('pragma journal_mode = wal; pragma synchronous = full')
    migrate(db, MIGRATIONS, { ...(tell && { tell }) })
    return new SqliteFile(db, path === ':memory:' ? null : new DatabaseSync(path, { timeout: BUSY_MS_MAX, readOnly: true }))
  } catch (error) {
    db?.close()
    throw new Error(`cannot open the database ${path}: ${explain(error)}`, { cause: error })
  }
}

/** The file is made here and not by SQLite, which would make it readable for everybody; its -wal and -shm take after it. */
function makePrivate(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
  } catch (error) {
    const remedy = 'give the user that runs Latchstring a folder it can write, or set LATCHSTRING_DATABASE_URL to another place'
    throw new Error(`cannot create or write the database ${path}: ${(error as Error).message}; ${remedy}`, { cause: error })
  }
}

/** Refuses the database of another program and marks an empty one as ours. */
function claimFile(db: DatabaseSync): void {
  const marked = () => db.prepare('pragma application_id').get()?.['application_id'] === APPLICATION_ID
  if (marked()) return
  db.exec('begin immediate')
  try {
    if (!marked()) {
      if (db.prepare('select 1 from sqlite_schema limit 1').get())
        throw new Error('it belongs to another program; name another file')
      db.exec(`pragma application_id = ${APPLICATION_ID}`)
    }
    db.exec('commit')
  } catch (error) {
    if (db.isTransaction) db.exec('rollback')
    throw error
  }
}

function explain(error: unknown): string {
  const { errcode = 0, message } = error as Error & { errcode?: number }
  switch (errcode & PRIMARY) {
    case SQLITE_IOERR:
    case SQLITE_FULL:
      return `${message}; if the disk is full, make room`
    case SQLITE_NOTADB:
      return 'it is not a SQLite database; move it away or name another file'
    case SQLITE_READONLY:
      return 'it cannot be written; make the file and its folder writable for the user that runs Latchstring'
    case SQLITE_CORRUPT:
      return `${message}; put a backup in its place, and first remove the -wal and -shm beside it: they belong to the file that is replaced`
    default:
      return message
  }
}
