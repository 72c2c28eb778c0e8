/** F-36: an app that wants more than before, and connections that are connected again for it. Nothing that was granted is lost on the way. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { startWorld, type World } from '../world.ts'

async function grown(world: World, binding = 'none'): Promise<void> {
  const { ports } = world.broker
  const app = (await ports.store.records.app('default', binding)) ?? assert.fail()
  const next = { ...app, scopes: ['files.read', 'files.write'] }
  await ports.store.records.change([{ put: 'app', app: next }], [])
  ports.registry.forget()
}

const scopesOf = async (world: World, session: string) => {
  const { body } = await world.connection(session)
  return { granted: body['granted_scopes'], missing: body['missing_scopes'] }
}

async function again(world: World, session: string) {
  const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'user-1', session_id: session })
  return String(body['url'])
}

test('F-36 an upgrade that is denied or abandoned leaves the old grant active, one that succeeds replaces it', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect('none')
  const token = (await world.token(session)).text
  await grown(world)
  await again(world, session)
  await world.consent(await again(world, session), new Browser())
  await world.arrive(await again(world, session), new Browser(), { decision: 'deny' })
  assert.equal((await world.token(session)).text, token)
  assert.deepEqual(await scopesOf(world, session), { granted: ['files.read'], missing: [] })

  await world.arrive(await again(world, session))
  assert.notEqual((await world.token(session)).text, token)
  assert.deepEqual(await scopesOf(world, session), { granted: ['files.read', 'files.write'], missing: [] })
  assert.equal((await world.told(session)).at(-1), 'connection.connected reconnected')
})

test('F-36 a consent to less than before is told as such', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect('none')
  await grown(world)
  world.sandbox.control.script('token', { edit: { set: { scope: 'files.write' } } })
  await world.arrive(await again(world, session))
  assert.deepEqual(await scopesOf(world, session), { granted: ['files.write'], missing: ['files.read'] })
  const { body } = await world.ask('GET', '/api/v1/events', { query: { session_id: session } })
  const events = body['events'] as { data: { reason: string | null } }[]
  assert.deepEqual(
    events.map(({ data }) => data.reason),
    [null, 'reconnected_with_fewer_scopes'],
  )
})

for (const scope of ['files.write', undefined]) {
  test(`F-36 where consents add up, ${scope ? 'an answer that names only what is new' : 'a silent answer'} takes nothing away`, async (t) => {
    const app = { required_scopes: ['files.read'] }
    const world = await untilDone(t, startWorld({ provider: { scopes: { reconnect: 'adds' } }, app }))
    const session = await world.connect('none')
    await grown(world)
    world.sandbox.control.script('token', { edit: scope ? { set: { scope } } : { remove: ['scope'] } })
    await world.arrive(await again(world, session))
    assert.deepEqual(await scopesOf(world, session), { granted: ['files.read', 'files.write'], missing: [] })
  })
}

test('F-36 where consents add up, so they do under the new id that `callback` makes', async (t) => {
  const world = await untilDone(t, startWorld({ provider: { scopes: { reconnect: 'adds' } } }))
  const session = await world.connect('callback')
  await grown(world, 'callback')
  world.sandbox.control.script('token', { edit: { set: { scope: 'files.write' } } })
  const renewed = await world.connect('callback', 'user-1', { session_id: session })
  assert.deepEqual(await scopesOf(world, renewed), { granted: ['files.read', 'files.write'], missing: [] })
})

test('F-36 a new consent that brings no refresh token leaves the one that works', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect('none')
  const token = (await world.token(session)).text
  world.sandbox.control.script('token', { edit: { remove: ['refresh_token'] } })
  await world.arrive(await again(world, session))
  const between = (await world.token(session)).text
  assert.notEqual(between, token)
  const fresh = await world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session, force_refresh: 'true' } })
  assert.equal(fresh.status, 200, fresh.text)
  world.pass(60 * 60_000)
  const renewed = await world.token(session)
  assert.equal(renewed.status, 200, renewed.text)
  assert.notEqual(renewed.text, between)
})
