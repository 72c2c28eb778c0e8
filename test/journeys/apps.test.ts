/** Apps over the API: what was set can be read, so that one of it can be changed and the rest stays. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setApp } from '../../src/core/manage.ts'
import type { Ports } from '../../src/core/ports.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, OTHER_CALLBACK, startWorld } from '../world.ts'

test('an app is read as it was written, and written back with one thing changed it has lost nothing', async (t) => {
  const world = await untilDone(
    t,
    startWorld({
      further: (sandbox) => ({
        providers: [
          {
            ...sandbox.provider(),
            id: 'regional',
            authorize_url: 'https://{region}.example/authorize',
            config: { region: { title: 'Region', enum: ['eu', 'us'] } },
          },
        ],
      }),
    }),
  )
  const secret = { client_secret: 'sandbox-secret' }
  const written = {
    key_code_ref: 'whole',
    provider: 'regional',
    name: 'Whole',
    client_id: 'sandbox-app',
    scopes: ['files.read', 'files.write'],
    callback_url: CALLBACK,
    allowed_callback_urls: [OTHER_CALLBACK],
    user_binding: 'callback',
    config: { region: 'eu' },
    one_per_owner: true,
    one_per_account: true,
    allow_account_change: true,
    required_scopes: ['files.write'],
    shared_redirect_uri: true,
    revoke_when_unused: '90d',
  }
  const made = await world.ask('POST', '/api/v1/apps', { json: { ...written, ...secret } })
  assert.equal(made.status, 200, made.text)
  const { tenant, redirect_uri, created_at, updated_at, ...read } = (await world.ask('GET', '/api/v1/apps/whole')).body
  assert.deepEqual(read, written)
  assert.deepEqual([tenant, redirect_uri], ['default', `${world.url}/connected_apps/callback`])
  assert.ok(created_at && updated_at)
  const changed = { ...read, name: 'Renamed' }
  assert.equal((await world.ask('POST', '/api/v1/apps', { json: { ...changed, ...secret } })).status, 200)
  assert.equal((await world.toldLast())?.reason, 'updated name user_binding callback')
})

test('what an app does not have is read as null, and may be written so', async (t) => {
  const world = await startWorld({ store: 'sqlite' })
  t.after(() => world[Symbol.asyncDispose]())
  const [first] = (await world.ask('GET', '/api/v1/apps')).body['apps'] as Record<string, unknown>[]
  const plain = {
    key_code_ref: 'plain',
    provider: first?.['provider'],
    client_id: 'sandbox-app',
    client_secret: 'sandbox-secret',
  }
  assert.equal((await world.ask('POST', '/api/v1/apps', { json: plain })).status, 200)
  const {
    tenant: _t,
    redirect_uri: _r,
    created_at: _c,
    updated_at: _u,
    ...read
  } = (await world.ask('GET', '/api/v1/apps/plain')).body
  assert.deepEqual([read['callback_url'], read['revoke_when_unused']], [null, null])
  const again = await world.ask('POST', '/api/v1/apps', { json: { ...read, client_secret: 'sandbox-secret' } })
  assert.equal(again.status, 200, again.text)
  assert.deepEqual([again.body['callback_url'], again.body['revoke_when_unused']], [null, null])
})

test('S-29 of two tenants that take the same registration at once one has it', async (t) => {
  const world = await untilDone(t, startWorld())
  const { ports } = world.broker
  const app = { ...world.sandbox.app(), key_code_ref: 'new', client_id: 'new-at-the-provider', callback_url: CALLBACK }
  const take = async (parts: Ports, tenant: string) =>
    setApp(parts, { name: tenant, tenant, scopes: new Set(['write:apps'] as const) }, await ports.checkApp({ ...app, tenant }))
  const { records } = ports.store
  let overtaken = false
  const apps: typeof records.apps = async (tenant) => {
    const found = await records.apps(tenant)
    if (!overtaken) {
      overtaken = true
      await take(ports, 'elsewhere')
    }
    return found
  }
  const slow = { ...ports, store: { ...ports.store, records: { ...records, apps } } }
  await assert.rejects(take(slow, 'default'), { code: 'CONFLICT' })
  assert.equal(await records.app('default', 'new'), null)
})
