/** What was acknowledged is there after a crash, and after many processes wrote at once. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { connect, sampleConnection } from './samples.ts'
import { openSqliteStore } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-durability-'))
after(() => rmSync(folder, { recursive: true }))

const ROUNDS = 5

/** Renews one connection as fast as it can, and says which renewals were acknowledged. */
const WRITER = (path: string) => `
  import { openSqliteStore } from ${JSON.stringify(join(import.meta.dirname, 'sqlite.ts'))}
  import { connect, sampleFact } from ${JSON.stringify(join(import.meta.dirname, 'samples.ts'))}
  import { writeSync } from 'node:fs'
  const store = await openSqliteStore(${JSON.stringify(path)})
  let current = (await store.connections.find('acme', 'session-1')) ?? (await connect(store))
  for (let now = current.lease?.until ?? 0; ; now += 10) {
    const { connection } = await store.connections.claim(current, { holder: 'writer', now, until: now + 5 })
    const next = { ...connection, label: String(Number(connection.label) + 1) }
    await store.connections.settle(connection, next, [sampleFact({ subject: next.label })])
    writeSync(1, next.label + '\\n')
    current = await store.connections.find('acme', 'session-1')
  }`

test('F-39 no acknowledged write is lost when the process is killed for real', async () => {
  const path = join(folder, 'killed.db')
  let acknowledged = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = acknowledged
    const writer = spawn(process.execPath, ['--input-type=module-typescript', '--eval', WRITER(path)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const gone = once(writer, 'exit')
    for await (const line of createInterface(writer.stdout)) {
      acknowledged = Number(line)
      if (acknowledged === before + 20 + 17 * round) writer.kill('SIGKILL')
    }
    assert.deepEqual(await gone, [null, 'SIGKILL'])

    const store = await openSqliteStore(path)
    const found = await store.connections.find('acme', 'session-1')
    const [newest] = await store.history('acme', { before: null, limit: 1 })
    assert(found && Number(found.label) >= acknowledged, `${found?.label} is there of ${acknowledged}`)
    assert.equal(newest?.subject, found.label, 'the fact landed with its change')
    assert.deepEqual(found, sampleConnection({ label: found.label, version: found.version, lease: found.lease }))
    acknowledged = Number(found.label)
    await store.close()
  }
})

test('F-02 several processes renew one connection, each in its turn, and no renewal is lost', async () => {
  const path = join(folder, 'shared.db')
  const store = await openSqliteStore(path)
  await connect(store, { label: '0' })
  const renew = `
    import { openSqliteStore } from ${JSON.stringify(join(import.meta.dirname, 'sqlite.ts'))}
    import { sampleFact } from ${JSON.stringify(join(import.meta.dirname, 'samples.ts'))}
    const store = await openSqliteStore(${JSON.stringify(path)})
    for (let renewed = 0; renewed < 100; ) {
      const seen = await store.connections.find('acme', 'session-1')
      const claimed = await store.connections.claim(seen, { holder: String(process.pid), now: 0, until: 1 })
      if (!claimed) continue
      const next = { ...claimed.connection, label: String(Number(claimed.connection.label) + 1) }
      if (!(await store.connections.settle(claimed.connection, next, [sampleFact()]))) throw new Error('somebody took a lease that was alive')
      renewed += 1
    }
    await store.close()`
  const processes = [1, 2, 3].map(() =>
    spawn(process.execPath, ['--input-type=module-typescript', '--eval', renew], { stdio: 'inherit' }),
  )
  const exits = await Promise.all(processes.map((process) => once(process, 'exit')))
  assert.deepEqual(
    exits.map(([code]) => code),
    [0, 0, 0],
  )
  assert.equal((await store.connections.find('acme', 'session-1'))?.label, '300')
  assert.equal((await store.history(null, { before: null, limit: 1000 })).length, 300)
  await store.close()
})
