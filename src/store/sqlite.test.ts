/** The SQLite store does what every store must, in memory and in a file. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { conformance } from './conformance.ts'
import { connect } from './samples.ts'
import { openSqliteStore } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-'))
let files = 0
after(() => rmSync(folder, { recursive: true }))

test('F-39 a file that cannot be written says so and is still read: somebody else holds it', async () => {
  const path = join(folder, 'held.db')
  const store = await openSqliteStore(path)
  const connection = await connect(store)
  const other = new DatabaseSync(path)
  other.exec('begin immediate')
  const unavailable = { code: 'STORE_UNAVAILABLE', retryAfterMs: 1000 }
  await assert.rejects(store.connections.save(connection, connection, []), unavailable)
  assert.deepEqual(await store.connections.find('acme', 'session-1'), connection)
  assert((await store.connections.glance('acme', 'session-1'))?.sealed)
  other.exec('rollback')
  other.close()
  assert.equal(await store.connections.save(connection, connection, []), true)
  await store.close()
})

conformance('sqlite', () => openSqliteStore(join(folder, `${++files}.db`)))
conformance('sqlite in memory', () => openSqliteStore(':memory:'))
