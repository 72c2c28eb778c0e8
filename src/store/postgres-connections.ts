/** Connections in PostgreSQL: read by the token path, written by whoever holds the right to. */

import type { Connection, Health, Lease } from '../core/connection.ts'
import type { ConnectionStore } from '../core/ports.ts'
import {
  CONNECTION_COLUMNS,
  CONTENTS_COLUMNS,
  type ConnectionRow,
  connectionContents,
  connectionFrom,
  dueSql,
  GIVE_BACK,
  GLANCE_COLUMNS,
  type GlanceRow,
  glanceFrom,
  INSERTED_COLUMNS,
  insertedValues,
  TO_TAKE_BACK,
  WRITTEN_COLUMNS,
} from './connection-rows.ts'
import { listings, merged, NEWEST_FIRST } from './listing.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { changeWithFacts, writeFacts } from './postgres-history.ts'
import type { Ask, Values } from './postgres-statement.ts'

const GLANCE = `select ${GLANCE_COLUMNS} from connections where tenant = :tenant and id = :id`
const FIND = `select ${CONNECTION_COLUMNS} from connections where tenant = :tenant and id = :id`

/** Locks the row and looks at it again once it has it, so that of any number at once one finds what it asks for. */
const CLAIM = `with earlier as (
    select tenant, id, fence, lease_holder, lease_started_at, lease_until from connections
    where tenant = :tenant and id = :id and version = :version and (lease_until is null or lease_until <= :now) for update
  )
  update connections set version = connections.version + 1, fence = connections.fence + 1,
    lease_holder = :holder, lease_started_at = :now, lease_until = :until, due_at = coalesce(:dueAt, connections.due_at)
  from earlier where connections.tenant = earlier.tenant and connections.id = earlier.id
  returning ${CONNECTION_COLUMNS.replace(/\w+/g, 'connections.$&')},
    earlier.fence as earlier_fence, earlier.lease_holder as earlier_holder,
    earlier.lease_started_at as earlier_started_at, earlier.lease_until as earlier_until`

const CONTENTS = CONTENTS_COLUMNS.map((column) => `${column} = :${column}`).join(', ')
const SETTLE = `update connections set ${CONTENTS}, version = version + 1, ${GIVE_BACK}
  where tenant = :tenant and id = :id and fence = :fence and lease_holder is not null`
const SAVE = `update connections set ${CONTENTS}, version = version + 1, fence = fence + 1, ${GIVE_BACK}
  where tenant = :tenant and id = :id and version = :version`

/** Whoever looks at the same time takes others. */
const DUE = `update connections set due_at = :until
  where (tenant, id) in (select tenant, id from connections where due_at <= :now order by due_at, tenant, id limit :limit for update skip locked)
  returning ${CONNECTION_COLUMNS}`
const WALK = `select ${CONNECTION_COLUMNS} from connections order by tenant, id limit :limit`
const WALK_ON = `select ${CONNECTION_COLUMNS} from connections where (tenant, id) > (:tenant, :id) order by tenant, id limit :limit`
/** One row after the other would be as many round trips. */
const NOTE_USED = `update connections set used_at = :day where tenant = :tenant and (used_at is null or used_at < :day)
  and id in (select value from json_array_elements_text(cast(:ids as json)))`

const REMOVE = 'delete from connections where tenant = :tenant and id = :id returning version'
const REMEMBER = `update counters set value = greatest(value, :version) where name = 'removed'`
/** Before anything else is locked, by all who write to the same rows: nobody waits for somebody who waits for them. */
const REMOVED = `select value from counters where name = 'removed'`
const REPLACE = `insert into connections (${INSERTED_COLUMNS.join(', ')}, version, fence)
  values (:${INSERTED_COLUMNS.join(', :')}, :version, :fence)
  on conflict (tenant, id) do update set
    ${WRITTEN_COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ')},
    version = connections.version + 1, fence = connections.fence + 1, ${GIVE_BACK}`

const BYTES = new Set(['data_key', 'access_token', 'refresh_token', 'extra'])
const ARRAYS = INSERTED_COLUMNS.map((column) => {
  const type = BYTES.has(column) ? 'bytea' : column.endsWith('_at') ? 'bigint' : 'text'
  return `cast(:${column} as ${type}[])`
})
const ADD_ALL = `insert into connections (${INSERTED_COLUMNS.join(', ')}, version, fence)
  select ${INSERTED_COLUMNS.join(', ')}, :version, :fence
  from unnest(${ARRAYS.join(', ')}) as added (${INSERTED_COLUMNS.join(', ')})
  on conflict (tenant, id) do nothing
  returning tenant, id`

