/** Moves everything from a SQLite file to a PostgreSQL database, as it stands, and compares the two row by row. */

import { createHash, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Client } from 'pg'
import { closeForWriting, moveOf, openForWriting } from './moved.ts'
import { preparePostgres } from './postgres.ts'
import { explainOpening } from './postgres-failure.ts'
import { openSqliteFile, type SqliteFile } from './sqlite-file.ts'
import { type Arrival, columnsOf, lineOf, pagesOf, pageThere, type Row, type Table, writerOf } from './transfer-rows.ts'

/** In the order they are moved. */
const TABLES: readonly Table[] = [
  { name: 'broker_keys', key: ['tenant', 'id'] },
  { name: 'providers', key: ['tenant', 'id'] },
  { name: 'apps', key: ['tenant', 'key_code_ref'] },
  { name: 'trusted_issuers', key: ['tenant', 'issuer'] },
  { name: 'callers', key: ['client_id'] },
  { name: 'connections', key: ['tenant', 'id'], left: 'place' },
  { name: 'attempts', key: ['id'], arrival: { column: 'added', source: 'rowid' } },
  { name: 'history', key: ['seq'], arrival: { column: 'seq', source: 'seq' } },
  { name: 'webhooks', key: ['tenant', 'id'] },
  { name: 'deliveries', key: ['tenant', 'webhook', 'event'] },
  { name: 'checkpoints', key: ['number'] },
]

export interface Transferred {
  readonly table: string
  readonly rows: number
  /** SHA-256 of all its rows, in the order of their keys: the same in both databases. */
  readonly digest: string
}

export interface TransferOptions {
  readonly from: string
  readonly to: string
  /** Called after each batch. */
  readonly progress: (table: string, rows: number, of: number) => void
  /** Told of other work that may take long. */
  readonly tell?: (message: string) => void
}

/**
 * From when the target is known to be good, nobody can write to the file any more: a broker that still runs on it reads. Killed at any
 * moment it can be started again; until it is done, no broker starts on the target. Once it is done, doing it again changes nothing.
 */
export async function transfer({ from, to, progress, tell }: TransferOptions): Promise<Transferred[] | 'done before'> {
  if (!existsSync(from)) throw new Error(`there is no database ${from}`)
  const source = openSqliteFile(from, tell)
  try {
    const client = await preparePostgres(to).catch((error: unknown) => {
      throw explainOpening(to, error)
    })
    try {
      await client.query('set statement_timeout = 0')
      return await move(source, client, { from, progress })
    } finally {
      await client.end()
    }
  } finally {
    source.close()
  }
}

/** The file is written to again, as if it had not been moved. Says whether it had. */
export function abandonTransfer(from: string, tell?: (message: string) => void): boolean {
  if (!existsSync(from)) throw new Error(`there is no database ${from}`)
  const source = openSqliteFile(from, tell)
  try {
    return openForWriting(source)
  } finally {
    source.close()
  }
}

async function move(
  source: SqliteFile,
  client: Client,
  { from, progress }: Pick<TransferOptions, 'from' | 'progress'>,
): Promise<Transferred[] | 'done before'> {
  const mark = fingerprint(source)
  const begun = moveOf(source)
  if (begun !== null && (await markOf(client, 'moved')) === begun) return 'done before'
  if (begun !== null && (await markOf(client, 'move')) !== begun)
    throw new Error(
      `${from} was moved to another database, or is on its way there: name that one. If no broker ran on it yet, latchstring migrate --abandon --from sqlite:${from} takes the file back, to be moved anew`,
    )
  const number = begun ?? (await claim(client, mark))
  closeForWriting(
    source,
    TABLES.map(({ name }) => name),
    number,
  )
  for (const table of TABLES) await copy(source, client, table, progress)
  const transferred: Transferred[] = []
  for (const table of TABLES) transferred.push(await compare(source, client, table))
  await finish(source, client, number)
  return transferred
}

/** Which installation it is: its own keys are nobody else's. As a number that both databases hold. */
function fingerprint(source: SqliteFile): number {
  const keys = source.prepare('select id, data_key, sealed from broker_keys order by id').all()
  if (keys.length === 0) throw new Error('no broker ever ran on this file: there is nothing to move')
  const digest = createHash('sha256').update(keys.map((key) => lineOf(key as Row)).join('\n'))
  return Number.parseInt(digest.digest('hex').slice(0, 12), 16)
}

