/** What an app can ask of a user, what comes back to it, and what is only shown to the person. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { approved, ask, authorizeUrl, CALLBACK, CHALLENGE, codeFor, opened, redeem, VERIFIER } from './practice-app.ts'
import type { Sandbox } from './sandbox.ts'

const REGISTERED = {
  client_id: 'sandbox-app',
  client_secret: 'sandbox-secret',
  redirect_uris: [`${CALLBACK}?from=sandbox`],
} as const

/** The error that the authorize endpoint sends back to the app. */
async function returned(sandbox: Sandbox, changes: Record<string, string | null>): Promise<string | null> {
  return (await sandbox.walk(authorizeUrl(sandbox, changes))).searchParams.get('error')
}

/** The status and text of a page that goes nowhere. */
async function shown(sandbox: Sandbox, changes: Record<string, string | null>) {
  const { status, text, headers } = await ask(sandbox, authorizeUrl(sandbox, changes).slice(sandbox.url.length))
  assert.equal(headers.get('location'), null)
  return { status, text }
}

test('the browser comes back to the redirect URI with a code and the state, to the letter', async (t) => {
  const back = await approved(await opened(t), { state: 'a b&c=d+ü' })
  assert.equal(back.origin + back.pathname, CALLBACK)
  assert.equal(back.searchParams.get('state'), 'a b&c=d+ü')
  assert.match(back.searchParams.get('code') ?? '', /^sbx_code_/)
  assert.deepEqual([...back.searchParams.keys()], ['code', 'state'])
})

test('without a state in the request there is none in the answer', async (t) => {
  assert.equal((await approved(await opened(t), { state: null })).searchParams.has('state'), false)
})

test('a user who says no is an access_denied for the app', async (t) => {
  const sandbox = await opened(t)
  const back = await sandbox.walk(authorizeUrl(sandbox), { decision: 'deny' })
  assert.equal(back.searchParams.get('error'), 'access_denied')
  assert.equal(back.searchParams.get('state'), 'xyz')
  assert.equal(back.searchParams.has('code'), false)
})

test('an unknown app, a foreign or missing redirect URI is shown to the person and never redirected', async (t) => {
  const sandbox = await opened(t, { clients: [REGISTERED, { client_id: 'open' }] })
  assert.equal((await shown(sandbox, { client_id: 'nobody' })).status, 400)
  assert.equal((await shown(sandbox, { client_id: null })).status, 400)
  for (const near of [CALLBACK, `${CALLBACK}?from=sandbox#x`, `${CALLBACK}?from=sandbox&more=1`, 'https://evil.example']) {
    assert.match((await shown(sandbox, { redirect_uri: near })).text, /not one that the app has registered/, near)
  }
  for (const odd of ['javascript:alert(1)', '//evil.example', 'https://app.example/#fragment', 'app.example']) {
    assert.equal((await shown(sandbox, { client_id: 'open', redirect_uri: odd })).status, 400, odd)
  }
  assert.equal((await shown(sandbox, { client_id: 'open', redirect_uri: null })).status, 400)
  assert.equal(
    (await ask(sandbox, `${authorizeUrl(sandbox).slice(sandbox.url.length)}&redirect_uri=https%3A%2F%2Fevil.example`)).status,
    400,
  )
})

test('a registered redirect URI keeps its own query, and may be left out when it is the only one', async (t) => {
  const sandbox = await opened(t, { clients: [REGISTERED], auto_approve: true })
  const back = await approved(sandbox, { redirect_uri: null })
  assert.equal(back.searchParams.get('from'), 'sandbox')
  const code = back.searchParams.get('code')!
  assert.equal((await redeem(sandbox, code, { redirect_uri: 'https://other.example' })).json['error'], 'invalid_grant')
  const { status } = await ask(sandbox, '/token', {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      client_id: 'sandbox-app',
      client_secret: 'sandbox-secret',
    }),
  })
  assert.equal(status, 200)
})