export function postgresConnections(database: PostgresDatabase): ConnectionStore {
  return {
    async glance(tenant, id) {
      const [row] = (await database.point(GLANCE, { tenant, id })).rows
      return row === undefined ? null : glanceFrom(tenant, Object.values(row) as unknown as GlanceRow)
    },

    async find(tenant, id) {
      const [row] = (await database.point(FIND, { tenant, id })).rows
      return row === undefined ? null : connectionFrom(row as unknown as ConnectionRow)
    },

    async list(tenant, filter, page) {
      const lists: Connection[][] = []
      for (const { where, values } of listings('postgres', tenant, filter, page.after)) {
        const sql = `select ${CONNECTION_COLUMNS} from connections where ${where} ${NEWEST_FIRST}`
        const { rows } = await database.ask(sql, { ...values, limit: page.limit })
        lists.push(rows.map((row) => connectionFrom(row as unknown as ConnectionRow)))
      }
      return merged(lists, page.limit)
    },

    async claim({ tenant, id, version }, { holder, now, until, dueAt = null }) {
      const [row] = (await database.ask(CLAIM, { tenant, id, version, holder, now, until, dueAt })).rows
      return row === undefined
        ? null
        : { connection: connectionFrom(row as unknown as ConnectionRow), overdue: earlierLease(row as unknown as EarlierLease) }
    },

    async settle({ tenant, id, lease }, next, facts) {
      if (!lease) return false
      return changeWithFacts(database, SETTLE, { ...connectionContents(next), tenant, id, fence: lease.fence }, facts)
    },

    async save({ tenant, id, version }, next, facts) {
      return changeWithFacts(database, SAVE, { ...connectionContents(next), tenant, id, version }, facts)
    },

    async due(now, until, limit) {
      const { rows } = await database.ask(DUE, { now, until, limit })
      return rows.map((row) => connectionFrom(row as unknown as ConnectionRow))
    },

    async remove(tenant, id, facts) {
      return database.transaction(async (ask) => {
        await ask(`${REMOVED} for update`)
        const [removed] = (await ask(REMOVE, { tenant, id })).rows
        if (!removed) return false
        await ask(REMEMBER, { version: removed['version'] as number })
        await writeFacts(ask, facts)
        return true
      })
    },

    async toTakeBack(now, limit, except) {
      const { where, values } = dueSql(except)
      const sql = `select ${CONNECTION_COLUMNS} from connections where ${where}`
      return (await database.ask(sql, { ...values, now, limit })).rows.map((row) =>
        connectionFrom(row as unknown as ConnectionRow),
      )
    },

    async countToTakeBack() {
      const { rows } = await database.ask(`select count(*) as count from connections where ${TO_TAKE_BACK}`)
      return rows[0]?.['count'] as number
    },

    async walk(after, limit) {
      const { rows } = await (after === null
        ? database.ask(WALK, { limit })
        : database.ask(WALK_ON, { tenant: after.tenant, id: after.id, limit }))
      return rows.map((row) => connectionFrom(row as unknown as ConnectionRow))
    },

    async noteUsed(used, day) {
      for (const [tenant, ids] of byTenant(used)) {
        await database.ask(NOTE_USED, { tenant, ids: JSON.stringify(ids), day })
      }
    },

    async addAll(connections, factsOf) {
      const rows = connections.map((one): Values => insertedValues(one))
      const columns = Object.fromEntries(
        INSERTED_COLUMNS.map((column) => [column, rows.map((row) => row[column] as string | number | Uint8Array | null)]),
      )
      return database.transaction(async (ask) => {
        const removed = await countsOfRemoved(ask)
        const added = (await ask(ADD_ALL, { ...columns, version: removed + 1, fence: removed })).rows
        const keys = new Set(added.map(({ tenant, id }) => JSON.stringify([tenant, id])))
        // Of two with one id it was the first.
        const fresh = connections.filter(({ tenant, id }) => keys.delete(JSON.stringify([tenant, id])))
        if (fresh.length > 0) await writeFacts(ask, factsOf(fresh))
        return fresh
      })
    },

    async count(filter) {
      const named = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined)
      const where = named.length === 0 ? '' : `where ${named.map(([column]) => `${column} = :${column}`).join(' and ')}`
      const sql = `select state, count(*) as count from connections ${where} group by state`
      const { rows } = await database.ask(sql, Object.fromEntries(named))
      const counted = Object.fromEntries(rows.map(({ state, count }) => [state, count])) as Partial<
        Record<Health['state'], number>
      >
      return { connected: 0, failing: 0, broken: 0, revoked: 0, ...counted }
    },
  }
}

/**
 * To be called before anything else in a transaction that ends with `replaceConnection`. Resolves to where versions and fences of a new
 * connection start: above those of any that was removed, and no other is removed before the transaction ends. Should its id have been used
 * before, nobody who still holds the old one can write over the new.
 */
export async function countsOfRemoved(ask: Ask): Promise<number> {
  const [row] = (await ask(`${REMOVED} for share`)).rows
  return row?.['value'] as number
}

/** Whether it is at the version that was seen, and stays so until the transaction ends. */
export async function isAsSeen(ask: Ask, { tenant, id, version }: Connection): Promise<boolean> {
  const { rows } = await ask('select version from connections where tenant = :tenant and id = :id for update', { tenant, id })
  return rows[0]?.['version'] === version
}

/** Writes a connection over the one with its id, or anew. */
export async function replaceConnection(ask: Ask, connection: Connection, removed: number): Promise<void> {
  await ask(REPLACE, { ...insertedValues(connection), version: removed + 1, fence: removed })
}

function byTenant(used: readonly Pick<Connection, 'tenant' | 'id'>[]): Map<string, string[]> {
  const ids = new Map<string, string[]>()
  for (const { tenant, id } of used) ids.set(tenant, [...(ids.get(tenant) ?? []), id])
  return ids
}

interface EarlierLease {
  earlier_fence: number
  earlier_holder: string | null
  earlier_started_at: number
  earlier_until: number
}

function earlierLease(row: EarlierLease): Lease | null {
  if (row.earlier_holder === null) return null
  return { holder: row.earlier_holder, fence: row.earlier_fence, startedAt: row.earlier_started_at, until: row.earlier_until }
}
