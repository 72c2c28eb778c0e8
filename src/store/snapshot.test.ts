/** What the shared read may be behind, and what it may not. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Store } from '../core/ports.ts'
import { connect } from './samples.ts'
import { openSqliteStore } from './sqlite.ts'

const BROKEN = { state: 'broken', reason: 'invalid_grant', detail: null } as const

async function sharedFile(t: TestContext): Promise<[Store, Store]> {
  const folder = mkdtempSync(join(tmpdir(), 'latchstring-snapshot-'))
  const stores = [await openSqliteStore(join(folder, 'x.db')), await openSqliteStore(join(folder, 'x.db'))] as const
  t.after(async () => {
    await Promise.all(stores.map((store) => store.close()))
    rmSync(folder, { recursive: true })
  })
  return [...stores]
}

test('a glance sees what this process wrote in the same turn', async (t) => {
  const [store] = await sharedFile(t)
  const made = await connect(store)
  assert.equal((await store.connections.glance(made.tenant, made.id))?.health.state, 'connected')
  await store.connections.save(made, { ...made, health: BROKEN }, [])
  assert.equal((await store.connections.glance(made.tenant, made.id))?.health.state, 'broken')
})

test('a glance sees what another process wrote at the next turn', async (t) => {
  const [store, other] = await sharedFile(t)
  const made = await connect(store)
  await store.connections.glance(made.tenant, made.id)
  await other.connections.save(made, { ...made, health: BROKEN }, [])
  await nextTurn()
  assert.equal((await store.connections.glance(made.tenant, made.id))?.health.state, 'broken')
})

test('a glance is in nobody’s way: reads and writes of both go on', async (t) => {
  const [store, other] = await sharedFile(t)
  const made = await connect(store)
  for (let round = 0; round < 20; round++) {
    await store.connections.glance(made.tenant, made.id)
    const writer = round % 2 === 0 ? other : store
    const current = (await writer.connections.find(made.tenant, made.id)) ?? assert.fail()
    assert(await writer.connections.save(current, { ...current, label: `round ${round}` }, []))
  }
})

test('a store that is closed right after a glance stays closed in peace', async (t) => {
  const [store] = await sharedFile(t)
  await store.connections.glance('acme', 'nothing')
  await store.close()
  await nextTurn()
})
