/** A file gets its schema whole or not at all, whoever starts first and whatever goes wrong. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { type Migration, migrate, readMigrations } from './migrate.ts'
import { closeForWriting, moveOf } from './moved.ts'
import { placeOf } from './places.ts'
import { SqliteFile } from './sqlite-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-migrate-'))
after(() => rmSync(folder, { recursive: true }))

const FIRST: Migration = {
  number: 1,
  name: 'fruits',
  sql: `create table fruits (name text); insert into fruits values ('apple');`,
}
const SECOND: Migration = { number: 2, name: 'colours', sql: 'alter table fruits add column colour text;' }
const LARGE: Migration = { number: 2, name: 'large', sql: 'create table large as select zeroblob(4500000) as bytes' }
const FAILING: Migration = {
  number: 2,
  name: 'trouble',
  sql: `insert into fruits values ('pear'); create table fruits (name text);`,
}

test('migrations are applied in order, and once', () =>
  withDatabase(':memory:', (db) => {
    migrate(db, [FIRST])
    migrate(db, [FIRST, SECOND])
    migrate(db, [FIRST, SECOND])
    assert.deepEqual({ ...db.prepare('select * from fruits').get() }, { name: 'apple', colour: null })
    const applied = db.prepare('select number, name, checksum, applied_at from migrations').all()
    assert.deepEqual(
      applied.map(({ number, name }) => [number, name]),
      [
        [1, 'fruits'],
        [2, 'colours'],
      ],
    )
    for (const { checksum } of applied) assert.match(String(checksum), /^[0-9a-f]{64}$/)
  }))

test('F-43 a migration that fails half-way leaves the file as it was, and can be mended', () =>
  withDatabase(':memory:', (db) => {
    migrate(db, [FIRST])
    const before = everything(db)
    assert.throws(
      () => migrate(db, [FIRST, FAILING]),
      /migration 2 “trouble” failed and left no trace: table fruits already exists/,
    )
    assert.equal(db.isTransaction, false)
    assert.deepEqual(everything(db), before)
    migrate(db, [FIRST, SECOND])
    assert.equal(db.prepare('select count(*) as count from migrations').get()?.['count'], 2)
  }))

test('F-43 whoever comes second waits as long as the first takes, and for other writes as long as ever', () =>
  withDatabase(':memory:', (db) => {
    const patience = () => db.prepare('pragma busy_timeout').get()?.['timeout']
    db.exec('pragma busy_timeout = 5000')
    migrate(db, [{ ...FIRST, sql: 'create table seen as select timeout from pragma_busy_timeout' }])
    assert.deepEqual({ ...db.prepare('select timeout from seen').get() }, { timeout: 600_000 })
    assert.equal(patience(), 5000)
  }))

test('F-43 what takes long is told before and after, a new file is not, and the log beside the file is no larger for it', () => {
  const path = join(folder, 'told.db')
  withDatabase(path, (db) =>
    withDatabase(path, () => {
      const told: string[] = []
      const tell = (message: string) => told.push(message)
      db.exec('pragma journal_mode = wal')
      migrate(db, [FIRST], { tell })
      migrate(db, [FIRST], { tell })
      assert.deepEqual(told, [])
      migrate(db, [FIRST, LARGE], { tell })
      assert.deepEqual(told, [
        'the database is brought up to date: where there are millions of connections, this takes minutes',
        'the database is up to date',
      ])
      assert.equal(statSync(`${path}-wal`).size, 0)
    }),
  )
})

test('F-40 F-43 a disk that does not hold what a migration leaves is found before it is done', () =>
  withDatabase(join(folder, 'large.db'), (db) => {
    db.exec('pragma journal_mode = wal')
    migrate(db, [FIRST])
    const before = everything(db)
    const asked: string[] = []
    const freeBytes = (bytes: number) => (of: string) => {
      asked.push(of)
      return bytes
    }
    assert.throws(
      () => migrate(db, [FIRST, LARGE], { freeBytes: freeBytes(2_000_000) }),
      /^Error: to bring it up to date takes 3 MB more than the disk has left: make room. Nothing was changed$/,
    )
    assert.deepEqual(everything(db), before)
    migrate(db, [FIRST, LARGE], { freeBytes: freeBytes(5_000_000) })
    assert.deepEqual(new Set(asked), new Set([folder]))
  }))

test('a first migration that fails leaves an empty file', () =>
  withDatabase(':memory:', (db) => {
    assert.throws(() => migrate(db, [{ ...FAILING, number: 1 }]))
    assert.deepEqual(everything(db), { schema: [], fruits: [] })
  }))

test('a file of a newer version is refused and left alone', () =>
  withDatabase(':memory:', (db) => {
    migrate(db, [FIRST, SECOND])
    const before = everything(db)
    assert.throws(
      () => migrate(db, [FIRST]),
      /schema version 2 is newer than this Latchstring, which knows 1: start the newer version/,
    )
    assert.deepEqual(everything(db), before)
  }))

test('F-43 an older version works on what a newer one left, if that says so, and leaves it alone', () =>
  withDatabase(':memory:', (db) => {
    const ours = readMigrations(join(import.meta.dirname, 'migrations', 'sqlite'))
    const next = ours.length + 1
    const added = { number: next, name: 'added', sql: 'alter table connections add column novelty text', needs: ours.length }
    const more = { number: next + 1, name: 'more', sql: 'create table novelties (name text)', needs: ours.length }
    migrate(db, [...ours, added, more])
    const before = db.prepare('select * from migrations').all()
    assert.deepEqual(
      before.slice(-2).map(({ needs }) => needs),
      [ours.length, ours.length],
    )
    migrate(db, ours)
    assert.deepEqual(db.prepare('select * from migrations').all(), before)

    migrate(db, [...ours, added, more, { number: next + 2, name: 'other', sql: 'drop table novelties', needs: next + 1 }])
    assert.throws(() => migrate(db, ours), /schema version \d+ is newer than this Latchstring/)
    migrate(db, [...ours, added, more])
  }))

test('F-43 a file that was moved is closed for writing after a newer version has looked at it, too', () =>
  withDatabase(':memory:', (db) => {
    const ours = readMigrations(join(import.meta.dirname, 'migrations', 'sqlite'))
    migrate(db, ours.slice(0, 10))
    const insert = (id: string) =>
      db.exec(
        `insert into connections (tenant, id, app, provider, user_id, requested_scopes, token_type, issued_at, state, version, fence, created_at, connected_at)
          values ('acme', '${id}', 'crm', 'sales', 'ada', '[]', 'Bearer', 1, 'connected', 1, 0, 1, 1)`,
      )
    insert('s1')
    const file = new SqliteFile(db, null)
    closeForWriting(file, ['connections', 'deliveries'], 7)
    migrate(db, [...ours, { number: ours.length + 1, name: 'gone', sql: 'drop table deliveries' }])
    const closed = /everything was moved to another database/
    assert.throws(() => insert('s2'), closed)
    assert.throws(() => db.exec('update connections set due_at = 1'), closed)
    assert.throws(() => db.exec('delete from connections'), closed)
    assert.equal(moveOf(file), 7)
  }))

test('a migration that was changed after it was applied is noticed', () =>
  withDatabase(':memory:', (db) => {
    migrate(db, [FIRST])
    assert.throws(
      () => migrate(db, [{ ...FIRST, sql: `${FIRST.sql} ` }, SECOND]),
      /migration 1 “fruits” was applied with other contents/,
    )
  }))

test('files are read in the order of their numbers, which have no gap', () => {
  const migrations = join(folder, 'migrations')
  const write = (...files: string[]) => {
    rmSync(migrations, { recursive: true, force: true })
    mkdirSync(migrations)
    for (const file of files) writeFileSync(join(migrations, file), `-- ${file}`)
  }
  write('0002-b.sql', '0001-a.sql', 'README.md')
  assert.deepEqual(readMigrations(migrations), [
    { number: 1, name: 'a', sql: '-- 0001-a.sql' },
    { number: 2, name: 'b', sql: '-- 0002-b.sql' },
  ])
  for (const [told, wrong] of [
    ['9', false],
    ['8', true],
    ['10', true],
    ['some', true],
  ] as const) {
    write(...Array.from({ length: 9 }, (_, i) => `000${i + 1}-a.sql`))
    writeFileSync(join(migrations, '0010-b.sql'), `-- What it is for.\n-- needs: ${told}\nselect 1;\n`)
    if (wrong)
      assert.throws(() => readMigrations(migrations), /0010-b\.sql: “needs” is the number of an earlier migration, 9 or later/)
    else assert.equal(readMigrations(migrations)[9]?.needs, 9)
  }
  write('0001-a.sql', '0003-c.sql')
  assert.throws(() => readMigrations(migrations), /0003-c\.sql: migrations are numbered from 0001 without a gap/)
  write('0001-a.sql', '0001-b.sql')
  assert.throws(() => readMigrations(migrations), /0001-b\.sql/)
})

test('F-43 processes that start at once on one new file all get to work', async () => {
  const start = (path: string) =>
    promisify(execFile)(process.execPath, [
      '--input-type=module-typescript',
      '--eval',
      `import { openSqliteStore } from ${JSON.stringify(join(import.meta.dirname, 'sqlite.ts'))}
       const store = await openSqliteStore(${JSON.stringify(path)})
       await store.ping()
       await store.close()`,
    ])
  for (let round = 0; round < 3; round++) {
    const path = join(folder, `shared-${round}.db`)
    await Promise.all(Array.from({ length: 4 }, () => start(path)))
    withDatabase(path, (db) => {
      assert.equal(db.prepare('select count(*) as count from migrations where number = 1').get()?.['count'], 1)
      assert.equal(db.prepare(`select value from counters where name = 'pings'`).get()?.['value'], 4)
    })
  }
})

test('events that happened before there were any are told of as far as their connections are still there', () => {
  const ours = readMigrations(join(import.meta.dirname, 'migrations', 'sqlite'))
  const db = new DatabaseSync(':memory:')
  migrate(db, ours.slice(0, 1))
  db.exec(`
    insert into connections (tenant, id, app, provider, user_id, requested_scopes, token_type, issued_at, state, version, fence, created_at, connected_at)
      values ('acme', 's1', 'crm', 'sales', 'ada', '[]', 'Bearer', 1, 'connected', 1, 0, 1, 1);
    insert into history (tenant, at, actor, action, subject) values
      ('acme', 1, 'backend', 'attempt.begun', 's1'), ('acme', 2, 'browser', 'connection.connected', 's1'),
      ('acme', 3, 'browser', 'connection.connected', 'gone'), ('other', 4, 'browser', 'connection.connected', 's1');
  `)
  migrate(db, ours)
  const about = db.prepare('select about from history order by seq').all()
  assert.deepEqual(
    about.map((row) => row['about']),
    [null, '{"app":"crm","provider":"sales","owner":{"userId":"ada","orgCode":null}}', null, null],
  )
  db.close()
})

test('connections from before lie where their ids say, none is lost, and a place that two have is that of one', () => {
  const ours = readMigrations(join(import.meta.dirname, 'migrations', 'sqlite'))
  const db = new DatabaseSync(':memory:')
  migrate(db, ours.slice(0, 10))
  const ids = ['zzzzzzzz', 'ZkP0aaaa-first', 'ZkP0aaaa-second', 'S_-09aAzZ', 's1', '', 'é→😀 and more']
  for (const [at, id] of ids.entries())
    db.prepare(
      `insert into connections (tenant, id, app, provider, user_id, requested_scopes, token_type, issued_at, state, version, fence, created_at, connected_at, used_at)
        values ('acme', ?, 'crm', 'sales', 'ada', '[]', 'Bearer', 1, 'connected', 1, 0, 1, 1, ?)`,
    ).run(id, at)
  const before = db.prepare('select * from connections order by id').all()
  const statement = db.prepare(`select * from connections where tenant = 'acme' and id = ?`)
  assert(statement.get('s1'))
  migrate(db, ours)
  const after = db.prepare('select * from connections order by id').all()
  assert.deepEqual(
    after.map(({ place, ...row }) => row),
    before.map((row) => ({ ...row })),
  )
  const places = new Map(after.map(({ id, place }) => [id, Number(place)]))
  for (const id of ['', 's1', 'S_-09aAzZ', 'ZkP0aaaa-first', 'zzzzzzzz']) assert.equal(places.get(id), placeOf(id), id)
  assert(places.get('ZkP0aaaa-second')! > placeOf('zzzzzzzz'))
  assert(statement.get('s1'), 'a statement from before still works')
  db.close()
})

function withDatabase(path: string, work: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(path)
  try {
    work(db)
  } finally {
    db.close()
  }
}

function everything(db: DatabaseSync): unknown {
  const schema = db.prepare('select * from sqlite_schema').all()
  return { schema, fruits: schema.length === 0 ? [] : db.prepare('select * from fruits').all() }
}
