/** Master keys are replaced while the broker serves and renews, and nothing is lost, whatever dies in between. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { masterKeyUse, reseal, rowsUnder } from '../../src/core/master-keys.ts'
import type { Ports } from '../../src/core/ports.ts'
import { Secret } from '../../src/core/secret.ts'
import { createSeal } from '../../src/seal/envelope.ts'
import { parseMasterKeys } from '../../src/seal/keyring.ts'
import { HOUR, type StoreKind, startWorld, type World } from '../world.ts'

const newKey = () => randomBytes(32).toString('base64')
const idOf = (key: string) => parseMasterKeys(key).primary.id
const quietly = { actor: 'operator', rowsPerSecond: 10_000, progress: () => {} }

interface Rotating {
  readonly world: World
  readonly older: string
  readonly newer: string
  readonly sessions: readonly string[]
}

/** A broker with connections under an older key, restarted with a newer one in front. */
async function rotating(t: TestContext, store: StoreKind, connections: number): Promise<Rotating> {
  const [older, newer] = [newKey(), newKey()]
  const world = await startWorld({ store, masterKeys: `${older} staged:${newer}`, sandbox: { replay_window: 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  const sessions: string[] = []
  for (let i = 0; i < connections; i++) sessions.push(await world.connect('none', `user-${i}`))
  await world.ask('POST', '/api/v1/webhooks', { json: { url: 'https://app.example/hooks' } })
  assert.deepEqual((await under(world.broker.ports, newer)).total, 0, 'a staged key seals nothing')
  await world.restart({ masterKeys: new Secret(`${newer} ${older}`) })
  return { world, older, newer, sessions }
}

async function under(ports: Ports, key: string): Promise<{ total: number; connections: number }> {
  const use = (await masterKeyUse(ports)).find(({ id }) => id === idOf(key)) ?? assert.fail('no such key')
  return { total: rowsUnder(use), connections: use.rows.connections }
}

/** What each was handed, which the provider must know. */
async function handedOut(world: World, sessions: readonly string[]): Promise<void> {
  const answers = await Promise.all(sessions.map((session) => world.token(session)))
  for (const { status, body, text } of answers) {
    assert.equal(status, 200, text)
    assert(world.sandbox.control.alive(String(body['access_token'])))
  }
}

for (const store of ['sqlite', 'postgres'] as const) {
  test(`S-53 F-42 ${store}: everything is put under the new key while tokens are renewed, and no refresh token is lost`, async (t) => {
    const { world, older, newer, sessions } = await rotating(t, store, 24)
    const before = await under(world.broker.ports, older)
    assert(before.connections === 24 && before.total > 24 + 4, JSON.stringify(before))

    let rounds = 0
    let finished = false
    const resealing = (async () => {
      // Slowly, so that renewals meet it everywhere.
      for (;;) {
        const { damaged } = await reseal(world.broker.ports, { ...quietly, rowsPerSecond: 60 })
        assert.deepEqual(damaged, [])
        if ((await under(world.broker.ports, older)).total === 0) break
      }
      finished = true
    })()
    while (!finished || rounds < 3) {
      world.pass(HOUR)
      rounds += 1
      await handedOut(world, sessions)
    }
    await resealing
    assert.equal(world.sandbox.control.count('refresh'), rounds * 24, 'each was renewed once in each round')

    await world.restart({ masterKeys: new Secret(newer) })
    world.pass(HOUR)
    await handedOut(world, sessions)
    assert.equal((await under(world.broker.ports, newer)).connections, 24)
    const later = await world.connect('complete', 'user-later')
    await handedOut(world, [later])
  })
}

test('F-42 a renewal that is under way while everything is put under another key writes its answer, and the next run takes its row', async (t) => {
  const { world, older, sessions } = await rotating(t, 'sqlite', 2)
  const [slow = '', quick = ''] = sessions
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { hold: true })
  const answer = world.token(slow)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  let waited = 0
  const parts: Ports = {
    ...world.broker.ports,
    // Renewals that are under way are waited for: here nobody has the time.
    pause: async () => void (waited += 1),
  }
  const { rows, left } = await reseal(parts, quietly)
  assert(rows > 0 && left === 1 && waited > 0, JSON.stringify({ rows, left, waited }))
  world.sandbox.control.release()
  assert.equal((await answer).status, 200)
  assert.equal((await under(world.broker.ports, older)).total, 1)
  assert.deepEqual((await reseal(world.broker.ports, quietly)).left, 0)
  assert.equal((await under(world.broker.ports, older)).total, 0)
  await handedOut(world, [slow, quick])
})

test('S-53 killed with -9 in the midst of it, again and again, it goes on and loses nothing', async (t) => {
  const { world, older, newer, sessions } = await rotating(t, 'sqlite', 30)
  const { ports } = world.broker
  const env = {
    LATCHSTRING_MASTER_KEY: `${newer} ${older}`,
    LATCHSTRING_DATABASE_URL: `sqlite:${join(world.folder, 'latchstring.db')}`,
    NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/latchstring-tests'),
  }
  const command = [join(import.meta.dirname, '../../cli/latchstring.ts'), 'keys', 'reseal', '--rate', '12']
  let kills = 0
  for (let left = (await under(ports, older)).connections; left > 0; ) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...command], { env, stdio: 'ignore' })
    const ended = once(child, 'exit')
    const enough = Math.max(0, left - 8)
    while (child.exitCode === null && (await under(ports, older)).connections > enough) await ports.pause(5)
    if (enough > 0) {
      child.kill('SIGKILL')
      kills += 1
    }
    await ended
    left = (await under(ports, older)).connections
    await handedOut(world, sessions.slice(0, 5))
  }
  assert(kills >= 2, `${kills} kills`)
  assert.equal((await under(ports, older)).total, 0, 'the last one ran to its end')
  await world.restart({ masterKeys: new Secret(newer) })
  await handedOut(world, sessions)
  world.pass(HOUR)
  await handedOut(world, sessions)
})

