/** Taking tokens back, and asking what they are worth. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask, basic, connected, opened, post, probe, renew, tokensIn } from './practice-app.ts'

const TWO = [
  { client_id: 'sandbox-app', client_secret: 'sandbox-secret' },
  { client_id: 'other', client_secret: 'other-secret' },
] as const
const OTHER = { authorization: basic('other', 'other-secret') }

test('revoking the refresh token kills the whole family and its access tokens', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  const { status, text } = await post(sandbox, '/revoke', { token: second.refresh, token_type_hint: 'refresh_token' })
  assert.deepEqual([status, text], [200, ''])
  assert.deepEqual([await probe(sandbox, first.access), await probe(sandbox, second.access)], [401, 401])
  assert.equal((await renew(sandbox, second.refresh)).json['error'], 'invalid_grant')
})

test('revoking a spent refresh token does the same', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  await post(sandbox, '/revoke', { token: first.refresh })
  assert.equal(await probe(sandbox, second.access), 401)
})

test('revoking an access token kills that one alone', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  assert.equal((await post(sandbox, '/revoke', { token: first.access, token_type_hint: 'refresh_token' })).status, 200)
  assert.deepEqual([await probe(sandbox, first.access), await probe(sandbox, second.access)], [401, 200])
  assert.equal((await renew(sandbox, second.refresh)).status, 200)
})

test('revoking what is already dead, or never was, is a success', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  for (const token of [refresh, refresh, 'never-was']) assert.equal((await post(sandbox, '/revoke', { token })).status, 200)
  assert.equal((await post(sandbox, '/revoke', {})).json['error'], 'invalid_request')
})

test('another app can neither revoke a token nor learn anything about it', async (t) => {
  const sandbox = await opened(t, { clients: TWO })
  const { access, refresh } = await connected(sandbox)
  assert.equal((await post(sandbox, '/revoke', { token: refresh }, OTHER)).status, 400)
  assert.equal((await post(sandbox, '/revoke', { token: access }, OTHER)).status, 400)
  assert.deepEqual((await post(sandbox, '/introspect', { token: access }, OTHER)).json, { active: false })
  assert.deepEqual((await post(sandbox, '/introspect', { token: refresh }, OTHER)).json, { active: false })
  assert.equal(await probe(sandbox, access), 200)
})

test('introspection tells what a live token is, and only that a dead one is dead', async (t) => {
  const start = Date.UTC(2026, 0, 1)
  const sandbox = await opened(t, { now: () => start })
  const { access, refresh } = await connected(sandbox, { scope: 'read write' })
  const about = async (token: string) => (await post(sandbox, '/introspect', { token })).json
  const common = {
    active: true,
    iss: sandbox.url,
    client_id: 'sandbox-app',
    sub: 'ada',
    username: 'Ada Lovelace',
    scope: 'read write',
  }
  assert.deepEqual(await about(access), { ...common, exp: start / 1000 + 3600, token_type: 'Bearer' })
  assert.deepEqual(await about(refresh), common)
  await renew(sandbox, refresh)
  sandbox.control.advance(3600)
  for (const dead of [access, refresh, 'never-was']) assert.deepEqual(await about(dead), { active: false })
})

test('a renewed token of narrower scope is introspected as such', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox, { scope: 'read write' })
  const { access } = tokensIn(await renew(sandbox, refresh, { scope: 'read' }))
  assert.equal((await post(sandbox, '/introspect', { token: access })).json['scope'], 'read')
})

test('the probe answers 200 with a live token, 401 with a dead one, and says why', async (t) => {
  const sandbox = await opened(t)
  const { access } = await connected(sandbox)
  const get = (authorization?: string) => ask(sandbox, '/api/me', { headers: authorization ? { authorization } : {} })
  const alive = await get(`Bearer ${access}`)
  assert.deepEqual(alive.json, { id: 'ada', name: 'Ada Lovelace', email: 'ada@sandbox.example', scope: 'files.read' })
  const dead = await get('Bearer dead')
  assert.equal(dead.status, 401)
  assert.match(dead.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
  const none = await get()
  assert.equal(none.status, 401)
  assert.doesNotMatch(none.headers.get('www-authenticate') ?? '', /error=/)
})

test('a refresh token opens no door', async (t) => {
  const sandbox = await opened(t)
  assert.equal(await probe(sandbox, (await connected(sandbox)).refresh), 401)
})
