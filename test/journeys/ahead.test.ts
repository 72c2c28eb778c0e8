/** Renewals that nobody waits for: what is in use is fresh when it is asked for, and what is not falls silent. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { renewAhead } from '../../src/core/ahead.ts'
import { token } from '../../src/core/token.ts'
import { openBroker } from '../../src/main.ts'
import { HOUR, SECOND, startWorld, type World, type WorldOptions } from '../world.ts'

async function opened(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const world = await startWorld({ store: 'sqlite', ...options })
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const renewals = (world: World) => world.sandbox.control.count('refresh')
const going = new AbortController().signal

test('the clock renews what was handed out before it ends, and its next caller does not wait', async (t) => {
  const world = await opened(t, { ahead: true })
  const session = await world.connect()
  const { body } = await world.token(session)
  world.pass(HOUR - 20 * SECOND)
  await world.sandbox.control.waitFor(({ endpoint, answered }) => endpoint === 'refresh' && answered !== null)
  await world.broker.ports.flights.landed()
  world.pass(30 * SECOND)
  const next = await world.token(session)
  assert.equal(next.status, 200)
  assert.notEqual(next.body['access_token'], body['access_token'])
  assert.equal(renewals(world), 1)
})

test('what nobody asks for any more is renewed once after it was handed out, and then no more', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const unused = await world.connect('none', 'user-2')
  await world.token(session)
  const { ports } = world.broker
  for (let turn = 0; turn < 4; turn++) {
    world.pass(HOUR - 20 * SECOND)
    await renewAhead(ports, ports.ahead, going)
  }
  assert.equal(renewals(world), 1)
  assert.equal((await ports.store.connections.find('default', unused))?.renewedAt, null)
})

test('F-02 several processes that handed out one token renew it once', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const others = await Promise.all(
    [1, 2, 3].map(() => openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })),
  )
  t.after(() => Promise.all(others.map((other) => other.close())))
  const sessions = [await world.connect('none', 'ada'), await world.connect('none', 'grace'), await world.connect('none', 'mary')]
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }
  const all = [world.broker, ...others].map(({ ports }) => ports)
  for (const ports of all) for (const session of sessions) await token(ports, caller, session)
  world.pass(HOUR - 20 * SECOND)
  world.sandbox.control.script('refresh', { delay: 20, times: 'forever' })
  await Promise.all(all.map((ports) => renewAhead(ports, ports.ahead, going)))
  assert.equal(renewals(world), 3)
  for (const session of sessions) assert.equal((await world.token(session)).status, 200)
})

test('F-44 of many that are due together some are renewed at a time, and stopping ends it', async (t) => {
  const world = await opened(t)
  const users = Array.from({ length: 30 }, (_, i) => `user-${i}`)
  const sessions = await Promise.all(users.map((user) => world.connect('none', user)))
  for (const session of sessions) await world.token(session)
  world.pass(HOUR - 20 * SECOND)
  const { control } = world.sandbox
  control.script('refresh', { hold: true, times: 'forever' })
  const stopping = new AbortController()
  const { ports } = world.broker
  const running = renewAhead(ports, ports.ahead, stopping.signal)
  await control.waitFor(({ endpoint, nth }) => endpoint === 'refresh' && nth === 8)
  stopping.abort()
  control.release()
  await running
  assert.equal(renewals(world), 8)
})

test('one that fails keeps no other from being renewed', async (t) => {
  const world = await opened(t)
  const sessions = await Promise.all(['a', 'b', 'c'].map((user) => world.connect('none', user)))
  for (const session of sessions) await world.token(session)
  world.pass(HOUR - 20 * SECOND)
  world.sandbox.control.script('refresh', 'outage')
  const { ports } = world.broker
  await renewAhead(ports, ports.ahead, going)
  assert.equal(renewals(world), 3)
  const found = await Promise.all(sessions.map((session) => ports.store.connections.find('default', session)))
  assert.equal(found.filter((one) => one?.renewedAt !== null).length, 2)
})