async function markOf(client: Client, name: 'move' | 'moved'): Promise<number | null> {
  const { rows } = await client.query<{ value: number }>('select value from counters where name = $1', [name])
  return rows[0]?.value ?? null
}

/**
 * Takes the target, which must be empty: what came from this file before, and was given up, may not be what it holds now. Resolves to the number of
 * the move, which file and target keep: a file goes to one database only, until it is taken back.
 */
async function claim(client: Client, mark: number): Promise<number> {
  for (const { name } of TABLES) {
    if ((await client.query(`select 1 from ${name} limit 1`)).rowCount === 0) continue
    throw new Error(`the target is not empty: there are rows in ${name}. Nothing was changed; name an empty database`)
  }
  const { rowCount } = await client.query(
    `insert into counters (name, value) values ('moving', $1)
     on conflict (name) do update set value = excluded.value where counters.value = excluded.value`,
    [mark],
  )
  if (rowCount === 0) throw new Error('another file is being moved into the target. Nothing was changed; name an empty database')
  const number = randomInt(1, 2 ** 47)
  await client.query(
    `insert into counters (name, value) values ('move', $1) on conflict (name) do update set value = excluded.value`,
    [number],
  )
  return number
}

async function copy(source: SqliteFile, client: Client, table: Table, progress: TransferOptions['progress']): Promise<void> {
  const total = Number(source.prepare(`select count(*) as count from ${table.name}`).get()?.['count'])
  const write = await writerOf(client, table, columnsOf(source, table))
  let moved = 0
  for (const rows of pagesOf(source, table)) {
    await write(rows)
    moved += rows.length
    progress(table.name, moved, total)
  }
}

async function compare(source: SqliteFile, client: Client, table: Table): Promise<Transferred> {
  const [here, there] = [createHash('sha256'), createHash('sha256')]
  let count = 0
  let last: Row | null = null
  for (const rows of pagesOf(source, table)) {
    const found = await pageThere(client, table, columnsOf(source, table), last)
    for (const [at, row] of rows.entries()) {
      const arrived = found[at]
      here.update(lineOf(row))
      if (arrived) there.update(lineOf(arrived))
      if (!arrived || lineOf(row) !== lineOf(arrived))
        throw new Error(
          `a row of ${table.name} is not the same in the target: ${table.key.map((key) => row[key]).join(' ')}; ${ANEW}`,
        )
    }
    count += rows.length
    last = rows.at(-1) ?? null
  }
  const more = await pageThere(client, table, columnsOf(source, table), last)
  const digest = here.digest('hex')
  if (more.length > 0 || there.digest('hex') !== digest)
    throw new Error(`the target has rows in ${table.name} that the source has not; ${ANEW}`)
  return { table: table.name, rows: count, digest }
}

const ANEW =
  'take the file back with latchstring migrate --abandon, and move it into a new, empty database; until then it can be read and not written'

/** Counters go on where they stood, and the mark says that all is there: in one transaction. */
async function finish(source: SqliteFile, client: Client, number: number): Promise<void> {
  await client.query('begin')
  for (const { name, value } of source.prepare('select name, value from counters').all())
    await client.query(
      'insert into counters (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value',
      [name, value],
    )
  for (const { name, arrival } of TABLES) if (arrival) await goOnCounting(source, client, name, arrival)
  await client.query(`delete from counters where name in ('moving', 'move')`)
  await client.query(`insert into counters (name, value) values ('moved', $1)`, [number])
  await client.query('commit')
}

/** Above every number that was ever given out, also for rows that are gone. */
async function goOnCounting(source: SqliteFile, client: Client, table: string, arrival: Arrival): Promise<void> {
  const highest = Number(source.prepare(`select max(${arrival.source}) as highest from ${table}`).get()?.['highest'] ?? 0)
  const given = source.prepare('select seq from sqlite_sequence where name = ?').get(table)
  await client.query('select setval(pg_get_serial_sequence($1, $2), $3)', [
    table,
    arrival.column,
    Math.max(highest, Number(given?.['seq'] ?? 0), 1),
  ])
}
