/** Two versions side by side on one store, while one takes the other's place, and when it is taken back. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { openBroker } from '../../src/main.ts'
import { type Migration, migrate, readMigrations } from '../../src/store/migrate.ts'
import { migratePostgres } from '../../src/store/postgres-migrate.ts'
import { inDatabase } from '../postgres.ts'
import { HOUR, startWorld, type World } from '../world.ts'

/** What the next version might bring: columns, a table and an index, all of which this one need not know. */
const ADDED = `
  alter table connections add column novelty text;
  alter table attempts add column novelty text;
  alter table history add column novelty text;
  alter table callers add column novelty text;
  create table novelties (name text primary key);
  create index connections_by_novelty on connections (tenant, novelty);`

for (const store of ['sqlite', 'postgres'] as const) {
  const known = readMigrations(join(import.meta.dirname, '../../src/store/migrations', store))
  const next = known.length + 1

  async function opened(t: TestContext): Promise<World> {
    const world = await startWorld({ store })
    t.after(() => world[Symbol.asyncDispose]())
    return world
  }

  /** As the newer version does when it starts. */
  async function brought({ config }: World, migrations: readonly Migration[]): Promise<void> {
    const { database } = config
    const all = [...known, ...migrations]
    if (database.kind === 'postgres') return inDatabase(database.url, (client) => migratePostgres(client, all))
    assert(database.kind === 'sqlite')
    const db = new DatabaseSync(database.path, { timeout: 5000 })
    migrate(db, all)
    db.close()
  }

  /** All that a user comes across. */
  async function works(world: World, session: string): Promise<void> {
    world.pass(HOUR)
    const { status, body } = await world.token(session)
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
    const another = await world.connect('complete', 'user-2')
    assert.equal((await world.token(another)).status, 200)
    assert.equal((await world.connection(another)).body['state'], 'connected')
    assert.equal((await world.revoke(another)).status, 200)
    assert.equal((await world.ask('GET', '/api/v1/events')).status, 200)
    assert.equal((await world.ask('DELETE', `/api/v1/connections/${another}`)).status, 200)
  }

  test(`F-43 a broker goes on while a newer version changes the schema, starts again on it, and serves beside it, on ${store}`, async (t) => {
    const world = await opened(t)
    const session = await world.connect()
    await works(world, session)
    const asking = Promise.all(Array.from({ length: 20 }, () => world.token(session)))
    await brought(world, [{ number: next, name: 'added', sql: ADDED, needs: known.length }])
    for (const { status } of await asking) assert.equal(status, 200)
    await works(world, session)
    await world.restart()
    await works(world, session)

    const beside = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
    t.after(() => beside.close())
    await works(world, session)
    assert((await beside.ports.store.connections.find('default', session))?.renewedAt)
  })

  test(`F-43 what a newer version left and this one cannot work on is refused before anything is changed, on ${store}`, async (t) => {
    const world = await opened(t)
    await brought(world, [{ number: next, name: 'added', sql: ADDED }])
    await assert.rejects(
      openBroker(world.config),
      /is newer than this Latchstring, which knows \d+: start the newer version again/,
    )
  })
}
