/** An upgrade finds revocations that did not reach their providers, and connections of which nobody noted when they were used. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { postgres } from '../../test/postgres.ts'
import type { Store } from '../core/ports.ts'
import { migrate, readMigrations } from './migrate.ts'
import { openPostgresStore } from './postgres.ts'
import { connectTo } from './postgres-database.ts'
import { migratePostgres } from './postgres-migrate.ts'
import { openSqliteStore } from './sqlite.ts'

const DAY = 86_400_000

const before = (dialect: 'sqlite' | 'postgres') => {
  const all = readMigrations(join(import.meta.dirname, 'migrations', dialect))
  return all.slice(
    0,
    all.findIndex(({ name }) => name === 'taken-back'),
  )
}

/** As they stood: what was not taken back, what was, and what is alive. */
const ROWS = `
  insert into connections (tenant, id, app, provider, user_id, requested_scopes, data_key, access_token, token_type, issued_at, state, upstream, version, fence, created_at, connected_at) values
    ('acme', 'failed', 'crm', 'sales', 'ada', '[]', 'k', 't', 'Bearer', 1, 'revoked', 'failed', 1, 0, 1, 1),
    ('acme', 'crashed', 'crm', 'sales', 'ada', '[]', 'k', 't', 'Bearer', 1, 'revoked', 'pending', 1, 0, 1, 1),
    ('acme', 'done', 'crm', 'sales', 'ada', '[]', null, null, 'Bearer', 1, 'revoked', 'confirmed', 1, 0, 1, 1),
    ('acme', 'alive', 'crm', 'sales', 'ada', '[]', 'k', 't', 'Bearer', 1, 'connected', null, 1, 0, 1, 1);`
const SQLITE_ROWS = ROWS.replaceAll("'k', 't'", "x'01', x'02'")

async function assertFound(store: Store, since: number): Promise<void> {
  const now = Date.now()
  const due = await store.connections.toTakeBack(now + 1000, 9, [])
  assert.deepEqual(due.map(({ id }) => id).sort(), ['crashed', 'failed'])
  for (const { health } of due) {
    assert(health.state === 'revoked' && health.revocation)
    const { since: from, retryAt, ...rest } = health.revocation
    assert.deepEqual(
      [health.upstream, from, rest],
      ['pending', retryAt, { attempts: 0, reason: null, accepted: false, provedAt: null }],
    )
    assert(from >= since - 1000 && from <= now + 1000, 'the week begins with the upgrade')
  }
  const alive = await store.connections.find('acme', 'alive')
  const today = Math.floor(now / DAY) * DAY
  assert([today, today - DAY].includes(alive?.usedAt ?? 0), 'nobody knows better, so it counts as used today')
  assert.deepEqual((await store.connections.find('acme', 'done'))?.health, { state: 'revoked', upstream: 'confirmed' })
  await store.close()
}

test('F-43 F-50 what did not reach its provider before the upgrade of a SQLite file is tried again after it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchstring-upgrade-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'latchstring.db')
  const db = new DatabaseSync(path)
  // What marks a file as ours.
  await (await openSqliteStore(join(folder, 'marked.db'))).close()
  const marked = new DatabaseSync(join(folder, 'marked.db'))
  db.exec(`pragma application_id = ${Number(marked.prepare('pragma application_id').get()?.['application_id'])}`)
  marked.close()
  migrate(db, before('sqlite'))
  db.exec(SQLITE_ROWS)
  db.close()
  const since = Date.now()
  await assertFound(await openSqliteStore(path), since)
})

test('F-43 F-50 what did not reach its provider before the upgrade of a PostgreSQL database is tried again after it', async () => {
  const url = await (await postgres()).fresh()
  const client = await connectTo(url)
  await migratePostgres(client, before('postgres'))
  await client.query(ROWS)
  await client.end()
  const since = Date.now()
  await assertFound(await openPostgresStore(url), since)
})
