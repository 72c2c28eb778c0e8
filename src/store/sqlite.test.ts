/** The SQLite store does what every store must, in memory and in a file. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { conformance } from './conformance.ts'
import { placeOf } from './places.ts'
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

test('others have their turn while it is noted which of many connections were used', async () => {
  const store = await openSqliteStore(join(folder, 'used.db'))
  const used: { tenant: string; id: string }[] = []
  for (let i = 0; i < 110; i++) used.push(await connect(store, { id: `session-${i}` }))
  let noting = true
  const done = store.connections.noteUsed(used, 86_400_000).finally(() => (noting = false))
  const noted = async () => {
    const read = await Promise.all(used.map(({ tenant, id }) => store.connections.find(tenant, id)))
    return read.filter((connection) => connection?.usedAt !== null).length
  }
  const seen = new Set<number>()
  for (; noting; await turn()) seen.add(await noted())
  await done
  assert(seen.size > 4, `${[...seen].join(', ')} were noted when somebody looked`)
  assert.equal(await noted(), 110)
  await store.close()
})

test('a connection lies where its id says, or is found elsewhere when another lies there', async () => {
  const path = join(folder, 'places.db')
  const store = await openSqliteStore(path)
  const ids = ['ZkP0aaaa-first', 'ZkP0aaaa-second', 'ZkP0aaab', 'é', '']
  for (const id of ids) await connect(store, { id })
  await connect(store, { id: 'ZkP0aaaa-first', label: 'again' })
  const other = new DatabaseSync(path)
  const rows = other.prepare('select place, id from connections order by id').all()
  // As an older version writes it.
  other.exec(`update connections set place = (select max(place) + 1 from connections) where id = 'ZkP0aaaa-first'`)
  other.close()
  const behind = placeOf('ZkP0aaab')
  assert.deepEqual(
    rows.map(({ place, id }) => [id, place]),
    [
      ['', behind + 2],
      ['ZkP0aaaa-first', placeOf('ZkP0aaaa')],
      ['ZkP0aaaa-second', placeOf('ZkP0aaaa') + 1],
      ['ZkP0aaab', behind + 1],
      ['é', 0],
    ],
  )
  for (const id of ids) assert.equal((await store.connections.glance('acme', id))?.id, id)
  for (const id of ['ZkP0aaaa-third', 'nobody']) assert.equal(await store.connections.glance('acme', id), null)
  assert.equal(await store.connections.glance('other', 'ZkP0aaaa-first'), null)

  const used = ids.map((id) => ({ tenant: 'acme', id }))
  await store.connections.noteUsed([...used, { tenant: 'acme', id: 'nobody' }], 86_400_000)
  for (const id of ids) assert.equal((await store.connections.find('acme', id))?.usedAt, 86_400_000, id)
  await store.connections.noteUsed([{ tenant: 'other', id: 'ZkP0aaab' }], 2 * 86_400_000)
  assert.equal((await store.connections.find('acme', 'ZkP0aaab'))?.usedAt, 86_400_000)
  await store.close()
})

conformance('sqlite', () => openSqliteStore(join(folder, `${++files}.db`)))
conformance('sqlite in memory', () => openSqliteStore(':memory:'))
