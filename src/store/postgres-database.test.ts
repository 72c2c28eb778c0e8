/** What only PostgreSQL can meet: a server that goes away, other programs' tables, several processes, settings that lose commits. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer, connect as dial, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { inDatabase, postgres } from '../../test/postgres.ts'
import { BrokerError } from '../core/errors.ts'
import type { Store } from '../core/ports.ts'
import { readMigrations } from './migrate.ts'
import { openPostgresStore } from './postgres.ts'
import { connectTo, PostgresDatabase } from './postgres-database.ts'
import { mayPass } from './postgres-failure.ts'
import { migratePostgres } from './postgres-migrate.ts'
import type { Ask } from './postgres-statement.ts'
import { connect, sampleConnection } from './samples.ts'

const NEWEST = readdirSync(join(import.meta.dirname, 'migrations/postgres')).length

const fresh = async () => (await postgres()).fresh()

/** What a process of its own runs; `store` is open. */
const script = (url: string, work: string) => [
  '--input-type=module-typescript',
  '--eval',
  `import { openPostgresStore } from ${JSON.stringify(join(import.meta.dirname, 'postgres.ts'))}
   import { connect, sampleFact } from ${JSON.stringify(join(import.meta.dirname, 'samples.ts'))}
   import { writeSync } from 'node:fs'
   const store = await openPostgresStore(${JSON.stringify(url)})
   ${work}`,
]

/** Renews one connection as fast as it can, and says which renewals were acknowledged. */
const WRITER = `
  let current = (await store.connections.find('acme', 'session-1')) ?? (await connect(store))
  for (let now = current.lease?.until ?? 0; ; now += 10) {
    const { connection } = await store.connections.claim(current, { holder: 'writer', now, until: now + 5 })
    const next = { ...connection, label: String(Number(connection.label) + 1) }
    await store.connections.settle(connection, next, [sampleFact({ subject: next.label })])
    writeSync(1, next.label + '\\n')
    current = await store.connections.find('acme', 'session-1')
  }`

async function assertKept(store: Store, acknowledged: number): Promise<number> {
  const found = await store.connections.find('acme', 'session-1')
  const [newest] = await store.history('acme', { before: null, limit: 1 })
  assert(found && Number(found.label) >= acknowledged, `${found?.label} is there of ${acknowledged}`)
  assert.equal(newest?.subject, found.label, 'the fact landed with its change')
  assert.deepEqual(found, sampleConnection({ label: found.label, version: found.version, lease: found.lease }))
  return Number(found.label)
}

