/** Reads that share SQLite's read lock: taking it and giving it back costs as much as finding a row does. */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'

/**
 * All that is asked for within one turn of the event loop is answered from one snapshot. A write of this process ends it, so that what was written
 * is read; what another process wrote shows at the next turn, as if the request had come a moment earlier.
 */
export class Snapshot {
  readonly #db: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  #open = false

  /** A connection of its own: on the writer's, an open read would be in the way of the next write. */
  constructor(db: DatabaseSync) {
    this.#db = db
    this.#begin = db.prepare('begin')
    this.#commit = db.prepare('commit')
  }

  /** Rows come as their values, in the order of the columns. */
  reading(sql: string): (...values: SQLInputValue[]) => unknown {
    const statement = this.#db.prepare(sql)
    statement.setReturnArrays(true)
    return (...values) => {
      this.#share()
      return statement.get(...values)
    }
  }

  end(): void {
    if (!this.#open) return
    this.#open = false
    this.#commit.run()
  }

  close(): void {
    this.end()
    this.#db.close()
  }

  #share(): void {
    if (this.#open) return
    this.#begin.run()
    this.#open = true
    setImmediate(() => this.end())
  }
}
