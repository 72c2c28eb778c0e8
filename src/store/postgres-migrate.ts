/** Brings a PostgreSQL database to the schema that this version needs: numbered SQL files, each applied whole or not at all. */

import { setTimeout as pause } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { appliedOf, checksum, type Migration } from './migrate.ts'

/** ‘Ltch’: who migrates this database waits for whoever does already. The lock ends with the transaction. */
const LOCK = 0x4c746368
const PATIENCE_MS = 600_000
/**
 * A table that is changed is locked for all, and whoever asks for that lock is in front of everybody who comes later: while it waits for a dump of the
 * database to be done, the servers would wait for it. So it is asked for this long, and again after a while. Longer than a second, after which the
 * server sends a vacuum of its own away.
 */
const TABLE_LOCK_MS = 2_000
const PAUSE_MS = 2_000
const LOCK_NOT_AVAILABLE = '55P03'

/** Safe at any moment in any number of processes, on a connection that has no transaction open. */
export async function migratePostgres(client: ClientBase, migrations: readonly Migration[]): Promise<void> {
  const until = Date.now() + PATIENCE_MS
  let applied = await check(client, migrations)
  while (applied < migrations.length) {
    await client.query('begin')
    try {
      await client.query(`set local lock_timeout = ${PATIENCE_MS}; set local statement_timeout = ${PATIENCE_MS}`)
      await client.query(`select pg_advisory_xact_lock(${LOCK})`)
      await client.query(`set local lock_timeout = ${TABLE_LOCK_MS}`)
      // Looked at again now that nobody else migrates: another process may have been faster.
      applied = await check(client, migrations)
      const next = migrations[applied]
      if (next) await apply(client, next)
      await client.query('commit')
    } catch (error) {
      await client.query('rollback').catch(() => undefined)
      if (!isInTheWay(error as Error) || Date.now() > until) throw error
      await pause(PAUSE_MS)
    }
  }
}

/** Somebody has a table open that is to be changed. */
function isInTheWay({ cause }: { cause?: unknown }): boolean {
  return (cause as { code?: unknown } | undefined)?.code === LOCK_NOT_AVAILABLE
}

/** How many of ours the database has; throws when they are others, when ours cannot work on what a newer version left, or when it is not ours at all. */
async function check(client: ClientBase, migrations: readonly Migration[]): Promise<number> {
  const { rows } = await client.query<{ name: string; ours: number | string }>(
    `select t.table_name as name, (
       select count(*) from information_schema.columns c
       where c.table_schema = t.table_schema and c.table_name = 'migrations' and c.column_name = 'checksum'
     ) as ours
     from information_schema.tables t where t.table_schema = current_schema() and t.table_type = 'BASE TABLE' limit 1`,
  )
  const [any] = rows
  if (!any) return 0
  if (Number(any.ours) === 0) throw new Error('it belongs to another program; name another database')
  return appliedOf((await client.query('select * from migrations order by number')).rows, migrations)
}

async function apply(client: ClientBase, migration: Migration): Promise<void> {
  const { number, name, sql, needs } = migration
  try {
    await client.query(
      'create table if not exists migrations (number bigint primary key, name text not null, checksum text not null, applied_at bigint not null)',
    )
    await client.query(sql)
    const entry = 'insert into migrations (number, name, checksum, applied_at) values ($1, $2, $3, $4)'
    await client.query(entry, [number, name, checksum(migration), Date.now()])
    if (needs !== undefined) await client.query('update migrations set needs = $1 where number = $2', [needs, number])
  } catch (error) {
    throw new Error(`migration ${number} “${name}” failed and left no trace: ${(error as Error).message}`, { cause: error })
  }
}
