/** What happened, in the SQLite file: facts go in with the change they tell of, and come out newest first. */

import type { Fact, Store } from '../core/ports.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { storable } from './storable.ts'

const COLUMNS = 'seq, tenant, at, actor, action, subject, reason'

/** To be called inside the transaction of the change. */
export function writeFacts(file: SqliteFile, facts: readonly Fact[]): void {
  const insert = file.prepare(
    `insert into history (tenant, at, actor, action, subject, reason) values (:tenant, :at, :actor, :action, :subject, :reason)`,
  )
  for (const { tenant, at, actor, action, subject, reason } of facts)
    insert.run(storable({ tenant, at, actor, action, subject, reason }))
}

export function sqliteHistory(file: SqliteFile): Pick<Store, 'record' | 'history'> {
  const ofAll = file.prepare(`select ${COLUMNS} from history where seq < :before order by seq desc limit :limit`)
  const ofTenant = file.prepare(
    `select ${COLUMNS} from history where tenant = :tenant and seq < :before order by seq desc limit :limit`,
  )
  return {
    async record(facts) {
      file.transaction(() => writeFacts(file, facts))
    },

    async history(tenant, { before, limit }) {
      const page = { before: before ?? Number.MAX_SAFE_INTEGER, limit }
      const rows = tenant === null ? ofAll.all(page) : ofTenant.all({ tenant, ...page })
      return rows.map((row) => ({ ...row }) as unknown as Fact & { seq: number })
    },
  }
}
