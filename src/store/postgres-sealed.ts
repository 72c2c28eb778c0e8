/** Rows with sealed columns in PostgreSQL, whatever their table. */

import type { SealedStore } from '../core/ports.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { replacing, sealedFrom, sealedStatements, wrappedFrom } from './sealed-rows.ts'

const BUMP = `update counters set value = value + 1 where name = 'records'`

export function postgresSealed(database: PostgresDatabase): SealedStore {
  return {
    async page(table, { after, limit }) {
      const { first, further } = sealedStatements(table)
      const place = after ? { after_tenant: after.tenant, after_id: after.id } : {}
      const { rows } = await database.ask(after ? further : first, { ...place, limit })
      return rows.map((row) => wrappedFrom(table, row))
    },

    async find({ tenant, table, id }) {
      const [row] = (await database.ask(sealedStatements(table).find, { tenant, id })).rows
      return row === undefined ? null : sealedFrom(table, row)
    },

    async replace(seen, next) {
      const { table } = seen.row
      const { replace } = sealedStatements(table)
      if (table !== 'apps' && table !== 'broker_keys') return (await database.ask(replace, replacing(seen, next))).count > 0
      return database.transaction(async (ask) => {
        // First in its transaction, as with every change of records; what other processes remember is read again.
        await ask(BUMP)
        return (await ask(replace, replacing(seen, next))).count > 0
      })
    },
  }
}