test('what is wrong with a request is told to the app: type, mode, scope, prompt, repetition', async (t) => {
  const sandbox = await opened(t, { clients: [{ client_id: 'sandbox-app', client_secret: 'x', scopes: ['files.read'] }] })
  assert.equal(await returned(sandbox, { response_type: null }), 'invalid_request')
  assert.equal(await returned(sandbox, { response_type: 'token' }), 'unsupported_response_type')
  assert.equal(await returned(sandbox, { response_mode: 'fragment' }), 'invalid_request')
  assert.equal(await returned(sandbox, { scope: 'files.read files.write' }), 'invalid_scope')
  assert.equal(await returned(sandbox, { prompt: 'none login' }), 'invalid_request')
  const twice = await sandbox.walk(`${authorizeUrl(sandbox)}&state=again`)
  assert.equal(twice.searchParams.get('error'), 'invalid_request')
})

test('prompt=none never shows a page', async (t) => {
  const sandbox = await opened(t)
  const cookies = new Map<string, string>()
  assert.equal(await returned(sandbox, { prompt: 'none' }), 'login_required')
  await sandbox.walk(authorizeUrl(sandbox), { cookies })
  const back = await sandbox.walk(authorizeUrl(sandbox, { prompt: 'none' }), { cookies })
  assert.equal(back.searchParams.get('error'), 'consent_required')
})

test('PKCE is optional for an app with a secret and required for one without', async (t) => {
  const sandbox = await opened(t)
  assert.equal(await returned(sandbox, {}), null)
  assert.equal(await returned(sandbox, { client_id: 'sandbox-public' }), 'invalid_request')
  assert.equal(
    await returned(sandbox, { client_id: 'sandbox-public', code_challenge: CHALLENGE, code_challenge_method: 'S256' }),
    null,
  )
})

test('only S256 challenges of the right form are taken', async (t) => {
  const sandbox = await opened(t)
  assert.equal(await returned(sandbox, { code_challenge: VERIFIER, code_challenge_method: 'plain' }), 'invalid_request')
  assert.equal(await returned(sandbox, { code_challenge: CHALLENGE }), 'invalid_request')
  assert.equal(await returned(sandbox, { code_challenge: 'short', code_challenge_method: 'S256' }), 'invalid_request')
})

test('pkce: required insists on it, refused breaks on it', async (t) => {
  const sandbox = await opened(t, { pkce: 'required' })
  const pkce = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }
  assert.equal(await returned(sandbox, {}), 'invalid_request')
  assert.equal(await returned(sandbox, pkce), null)
  sandbox.control.set({ pkce: 'refused' })
  assert.equal(await returned(sandbox, pkce), 'invalid_request')
  assert.equal(await returned(sandbox, {}), null)
})

test('iss: on names the issuer in success and in error, off does not, wrong names another', async (t) => {
  const sandbox = await opened(t, { auto_approve: true })
  const iss = async (changes = {}): Promise<string | null> => (await approved(sandbox, changes)).searchParams.get('iss')
  assert.equal(await iss(), null)
  sandbox.control.set({ iss: 'on' })
  assert.equal(await iss(), sandbox.url)
  assert.equal(await iss({ response_type: 'token' }), sandbox.url)
  sandbox.control.set({ iss: 'wrong' })
  assert.equal(await iss(), 'https://wrong.example')
  sandbox.control.set({ iss: 'missing' })
  assert.equal(await iss(), null)
  sandbox.control.set({ iss: 'unadvertised' })
  assert.equal(await iss(), sandbox.url)
})

test('auto_approve answers at once, for the first account, the hinted one or the named one', async (t) => {
  const sandbox = await opened(t, { auto_approve: true })
  const who = async (changes = {}): Promise<unknown> => {
    const { json } = await redeem(sandbox, await codeFor(sandbox, changes))
    return (await ask(sandbox, '/api/me', { headers: { authorization: `Bearer ${String(json['access_token'])}` } })).json['id']
  }
  const { status } = await ask(sandbox, authorizeUrl(sandbox).slice(sandbox.url.length))
  assert.equal(status, 303)
  assert.equal(await who(), 'ada')
  assert.equal(await who({ login_hint: 'grace@sandbox.example' }), 'grace')
  sandbox.control.set({ auto_approve: 'Mary Somerville' })
  assert.equal(await who(), 'mary-somerville')
})
