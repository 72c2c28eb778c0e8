/** Rows with sealed columns in the SQLite file, whatever their table. */

import { SEALED_TABLES, type SealedStore } from '../core/ports.ts'
import { replacing, sealedFrom, sealedStatements, wrappedFrom } from './sealed-rows.ts'
import type { SqliteFile } from './sqlite-file.ts'

export function sqliteSealed(file: SqliteFile): SealedStore {
  const statements = Object.fromEntries(SEALED_TABLES.map((table) => [table, sealedStatements(table)])) as Record<
    (typeof SEALED_TABLES)[number],
    ReturnType<typeof sealedStatements>
  >
  const bump = file.prepare(`update counters set value = value + 1 where name = 'records'`)

  return {
    async page(table, { after, limit }) {
      const { first, further } = statements[table]
      if (!after)
        return file
          .prepare(first)
          .all({ limit })
          .map((row) => wrappedFrom(table, row))
      const place = table === 'attempts' ? { after_id: after.id } : { after_tenant: after.tenant, after_id: after.id }
      return file
        .prepare(further)
        .all({ ...place, limit })
        .map((row) => wrappedFrom(table, row))
    },

    async find({ tenant, table, id }) {
      const row = file.prepare(statements[table].find).get({ tenant, id })
      return row === undefined ? null : sealedFrom(table, row)
    },

    async replace(seen, next) {
      const { table } = seen.row
      return file.transaction(() => {
        if (file.prepare(statements[table].replace).run(replacing(seen, next)).changes === 0) return false
        // What other processes remember of it is read again.
        if (table === 'apps' || table === 'broker_keys') bump.run()
        return true
      })
    },
  }
}
