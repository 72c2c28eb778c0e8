/** The store in a PostgreSQL database, which any number of processes on any number of machines may share. `docs/storage.md` tells what stands in it. */

import { join } from 'node:path'
import type { Client } from 'pg'
import type { Store } from '../core/ports.ts'
import { readMigrations } from './migrate.ts'
import { postgresAttempts } from './postgres-attempts.ts'
import { postgresAudit } from './postgres-audit.ts'
import { postgresConnections } from './postgres-connections.ts'
import { connectTo, PostgresDatabase } from './postgres-database.ts'
import { explainOpening, mayPass } from './postgres-failure.ts'
import { postgresHistory, writeFacts } from './postgres-history.ts'
import { migratePostgres } from './postgres-migrate.ts'
import { postgresRecords } from './postgres-records.ts'
import { postgresSealed } from './postgres-sealed.ts'
import { postgresWebhooks } from './postgres-webhooks.ts'
import { withTypedFailures } from './stored-failure.ts'

const MIGRATIONS = readMigrations(join(import.meta.dirname, 'migrations', 'postgres'))

/** `postgres://user:password@host:port/database`. The database must be there; its tables are made. */
export async function openPostgresStore(url: string): Promise<Store> {
  await prepare(url).catch((error: unknown) => {
    throw explainOpening(url, error)
  })
  const database = new PostgresDatabase(url)
  const store: Store = {
    attempts: postgresAttempts(database),
    connections: postgresConnections(database),
    records: postgresRecords(database),
    webhooks: postgresWebhooks(database),
    sealed: postgresSealed(database),
    audit: postgresAudit(database),
    ...postgresHistory(database),

    async clock() {
      const { rows } = await database.ask('select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) as clock')
      return Number(rows[0]?.['clock'])
    },

    async life() {
      const { rows } = await database.ask(`select name, value from counters where name in ('lived', 'restored')`)
      const value = (wanted: string): number => Number(rows.find(({ name }) => name === wanted)?.['value'] ?? 0)
      return { lived: value('lived'), restored: value('restored') }
    },

    async live(moments, facts) {
      await database.transaction(async (ask) => {
        for (const [name, at] of Object.entries(moments))
          await ask('update counters set value = greatest(value, cast(:at as bigint)) where name = :name', { name, at })
        await writeFacts(ask, facts)
      })
    },

    // Only a write that reaches the disk proves that the next one can.
    async ping() {
      await database.ask(`update counters set value = value + 1 where name = 'pings'`)
    },

    async close() {
      await database.close()
    },
  }
  return withTypedFailures(store, mayPass)
}

async function prepare(url: string): Promise<void> {
  const client = await preparePostgres(url)
  try {
    const { rowCount } = await client.query(`select 1 from counters where name = 'moving'`)
    if (rowCount) throw new Error('not everything has been moved into it: run the same latchstring migrate again')
  } finally {
    await client.end()
  }
}

/** A connection to a database that has our schema now. */
export async function preparePostgres(url: string): Promise<Client> {
  const client = await connectTo(url)
  try {
    await migratePostgres(client, MIGRATIONS)
    return client
  } catch (error) {
    await client.end()
    throw error
  }
}
