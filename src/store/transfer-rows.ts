/** Rows on their way from SQLite to PostgreSQL: read by key, page by page, on both sides; written many at a time. */

import type { Client } from 'pg'
import type { SqliteFile } from './sqlite-file.ts'

const PAGE = 500

export interface Table {
  readonly name: string
  readonly key: readonly string[]
  readonly arrival?: Arrival
  /** A column of the source that the target does not have. */
  readonly left?: string
}

/** A column of the target that counts arrivals, and what the source has for it. */
export interface Arrival {
  readonly column: string
  readonly source: string
}

export type Row = Readonly<Record<string, string | number | Uint8Array | null>>

export function columnsOf(source: SqliteFile, { name, left }: Table): string[] {
  return source
    .prepare(`select name from pragma_table_info('${name}')`)
    .all()
    .map((column) => String(column['name']))
    .filter((column) => column !== left)
}

/** All of a table, in the order of its key, with what it has for the arrival. */
export function* pagesOf(source: SqliteFile, table: Table): Generator<Row[]> {
  const { name, key, arrival } = table
  const columns = columnsOf(source, table)
  if (arrival && arrival.source !== arrival.column) columns.push(`${arrival.source} as ${arrival.column}`)
  const read = columns.join(', ')
  const order = `order by ${key.join(', ')} limit ${PAGE}`
  const first = source.prepare(`select ${read} from ${name} ${order}`)
  const next = source.prepare(
    `select ${read} from ${name} where (${key.join(', ')}) > (${key.map(() => '?').join(', ')}) ${order}`,
  )
  for (let rows = first.all() as Row[]; rows.length > 0; ) {
    yield rows
    const last = rows.at(-1) as Row
    rows = next.all(...key.map((column) => last[column] ?? null)) as Row[]
  }
}

/** The page of the target that comes after a row. */
export async function pageThere(client: Client, table: Table, columns: readonly string[], last: Row | null): Promise<Row[]> {
  const { name, key } = table
  const places = key.map((_, at) => `$${at + 1}`).join(', ')
  const where = last === null ? '' : `where (${key.join(', ')}) > (${places})`
  const read = withArrival(table, columns).join(', ')
  const sql = `select ${read} from ${name} ${where} order by ${key.join(', ')} limit ${PAGE}`
  const { rows } = await client.query<Row>(sql, last === null ? [] : key.map((column) => last[column]))
  return rows
}

/** What is there already stays: it came with an earlier try, and is compared in the end. */
export async function writerOf(
  client: Client,
  table: Table,
  columns: readonly string[],
): Promise<(rows: readonly Row[]) => Promise<void>> {
  const names = withArrival(table, columns)
  const { rows: known } = await client.query<{ name: string; type: string }>(
    `select column_name as name, data_type as type from information_schema.columns where table_schema = current_schema() and table_name = $1`,
    [table.name],
  )
  const types = new Map(known.map(({ name, type }) => [name, type]))
  const arrays = names.map((name, at) => `$${at + 1}::${types.get(name)}[]`).join(', ')
  const sql = `insert into ${table.name} (${names.join(', ')}) ${table.arrival ? 'overriding system value' : ''}
    select * from unnest(${arrays}) on conflict do nothing`
  return async (rows) => {
    await client.query(
      sql,
      names.map((name) => rows.map((row) => bindable(row[name] ?? null))),
    )
  }
}

/** One way to write a row down, whichever database it was read from. */
export function lineOf(row: Row): string {
  const columns = Object.keys(row).sort()
  return JSON.stringify(columns.map((column) => [column, plain(row[column] ?? null)]))
}

function withArrival({ arrival }: Table, columns: readonly string[]): readonly string[] {
  return arrival && !columns.includes(arrival.column) ? [...columns, arrival.column] : columns
}

/** Bytes are told from a text that looks like them. */
function plain(value: string | number | Uint8Array | null): unknown {
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value
}

function bindable(value: string | number | Uint8Array | null): string | number | Buffer | null {
  return value instanceof Uint8Array ? Buffer.from(value) : value
}