describe('the PostgreSQL store', () => {
  test('F-39 no acknowledged write is lost when the process is killed for real', async () => {
    const url = await fresh()
    let acknowledged = 0
    for (const more of [20, 37, 54]) {
      const before = acknowledged
      const writer = spawn(process.execPath, script(url, WRITER), { stdio: ['ignore', 'pipe', 'inherit'] })
      const gone = once(writer, 'exit')
      for await (const line of createInterface(writer.stdout)) {
        acknowledged = Number(line)
        if (acknowledged === before + more) writer.kill('SIGKILL')
      }
      assert.deepEqual(await gone, [null, 'SIGKILL'])
      const store = await openPostgresStore(url)
      acknowledged = await assertKept(store, acknowledged)
      await store.close()
    }
  })

  test('F-39 no acknowledged write is lost when the server is killed; meanwhile errors say so, and then it works again without a restart', async (t) => {
    const server = await postgres()
    if (!server.crash) return t.skip('the server of LATCHSTRING_TEST_DATABASE_URL is not ours to kill')
    const url = await server.fresh()
    const store = await openPostgresStore(url)
    t.after(() => store.close())
    const writer = spawn(process.execPath, script(url, WRITER), { stdio: ['ignore', 'pipe', 'ignore'] })
    let acknowledged = 0
    let crashed: Promise<void> | null = null
    for await (const line of createInterface(writer.stdout)) {
      acknowledged = Number(line)
      if (acknowledged === 40) crashed = server.crash()
    }
    await crashed
    try {
      const { connections, records } = store
      const works: readonly (() => Promise<unknown>)[] = [
        async () => connections.glance('acme', 'session-1'),
        () => connections.find('acme', 'session-1'),
        () => connections.list('acme', {}, { after: null, limit: 1 }),
        () => connections.remove('acme', 'session-1', []),
        () => store.attempts.findByState('x'),
        () => records.change([], []),
        () => store.history(null, { before: null, limit: 1 }),
        () => store.ping(),
      ]
      for (const work of works) await assert.rejects(work, unavailable)
    } finally {
      await server.recover()
    }
    assert(acknowledged >= 40)
    await assertKept(store, acknowledged)
    await store.ping()
  })

  test('a read that is under way when its connection ends is answered over a new one', async () => {
    const url = await fresh()
    const store = await openPostgresStore(url)
    await connect(store)
    for (let round = 0; round < 3; round++) {
      const reads = Array.from({ length: 20 }, async () => store.connections.glance('acme', 'session-1'))
      const cut = inDatabase(url, (client) =>
        client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
        ),
      )
      for (const found of await Promise.all(reads)) assert(found)
      await cut
      assert(await store.connections.find('acme', 'session-1'))
    }
    await store.close()
  })

  test('a way to the server that swallows everything is taken once, and then there is a new one', async (t) => {
    const tunnel = await tunnelTo(await fresh())
    t.after(() => tunnel.close())
    const works: readonly ((database: PostgresDatabase) => Promise<unknown>)[] = [
      (database) => database.ask('select 1'),
      (database) => database.point('select 1'),
      (database) => database.transaction((ask) => ask('select 1')),
    ]
    for (const work of works) {
      const database = new PostgresDatabase(tunnel.url, { answerMs: 1000 })
      await work(database)
      tunnel.swallow()
      await assert.rejects(work(database), mayPass)
      await work(database)
      await database.close()
    }
  })

  test('F-02 several processes renew one connection, each in its turn, and no renewal is lost', async () => {
    const url = await fresh()
    const store = await openPostgresStore(url)
    await connect(store, { label: '0' })
    const renew = `
      for (let renewed = 0; renewed < 50; ) {
        const seen = await store.connections.find('acme', 'session-1')
        const claimed = await store.connections.claim(seen, { holder: String(process.pid), now: 0, until: 1 })
        if (!claimed) continue
        const next = { ...claimed.connection, label: String(Number(claimed.connection.label) + 1) }
        if (!(await store.connections.settle(claimed.connection, next, [sampleFact()]))) throw new Error('somebody took a lease that was alive')
        renewed += 1
      }
      await store.close()`
    await Promise.all([1, 2, 3].map(() => promisify(execFile)(process.execPath, script(url, renew))))
    assert.equal((await store.connections.find('acme', 'session-1'))?.label, '150')
    assert.equal((await store.history(null, { before: null, limit: 1000 })).length, 150)
    await store.close()
  })

  test('F-43 processes that start at once on one new database all get to work', async () => {
    const url = await fresh()
    const work = 'await store.ping(); await store.close()'
    await Promise.all(Array.from({ length: 4 }, () => promisify(execFile)(process.execPath, script(url, work))))
    await inDatabase(url, async (client) => {
      assert.equal((await client.query('select * from migrations')).rowCount, NEWEST)
      assert.equal((await client.query(`select value from counters where name = 'pings'`)).rows[0].value, '4')
    })
  })

  test('F-43 a column that a newer version adds is in nobody’s way who is running', async () => {
    const url = await fresh()
    const store = await openPostgresStore(url)
    const all = () =>
      Promise.all([
        store.connections.find('acme', 'session-1'),
        store.records.apps(null),
        store.records.callers(null),
        store.records.keys(),
        store.history(null, { before: null, limit: 10 }),
      ])
    await connect(store)
    const before = await all()
    await inDatabase(url, async (client) => {
      for (const table of ['connections', 'attempts', 'apps', 'callers', 'broker_keys', 'history'])
        await client.query(`alter table ${table} add column novelty text`)
    })
    assert.deepEqual(await all(), before)
    await store.close()
  })

  test('a commit waits for the disk even where the database was told otherwise', async () => {
    const url = await fresh()
    const name = new URL(url).pathname.slice(1)
    await inDatabase(url, (client) => client.query(`alter database ${name} set synchronous_commit = off`))
    await inDatabase(url, async (client) =>
      assert.equal((await client.query('show synchronous_commit')).rows[0].synchronous_commit, 'off'),
    )
    const database = new PostgresDatabase(url)
    for (const ask of [database.ask, database.point])
      assert.equal((await ask('show synchronous_commit')).rows[0]?.['synchronous_commit'], 'on')
    await database.close()
    await inDatabase(url, (client) => client.query(`alter database ${name} set synchronous_commit = remote_apply`))
    const stricter = new PostgresDatabase(url)
    assert.equal((await stricter.ask('show synchronous_commit')).rows[0]?.['synchronous_commit'], 'remote_apply')
    await stricter.close()
  })

  test('reads go on while nothing can be written, and who would write is told to come again', async () => {
    const url = await fresh()
    const store = await openPostgresStore(url)
    const connection = await connect(store)
    const name = new URL(url).pathname.slice(1)
    await inDatabase(url, (client) => client.query(`alter database ${name} set default_transaction_read_only = on`))
    await inDatabase(url, (client) =>
      client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      ),
    )
    assert(await store.connections.glance('acme', 'session-1'))
    // The first may still meet the connection that was cut.
    for (let i = 0; i < 2; i++) await assert.rejects(store.connections.save(connection, connection, []), unavailable)
    assert.deepEqual(await store.connections.find('acme', 'session-1'), connection)
    await store.close()
  })
})

