/** The PostgreSQL store does what every store must. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inDatabase, postgres } from '../../test/postgres.ts'
import { conformance } from './conformance.ts'
import { openPostgresStore } from './postgres.ts'
import { NOW, sampleFact } from './samples.ts'

conformance('postgres', async () => openPostgresStore(await (await postgres()).fresh()))

test('of events that are written at once none appears below one that was read', async () => {
  const url = await (await postgres()).fresh()
  const [store, other] = [await openPostgresStore(url), await openPostgresStore(url)]
  const seqs = async () => (await other.events('acme', {}, { after: 0, limit: 99 })).map(({ seq }) => seq)
  await inDatabase(url, async (client) => {
    // As another process does it: its event has a number, and is not committed.
    await client.query('begin')
    await client.query(`select 1 from counters where name = 'events' for update`)
    await client.query(`insert into history (tenant, at, actor, action, subject, about)
      values ('acme', 0, 'broker', 'connection.connected', 'one', '{}')`)
    const later = store.record([sampleFact()])
    // What is no event does not wait for its turn.
    await store.record([{ tenant: 'acme', at: NOW, actor: 'backend', action: 'access.refused', subject: 'one', reason: null }])
    await waitingForTurn(url)
    assert.deepEqual(await seqs(), [])
    await client.query('commit')
    await later
  })
  assert.deepEqual(await seqs(), [1, 3])
  await store.close()
  await other.close()
})

test('F-41 it has a clock of its own', async () => {
  const store = await openPostgresStore(await (await postgres()).fresh())
  const at = await store.clock()
  assert(at !== null && Number.isInteger(at) && Math.abs(at - Date.now()) < 60_000, String(at))
  await store.close()
})

/** Resolves when somebody waits for a row. */
async function waitingForTurn(url: string): Promise<void> {
  await inDatabase(url, async (client) => {
    const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    const deadline = Date.now() + 4_000
    while ((await client.query(waiting)).rowCount === 0) assert(Date.now() < deadline, 'it did not wait for its turn')
  })
}
