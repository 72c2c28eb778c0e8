/** Callers that want more of a token than that it works: some life left, or a new one. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Answer, HOUR, MINUTE, SECOND, startWorld, type World, type WorldOptions } from '../world.ts'

async function opened(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const world = await startWorld(options)
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const renewals = (world: World) => world.sandbox.control.count('refresh')

function tokenWith(world: World, session_id: string, query: Readonly<Record<string, string>>): Promise<Answer> {
  return world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id, ...query } })
}

function lifeOf(world: World, { body }: Answer): number {
  return Date.parse(String(body['access_token_expiry'])) - world.now()
}

test('F-18 a token lives at least as long as was asked for, and is renewed only when it does not', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(20 * MINUTE)
  const enough = await tokenWith(world, session, { min_ttl: '1800' })
  assert.deepEqual([enough.status, renewals(world)], [200, 0])
  world.pass(20 * MINUTE)
  const renewed = await tokenWith(world, session, { min_ttl: '1800' })
  assert.deepEqual([renewed.status, renewals(world)], [200, 1])
  assert(lifeOf(world, renewed) >= 1800 * SECOND)
  assert.equal((await world.token(session)).text, renewed.text)
})

test('F-18 more life than the provider’s tokens have is an error that says how long they live, and nothing is asked', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const refused = await tokenWith(world, session, { min_ttl: '3601' })
  assert.deepEqual([refused.status, refused.code, renewals(world)], [400, 'MIN_TTL_NOT_MET', 0])
  assert.match(refused.text, /live 3600 seconds/)
  assert.equal((await tokenWith(world, session, { min_ttl: '3500' })).status, 200)
})

test('F-18 when it cannot be renewed, a caller that needs more life gets none, and the others get what there is', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(40 * MINUTE)
  world.sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
  const refused = await tokenWith(world, session, { min_ttl: '1800' })
  assert.deepEqual([refused.status, refused.code], [503, 'PROVIDER_UNAVAILABLE'])
  assert(Number(refused.headers.get('retry-after')) >= 1)
  assert.equal((await world.token(session)).status, 200)
  assert.equal((await tokenWith(world, session, { min_ttl: '1800' })).status, 503)
  assert.equal(renewals(world), 1, 'asked once, then left in peace')
})

test('F-18 a provider that gives new tokens of little life is not asked over and over', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(40 * MINUTE)
  world.sandbox.control.script('refresh', { access_token_lifetime: 60, times: 'forever' })
  for (let time = 0; time < 5; time++)
    assert.equal((await tokenWith(world, session, { min_ttl: '1800' })).code, 'MIN_TTL_NOT_MET')
  assert.equal(renewals(world), 1)
})

test('F-18 one token of little life is no reason to ask for no other once it has ended', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(40 * MINUTE)
  world.sandbox.control.script('refresh', { access_token_lifetime: 60 })
  assert.equal((await tokenWith(world, session, { min_ttl: '1800' })).code, 'MIN_TTL_NOT_MET')
  assert.equal((await tokenWith(world, session, { min_ttl: '1800' })).code, 'MIN_TTL_NOT_MET')
  assert.equal(renewals(world), 1)
  world.pass(MINUTE)
  const renewed = await tokenWith(world, session, { min_ttl: '1800' })
  assert.deepEqual([renewed.status, renewals(world)], [200, 2])
})

test('F-19 a caller that wants new tokens all the time gets one every half minute', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const first = (await world.token(session)).body['access_token']
  world.pass(MINUTE)
  const storm = () => Promise.all(Array.from({ length: 40 }, () => tokenWith(world, session, { force_refresh: 'true' })))
  const answers = await storm()
  assert.equal(renewals(world), 1)
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  const [second, ...others] = new Set(answers.map(({ body }) => body['access_token']))
  assert.equal(others.length, 0)
  assert.notEqual(second, first)
  world.pass(20 * SECOND)
  await storm()
  assert.equal(renewals(world), 1)
  world.pass(11 * SECOND)
  await storm()
  assert.equal(renewals(world), 2)
})

test('F-19 a forced renewal that fails leaves the token that works, with a warning, and backs off', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { body } = await world.token(session)
  world.pass(MINUTE)
  world.sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
  for (let time = 0; time < 5; time++)
    assert.deepEqual((await tokenWith(world, session, { force_refresh: 'true' })).body, { ...body, warning: 'refresh_failed' })
  assert.equal(renewals(world), 1)
})

test('F-24 a token that never ends has no successor: a new one is not to be had, and connecting again brings it under the same id', async (t) => {
  const world = await opened(t)
  const unending = { edit: { remove: ['expires_in', 'refresh_token'] } }
  world.sandbox.control.script('token', unending)
  const session = await world.connect('none')
  const { body: first } = await world.token(session)
  assert.deepEqual(Object.keys(first), ['access_token'])
  world.sandbox.control.revokeEverything()
  world.pass(HOUR)
  assert.deepEqual((await tokenWith(world, session, { force_refresh: 'true' })).body, first)
  assert.deepEqual([(await world.connection(session)).body['state'], renewals(world)], ['connected', 0])

  world.sandbox.control.script('token', unending)
  const again = await world.authUrl({ key_code_ref: 'none', user_id: 'user-1', session_id: session })
  const arrived = await world.arrive(String(again.body['url']))
  assert.equal(arrived.searchParams.get('session_id'), session)
  assert(world.sandbox.control.alive(String((await world.token(session)).body['access_token'])))
})

test('S-68 what is wanted must be said right', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  for (const query of [{ min_ttl: '-1' }, { min_ttl: '1h' }, { min_ttl: '99999999' }, { force_refresh: 'yes' }])
    assert.equal((await tokenWith(world, session, query)).code, 'INVALID_REQUEST', JSON.stringify(query))
  assert.equal((await tokenWith(world, session, { min_ttl: '0', force_refresh: 'false' })).status, 200)
  assert.equal(renewals(world), 0)
  world.pass(2 * HOUR)
  assert.equal((await tokenWith(world, session, { min_ttl: '10', force_refresh: 'true' })).status, 200)
})