test('what was put under another key before somebody stopped it stands in the history', async (t) => {
  const { world, newer } = await rotating(t, 'sqlite', 3)
  const stopping = new AbortController()
  const parts: Ports = { ...world.broker.ports, pause: async () => stopping.abort() }
  const { rows } = await reseal(parts, { ...quietly, rowsPerSecond: 1, signal: stopping.signal })
  assert.equal(rows, 1)
  const [told] = await world.broker.ports.store.history('*', { before: null, limit: 1 })
  assert.deepEqual([told?.action, told?.subject, told?.reason], ['keys.resealed', idOf(newer), '1 rows, stopped on the way'])
})

test('a row that does not open is named, left as it is, and keeps its key from being retired', async (t) => {
  const { world, older, newer, sessions } = await rotating(t, 'sqlite', 2)
  const { ports } = world.broker
  const row = { tenant: 'default', table: 'connections', id: sessions[0] ?? '' } as const
  const seen = (await ports.store.sealed.find(row)) ?? assert.fail('no row')
  const swapped = { ...seen.fields, refresh_token: seen.fields['access_token'] ?? null }
  await ports.store.sealed.replace(seen, { dataKey: seen.dataKey, fields: swapped })
  const { damaged } = await reseal(ports, quietly)
  assert.deepEqual(damaged, [row])
  assert.deepEqual(await under(ports, older), { total: 1, connections: 1 })
  assert.deepEqual((await ports.store.sealed.find(row))?.fields, swapped)
  const others = createSeal({ masterKeys: parseMasterKeys(newer) })
  const missing = await masterKeyUse({ ...ports, seal: others })
  assert.deepEqual(
    missing.map(({ id, role }) => [id, role]),
    [
      [idOf(newer), 'primary'],
      [idOf(older), 'missing'],
    ],
  )
})

test('S-53 what waits in the journal is counted, and written before anything is put under another key', async (t) => {
  const { world, older, sessions } = await rotating(t, 'sqlite', 1)
  const [session = ''] = sessions
  const { ports } = world.broker
  const connection = (await ports.store.connections.find('default', session)) ?? assert.fail('no connection')
  const claim = await ports.store.connections.claim(connection, { holder: 'dead', now: world.now(), until: world.now() + 30_000 })
  const { tenant, id, lease } = claim?.connection ?? assert.fail('no lease')
  const entry = { claimed: { tenant, id, lease }, next: { ...connection, label: 'from the journal', lease: null }, facts: [] }
  const entries: (typeof entry)[] = [entry]
  const journal = {
    ...ports.journal,
    entries: async () => entries,
    remove: async () => void entries.pop(),
  }
  const use = (await masterKeyUse({ ...ports, journal })).find(({ id }) => id === idOf(older))
  assert.equal(use?.rows.journal, 1)
  await reseal({ ...ports, journal }, quietly)
  assert.deepEqual(entries, [])
  assert.equal((await ports.store.connections.find('default', session))?.label, 'from the journal')
  assert.equal((await under(ports, older)).total, 0)
})
