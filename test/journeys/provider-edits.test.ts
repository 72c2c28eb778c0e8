/** What an operator, or a caller, changes about where grants go: no grant that is there, and no code under way, goes to a new host unasked. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ApplyOptions, apply } from '../../src/core/apply.ts'
import type { Provider } from '../../src/core/provider.ts'
import { Secret } from '../../src/core/secret.ts'
import type { AppSetup } from '../../src/core/setup.ts'
import { Browser } from '../browser-stand-in.ts'
import { startRecordingEndpoint } from '../recording-endpoint.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, HOUR, startWorld, type World } from '../world.ts'

/** As if latchstring.yaml said so. */
async function edit(world: World, changes: Partial<Provider>, options?: ApplyOptions) {
  const { ports } = world.broker
  const [own] = await ports.store.records.providers()
  return apply(ports, 'operator', { providers: [{ ...(own ?? assert.fail()), ...changes }], apps: [], callers: [] }, options)
}

const ELSEWHERE = 'https://new.example'

test('S-31 a provider with connections gets no new host unasked, whichever of its URLs it is', async (t) => {
  const world = await untilDone(t, startWorld())
  const old = new URL(world.sandbox.url).origin
  const edits: Partial<Provider>[] = [
    { token_url: `${ELSEWHERE}/token` },
    { refresh_url: `${ELSEWHERE}/token` },
    { revoke_url: `${ELSEWHERE}/revoke` },
    { issuer: ELSEWHERE },
    { identity: { url: `${ELSEWHERE}/me`, id: 'id' } },
    { probe: { url: `${ELSEWHERE}/me` } },
    { hosts: ['new.example'] },
  ]
  const session = await world.connect('none')
  await world.connect('none', 'user-2')
  const before = await world.broker.ports.store.records.version()
  for (const changes of edits) {
    await assert.rejects(edit(world, changes), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CONFLICT')
      assert.ok(error.message.includes(`2 connections of the app none to ${ELSEWHERE}`), error.message)
      assert.ok(error.message.includes(old), error.message)
      assert.match(error.message, /latchstring apply --allow-host-change sandbox$/)
      return true
    })
  }
  assert.equal(await world.broker.ports.store.records.version(), before)
  world.pass(2 * HOUR)
  assert.equal((await world.token(session)).status, 200, 'and it is renewed where it was before')

  await edit(world, { token_url: `${old}/token?v=2` })
  await edit(world, { revoke_url: undefined } as unknown as Partial<Provider>)
  await assert.rejects(edit(world, { issuer: ELSEWHERE }, { allowHostChange: ['another'] }), /CONFLICT|--allow-host-change/)
  await edit(world, { issuer: ELSEWHERE }, { allowHostChange: ['sandbox'] })
  const [fact] = await world.broker.ports.store.history(null, { before: null, limit: 1 })
  assert.equal(fact?.action, 'provider.applied')
  assert.equal(fact?.reason, `updated issuer approved: 2 connections of the app none to ${ELSEWHERE}`)
})

test('an app with connections becomes no other client unasked, and gets a new secret without a question', async (t) => {
  const world = await untilDone(t, startWorld())
  const { ports } = world.broker
  const stored = (await ports.store.records.app('default', 'none')) ?? assert.fail()
  const setup = (clientId: string, secret: string): AppSetup => ({
    ...{ ...stored, clientId, clientSecret: new Secret(secret), privateKey: null },
  })
  const become = (app: AppSetup, options?: ApplyOptions) =>
    apply(ports, 'operator', { providers: [], apps: [app], callers: [] }, options)
  await become(setup('staging-app', 'hush'))
  await become(setup('sandbox-app', 'sandbox-secret'))
  const session = await world.connect('none')
  await become(setup('sandbox-app', 'rotated'))
  await become(setup('sandbox-app', 'sandbox-secret'))

  for (const options of [{}, { allowHostChange: ['sandbox'] }, { allowClientChange: ['confirm'] }]) {
    await assert.rejects(become(setup('staging-app', 'hush'), options), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CONFLICT')
      assert.match(error.message, /1 connection of the app none was granted to the client sandbox-app: staging-app can neither/)
      assert.match(error.message, /latchstring apply --allow-client-change none$/)
      return true
    })
  }
  const json = {
    key_code_ref: 'none',
    provider: 'sandbox',
    client_id: 'staging-app',
    client_secret: 'hush',
    callback_url: CALLBACK,
  }
  assert.equal((await world.ask('POST', '/api/v1/apps', { json })).code, 'CONFLICT')
  world.pass(HOUR)
  assert.equal((await world.token(session)).status, 200)

  await become(setup('staging-app', 'hush'), { allowClientChange: ['none'] })
  const [fact] = await ports.store.history('default', { before: null, limit: 1 })
  assert.match(String(fact?.reason), /client_id .*approved: 1 connection of the app none to the client staging-app$/)
})