describe('a failover of PostgreSQL', () => {
  const PING = `update counters set value = value + 1 where name = 'pings'`

  /** Who is connected is cut off, and who connects meets the primary of before, which is a standby by now. */
  async function standby(url: string): Promise<void> {
    const name = new URL(url).pathname.slice(1)
    await inDatabase(url, (client) => client.query(`alter database ${name} set default_transaction_read_only = on`))
    await inDatabase(url, (client) =>
      client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      ),
    )
  }

  /** From now on who connects meets the new primary. */
  async function primary(url: string): Promise<void> {
    const name = new URL(url).pathname.slice(1)
    await inDatabase(url, async (client) => {
      await client.query('set default_transaction_read_only = off')
      await client.query(`alter database ${name} reset default_transaction_read_only`)
    })
  }

  async function opened(t: TestContext, options: { readOnlyMs?: number } = {}) {
    const url = await fresh()
    await (await openPostgresStore(url)).close()
    const database = new PostgresDatabase(url, options)
    t.after(() => database.close())
    return { url, database }
  }

  async function first(ask: Ask, sql: string): Promise<unknown> {
    const { rows } = await ask(sql)
    return Object.values(rows[0] ?? {})[0]
  }
  const readOnly = (ask: Ask) => first(ask, 'show transaction_read_only')
  const servedBy = (ask: Ask) => first(ask, 'select pg_backend_pid()')

  async function patiently(is: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000
    while (!(await is())) assert(Date.now() < deadline, 'it stays as it is')
  }

  test('F-39 who has connected to the primary of before comes to the new one, whether it writes or only reads', async (t) => {
    const { url, database } = await opened(t, { readOnlyMs: 50 })
    const asks = [database.ask, database.point]
    for (const ask of asks) assert.equal(await readOnly(ask), 'off')
    await standby(url)
    const refused = () =>
      database.ask(PING).then(
        () => false,
        (error: unknown) => mayPass(error) && (error as { code?: string }).code === '25006',
      )
    await patiently(refused)
    for (const ask of asks) await patiently(async () => (await readOnly(ask)) === 'on')
    await primary(url)
    await patiently(async () => !(await refused()))
    for (const ask of asks) await patiently(async () => (await readOnly(ask)) === 'off')
  })

  for (const kind of ['point', 'ask'] as const) {
    test(`F-39 who connected to a standby does not stay with it where nobody writes (${kind})`, async (t) => {
      const { url, database } = await opened(t, { readOnlyMs: 50 })
      await standby(url)
      assert.equal(await readOnly(database[kind]), 'on')
      await primary(url)
      await patiently(async () => (await readOnly(database[kind])) === 'off')
    })
  }

  test('F-39 no write fails, and no read stays behind, because a server that took writes takes none any more', async (t) => {
    const { database } = await opened(t)
    const asks: Ask[] = [...Array.from({ length: 5 }, () => database.ask), database.point]
    await Promise.all(asks.map((ask) => ask('set default_transaction_read_only = on')))
    await Promise.all(asks.map((ask) => readOnly(ask).then((is) => assert.equal(is, 'on'))))
    await Promise.all(Array.from({ length: 20 }, () => database.ask(PING)))
    for (const ask of asks) assert.equal(await readOnly(ask), 'off')
  })

  test('F-39 where nobody takes writes, for hours, not every request makes a new connection', async (t) => {
    const { url, database } = await opened(t, { readOnlyMs: 3_600_000 })
    await standby(url)
    const asks = [database.ask, database.point]
    const before = await Promise.all(asks.map(servedBy))
    for (let i = 0; i < 5; i++) await assert.rejects(database.ask(PING), { code: '25006' })
    assert.deepEqual(await Promise.all(asks.map(servedBy)), before)
  })
})

