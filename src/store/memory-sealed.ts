/** Rows with sealed fields, in memory: each part of the store has a shelf of its own. */

import { isDeepStrictEqual } from 'node:util'
import type { Row, SealedRow, SealedStore, SealedTable } from '../core/ports.ts'
import { copy } from './memory-history.ts'

export interface Shelf {
  rows(): SealedRow[]
  put(seen: SealedRow, next: Pick<SealedRow, 'dataKey' | 'fields'>): void
}

export type Shelves = Record<SealedTable, Shelf>

export function shelved(row: Row, dataKey: Uint8Array, fields: SealedRow['fields']): SealedRow {
  return { row, dataKey, fields, version: null, leaseUntil: null }
}

export function memorySealed(): { shelves: Shelves; sealed: SealedStore } {
  const empty: Shelf = { rows: () => [], put() {} }
  const shelves: Shelves = { connections: empty, attempts: empty, apps: empty, webhooks: empty, broker_keys: empty }
  const inOrder = (table: SealedTable): SealedRow[] => shelves[table].rows().sort((a, b) => compare(a.row, b.row))
  const at = (row: Row): SealedRow | undefined =>
    inOrder(row.table).find((one) => one.row.tenant === row.tenant && one.row.id === row.id)
  return {
    shelves,
    sealed: {
      page: async (table, { after, limit }) => {
        const rows = inOrder(table).filter(({ row }) => !after || compare(row, { ...after, table }) > 0)
        return copy(rows.slice(0, limit).map(({ row, dataKey }) => ({ row, dataKey })))
      },
      find: async (row) => copy(at(row) ?? null),
      replace: async (seen, next) => {
        if (!isSame(at(seen.row), seen)) return false
        shelves[seen.row.table].put(seen, copy({ dataKey: next.dataKey, fields: next.fields }))
        return true
      },
    },
  }
}

/** Of a connection its version says it, of all else what is sealed. */
function isSame(current: SealedRow | undefined, seen: SealedRow): boolean {
  if (!current || Buffer.compare(current.dataKey, seen.dataKey) !== 0) return false
  return seen.version === null ? isDeepStrictEqual(copy(current.fields), copy(seen.fields)) : current.version === seen.version
}

/** In the order of the tables' keys: attempts have their id alone. */
function compare(a: Row, b: Row): number {
  const [first, second] =
    a.table === 'attempts'
      ? [[a.id], [b.id]]
      : [
          [a.tenant, a.id],
          [b.tenant, b.id],
        ]
  const at = first.findIndex((part, i) => part !== second[i])
  return at < 0 ? 0 : first[at]! < second[at]! ? -1 : 1
}
