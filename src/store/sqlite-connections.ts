/** Connections in the SQLite file: read by the token path, written by whoever holds the right to. */

import type { SQLInputValue } from 'node:sqlite'
import { setImmediate as turn } from 'node:timers/promises'
import type { Connection, Health } from '../core/connection.ts'
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
import { placeOf } from './places.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { writeFacts } from './sqlite-history.ts'
import { storable } from './storable.ts'

/** A write here keeps everybody waiting: five hundred rows took 60 ms on a busy machine, and twenty take about one. */
const NOTED_AT_ONCE = 20

export function sqliteConnections(file: SqliteFile): ConnectionStore {
  // Each column costs about a quarter of a microsecond, and this is asked all day.
  const glance = file.reading(`select ${GLANCE_COLUMNS} from connections where place = ? and tenant = ? and id = ?`)
  const glanceElsewhere = file.reading(`select ${GLANCE_COLUMNS} from connections where tenant = ? and id = ?`)
  const find = file.prepare(`select ${CONNECTION_COLUMNS} from connections where tenant = ? and id = ?`)
  const claim = file.prepare(
    `update connections set version = version + 1, fence = fence + 1,
       lease_holder = :holder, lease_started_at = :now, lease_until = :until, due_at = coalesce(:dueAt, due_at)
     where tenant = :tenant and id = :id returning ${CONNECTION_COLUMNS}`,
  )
  const contents = CONTENTS_COLUMNS.map((column) => `${column} = :${column}`).join(', ')
  // Indexes on what never changes are left alone: a third more renewals a second.
  const settle = file.prepare(
    `update connections set ${contents}, version = version + 1, ${GIVE_BACK}
     where tenant = :tenant and id = :id and fence = :fence and lease_holder is not null`,
  )
  const save = file.prepare(
    `update connections set ${contents}, version = version + 1, fence = fence + 1, ${GIVE_BACK}
     where tenant = :tenant and id = :id and version = :version`,
  )
  const due = file.prepare(
    `update connections set due_at = :until
     where (tenant, id) in (select tenant, id from connections where due_at <= :now order by due_at, tenant, id limit :limit)
     returning ${CONNECTION_COLUMNS}`,
  )
  const remove = file.prepare('delete from connections where tenant = ? and id = ? returning version')
  const waiting = file.prepare(`select count(*) as count from connections where ${TO_TAKE_BACK}`)
  const walk = file.prepare(`select ${CONNECTION_COLUMNS} from connections order by tenant, id limit :limit`)
  const walkOn = file.prepare(
    `select ${CONNECTION_COLUMNS} from connections where (tenant, id) > (:tenant, :id) order by tenant, id limit :limit`,
  )
  const notYet = '(used_at is null or used_at < :day)'
  const noteUsed = file.prepare(
    `update connections set used_at = :day where place = :place and tenant = :tenant and id = :id and ${notYet}`,
  )
  const noteUsedElsewhere = file.prepare(
    `update connections set used_at = :day where tenant = :tenant and id = :id and ${notYet}`,
  )
  const add = file.prepare(`${INSERT} on conflict (tenant, id) do nothing`)
  const remember = file.prepare(`update counters set value = max(value, ?) where name = 'removed'`)

  return {
    glance(tenant, id) {
      const row = glance(placeOf(id), tenant, id) ?? glanceElsewhere(tenant, id)
      return row === undefined ? null : glanceFrom(tenant, row as unknown as GlanceRow)
    },

    async find(tenant, id) {
      const row = find.get(tenant, id)
      return row === undefined ? null : connectionFrom(row as unknown as ConnectionRow)
    },

    async list(tenant, filter, page) {
      const lists = listings('sqlite', tenant, filter, page.after).map(({ where, values }) =>
        file
          .prepare(`select ${CONNECTION_COLUMNS} from connections where ${where} ${NEWEST_FIRST}`)
          .all({ ...values, limit: page.limit })
          .map((row) => connectionFrom(row as unknown as ConnectionRow)),
      )
      return merged(lists, page.limit)
    },

    async claim({ tenant, id, version }, { holder, now, until, dueAt = null }) {
      return file.transaction(() => {
        const current = find.get(tenant, id) as ConnectionRow | undefined
        if (current?.version !== version) return null
        const { lease } = connectionFrom(current)
        if (lease && lease.until > now) return null
        const row = claim.get({ tenant, id, holder, now, until, dueAt })
        return { connection: connectionFrom(row as unknown as ConnectionRow), overdue: lease }
      })
    },

    async settle({ tenant, id, lease }, next, facts) {
      if (!lease) return false
      return file.transaction(() => {
        if (settle.run({ ...storable(connectionContents(next)), tenant, id, fence: lease.fence }).changes === 0) return false
        writeFacts(file, facts)
        return true
      })
    },

    async save({ tenant, id, version }, next, facts) {
      return file.transaction(() => {
        if (save.run({ ...storable(connectionContents(next)), tenant, id, version }).changes === 0) return false
        writeFacts(file, facts)
        return true
      })
    },

    async due(now, until, limit) {
      const rows = file.transaction(() => due.all({ now, until, limit }))
      return rows.map((row) => connectionFrom(row as unknown as ConnectionRow))
    },

    async remove(tenant, id, facts) {
      return file.transaction(() => {
        const removed = remove.get(tenant, id)
        if (!removed) return false
        remember.run(removed['version'] as number)
        writeFacts(file, facts)
        return true
      })
    },

    async toTakeBack(now, limit, except) {
      const { where, values } = dueSql(except)
      const rows = file.prepare(`select ${CONNECTION_COLUMNS} from connections where ${where}`).all({ ...values, now, limit })
      return rows.map((row) => connectionFrom(row as unknown as ConnectionRow))
    },

    async countToTakeBack() {
      return Number(waiting.get()?.['count'])
    },

    async walk(after, limit) {
      const rows = after === null ? walk.all({ limit }) : walkOn.all({ tenant: after.tenant, id: after.id, limit })
      return rows.map((row) => connectionFrom(row as unknown as ConnectionRow))
    },

    async noteUsed(used, day) {
      for (let begin = 0; begin < used.length; begin += NOTED_AT_ONCE) {
        if (begin > 0) await turn()
        file.transaction(() => {
          for (const { tenant, id } of used.slice(begin, begin + NOTED_AT_ONCE)) {
            // Finding a row by its index among many costs more than writing the day into it.
            const { changes } = noteUsed.run({ place: placeOf(id), tenant, id, day })
            if (changes === 0) noteUsedElsewhere.run({ tenant, id, day })
          }
        })
      }
    },

    async addAll(connections, factsOf) {
      return file.transaction(() => {
        const fresh = connections.filter((connection) => add.run(written(connection)).changes > 0)
        if (fresh.length > 0) writeFacts(file, factsOf(fresh))
        return fresh
      })
    },

    async count(filter) {
      const named = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined)
      const where = named.length === 0 ? '' : `where ${named.map(([column]) => `${column} = :${column}`).join(' and ')}`
      const rows = file
        .prepare(`select state, count(*) as count from connections ${where} group by state`)
        .all(Object.fromEntries(named))
      const counted = Object.fromEntries(rows.map(({ state, count }) => [state, count])) as Partial<
        Record<Health['state'], number>
      >
      return { connected: 0, failing: 0, broken: 0, revoked: 0, ...counted }
    },
  }
}

/** Whose place is taken lies after all others. */
const INSERT = `insert into connections (place, ${INSERTED_COLUMNS.join(', ')}, version, fence)
  select case when exists (select 1 from connections where place = :place) then null else :place end,
    :${INSERTED_COLUMNS.join(', :')}, value + 1, value from counters where name = 'removed'`

function written(connection: Connection): Record<string, SQLInputValue> {
  return { ...storable(insertedValues(connection)), place: placeOf(connection.id) }
}

/**
 * Writes a connection over the one with its id, or anew. Versions and fences of a new one start above those of any that was
 * removed: should its id have been used before, nobody who still holds the old one can write over the new. Only inside a transaction.
 */
export function connectionReplacer(file: SqliteFile): (connection: Connection) => void {
  const replace = file.prepare(
    `${INSERT}
     on conflict (tenant, id) do update set
       ${WRITTEN_COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ')},
       version = connections.version + 1, fence = connections.fence + 1, ${GIVE_BACK}`,
  )
  return (connection) => replace.run(written(connection))
}
