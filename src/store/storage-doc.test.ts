/** `docs/storage.md` tells of the schema as it is: every table, column and index, and how queries are planned. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SEALED_TABLES } from '../core/ports.ts'
import { NOW } from './samples.ts'
import { sqliteAttempts } from './sqlite-attempts.ts'
import { sqliteAudit } from './sqlite-audit.ts'
import { sqliteConnections } from './sqlite-connections.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { sqliteHistory } from './sqlite-history.ts'
import { sqliteSealed } from './sqlite-sealed.ts'
import { sqliteWebhooks } from './sqlite-webhooks.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/storage.md'), 'utf8')

test('the document names every table and every column of the schema, in order, and no other', () => {
  const file = openSqliteFile(':memory:')
  const real: Record<string, unknown[]> = {}
  for (const { name } of file.prepare(`select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`).all()) {
    real[String(name)] = file
      .prepare(`select name from pragma_table_info('${String(name)}')`)
      .all()
      .map((column) => column['name'])
  }
  file.close()

  const told: Record<string, unknown[]> = {}
  for (const [, table = '', text = ''] of doc.matchAll(/^### `(\w+)`\n([^#]*)/gm)) {
    told[table] = [...text.matchAll(/^\| `(\w+)` +\|/gm)].map(([, column]) => column)
  }
  assert.deepEqual(told, real)
})

test('S-53 every table with wrapped data keys is among those that are put under another master key', () => {
  const file = openSqliteFile(':memory:')
  const tables = file.prepare(`select name from sqlite_schema where type = 'table'`).all()
  const sealed = tables.filter(({ name }) =>
    file.prepare(`select 1 from pragma_table_info('${String(name)}') where name = 'data_key'`).get(),
  )
  file.close()
  assert.deepEqual(sealed.map(({ name }) => String(name)).sort(), [...SEALED_TABLES].sort())
})

test('the document tells the primary key of every table', () => {
  const file = openSqliteFile(':memory:')
  for (const [, table = '', text = ''] of doc.matchAll(/^### `(\w+)`\n([^#]*)/gm)) {
    const columns = file.prepare(`select name from pragma_table_info('${table}') where pk > 0 order by pk`).all()
    const key = columns.map(({ name }) => String(name)).join(', ')
    assert.match(text, new RegExp(`The primary key is \`${columns.length > 1 ? `\\(${key}\\)` : key}\`\\.`), table)
  }
  file.close()
})

test('every query of the document is one of the store’s own, planned as it says', async () => {
  const file = openSqliteFile(':memory:')
  const own = await queriesOf(file)
  const told = queriesTold()
  assert(told.length > 10)
  for (const { query, plan } of told) {
    const sql = own.get(query)
    assert(sql, `the store never asks: ${query}`)
    // Some versions of SQLite speed a step up with one, and some do not.
    const real = file
      .prepare(`explain query plan ${sql}`)
      .all()
      .filter(({ detail }) => detail !== 'CREATE BLOOM FILTER')
    assert.deepEqual(
      real.map(({ detail }) => detail),
      plan,
      query,
    )
  }
  file.close()
})

test('every index of the schema has a query in the document that needs it', () => {
  const file = openSqliteFile(':memory:')
  const indexes = file.prepare(`select name from sqlite_schema where type = 'index' and sql is not null`).all()
  file.close()
  const needed = queriesTold().flatMap(({ plan }) => plan)
  for (const { name } of indexes)
    assert(
      needed.some((step) => step.includes(`INDEX ${String(name)}`)),
      `${String(name)} serves no query`,
    )
})

/** All statements of the store, by how the document writes them: on one line, `*` for the columns. */
async function queriesOf(file: ReturnType<typeof openSqliteFile>): Promise<Map<string, string>> {
  const own = new Map<string, string>()
  const [prepare, reading] = [file.prepare.bind(file), file.reading.bind(file)]
  const note = (sql: string): void => {
    const named = sql
      .replace(/^select [a-z_., ()]+ from (connections|attempts|history|checkpoints|deliveries d)/, 'select * from $1')
      .replace(/ returning [a-z_, ]+$/, ' returning *')
    own.set(named.replace(/\s+/g, ' '), sql)
  }
  file.prepare = (sql) => {
    note(sql)
    return prepare(sql)
  }
  file.reading = (sql) => {
    note(sql)
    return reading(sql)
  }
  sqliteWebhooks(file)
  sqliteAudit(file)
  const history = sqliteHistory(file)
  const attempts = sqliteAttempts(file)
  const connections = sqliteConnections(file)
  const first = { after: null, limit: 1 }
  const further = { after: { createdAt: NOW, id: 'x' }, limit: 1 }
  for (const filter of [{}, { userId: 'x' }, { orgCode: 'x' }, { app: 'x' }, { label: 'x' }, { state: 'broken' }] as const)
    await connections.list('x', filter, first)
  await connections.list('x', { app: 'x', state: 'broken' }, first)
  await connections.list('x', {}, further)
  await connections.list('x', { userId: 'x', app: 'x', state: 'broken' }, further)
  await connections.count({})
  await connections.toTakeBack(NOW, 1, [])
  for (const filter of [{}, { session: 'x', type: 'connection.broken', since: NOW }] as const)
    await history.events('x', filter, { after: 0, limit: 1 })
  await attempts.pending('x', {}, NOW, first)
  await sqliteSealed(file).page('connections', { after: { tenant: 'x', id: 'x' }, limit: 1 })
  Object.assign(file, { prepare, reading })
  return own
}

function queriesTold(): { query: string; plan: string[] }[] {
  const blocks = [...doc.matchAll(/^```sql\n(.*?)^```/gms)].flatMap(([, text = '']) => text.trim().split('\n\n'))
  return blocks.map((block) => {
    const [query = '', ...plan] = block.split('\n')
    return { query, plan: plan.map((line) => line.replace(/^-- /, '')) }
  })
}