test('S-31 a provider that nobody is connected to may go anywhere', async (t) => {
  const world = await untilDone(t, startWorld())
  await edit(world, { token_url: `${ELSEWHERE}/token`, issuer: ELSEWHERE })
})

test('S-31 flows that are under way when a host is changed send no code there', async (t) => {
  const thief = await untilDone(t, startRecordingEndpoint())
  const world = await untilDone(t, startWorld())
  await world.connect('none')
  const pending = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
  const back = await world.consent(String(pending.body['url']), new Browser())
  const held = await world.authUrl({ key_code_ref: 'complete', user_id: 'ada' })
  const arrived = (await world.arrive(String(held.body['url']))).searchParams
  await edit(world, { token_url: thief.url }, { allowHostChange: ['sandbox'] })

  const ended = new URL((await new Browser().visit(back)).headers.get('location')!)
  assert.equal(ended.searchParams.get('error'), 'provider_changed')
  const completed = await world.complete({ ...Object.fromEntries(arrived), user_id: 'ada' })
  assert.equal(completed.code, 'CONNECT_FAILED')
  assert.match(completed.text, /provider_changed/)
  assert.equal(thief.received.length, 0)
})

for (const store of ['memory', 'sqlite', 'postgres'] as const) {
  test(`S-31 what changes while the provider is asked makes no connection, and what was granted is taken back, on ${store}`, async (t) => {
    const thief = await untilDone(t, startRecordingEndpoint())
    const world = await untilDone(t, startWorld({ store }))
    const { control } = world.sandbox
    const become = async (client_id: string, client_secret: string) => {
      const client = { client_id, client_secret, key_code_ref: 'none', provider: 'sandbox' }
      const json = { ...client, callback_url: CALLBACK, user_binding: 'none' }
      assert.equal((await world.ask('POST', '/api/v1/apps', { json })).status, 200)
    }
    for (const [change, reason] of [
      [() => edit(world, { revoke_url: thief.url }), 'provider_changed'],
      [() => become('staging-app', 'hush'), 'provider_changed'],
      [async () => assert.equal((await world.ask('DELETE', '/api/v1/apps/none')).status, 200), 'app_removed'],
    ] as const) {
      const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
      const back = await world.consent(String(body['url']), new Browser())
      const { grants } = control
      const nth = control.count('token') + 1
      control.script('token', { hold: true })
      const visit = new Browser().visit(back)
      await control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
      await change()
      control.release()
      const ended = await visit
      assert.equal(new URL(ended.headers.get('location')!).searchParams.get('error'), reason)
      assert.equal((await world.token(String(body['session_id']))).code, 'CONNECT_FAILED')
      assert.equal(control.grants, grants - 1)
      await edit(world, { revoke_url: `${world.sandbox.url}/revoke` })
      await become('sandbox-app', 'sandbox-secret')
    }
    assert.deepEqual((await world.ask('GET', '/api/v1/connections')).body['connections'], [])
    assert.equal(thief.received.length, 0)
  })
}

test('an app that was removed while its user was away is told as that', async (t) => {
  const world = await untilDone(t, startWorld())
  for (const app of ['none', 'complete']) {
    const { body } = await world.authUrl({ key_code_ref: app, user_id: 'ada' })
    const back = await world.consent(String(body['url']), new Browser())
    assert.equal((await world.ask('DELETE', `/api/v1/apps/${app}`)).status, 200)
    const ended = await new Browser().visit(back)
    assert.equal(new URL(ended.headers.get('location')!).searchParams.get('error'), 'app_removed')
    assert.equal((await world.token(String(body['session_id']))).code, 'CONNECT_FAILED')
  }
  assert.equal(world.redeemed, 0)
})

