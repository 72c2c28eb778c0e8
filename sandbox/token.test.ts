/** Codes into tokens, and the other ways to the token endpoint. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  approved,
  ask,
  CALLBACK,
  CHALLENGE,
  codeFor,
  connected,
  opened,
  post,
  probe,
  redeem,
  renew,
  tokensIn,
  VERIFIER,
} from './practice-app.ts'

const PKCE = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }

test('a code buys an access token that works, a refresh token, and says for how long and for what', async (t) => {
  const sandbox = await opened(t)
  const { status, json, headers } = await redeem(sandbox, await codeFor(sandbox, { scope: 'files.read files.write' }))
  assert.equal(status, 200)
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('content-type'), 'application/json')
  const { access_token, refresh_token, ...rest } = json
  assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 3600, scope: 'files.read files.write' })
  assert.equal(await probe(sandbox, String(access_token)), 200)
  assert.match(String(refresh_token), /^sbx_rt_/)
})

test('a code that is used twice takes back what it bought the first time', async (t) => {
  const sandbox = await opened(t)
  const code = await codeFor(sandbox)
  const { access, refresh } = tokensIn(await redeem(sandbox, code))
  assert.equal((await redeem(sandbox, code)).json['error'], 'invalid_grant')
  assert.equal(await probe(sandbox, access), 401)
  assert.equal((await renew(sandbox, refresh)).json['error'], 'invalid_grant')
})

test('32 exchanges of one code at once cannot all succeed', async (t) => {
  const sandbox = await opened(t)
  const code = await codeFor(sandbox)
  const replies = await Promise.all(Array.from({ length: 32 }, () => redeem(sandbox, code)))
  assert.equal(replies.filter(({ status }) => status === 200).length, 1)
})

test('a code lasts 60 seconds, or as long as code_lifetime says', async (t) => {
  const sandbox = await opened(t)
  const [quick, slow] = [await codeFor(sandbox), await codeFor(sandbox)]
  sandbox.control.advance(59)
  assert.equal((await redeem(sandbox, quick)).status, 200)
  sandbox.control.advance(1)
  assert.equal((await redeem(sandbox, slow)).json['error'], 'invalid_grant')
  sandbox.control.set({ code_lifetime: 600 })
  const patient = await codeFor(sandbox)
  sandbox.control.advance(500)
  assert.equal((await redeem(sandbox, patient)).status, 200)
})

test('a code is bound to its client, its redirect URI and its challenge, and a failed try does not use it up', async (t) => {
  const clients = [
    { client_id: 'sandbox-app', client_secret: 'sandbox-secret' },
    { client_id: 'other', client_secret: 'other-secret' },
  ] as const
  const sandbox = await opened(t, { clients })
  const code = await codeFor(sandbox, PKCE)
  const refused = async (more: Record<string, string>, headers?: Record<string, string>): Promise<void> => {
    assert.equal((await redeem(sandbox, code, more, headers)).json['error'], 'invalid_grant', JSON.stringify(more))
  }
  await refused({ client_id: 'other', client_secret: 'other-secret', code_verifier: VERIFIER }, {})
  await refused({ redirect_uri: `${CALLBACK}/`, code_verifier: VERIFIER })
  await refused({ code_verifier: `${VERIFIER}x` })
  await refused({ code_verifier: 'short' })
  await refused({})
  assert.equal((await redeem(sandbox, code, { code_verifier: VERIFIER })).status, 200)
})

test('a verifier for a code that had no challenge is refused', async (t) => {
  const sandbox = await opened(t)
  assert.equal((await redeem(sandbox, await codeFor(sandbox), { code_verifier: VERIFIER })).json['error'], 'invalid_grant')
})

test('a made-up, cut or altered code is refused, and so is one of another sandbox', async (t) => {
  const [sandbox, other] = [await opened(t), await opened(t)]
  const code = await codeFor(sandbox)
  for (const wrong of ['', 'x', code.slice(0, -1), `${code}x`, code.replace('sbx_code_', 'sbx_at_'), await codeFor(other)]) {
    assert.equal((await redeem(sandbox, wrong)).json['error'], 'invalid_grant', wrong)
  }
})

test('requests that make no sense are refused in the words of the standard', async (t) => {
  const sandbox = await opened(t)
  assert.equal((await post(sandbox, '/token', {})).json['error'], 'invalid_request')
  assert.equal((await post(sandbox, '/token', { grant_type: 'password' })).json['error'], 'unsupported_grant_type')
  assert.equal((await post(sandbox, '/token', { grant_type: 'constructor' })).json['error'], 'unsupported_grant_type')
  const twice = 'grant_type=refresh_token&grant_type=refresh_token'
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  assert.equal((await ask(sandbox, '/token', { method: 'POST', headers, body: twice })).json['error'], 'invalid_request')
  assert.equal((await ask(sandbox, '/token')).status, 405)
  assert.equal((await ask(sandbox, '/token', { method: 'POST', headers, body: 'x'.repeat(300_000) })).status, 413)
})

test('an app may act for itself, within its scopes, and gets no refresh token', async (t) => {
  const sandbox = await opened(t, {
    clients: [{ client_id: 'sandbox-app', client_secret: 'sandbox-secret', scopes: ['reports'] }, { client_id: 'public' }],
  })
  const { json } = await post(sandbox, '/token', { grant_type: 'client_credentials', scope: 'reports' })
  assert.equal(await probe(sandbox, String(json['access_token'])), 200)
  assert.equal('refresh_token' in json, false)
  assert.equal(
    (await post(sandbox, '/token', { grant_type: 'client_credentials', scope: 'files' })).json['error'],
    'invalid_scope',
  )
  assert.equal(
    (await post(sandbox, '/token', { grant_type: 'client_credentials', client_id: 'public' }, {})).json['error'],
    'unauthorized_client',
  )
})

test('access tokens last as long as the switch says, or as one answer was told', async (t) => {
  const sandbox = await opened(t, { access_token_lifetime: 100 })
  sandbox.control.script('token', { access_token_lifetime: 5 })
  const short = await redeem(sandbox, await codeFor(sandbox))
  const long = await redeem(sandbox, await codeFor(sandbox))
  assert.deepEqual([short.json['expires_in'], long.json['expires_in']], [5, 100])
  sandbox.control.advance(6)
  assert.deepEqual([await probe(sandbox, tokensIn(short).access), await probe(sandbox, tokensIn(long).access)], [401, 200])
  sandbox.control.advance(100)
  assert.equal(await probe(sandbox, tokensIn(long).access), 401)
})

test('refresh_tokens: offline hands them out only to apps that ask, never to nobody', async (t) => {
  const sandbox = await opened(t, { refresh_tokens: 'offline' })
  const got = async (changes = {}): Promise<boolean> =>
    'refresh_token' in (await redeem(sandbox, await codeFor(sandbox, changes))).json
  assert.equal(await got(), false)
  assert.equal(await got({ scope: 'files.read offline_access' }), true)
  assert.equal(await got({ access_type: 'offline' }), true)
  sandbox.control.set({ refresh_tokens: 'never' })
  assert.equal(await got({ access_type: 'offline' }), false)
})

test('token_body: json and query are taken where they are wanted, and nothing else is', async (t) => {
  const sandbox = await opened(t, { token_body: 'json' })
  const fields = async () => ({
    grant_type: 'authorization_code',
    code: await codeFor(sandbox),
    redirect_uri: CALLBACK,
    client_id: 'sandbox-app',
    client_secret: 'sandbox-secret',
  })
  const headers = { 'content-type': 'application/json' }
  assert.equal((await ask(sandbox, '/token', { method: 'POST', headers, body: JSON.stringify(await fields()) })).status, 200)
  assert.equal((await post(sandbox, '/token', await fields(), {})).json['error'], 'invalid_request')
  assert.equal((await ask(sandbox, '/token', { method: 'POST', headers, body: '{"cut' })).json['error'], 'invalid_request')
  sandbox.control.set({ token_body: 'query' })
  assert.equal((await ask(sandbox, `/token?${new URLSearchParams(await fields()).toString()}`, { method: 'POST' })).status, 200)
  assert.equal((await post(sandbox, '/token', await fields(), {})).json['error'], 'invalid_request')
})

test('scope_separator: comma joins scopes with commas, in and out', async (t) => {
  const sandbox = await opened(t, { scope_separator: ',' })
  assert.equal((await redeem(sandbox, await codeFor(sandbox, { scope: 'a,b' }))).json['scope'], 'a,b')
})

test('token_suffix gives tokens odd bytes and great length, and asks for all of them back', async (t) => {
  const odd = `+/%25 "ü${'x'.repeat(10_000)}`
  const sandbox = await opened(t, { token_suffix: odd, auto_approve: true })
  const { json } = await redeem(sandbox, (await approved(sandbox)).searchParams.get('code')!)
  const refresh = String(json['refresh_token'])
  assert.ok(refresh.endsWith(odd))
  assert.equal((await renew(sandbox, refresh.slice(0, -1))).json['error'], 'invalid_grant')
  assert.equal((await renew(sandbox, refresh)).status, 200)
})

test('the oldest consents are forgotten when there are too many, the latest are kept', async (t) => {
  const sandbox = await opened(t, { grants_max: 2, auto_approve: true })
  const [first, second, third] = [await connected(sandbox), await connected(sandbox), await connected(sandbox)]
  assert.deepEqual(
    [first, second, third].map(({ access }) => sandbox.control.alive(access)),
    [false, true, true],
  )
  assert.equal(sandbox.control.grants, 2)
})
