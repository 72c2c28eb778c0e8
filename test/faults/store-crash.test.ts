/** A database server that is killed while a provider answers: what the answer brought is the only copy there is. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { postgres } from '../postgres.ts'
import { HOUR, startWorld } from '../world.ts'

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
  world.sandbox.control.script('refresh', { delay: 1500 })
  const asking = world.token(session)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  await server.crash()
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
