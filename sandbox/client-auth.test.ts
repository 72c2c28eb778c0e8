/** The ways an app proves who it is, at the token endpoint. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { ask, basic, CHALLENGE, codeFor, opened, post, redeem, VERIFIER } from './practice-app.ts'
import type { ClientAuth } from './realm.ts'
import type { Sandbox } from './sandbox.ts'

const ODD = 'se-cret+/% :ü'
const FORM = { grant_type: 'client_credentials' }

const encoded = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+')

/** A sandbox whose one app has an odd secret and may use these ways. */
function withApp(t: Parameters<typeof opened>[0], auth?: readonly ClientAuth[]): Promise<Sandbox> {
  return opened(t, { clients: [{ client_id: 'my-app', client_secret: ODD, ...(auth && { auth }) }] })
}

const byBasic = async (sandbox: Sandbox, id: string, secret: string, more = {}) =>
  (await post(sandbox, '/token', { ...FORM, ...more }, { authorization: basic(id, secret) })).status

test('Basic works raw and percent-encoded, unless the app is registered for one of them', async (t) => {
  const both = await withApp(t)
  assert.deepEqual([await byBasic(both, 'my-app', ODD), await byBasic(both, 'my-app', encoded(ODD))], [200, 200])
  const raw = await withApp(t, ['basic'])
  assert.deepEqual([await byBasic(raw, 'my-app', ODD), await byBasic(raw, 'my-app', encoded(ODD))], [200, 401])
  const strict = await withApp(t, ['basic_encoded'])
  assert.deepEqual([await byBasic(strict, 'my-app', ODD), await byBasic(strict, 'my-app', encoded(ODD))], [401, 200])
})

test('the secret in the form works, unless the app is registered for something else', async (t) => {
  const fields = { ...FORM, client_id: 'my-app', client_secret: ODD }
  assert.equal((await post(await withApp(t), '/token', fields, {})).status, 200)
  assert.equal((await post(await withApp(t, ['basic']), '/token', fields, {})).status, 401)
  assert.equal(await byBasic(await withApp(t, ['post']), 'my-app', ODD), 401)
})

test('a wrong secret, an unknown app, and nothing at all are invalid_client with a 401', async (t) => {
  const sandbox = await withApp(t)
  const wrong = await post(sandbox, '/token', FORM, { authorization: basic('my-app', 'wrong') })
  assert.deepEqual([wrong.status, wrong.json['error']], [401, 'invalid_client'])
  assert.match(wrong.headers.get('www-authenticate') ?? '', /^Basic /)
  assert.equal(await byBasic(sandbox, 'nobody', ODD), 401)
  for (const fields of [
    {},
    { client_id: 'my-app' },
    { client_id: 'my-app', client_secret: 'x' },
    { client_id: 'my-app', client_secret: '' },
  ]) {
    const { status, json } = await post(sandbox, '/token', { ...FORM, ...fields }, {})
    assert.deepEqual([status, json['error']], [401, 'invalid_client'], JSON.stringify(fields))
  }
  assert.equal((await post(sandbox, '/token', FORM, { authorization: 'Bearer x' })).status, 401)
})

test('two ways at once are refused; the same name twice is fine', async (t) => {
  const sandbox = await withApp(t)
  assert.equal(await byBasic(sandbox, 'my-app', ODD, { client_secret: ODD }), 400)
  assert.equal(await byBasic(sandbox, 'my-app', ODD, { client_id: 'somebody-else' }), 400)
  assert.equal(await byBasic(sandbox, 'my-app', ODD, { client_id: 'my-app' }), 200)
})

test('an app without a secret needs PKCE and nothing else', async (t) => {
  const sandbox = await opened(t)
  const client = { client_id: 'sandbox-public' }
  const code = await codeFor(sandbox, { ...client, code_challenge: CHALLENGE, code_challenge_method: 'S256' })
  assert.equal((await redeem(sandbox, code, client, {})).json['error'], 'invalid_grant')
  assert.equal((await redeem(sandbox, code, { ...client, code_verifier: VERIFIER }, {})).status, 200)
})

test('an app that has a secret and does not use it needs PKCE all the same, unless the provider breaks on PKCE', async (t) => {
  const sandbox = await opened(t, { clients: [{ client_id: 'sandbox-app', client_secret: ODD, auth: ['none', 'post'] }] })
  const bare = async () => redeem(sandbox, await codeFor(sandbox), { client_id: 'sandbox-app' }, {})
  assert.equal((await bare()).json['error'], 'invalid_grant')
  sandbox.control.set({ pkce: 'refused' })
  assert.equal((await bare()).status, 200)
})

test('a changed secret takes effect at once', async (t) => {
  const sandbox = await withApp(t)
  sandbox.control.register({ client_id: 'my-app', client_secret: 'new' })
  assert.deepEqual([await byBasic(sandbox, 'my-app', ODD), await byBasic(sandbox, 'my-app', 'new')], [401, 200])
})

test('a signed assertion is checked: key, issuer, subject, audience, expiry, and used once', async (t) => {
  const pair = await generateKeyPair('ES256')
  const stranger = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(pair.publicKey)), alg: 'ES256' }
  const sandbox = await opened(t, { clients: [{ client_id: 'my-app', jwk }] })
  let serial = 0
  const assertion = (changes = {}, key = pair.privateKey): Promise<string> => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: 'my-app', sub: 'my-app', aud: sandbox.url, exp: now + 60, jti: String(++serial), ...changes }
    return new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(key)
  }
  const status = async (client_assertion: string, more = {}): Promise<number> => {
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    return (await post(sandbox, '/token', { ...FORM, client_assertion_type, client_assertion, ...more }, {})).status
  }
  const good = await assertion()
  assert.equal(await status(good), 200)
  assert.equal(await status(good), 401, 'used twice')
  assert.equal(await status(await assertion({ aud: `${sandbox.url}/token` }), { client_id: 'my-app' }), 200)
  assert.equal(await status(await assertion({}, stranger.privateKey)), 401, 'another key')
  for (const changes of [
    { iss: 'other' },
    { sub: 'other' },
    { aud: 'https://other.example' },
    { aud: [sandbox.url, 'https://other.example'] },
    { aud: [sandbox.url] },
    { exp: 1 },
    { exp: undefined },
    { jti: undefined },
  ]) {
    assert.equal(await status(await assertion(changes)), 401, JSON.stringify(changes))
  }
  assert.equal(await status('not.a.jwt'), 401)
  assert.equal(await status(await assertion(), { client_assertion_type: 'other' }), 401)
  assert.equal(await status(await assertion(), { client_id: 'other' }), 401)
  assert.equal((await post(sandbox, '/token', { ...FORM, client_id: 'my-app' }, {})).status, 401, 'a key that is not used')
})

test('revoke, introspect and par ask for the same proof', async (t) => {
  const sandbox = await opened(t)
  for (const path of ['/revoke', '/introspect', '/par']) {
    assert.equal((await post(sandbox, path, { token: 'x' }, { authorization: basic('sandbox-app', 'wrong') })).status, 401, path)
    assert.equal((await ask(sandbox, path)).status, 405, path)
  }
})
