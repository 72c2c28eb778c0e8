/** What an application needs besides the token: fields of the provider's answer and of its callback, which the provider's file names. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SCOPES } from '../../src/core/caller.ts'
import { exportOwner } from '../../src/core/owner.ts'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { startWorld } from '../world.ts'

const KEPT = { keep_from_answer: ['instance_url', 'team.id'], keep_from_callback: ['realmId'] }
const OWNER = { user_id: 'ada' }
const OPERATOR = { name: 'operator', tenant: 'default', scopes: new Set(SCOPES) }

test('where the API of the account is comes with the connection: when it is completed, and whenever it is read', async (t) => {
  const world = await untilDone(t, startWorld({ provider: KEPT }))
  world.sandbox.control.script('authorize', { edit: { set: { realmId: '4620816365' } } })
  world.sandbox.control.script('token', {
    edit: { set: { instance_url: 'https://eu7.crm.example', team: { id: 7 }, other: 'x' } },
  })
  const { body } = await world.authUrl({ key_code_ref: 'complete', ...OWNER })
  const arrived = (await world.arrive(String(body['url']), new Browser())).searchParams
  const session_id = arrived.get('session_id') ?? ''
  const kept = { realmId: '4620816365', instance_url: 'https://eu7.crm.example', 'team.id': '7' }

  const completed = await world.complete({ session_id, completion_code: arrived.get('completion_code'), ...OWNER })
  assert.deepEqual(completed.body['kept'], kept)
  assert.deepEqual((await world.connection(session_id)).body['kept'], kept)

  // It moved, and the rest of it was not said again.
  world.sandbox.control.script('refresh', { edit: { set: { instance_url: 'https://eu8.crm.example' } } })
  world.sandbox.control.expireAccessTokens()
  world.pass(2 * 3_600_000)
  assert.equal((await world.token(session_id)).status, 200)
  assert.deepEqual((await world.connection(session_id)).body['kept'], { ...kept, instance_url: 'https://eu8.crm.example' })

  const exported = await exportOwner(world.broker.ports, OPERATOR, { userId: 'ada' })
  assert.deepEqual(exported.connections[0]?.kept, { ...kept, instance_url: 'https://eu8.crm.example' })
  const list = (await world.ask('GET', '/api/v1/connections')).body['connections'] as readonly object[]
  assert(list.length === 1 && !('kept' in list[0]!), 'nothing is opened for a list')
  assert.equal((await world.connection(session_id, 'reader')).status, 403)
  assert.equal((await world.connection(session_id, 'stranger')).status, 404)
  await world.revoke(session_id)
  assert.deepEqual((await world.connection(session_id)).body['kept'], {})
})

test('where the file names nothing, nothing is kept', async (t) => {
  const world = await untilDone(t, startWorld())
  assert.deepEqual((await world.connection(await world.connect())).body['kept'], {})
  const { body } = await world.authUrl({ key_code_ref: 'confirm', ...OWNER })
  assert.deepEqual((await world.connection(String(body['session_id']))).body['kept'], {})
})

test('of a connection that does not open any more it is still told how it stands', async (t) => {
  const world = await untilDone(t, startWorld({ provider: KEPT }))
  world.sandbox.control.script('token', { edit: { set: { instance_url: 'https://eu7.crm.example' } } })
  const session = await world.connect()
  const { connections } = world.broker.ports.store
  const found = await connections.find('default', session)
  assert(found?.sealed?.extra)
  const extra = found.sealed.extra.map((byte, at) => (at === 20 ? byte ^ 1 : byte))
  assert(await connections.save(found, { ...found, sealed: { ...found.sealed, extra } }, []))
  const read = await world.connection(session)
  assert.deepEqual([read.status, read.body['state'], read.body['kept']], [200, 'connected', {}])
  assert((await world.told(session)).some((fact) => fact.startsWith('connection.integrity_failure')))
})
