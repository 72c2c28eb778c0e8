/** The file is private, set to lose nothing, and refused with advice when it is not what it should be. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { connect, sampleConnection, sampleFact } from './samples.ts'
import { openSqliteStore } from './sqlite.ts'
import { connectionReplacer, sqliteConnections } from './sqlite-connections.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { sqliteHistory } from './sqlite-history.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-file-'))
after(() => rmSync(folder, { recursive: true }))

test('the file and its folder are made for their owner alone, and so is the log beside it', async () => {
  const path = join(folder, 'deep', 'down', 'new.db')
  const store = await openSqliteStore(path)
  await connect(store)
  for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(statSync(file).mode & 0o777, 0o600, file)
  assert.equal(statSync(join(folder, 'deep', 'down')).mode & 0o777, 0o700)
  await store.close()
})

test('what was written is there when the file is opened again', async () => {
  const path = join(folder, 'again.db')
  const first = await openSqliteStore(path)
  const made = await connect(first)
  await first.close()
  const second = await openSqliteStore(path)
  assert.deepEqual(await second.connections.find('acme', 'session-1'), made)
  await second.close()
  await second.close()
})

test('commits reach the disk before they are acknowledged', () => {
  const file = openSqliteFile(join(folder, 'settings.db'))
  const setting = (name: string) => Object.values(file.prepare(`pragma ${name}`).get() ?? {})[0]
  assert.equal(setting('journal_mode'), 'wal')
  assert.equal(setting('synchronous'), 2)
  assert.equal(setting('busy_timeout'), 5000)
  assert.equal(setting('foreign_keys'), 1)
  file.close()
})

test('two that have one file open see each other’s writes at once', async () => {
  const path = join(folder, 'shared.db')
  const [a, b] = [await openSqliteStore(path), await openSqliteStore(path)]
  const made = await connect(a)
  assert.deepEqual(await b.connections.find('acme', 'session-1'), made)
  assert.equal(await b.connections.save(made, { ...made, label: 'b' }, []), true)
  assert.equal(await a.connections.save(made, { ...made, label: 'a' }, []), false)
  assert.equal((await a.connections.find('acme', 'session-1'))?.label, 'b')
  const before = await a.records.version()
  await b.records.change([], [])
  assert.notEqual(await a.records.version(), before)
  await Promise.all([a.close(), b.close()])
})

test('a place that cannot be written is refused with what to do', async () => {
  const blocker = join(folder, 'a-file')
  writeFileSync(blocker, '')
  for (const path of [join(blocker, 'new.db'), '/proc/self/new.db', folder]) {
    await assert.rejects(openSqliteStore(path), (error: Error) => {
      assert(error.message.startsWith(`cannot create or write the database ${path}: `), error.message)
      assert.match(error.message, /a folder it can write, or set LATCHSTRING_DATABASE_URL/)
      return true
    })
  }
})

test('F-40 a file in a folder that cannot be written is refused with what to do', () => {
  const place = mkdtempSync(join(tmpdir(), 'latchstring-kept-'))
  const path = join(place, 'kept.db')
  openSqliteFile(path).close()
  chmodSync(path, 0o666)
  chmodSync(place, 0o555)
  // Nobody keeps root from writing, so it is tried by somebody else.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const open = `import(${JSON.stringify(join(import.meta.dirname, 'sqlite-file.ts'))}).then((file) => file.openSqliteFile(${JSON.stringify(path)}))`
  const { stderr, status } = spawnSync(process.execPath, ['-e', open], { encoding: 'utf8', env: {}, ...nobody })
  chmodSync(place, 0o755)
  rmSync(place, { recursive: true })
  assert.notEqual(status, 0)
  assert(stderr.includes(`cannot open the database ${path}: it cannot be written; make the file and its folder writable`), stderr)
})

test('a file that is no database is refused and left alone', async () => {
  const path = join(folder, 'letter.txt')
  writeFileSync(path, 'Dear Ada, '.repeat(1000))
  await assert.rejects(openSqliteStore(path), /letter\.txt: it is not a SQLite database; move it away or name another file/)
  assert.equal(readFileSync(path, 'utf8'), 'Dear Ada, '.repeat(1000))
})

test('the database of another program is refused and left alone', async () => {
  const path = join(folder, 'other.db')
  tamper(path, 'create table theirs (a)')
  const before = readFileSync(path)
  await assert.rejects(openSqliteStore(path), /other\.db: it belongs to another program; name another file/)
  assert.deepEqual(readFileSync(path), before)
})

test('F-43 a file of a newer Latchstring is refused with what to do', async () => {
  const path = join(folder, 'newer.db')
  await (await openSqliteStore(path)).close()
  tamper(path, `insert into migrations values (999, 'from the future', '', 0, null)`)
  await assert.rejects(
    openSqliteStore(path),
    /newer\.db: schema version \d+ is newer than this Latchstring.* start the newer version again/,
  )
})

test('F-40 on a full disk writing fails whole, reading goes on, and writing too once there is room', async () => {
  const file = openSqliteFile(join(folder, 'full.db'))
  const store = { ...sqliteHistory(file), connections: sqliteConnections(file) }
  file.transaction(() => connectionReplacer(file)(sampleConnection()))
  const seen = await store.connections.find('acme', 'session-1')
  assert(seen)
  const next = { ...seen, label: 'x'.repeat(100_000) }
  const { page_count: pages } = file.prepare('pragma page_count').get() ?? {}
  file.prepare(`pragma max_page_count = ${Number(pages)}`).get()
  await assert.rejects(store.connections.save(seen, next, [sampleFact()]), /database or disk is full/)
  assert.deepEqual(await store.connections.find('acme', 'session-1'), seen)
  assert.deepEqual(await store.history(null, { before: null, limit: 9 }), [])
  file.prepare('pragma max_page_count = 1000000').get()
  assert.equal(await store.connections.save(seen, next, [sampleFact()]), true)
  file.close()
})

test('a backup beside the log of the file that it replaces is refused with what to do', async () => {
  const [path, copy] = [join(folder, 'crashed.db'), join(folder, 'put-back.db')]
  const store = await openSqliteStore(path)
  for (let i = 0; i < 50; i++) await connect(store, { id: `old-${i}`, label: 'x'.repeat(500) })
  tamper(path, `vacuum into '${copy}'`)
  tamper(path, 'pragma wal_checkpoint(truncate)')
  for (let i = 0; i < 50; i++) await connect(store, { id: `new-${i}`, label: 'x'.repeat(500) })
  // As a crash leaves it.
  copyFileSync(`${path}-wal`, `${copy}-wal`)
  await store.close()
  await assert.rejects(
    openSqliteStore(copy),
    /malformed; put a backup in its place, and first remove the -wal and -shm beside it/,
  )
})

test('a ping that cannot write says why', async () => {
  const path = join(folder, 'damaged.db')
  const store = await openSqliteStore(path)
  tamper(path, 'drop table counters')
  await assert.rejects(store.ping(), /no such table: counters/)
  await store.close()
})

/** What somebody else does to the file. */
function tamper(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}
