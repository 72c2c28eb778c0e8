/** Where sealed columns stand in each table, and the statements that put a row under another master key: the same for both databases. */

import type { SealedRow, SealedTable, WrappedRow } from '../core/ports.ts'

interface Columns {
  /** The row's id, as its seal knows it. */
  readonly id: string
  /** What the table is walked by: its primary key. */
  readonly key: readonly string[]
  readonly sealed: readonly string[]
  /** Counts the writes of a row. */
  readonly version: 'version' | null
  readonly leaseUntil: 'lease_until' | null
}

const none = { version: null, leaseUntil: null } as const

const TABLES: Readonly<Record<SealedTable, Columns>> = {
  connections: {
    ...{ id: 'id', key: ['tenant', 'id'], sealed: ['access_token', 'refresh_token', 'extra'] },
    ...{ version: 'version', leaseUntil: 'lease_until' },
  },
  attempts: { id: 'id', key: ['id'], sealed: ['code_verifier', 'nonce', 'answer', 'departure'], ...none },
  apps: { id: 'key_code_ref', key: ['tenant', 'key_code_ref'], sealed: ['client_secret', 'private_key'], ...none },
  webhooks: { id: 'id', key: ['tenant', 'id'], sealed: ['secret', 'previous_secret'], ...none },
  broker_keys: { id: 'id', key: ['tenant', 'id'], sealed: ['sealed'], ...none },
}

/** What a column was sealed for is its name, but for keys: theirs is the purpose. */
const FIELD_OF_KEY = 'purpose'

type Value = string | number | Uint8Array | null
type Values = Record<string, Value>
type Result = Readonly<Record<string, unknown>>

export interface SealedStatements {
  readonly first: string
  readonly further: string
  readonly find: string
  readonly replace: string
}

export function sealedStatements(table: SealedTable): SealedStatements {
  const { id, key, sealed, version, leaseUntil } = TABLES[table]
  const page = (where: string): string =>
    `select tenant, ${id} as id, data_key from ${table} where data_key is not null${where} order by ${key.join(', ')} limit :limit`
  const further = key.length === 1 ? `${id} > :after_id` : `(${key.join(', ')}) > (:after_tenant, :after_id)`
  const columns = [
    ...['tenant', `${id} as id`, 'data_key', ...sealed],
    ...(table === 'broker_keys' ? [FIELD_OF_KEY] : []),
    `${version ?? 'null'} as version`,
    `${leaseUntil ?? 'null'} as lease_until`,
  ]
  const which = `tenant = :tenant and ${id} = :id`
  // A renewal, a reconnection or whoever else wrote meanwhile has bytes of another key, or another version.
  const seen = version
    ? 'version = :version and data_key = :seen_data_key'
    : ['data_key', ...sealed].map((column) => `${column} is not distinct from :seen_${column}`).join(' and ')
  const next = ['data_key', ...sealed].map((column) => `${column} = :${column}`)
  return {
    first: page(''),
    further: page(` and ${further}`),
    find: `select ${columns.join(', ')} from ${table} where ${which} and data_key is not null`,
    // The version goes up, so that nobody who read the bytes before puts some of them beside these.
    replace: `update ${table} set ${[...next, ...(version ? ['version = version + 1'] : [])].join(', ')} where ${which} and ${seen}`,
  }
}

export function wrappedFrom(table: SealedTable, { tenant, id, data_key }: Result): WrappedRow {
  return { row: { tenant: String(tenant), table, id: String(id) }, dataKey: data_key as Uint8Array }
}

export function sealedFrom(table: SealedTable, found: Result): SealedRow {
  const fields = TABLES[table].sealed.map((column) => [fieldOf(table, column, found), found[column] as Uint8Array | null])
  return {
    ...wrappedFrom(table, found),
    fields: Object.fromEntries(fields),
    version: found['version'] as number | null,
    leaseUntil: found['lease_until'] as number | null,
  }
}

export function replacing(seen: SealedRow, next: Pick<SealedRow, 'dataKey' | 'fields'>): Values {
  const { table, tenant, id } = seen.row
  const values: Values = { tenant, id, data_key: next.dataKey, seen_data_key: seen.dataKey }
  for (const column of TABLES[table].sealed) {
    const [field = column] = table === 'broker_keys' ? Object.keys(seen.fields) : [column]
    values[column] = next.fields[field] ?? null
    if (seen.version === null) values[`seen_${column}`] = seen.fields[field] ?? null
  }
  if (seen.version !== null) values['version'] = seen.version
  return values
}

function fieldOf(table: SealedTable, column: string, found: Result): string {
  return table === 'broker_keys' ? String(found[FIELD_OF_KEY]) : column
}
