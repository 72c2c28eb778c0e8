/** What the broker does by itself for connections that nobody asks for. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Connection } from '../../src/core/connection.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import { LookingAfter } from '../../src/core/look-after.ts'
import type { Ports } from '../../src/core/ports.ts'
import { renew } from '../../src/core/renew.ts'
import { openBroker } from '../../src/main.ts'
import { CALLBACK, HOUR, MINUTE, SECOND, STORES, startWorld, type World, type WorldOptions } from '../world.ts'

const DAY = 24 * HOUR

async function opened(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const world = await startWorld(options)
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const renewals = (world: World) => world.sandbox.control.count('refresh')
const facts = async (world: World, session: string) => (await world.told(session)).slice(2)

async function lookAfter({ broker: { ports } }: World): Promise<void> {
  const looking = new LookingAfter(ports)
  await looking.look()
  await looking.done()
}

async function stored(world: World, session: string): Promise<Connection> {
  return (await world.broker.ports.store.connections.find('default', session)) ?? assert.fail(`no connection ${session}`)
}

for (const store of STORES) {
  test(`a refresh token that dies of disuse is used in time, though nobody asks, and each in a time of its own, on ${store}`, async (t) => {
    const world = await opened(t, { store, provider: { refresh_token_idle: '60d' } })
    const sessions = await Promise.all(Array.from({ length: 8 }, (_, i) => world.connect('none', `user-${i}`)))
    const dues = await Promise.all(sessions.map(async (session) => (await stored(world, session)).dueAt!))
    assert(new Set(dues).size > 4)
    world.pass(41 * DAY)
    await lookAfter(world)
    assert.equal(renewals(world), 0)
    world.pass(8 * DAY)
    await Promise.all([lookAfter(world), lookAfter(world)])
    assert.equal(renewals(world), 8)
    await lookAfter(world)
    assert.equal(renewals(world), 8, 'once')
    for (const session of sessions) assert((await stored(world, session)).dueAt! > world.now() + 41 * DAY)
  })
}

test('a connection whose provider’s file says nothing of disuse is left to whoever asks', async (t) => {
  const world = await opened(t)
  assert.equal((await stored(world, await world.connect())).dueAt, null)
  world.pass(365 * DAY)
  await lookAfter(world)
  assert.equal(renewals(world), 0)
})

test('what cannot be renewed just now is tried again, and what is over is left alone', async (t) => {
  const world = await opened(t, { provider: { refresh_token_idle: '60d' } })
  const session = await world.connect()
  world.pass(50 * DAY)
  world.sandbox.control.script('refresh', 'outage', 'invalid_grant')
  await lookAfter(world)
  assert.deepEqual(await facts(world, session), ['connection.renewal_failing http_503'])
  await lookAfter(world)
  assert.equal(renewals(world), 1)
  world.pass(MINUTE)
  await lookAfter(world)
  assert.deepEqual(await facts(world, session), ['connection.renewal_failing http_503', 'connection.broken invalid_grant'])
  assert.equal((await stored(world, session)).dueAt, null)
})

test('F-08 F-45 a provider that does not answer keeps no connection of another waiting', async (t) => {
  const idle = { refresh_token_idle: '60d' }
  const world = await opened(t, {
    provider: idle,
    further: (sandbox) => ({
      providers: [{ ...sandbox.provider({ id: 'healthy' }), ...idle }],
      apps: [{ ...sandbox.app(), provider: 'healthy', key_code_ref: 'healthy', callback_url: CALLBACK, user_binding: 'none' }],
    }),
  })
  for (let i = 0; i < 10; i++) await world.connect('none', `user-${i}`)
  const connectToHealthy = async (): Promise<string> => {
    const { body } = await world.authUrl({ key_code_ref: 'healthy', user_id: 'ada' })
    return (await world.arrive(String(body['url']))).searchParams.get('session_id') ?? assert.fail('not connected')
  }
  const others = [await connectToHealthy()]
  world.pass(50 * DAY)
  const { ports } = world.broker
  const silence = Promise.withResolvers<never>()
  const modeOf: Ports['modeOf'] = (provider) =>
    provider.id === 'healthy' ? ports.modeOf(provider) : { ...ports.modeOf(provider), prepareRenewal: () => silence.promise }
  const looking = new LookingAfter({ ...ports, modeOf, flights: new Flights() })
  await looking.look()
  others.push(await connectToHealthy())
  world.pass(50 * DAY)
  await looking.look()
  for (const session of others) while ((await stored(world, session)).renewedAt === null) await ports.pause(5)
  silence.reject(new BrokerError('PROVIDER_UNAVAILABLE', 'no answer'))
  await looking.stop()
})

test('at a provider that is so slow that many are due again while they wait, each is renewed once', async (t) => {
  const world = await opened(t, { provider: { refresh_token_idle: '60d' } })
  for (let i = 0; i < 12; i++) await world.connect('none', `user-${i}`)
  world.pass(50 * DAY)
  const { ports } = world.broker
  const begun = Promise.withResolvers<void>()
  const modeOf: Ports['modeOf'] = (provider) => ({
    ...ports.modeOf(provider),
    async prepareRenewal(...asked) {
      await begun.promise
      world.pass(40 * SECOND)
      return ports.modeOf(provider).prepareRenewal(...asked)
    },
  })
  const looking = new LookingAfter({ ...ports, modeOf, flights: new Flights() })
  await looking.look()
  world.pass(MINUTE)
  await looking.look()
  begun.resolve()
  await looking.done()
  assert.equal(renewals(world), 12)
})

for (const store of ['sqlite', 'postgres'] as const) {
  test(`F-04 F-08 an answer that died with its process is asked for again by another while it is still given, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 30 } })
    const session = await world.connect()
    world.pass(HOUR)
    const other = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
    t.after(() => other.close())
    // The provider answers, and whoever asked is never heard of again.
    const { ports } = other
    const dying = {
      ...ports,
      store: { ...ports.store, connections: { ...ports.store.connections, settle: () => new Promise<never>(() => {}) } },
    }
    void renew({ ...dying, flights: new Flights() }, await stored(world, session))
    await world.sandbox.control.waitFor(({ endpoint, answered }) => endpoint === 'refresh' && answered !== null)
    await lookAfter(world)
    assert.equal(renewals(world), 1, 'its lease is alive')
    world.pass(16 * SECOND)
    await lookAfter(world)
    assert.equal(renewals(world), 2)
    const { health, lease, dueAt } = await stored(world, session)
    assert.deepEqual([health, lease, dueAt], [{ state: 'connected', trouble: null }, null, null])
    assert.deepEqual(await facts(world, session), [])
    const { status, body } = await world.token(session)
    assert.deepEqual([status, world.sandbox.control.alive(String(body['access_token'])), renewals(world)], [200, true, 2])
  })
}

test('F-08 an answer that was lost on its way is asked for again in its time, though nobody asks', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 30 } })
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', 'lost_answer')
  assert.equal((await world.token(session)).status, 503)
  world.pass(2 * SECOND)
  await lookAfter(world)
  assert.equal(renewals(world), 2)
  assert.equal((await stored(world, session)).health.state, 'connected')
})

test('F-12 F-15 an outage of two hours that answers nothing breaks no connection, also where nothing is given again', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const sessions = await Promise.all(Array.from({ length: 12 }, (_, i) => world.connect('none', `user-${i}`)))
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { preset: 'reset', times: 'forever' })
  for (let time = 0; time < 12; time++) {
    if (time === 6) world.sandbox.control.script('refresh', { preset: 'bad_gateway', times: 'forever' })
    for (const session of sessions) assert.equal((await world.token(session)).code, 'PROVIDER_UNAVAILABLE')
    world.pass(10 * MINUTE)
  }
  world.sandbox.control.script('refresh')
  for (const session of sessions) {
    assert.equal((await world.token(session)).status, 200)
    assert.deepEqual(await facts(world, session), ['connection.renewal_failing answer_lost', 'connection.recovered'])
  }
})
