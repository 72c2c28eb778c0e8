/** Everything a SQLite file holds is in PostgreSQL afterwards, byte for byte, however often it was interrupted. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { inDatabase, postgres } from '../../test/postgres.ts'
import type { Store } from '../core/ports.ts'
import { openPostgresStore } from './postgres.ts'
import {
  connect,
  NOW,
  ODD_BYTES,
  ODD_TEXT,
  sampleApp,
  sampleAttempt,
  sampleCaller,
  sampleCheckpoint,
  sampleFact,
  sampleHandOut,
  sampleIssuer,
  sampleKey,
  sampleProvider,
  sampleWebhook,
} from './samples.ts'
import { openSqliteStore } from './sqlite.ts'
import { abandonTransfer, transfer } from './transfer.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-transfer-'))
after(() => rmSync(folder, { recursive: true }))
const quiet = { progress: () => {} }
const MANY = 1_203

let files = 0
async function filled(): Promise<string> {
  const path = join(folder, `${++files}.db`)
  const store = await openSqliteStore(path)
  await store.records.addKey(sampleKey({ id: `key-${files}`, sealed: ODD_BYTES }))
  await store.records.change(
    [
      { put: 'provider', provider: sampleProvider() },
      { put: 'app', app: sampleApp({ name: ODD_TEXT }) },
      { put: 'caller', caller: sampleCaller({ pins: { apps: [ODD_TEXT] }, dpop: true, rateLimit: 7 }) },
      { put: 'issuer', issuer: sampleIssuer() },
    ],
    [sampleFact()],
  )
  await store.records.used([{ clientId: 'backend', at: NOW }])
  await connect(store, {
    id: 'odd',
    label: ODD_TEXT,
    sealed: { dataKey: ODD_BYTES, accessToken: ODD_BYTES, refreshToken: null, extra: null },
  })
  await connect(store, { id: 'plain' })
  await connect(store, { id: 'gone', version: 1 })
  await store.connections.remove('acme', 'gone', [sampleFact({ action: 'connection.revoked' })])
  const previous = { secret: ODD_BYTES, until: 9 }
  const webhook = sampleWebhook({ types: ['connection.broken'], sealed: { dataKey: ODD_BYTES, secret: ODD_BYTES, previous } })
  await store.webhooks.add(webhook, [])
  await store.record([sampleFact({ action: 'connection.broken', reason: ODD_TEXT })])
  await store.webhooks.spread(5, 9)
  await store.record([sampleHandOut()])
  for (const number of [1, 2]) await store.audit.append(sampleCheckpoint({ number, late: [number], digests: ODD_BYTES }))
  for (const id of ['first', 'second']) await store.attempts.add(sampleAttempt({ id, session: 'twice' }), [])
  await store.close()
  // More than a few pages, quickly.
  const db = new DatabaseSync(path)
  const columns = db
    .prepare(`select name from pragma_table_info('connections') where name not in ('place', 'id')`)
    .all()
    .map(({ name }) => String(name))
    .join(', ')
  db.exec(
    `insert into connections (id, ${columns}) select 'copy-' || value, ${columns} from connections, (with recursive n(value) as (select 1 union all select value + 1 from n where value < ${MANY}) select value from n) where id = 'plain'`,
  )
  db.close()
  return path
}

/** All that can be asked. */
async function everything({ attempts, audit, connections, records, webhooks, history, events }: Store) {
  return {
    attempts: [await attempts.find('acme', 'twice'), await attempts.find('acme', 'odd')],
    connections: await connections.list('acme', {}, { after: null, limit: 10_000 }),
    records: [
      await records.providers(),
      await records.apps(null),
      await records.callers(null),
      await records.trustedIssuers(),
      await records.keys(),
      await records.version(),
    ],
    webhooks: await webhooks.list(null),
    deliveries: await webhooks.deliveries(sampleWebhook(), 'waiting', { after: 0, limit: 99 }),
    events: await events('acme', {}, { after: 0, limit: 99 }),
    checkpoints: await audit.checkpoints({ after: 0, limit: 99 }),
    history: await history(null, { before: null, limit: 1000 }),
  }
}

