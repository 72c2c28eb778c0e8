/** A database server that is killed while a provider answers: what the answer brought is the only copy there is. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { postgres } from '../postgres.ts'
import { HOUR, SECOND, startWorld } from '../world.ts'

const CONNECTIONS = 24
const ROUNDS = 6

test('F-06 F-39 PostgreSQL is killed between the question and the answer: the answer is handed out, kept, and stored when it is back', async (t) => {
  const server = await postgres()
  if (!server.crash) return t.skip('platform: the PostgreSQL of LATCHSTRING_TEST_DATABASE_URL is not ours to kill')
  const world = await startWorld({ store: 'postgres', sandbox: { replay_window: 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  // The mark that tells a database that was put back lies there, too.
  const waiting = async () => (await readdir(join(world.folder, 'journal'))).filter((file) => !file.endsWith('.mark'))
  const session = await world.connect()
  world.pass(HOUR)
  await world.bearer()
  // Answered only once the server is gone.
  world.sandbox.control.script('refresh', { hold: true })
  const asking = world.token(session)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  await server.crash()
  world.sandbox.control.release()
  let gone = true
  try {
    const { status, body } = await asking
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
    assert.equal((await waiting()).length, 1)
    assert.equal((await world.token(session)).code, 'STORE_UNAVAILABLE')

    await server.recover()
    gone = false
    while ((await waiting()).length > 0) await world.broker.ports.pause(10)
    assert.equal((await world.token(session)).body['access_token'], body['access_token'])
    world.pass(HOUR)
    assert.equal((await world.token(session)).status, 200, 'and it goes on from there')
    assert.equal(world.sandbox.control.count('refresh'), 2)
  } finally {
    // Others need it, too.
    if (gone) await server.recover()
  }
})

test('F-39 PostgreSQL is killed again and again while tokens are renewed: what is handed out lives, what is refused says so, and no grant is lost', async (t) => {
  const server = await postgres()
  if (!server.crash) return t.skip('platform: the PostgreSQL of LATCHSTRING_TEST_DATABASE_URL is not ours to kill')
  const world = await startWorld({ store: 'postgres', sandbox: { replay_window: 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  const { control } = world.sandbox
  const sessions: string[] = []
  for (let i = 0; i < CONNECTIONS; i++) sessions.push(await world.connect('none', `user-${i}`))
  // The instant is another one in each round: while leases are taken, while the provider answers, while answers are written.
  for (let round = 0; round < ROUNDS; round++) {
    world.pass(HOUR)
    await world.bearer()
    const before = control.count('refresh')
    control.script('refresh', ...Array.from({ length: CONNECTIONS }, (_, i) => ({ delay: (i * 7) % 40 })))
    const asking = sessions.map((session) => world.token(session))
    while (control.count('refresh') < before + (round * CONNECTIONS) / ROUNDS) await world.broker.ports.pause(1)
    await server.crash()
    try {
      for (const { status, code, body } of await Promise.all(asking))
        if (status === 200) assert(control.alive(String(body['access_token'])))
        else assert.deepEqual([status, code], [503, 'STORE_UNAVAILABLE'])
    } finally {
      await server.recover()
    }
    // A lease that was given as the server died ends by itself.
    world.pass(31 * SECOND)
    for (const session of sessions) {
      let answer = await world.token(session)
      while (answer.code === 'STORE_UNAVAILABLE') answer = await world.token(session)
      assert.equal(answer.status, 200, answer.text)
      assert(control.alive(String(answer.body['access_token'])))
    }
    assert.equal(control.count('refresh'), before + CONNECTIONS, 'each was renewed once')
  }
})
