/** The store in one SQLite file, which several processes of one machine may share. `docs/storage.md` tells what stands in it. */

import type { Store } from '../core/ports.ts'
import { isClosed, MOVED } from './moved.ts'
import { sqliteAttempts } from './sqlite-attempts.ts'
import { sqliteAudit } from './sqlite-audit.ts'
import { sqliteConnections } from './sqlite-connections.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { sqliteHistory, writeFacts } from './sqlite-history.ts'
import { sqliteRecords } from './sqlite-records.ts'
import { sqliteSealed } from './sqlite-sealed.ts'
import { sqliteWebhooks } from './sqlite-webhooks.ts'
import { withTypedFailures } from './stored-failure.ts'

/** An extended result code says more in its higher bits. */
const PRIMARY = 0xff
/** BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL. */
const PASSING = new Set([5, 6, 7, 8, 10, 13, 14, 15])

/** `:memory:` makes one that ends with the process. SQLite answers at once: the methods are asynchronous for the port's sake. */
export async function openSqliteStore(path: string, tell?: (message: string) => void): Promise<Store> {
  const file = openSqliteFile(path, tell)
  if (isClosed(file)) {
    file.close()
    const remedy = `set LATCHSTRING_DATABASE_URL to that one; if nothing ran there yet, latchstring migrate --abandon --from sqlite:${path} takes it back`
    throw new Error(`${path} was moved to another database, or is on its way there: ${remedy}`)
  }
  // Only a write that reaches the disk proves that the next one can.
  const ping = file.prepare(`update counters set value = value + 1 where name = 'pings'`)
  const life = file.prepare('select value from counters where name = ?')
  const live = file.prepare('update counters set value = max(value, ?) where name = ?')
  const store: Store = {
    attempts: sqliteAttempts(file),
    connections: sqliteConnections(file),
    records: sqliteRecords(file),
    webhooks: sqliteWebhooks(file),
    sealed: sqliteSealed(file),
    audit: sqliteAudit(file),
    ...sqliteHistory(file),

    async clock() {
      return null
    },

    async life() {
      const value = (name: string): number => Number(life.get(name)?.['value'] ?? 0)
      return { lived: value('lived'), restored: value('restored') }
    },

    async live(moments, facts) {
      file.transaction(() => {
        for (const [name, at] of Object.entries(moments)) live.run(at, name)
        writeFacts(file, facts)
      })
    },

    async ping() {
      file.transaction(() => ping.run())
    },

    async close() {
      file.close()
    },
  }
  return withTypedFailures(store, mayPass)
}

/** The file is locked, its disk is full or failing, it cannot be opened, written or mapped any more, or it is moved just now. */
function mayPass(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' && (code === MOVED || PASSING.has(code & PRIMARY))
}