describe('apps that callers set up', () => {
  const HOSTED = 'hosted'
  const hosted = (world: { url: string }) => ({
    id: HOSTED,
    name: 'Hosted',
    mode: 'oauth2',
    authorize_url: 'https://{host}/authorize',
    token_url: 'https://{host}/token',
    config: { host: { title: 'Your host' } },
    hosts: [new URL(world.url).hostname],
  })
  const app = { key_code_ref: 'hosted', provider: HOSTED, client_id: 'mine', client_secret: 'hush', callback_url: CALLBACK }

  test('S-31 an app whose config, or provider, leads elsewhere is as much an edit', async (t) => {
    const world = await untilDone(t, startWorld({ further: (sandbox) => ({ providers: [hosted(sandbox)] }) }))
    const post = (json: object) => world.ask('POST', '/api/v1/apps', { json })
    assert.equal((await post({ ...app, config: { host: 'one.example' } })).status, 200)
    assert.equal((await post({ ...app, config: { host: 'two.example' } })).status, 200, 'nothing is connected yet')
    const { ports } = world.broker
    const made = (await ports.store.connections.find('default', await world.connect('none'))) ?? assert.fail()
    const attempt = (await ports.store.attempts.find('default', made.id)) ?? assert.fail()
    const pretended = { ...made, id: 'pretended', app: 'hosted', provider: HOSTED }
    await ports.store.attempts.add({ ...attempt, id: 'pretended', session: 'pretended', stage: 'returned', stateHash: null }, [])
    await ports.store.attempts.finish(
      'returned',
      { ...attempt, id: 'pretended', session: 'pretended', stateHash: null },
      pretended,
      [],
    )
    for (const json of [
      { ...app, config: { host: 'three.example' } },
      { ...app, provider: 'sandbox' },
    ]) {
      const refused = await post(json)
      assert.equal(refused.status, 409, refused.text)
      assert.match(refused.text, /1 connection of the app hosted/)
    }
    assert.equal((await post({ ...app, config: { host: 'two.example' }, name: 'Renamed' })).status, 200)
    const stored = (await ports.store.records.app('default', 'hosted')) ?? assert.fail()
    const wanted: AppSetup = { ...stored, config: { host: 'three.example' }, clientSecret: null, privateKey: null }
    await apply(ports, 'operator', { providers: [], apps: [wanted], callers: [] }, { allowHostChange: [HOSTED] })
    const [fact] = await ports.store.history(null, { before: null, limit: 1 })
    assert.match(String(fact?.reason), /approved: 1 connection of the app hosted to https:\/\/three\.example$/)
  })

  test('S-29 S-31 an app that is removed and made again is shown nothing that connections of the one before it still hold', async (t) => {
    const thief = await untilDone(t, startRecordingEndpoint())
    const at = { authorize_url: thief.url, token_url: thief.url, revoke_url: thief.url, probe: { url: thief.url } }
    const theirs = { id: 'theirs', name: 'Theirs', mode: 'oauth2', allow_private_network: true, hosts: ['127.0.0.1'], ...at }
    const world = await untilDone(t, startWorld({ further: () => ({ providers: [theirs] }) }))
    const { connections } = world.broker.ports.store
    const { control } = world.sandbox
    const post = (json: object) => world.ask('POST', '/api/v1/apps', { json: { ...app, key_code_ref: 'none', ...json } })
    const renewedLate = [await world.connect('none', 'ada'), await world.connect('none', 'grace')]
    world.pass(HOUR)
    const kept = [await world.connect('none', 'eve'), await world.connect('none', 'mallory'), await world.connect('none', 'zoe')]

    control.script('refresh', { hold: true, times: 2 })
    const renewals = renewedLate.map((session) => world.token(session))
    await control.waitFor(() => control.count('refresh') === 2)
    control.script('revoke', { preset: 'outage', times: 5 })
    for (const session of [...kept, ...renewedLate]) await world.revoke(session)
    assert.equal((await world.ask('DELETE', `/api/v1/connections/${renewedLate[0]}`)).status, 200)
    // As it stands in the rows of earlier versions: without the app that it was revoked under.
    const old = (await connections.find('default', kept[0]!)) ?? assert.fail()
    assert(old.health.state === 'revoked' && old.health.revocation)
    const { appSince: _, ...revocation } = old.health.revocation
    assert(await connections.save(old, { ...old, health: { ...old.health, revocation } }, []))

    const { client_id, client_secret } = world.sandbox.app() as { client_id: string; client_secret: string }
    assert.equal((await post({ provider: 'sandbox', client_id, client_secret, name: 'Renamed' })).status, 200)
    assert.match((await world.revoke(kept[2]!)).text, /confirmed/, 'an app that is only changed is the same one')
    assert.equal((await world.ask('DELETE', '/api/v1/apps/none')).status, 200)
    assert.equal((await post({ provider: 'theirs' })).status, 200)
    for (const session of [kept[0]!, kept[1]!, renewedLate[1]!]) {
      assert.match((await world.revoke(session)).text, /failed/)
      const { revocation } = (await world.connection(session)).body as { revocation: { reason: string } }
      assert.equal(revocation.reason, 'app_not_found')
    }
    control.release()
    await Promise.all(renewals)
    assert.deepEqual(thief.received, [])
  })

  test('S-29 a caller of one tenant cannot take the registration of another', async (t) => {
    const registered = { ...app, provider: 'sandbox', client_id: 'of-the-first' }
    const world = await untilDone(t, startWorld({ further: () => ({ apps: [registered] }) }))
    const stolen = { key_code_ref: 'stolen', provider: 'sandbox', client_id: 'of-the-first', client_secret: 'guess' }
    const taken = await world.ask('POST', '/api/v1/apps', {
      json: { ...stolen, shared_redirect_uri: true, callback_url: CALLBACK },
      as: 'stranger',
    })
    assert.equal(taken.status, 409)
    assert.equal(taken.code, 'CONFLICT')
    const own = await world.ask('POST', '/api/v1/apps', { json: { ...stolen, client_id: 'its-own' }, as: 'stranger' })
    assert.equal(own.status, 200, own.text)
    const shared = { ...stolen, client_id: 'sandbox-app' }
    const given = await world.ask('POST', '/api/v1/apps', { json: shared, as: 'stranger' })
    assert.equal(given.status, 200, 'what the operator gave to both is for both')
  })

  test('S-29 a code that comes to one tenant’s place with the state of another is sent to nobody', async (t) => {
    const world = await untilDone(t, startWorld())
    const mine = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
    const theirs = await world.authUrl({ key_code_ref: 'none', user_id: 'eve' }, 'stranger')
    const back = await world.consent(String(mine.body['url']), new Browser())
    back.searchParams.set('state', String(new URL(String(theirs.body['url'])).searchParams.get('state')))
    assert.equal((await new Browser().visit(back)).status, 400)
    assert.equal(world.redeemed, 0)
  })

  test('S-45 providers are the operator’s: no caller can define or change one, or open the private network', async (t) => {
    const world = await untilDone(t, startWorld({ further: (sandbox) => ({ providers: [hosted(sandbox)] }) }))
    for (const [method, path] of [
      ['POST', '/api/v1/providers'],
      ['PUT', '/api/v1/providers/hosted'],
      ['PATCH', '/api/v1/providers/hosted'],
      ['DELETE', '/api/v1/providers/hosted'],
    ] as const) {
      const { status } = await world.ask(method, path, { json: { ...hosted(world.sandbox), token_url: `${ELSEWHERE}/token` } })
      assert.ok(status === 404 || status === 405, `${method} ${path} answers ${status}`)
    }
    for (const field of [{ token_url: `${ELSEWHERE}/token` }, { allow_private_network: true }, { hosts: ['new.example'] }]) {
      const json = { ...app, config: { host: 'one.example' }, ...field }
      assert.equal((await world.ask('POST', '/api/v1/apps', { json })).code, 'INVALID_REQUEST')
    }
    for (const host of ['evil.example/', 'a@b', 'a.example#', '..', 'a b']) {
      const { code } = await world.ask('POST', '/api/v1/apps', { json: { ...app, config: { host } } })
      assert.equal(code, 'INVALID_REQUEST', host)
    }
    const json = { ...app, user_binding: 'none', config: { host: '127.0.0.1:1' } }
    assert.equal((await world.ask('POST', '/api/v1/apps', { json })).status, 200)
    const begun = await world.authUrl({ key_code_ref: 'hosted', user_id: 'eve' })
    const state = new URL(String(begun.body['url'])).searchParams.get('state')
    const { body } = await world.ask('GET', '/api/v1/apps/hosted')
    const visit = await new Browser().visit(`${String(body['redirect_uri'])}?code=x&state=${state}`)
    const { searchParams } = new URL(visit.headers.get('location')!)
    assert.match(String(searchParams.get('error_description')), /private|loopback|address/)
    assert.equal(searchParams.get('session_id'), begun.body['session_id'])
  })
})