describe('opening PostgreSQL', () => {
  const cases: readonly [string, (url: URL) => void, RegExp][] = [
    ['a server that is not there', (url) => (url.port = '9'), /see that PostgreSQL runs there and takes connections/],
    ['a wrong password', (url) => (url.password = 'wrong-secret'), /does not let this user in/],
    ['no password', (url) => (url.password = ''), /asks for a password/],
    [
      'a database that was not made',
      (url) => (url.pathname = '/nowhere'),
      /there is no such database; make it: createdb nowhere/,
    ],
  ]
  for (const [title, change, words] of cases) {
    test(`${title} is told in words that help, without the password`, async () => {
      const url = new URL(await fresh())
      const { password } = url
      change(url)
      await assert.rejects(openPostgresStore(url.href), (error: Error) => {
        assert.match(error.message, words)
        assert.match(error.message, /^cannot open the database postgres:\/\/postgres@127\.0\.0\.1:\d+\/\w+: /)
        for (const secret of [password, 'wrong-secret']) assert(!error.message.includes(secret))
        return true
      })
    })
  }

  test('the database of another program is refused and left alone', async () => {
    for (const table of ['create table fruits (name text)', 'create table migrations (id text)']) {
      const url = await fresh()
      await inDatabase(url, (client) => client.query(table))
      await assert.rejects(openPostgresStore(url), /it belongs to another program; name another database/)
    }
  })

  test('a database of a newer version is refused and left alone', async () => {
    const url = await fresh()
    await (await openPostgresStore(url)).close()
    await inDatabase(url, (client) => client.query(`insert into migrations values (${NEWEST + 1}, 'later', 'x', 0, null)`))
    const refusal = `schema version ${NEWEST + 1} is newer than this Latchstring, which knows ${NEWEST}`
    await assert.rejects(openPostgresStore(url), (error: Error) => error.message.includes(refusal))
  })

  test('F-43 a migration that waits for a dump of the database keeps nobody waiting, and is done when the dump is', async (t) => {
    const url = await fresh()
    const store = await openPostgresStore(url)
    t.after(() => store.close())
    await connect(store)
    const migrations = readMigrations(join(import.meta.dirname, 'migrations', 'postgres'))
    const more = { number: NEWEST + 1, name: 'novelty', sql: 'alter table connections add column novelty text' }
    await inDatabase(url, async (dump) => {
      await dump.query('begin')
      await dump.query('lock table connections in access share mode')
      const client = await connectTo(url)
      let migrated = false
      const migrating = migratePostgres(client, [...migrations, more]).then(() => (migrated = true))
      const waiting = async () =>
        (await dump.query(`select 1 from pg_locks where mode = 'AccessExclusiveLock' and not granted`)).rowCount !== 0
      while (!(await waiting()));
      assert((await store.connections.find('acme', 'session-1')) !== null, 'read after it gave way')
      assert.equal(migrated, false)
      await dump.query('rollback')
      await migrating
      await client.end()
    })
    await inDatabase(url, (client) => client.query('select novelty from connections'))
  })

  test('F-43 a migration that fails half-way leaves the database as it was', async () => {
    const url = await fresh()
    // In the way of the third table, after two were made.
    await inDatabase(url, (client) => client.query('create type providers as enum ()'))
    await assert.rejects(openPostgresStore(url), /migration 1 “vault” failed and left no trace/)
    await inDatabase(url, async (client) => {
      const { rows } = await client.query(`select * from information_schema.tables where table_schema = 'public'`)
      assert.deepEqual(rows, [])
      await client.query('drop type providers')
    })
    await (await openPostgresStore(url)).close()
  })
})

/** A way to the server on which, from a moment on, nothing arrives and nobody says so: what is dialled after that works. */
async function tunnelTo(url: string): Promise<{ url: string; swallow(): void; close(): void }> {
  const { hostname, port } = new URL(url)
  const ends: Socket[] = []
  const server = createServer((near) => {
    const far = dial(Number(port), hostname)
    near.pipe(far).pipe(near)
    for (const end of [near, far]) ends.push(end.on('error', () => {}))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const through = new URL(url)
  through.port = String((server.address() as { port: number }).port)
  return {
    url: through.href,
    swallow() {
      for (const end of ends) end.unpipe().pause()
    },
    close() {
      for (const end of ends) end.destroy()
      server.close()
    },
  }
}

function unavailable(error: unknown): boolean {
  assert(error instanceof BrokerError, String(error))
  assert.equal(error.code, 'STORE_UNAVAILABLE')
  assert.equal(error.retryAfterMs, 1000)
  return true
}
