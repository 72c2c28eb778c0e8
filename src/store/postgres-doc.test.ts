/** `docs/storage.md` tells of PostgreSQL as it is: the columns are SQLite's but for one, and queries go by the indexes that it names. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Client } from 'pg'
import { inDatabase, postgres } from '../../test/postgres.ts'
import { openPostgresStore } from './postgres.ts'
import { postgresAttempts } from './postgres-attempts.ts'
import { postgresAudit } from './postgres-audit.ts'
import { postgresConnections } from './postgres-connections.ts'
import { PostgresDatabase } from './postgres-database.ts'
import { postgresHistory } from './postgres-history.ts'
import { postgresSealed } from './postgres-sealed.ts'
import { type Ask, type Asked, statement, type Values } from './postgres-statement.ts'
import { NOW } from './samples.ts'
import { openSqliteFile } from './sqlite-file.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/storage.md'), 'utf8')

test('PostgreSQL has the tables, columns and indexes of SQLite, in the same order, without the place of connections, and one column more', async () => {
  const file = openSqliteFile(':memory:')
  const there: string[] = []
  const ofSqlite = `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`
  for (const { name } of file.prepare(ofSqlite).all())
    for (const column of file.prepare(`select name from pragma_table_info('${String(name)}')`).all())
      there.push(`${String(name)}.${String(column['name'])}`)
  const indexes = file.prepare(`select name from sqlite_schema where type = 'index' and sql is not null`).all()
  file.close()
  // Where it stood before later columns came.
  there.splice(there.indexOf('attempts.expires_at') + 1, 0, 'attempts.added')
  there.splice(there.indexOf('connections.place'), 1)

  await inNewStore(async (client) => {
    const here = await client.query<{ name: string }>(
      `select table_name || '.' || column_name as name from information_schema.columns where table_schema = 'public' order by table_name, ordinal_position`,
    )
    const byTable = (names: string[]) =>
      names.map((name) => name.split('.')).sort(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0))
    assert.deepEqual(byTable(here.rows.map(({ name }) => name)), byTable(there))
    const made = await client.query<{ name: string }>(
      `select indexname as name from pg_indexes where schemaname = 'public' and indexname not like '%_pkey' order by 1`,
    )
    assert.deepEqual(
      made.rows.map(({ name }) => name),
      indexes.map(({ name }) => String(name)).sort(),
    )
  })
})

test('every PostgreSQL query of the document is one of the store’s own, planned as it says', () =>
  inNewStore(async (client) => {
    const own = await queriesOf()
    const told = queriesTold()
    assert(told.length > 10)
    for (const step of FILLED.split(';')) await client.query(step)
    for (const { query, plan } of told) {
      const text = own.get(query)
      assert(text, `the store never asks: ${query}\nit asks ${[...own.keys()].join('\n')}`)
      assert.deepEqual(await planOf(client, text), plan, query)
    }
  }))

/** Enough rows for the planner to prefer indexes, of 500 owners in ten tenants, some of them in trouble, and a history of a hundred. */
const FILLED = `
  insert into connections (tenant, id, app, provider, user_id, org_code, requested_scopes, data_key, access_token, token_type, issued_at, state, reason, version, fence, created_at, connected_at, due_at, revoke_at)
    select 't' || n % 10, n, 'a' || n % 20, 'p', 'u' || n % 500, 'o' || n % 500, '[]', '1', '1', 'Bearer', 0, case when n % 50 = 0 then 'broken' else 'connected' end, case when n % 50 = 0 then 'r' end, 1, 0, n, n, case when n % 37 = 0 then n end, case when n % 10 = 0 then n end from generate_series(1, 20000) n;
  insert into attempts (tenant, id, session, app, provider, user_id, caller, binding, stage, redirect_uri, scopes, issuer_required, handle_hash, state_hash, data_key, code_verifier, created_at, expires_at)
    select 't' || n % 10, n, n, 'a', 'p', 'u', 'c', 'none', 'begun', 'r', '[]', 0, n, n, '1', case when n % 10 = 0 then '1'::bytea end, n, n from generate_series(1, 20000) n;
  insert into history (tenant, at, actor, action, subject, about) select 't' || n % 100, n, 'c', 'connection.connected', n, case when n % 37 = 0 then '{}' end from generate_series(1, 20000) n;
  vacuum analyze connections; vacuum analyze attempts; vacuum analyze history`

async function inNewStore(work: (client: Client) => Promise<void>): Promise<void> {
  const url = await (await postgres()).fresh()
  await (await openPostgresStore(url)).close()
  await inDatabase(url, work)
}

async function planOf(client: Client, text: string): Promise<string[]> {
  const { rows } = await client.query<Record<string, string>>(`explain (costs off, generic_plan) ${text}`)
  // Which index is read, and how; how rows go on from there differs between versions.
  return rows
    .map((row) => /\w+ (Only )?Scan .*/.exec(String(row['QUERY PLAN']))?.[0] ?? '')
    .filter((step) => step.includes(' using '))
}

/** All that the store asks, by how the document writes it: on one line, `*` for the columns. */
async function queriesOf(): Promise<Map<string, string>> {
  const own = new Map<string, string>()
  const ask = async (sql: string, values: Values = {}): Promise<Asked> => {
    const { text } = statement(sql, values)
    own.set(
      text
        .replace(/^select [a-z_, ]+ from (connections|attempts|history)/, 'select * from $1')
        .replace(/ returning [a-z_, ]+$/, ' returning *')
        .replace(/\s+/g, ' '),
      text,
    )
    return { rows: [], count: 0 }
  }
  const database = Object.assign(Object.create(PostgresDatabase.prototype) as PostgresDatabase, {
    ask,
    point: ask,
    transaction: async <T>(work: (ask: Ask) => Promise<T>) => work(ask),
  })
  const connections = postgresConnections(database)
  const attempts = postgresAttempts(database)
  const page = { after: null, limit: 1 }
  await connections.find('x', 'x')
  for (const filter of [{}, { userId: 'x' }, { orgCode: 'x' }, { app: 'x' }, { state: 'broken' }] as const)
    await connections.list('x', filter, page)
  await connections.list('x', { userId: 'x', app: 'x', state: 'broken' }, { after: { createdAt: NOW, id: 'x' }, limit: 1 })
  await connections.remove('x', 'x', [])
  await connections.count({})
  await connections.due(NOW, NOW, 1)
  await connections.toTakeBack(NOW, 1, [])
  await connections.walk({ tenant: 'x', id: 'x' }, 1)
  await attempts.find('x', 'x')
  await attempts.findByHandle('x')
  await attempts.findByState('x')
  await attempts.pending('x', {}, NOW, page)
  await attempts.empty(NOW, 1)
  await attempts.sweep(NOW, 1)
  await postgresSealed(database).page('connections', { after: { tenant: 'x', id: 'x' }, limit: 1 })
  await postgresAudit(database).rows({ after: 0, upTo: 1, limit: 1 })
  const history = postgresHistory(database)
  await history.history(null, { before: null, limit: 1 })
  await history.history('x', { before: null, limit: 1 })
  await history.events('x', {}, { after: 0, limit: 1 })
  await history.events('x', { session: 'x' }, { after: 0, limit: 1 })
  return own
}

function queriesTold(): { query: string; plan: string[] }[] {
  const blocks = [...doc.matchAll(/^```pgsql\n(.*?)^```/gms)].flatMap(([, text = '']) => text.trim().split('\n\n'))
  return blocks.map((block) => {
    const [query = '', ...plan] = block.split('\n')
    return { query, plan: plan.map((line) => line.replace(/^-- /, '')) }
  })
}