async function assertMoved(path: string, url: string): Promise<void> {
  await assert.rejects(
    openSqliteStore(path),
    /was moved to another database, or is on its way there: set LATCHSTRING_DATABASE_URL/,
  )
  assert.equal(abandonTransfer(path), true)
  assert.equal(abandonTransfer(path), false)
  const [there, here] = [await openSqliteStore(path), await openPostgresStore(url)]
  const expected = await everything(there)
  assert.equal(expected.connections.length, MANY + 2)
  assert.deepEqual([expected.webhooks.length, expected.deliveries.length], [1, 1])
  assert.deepEqual(await everything(here), expected)
  // And both go on counting alike: numbers, versions of an id that was used before, and which attempt is the newest.
  for (const store of [there, here]) {
    await connect(store, { id: 'gone' })
    await store.attempts.add(sampleAttempt({ id: 'third', session: 'twice' }), [sampleFact()])
  }
  assert.deepEqual(await everything(here), await everything(there))
  await there.close()
  await here.close()
}

test('everything is moved and compared, and doing it again changes nothing', async () => {
  const [path, url] = [await filled(), await (await postgres()).fresh()]
  const told: string[] = []
  const tables = await transfer({ from: path, to: url, progress: (table, rows, of) => told.push(`${table} ${rows}/${of}`) })
  assert(Array.isArray(tables))
  assert.deepEqual(tables.find(({ table }) => table === 'connections')?.rows, MANY + 2)
  assert(told.includes(`connections 500/${MANY + 2}`) && told.includes(`connections ${MANY + 2}/${MANY + 2}`))
  assert.equal(await transfer({ from: path, to: url, ...quiet }), 'done before')
  await assertMoved(path, url)
})

test('what was interrupted is no vault yet, and is finished by starting again', async () => {
  const [path, url] = [await filled(), await (await postgres()).fresh()]
  for (const stop of ['broker_keys', 'connections', 'history']) {
    const progress = (table: string) => {
      if (table === stop) throw new Error('interrupted')
    }
    await assert.rejects(transfer({ from: path, to: url, progress }), /^Error: interrupted/)
    await assert.rejects(openPostgresStore(url), /not everything has been moved into it: run the same latchstring migrate again/)
  }
  assert(Array.isArray(await transfer({ from: path, to: url, ...quiet })))
  await assertMoved(path, url)
})

test('F-02 a file goes to one database only, however far it got, until it is taken back', async () => {
  const server = await postgres()
  const [path, half, done] = [await filled(), await server.fresh(), await server.fresh()]
  const elsewhere = /was moved to another database, or is on its way there: name that one.* latchstring migrate --abandon/
  const progress = (table: string) => {
    if (table === 'connections') throw new Error('interrupted')
  }
  await assert.rejects(transfer({ from: path, to: half, progress }), /interrupted/)
  await assert.rejects(transfer({ from: path, to: done, ...quiet }), elsewhere)
  assert(abandonTransfer(path))
  await transfer({ from: path, to: done, ...quiet })
  await assert.rejects(transfer({ from: path, to: half, ...quiet }), elsewhere)
  await assert.rejects(transfer({ from: path, to: await server.fresh(), ...quiet }), elsewhere)
  assert.equal(await transfer({ from: path, to: done, ...quiet }), 'done before')
})

test('of two who move a file at once one is told that the other does', async () => {
  const server = await postgres()
  const [path, urls] = [await filled(), [await server.fresh(), await server.fresh()]]
  const ended = await Promise.allSettled(urls.map((to) => transfer({ from: path, to, ...quiet })))
  assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  const told = ended.find((one) => one.status === 'rejected')
  assert.match(String(told?.reason), /this file is being moved to another database just now|was moved to another database/)
})

test('a row that is not the same is found, and the move is not finished', async () => {
  const [path, url] = [await filled(), await (await postgres()).fresh()]
  const progress = (table: string) => {
    if (table === 'history') throw new Error('interrupted')
  }
  await assert.rejects(transfer({ from: path, to: url, progress }))
  await inDatabase(url, (client) => client.query(`update connections set access_token = '\\x00' where id = 'copy-700'`))
  await assert.rejects(
    transfer({ from: path, to: url, ...quiet }),
    /a row of connections is not the same in the target: acme copy-700/,
  )
  await assert.rejects(openPostgresStore(url), /not everything has been moved/)
  await inDatabase(url, (client) => client.query(`delete from connections where id = 'copy-700'`))
  await inDatabase(url, (client) => client.query(`insert into callers values ('x', 'y', 'z', '[]', 'o', null, 0, 0)`))
  await assert.rejects(transfer({ from: path, to: url, ...quiet }), /the target has rows in callers that the source has not/)
})

test('a target with anything in it is refused, also when it came from another file', async () => {
  const url = await (await postgres()).fresh()
  await transfer({ from: await filled(), to: url, ...quiet })
  await assert.rejects(
    transfer({ from: await filled(), to: url, ...quiet }),
    /the target is not empty: there are rows in broker_keys/,
  )
})

test('a file that was taken back is moved anew, and not taken for one that was moved before', async () => {
  const server = await postgres()
  const [path, done, half] = [await filled(), await server.fresh(), await server.fresh()]
  const writtenTo = async (label: string) => {
    assert(abandonTransfer(path))
    const store = await openSqliteStore(path)
    const seen = (await store.connections.find('acme', 'plain')) ?? assert.fail('gone')
    await store.connections.save(seen, { ...seen, label }, [])
    await store.close()
  }
  await transfer({ from: path, to: done, ...quiet })
  await writtenTo('after the first')
  const refused = /the target is not empty: there are rows in broker_keys. Nothing was changed; name an empty database/
  await assert.rejects(transfer({ from: path, to: done, ...quiet }), refused)

  const progress = (table: string) => {
    if (table === 'history') throw new Error('interrupted')
  }
  await assert.rejects(transfer({ from: path, to: half, progress }), /interrupted/)
  await writtenTo('after the second')
  await assert.rejects(transfer({ from: path, to: half, ...quiet }), refused)

  // Whoever is killed when the target was taken and the file not yet closed goes on; and nobody else does.
  await inDatabase(half, (client) =>
    client.query('truncate broker_keys, providers, apps, trusted_issuers, callers, connections, attempts, history'),
  )
  await assert.rejects(transfer({ from: await filled(), to: half, ...quiet }), /another file is being moved into the target/)
  await transfer({ from: path, to: half, ...quiet })
  const store = await openPostgresStore(half)
  assert.equal((await store.connections.find('acme', 'plain'))?.label, 'after the second')
  await store.close()
})

test('whoever runs on the file meanwhile reads, and writes nothing that would be left behind', async () => {
  const [path, url] = [await filled(), await (await postgres()).fresh()]
  const running = await openSqliteStore(path)
  const seen = (await running.connections.find('acme', 'plain')) ?? assert.fail('gone')
  const unavailable = { code: 'STORE_UNAVAILABLE' }
  const tried: Promise<void>[] = []
  const refused = async () => {
    await assert.rejects(running.connections.claim(seen, { holder: 'p', now: 0, until: 1 }), unavailable)
    await assert.rejects(running.connections.save(seen, seen, []), unavailable)
    await assert.rejects(running.connections.remove('acme', 'plain', []), unavailable)
    await assert.rejects(running.record([sampleFact()]), unavailable)
    await assert.rejects(running.records.change([], []), unavailable)
    assert.deepEqual(await running.connections.find('acme', 'plain'), seen)
    await running.ping()
  }
  await transfer({ from: path, to: url, progress: () => void tried.push(refused()) })
  await Promise.all([...tried, refused()])
  assert(tried.length > 5)
  await running.close()
  await assert.rejects(transfer({ from: join(folder, 'none.db'), to: url, ...quiet }), /there is no database/)
})

test('a file whose target is refused is left as it is', async () => {
  const url = await (await postgres()).fresh()
  await transfer({ from: await filled(), to: url, ...quiet })
  const path = await filled()
  await assert.rejects(transfer({ from: path, to: url, ...quiet }))
  await (await openSqliteStore(path)).close()
})
