/** Misbehaving to order: queues, presets and edits. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { approved, ask, BASIC, codeFor, connected, opened, post, probe, type Reply, redeem, renew } from './practice-app.ts'
import { PRESETS, type PresetName } from './presets.ts'
import type { Sandbox } from './sandbox.ts'
import { Script } from './script.ts'
import { RULES } from './switches.ts'

/** What a renewal answers under a preset. */
async function renewedUnder(t: Parameters<typeof opened>[0], preset: PresetName): Promise<Reply> {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', preset)
  return renew(sandbox, refresh)
}

test('answers come in the order they were ordered, as often as ordered, and then all is well again', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', { preset: 'outage', times: 2 }, 'rate_limited')
  const statuses: number[] = []
  for (let round = 0; round < 4; round++) statuses.push((await renew(sandbox, refresh)).status)
  assert.deepEqual(statuses, [503, 503, 429, 200])
})

test('forever lasts until it is ordered otherwise', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
  for (let round = 0; round < 3; round++) assert.equal((await renew(sandbox, refresh)).status, 503)
  sandbox.control.script('refresh')
  assert.equal((await renew(sandbox, refresh)).status, 200)
})

test('orders for renewals leave code exchanges alone, and the other way round', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('refresh', 'outage')
  const { refresh } = await connected(sandbox)
  sandbox.control.script('token', 'invalid_client')
  assert.equal((await renew(sandbox, refresh)).status, 503)
  assert.equal((await redeem(sandbox, await codeFor(sandbox))).status, 401)
})

test('a made-up answer does not spend the refresh token', async (t) => {
  const made: PresetName[] = [
    'outage',
    'server_error',
    'bad_gateway',
    'rate_limited',
    'invalid_grant',
    'invalid_client',
    'empty_400',
    'html_200',
  ]
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', ...made)
  for (const _ of made) await renew(sandbox, refresh)
  assert.equal((await renew(sandbox, refresh)).status, 200)
})

test('presets that fail have the status and body of the providers they stand for', async (t) => {
  const expected: Partial<Record<PresetName, readonly [number, RegExp]>> = {
    outage: [503, /^upstream/],
    server_error: [500, /Internal/],
    bad_gateway: [502, /^<html>/],
    rate_limited: [429, /rate_limited/],
    invalid_grant: [400, /"invalid_grant"/],
    invalid_client: [401, /"invalid_client"/],
    unauthorized: [401, /"invalid_token"/],
    unknown_error: [400, /"something_else"/],
    empty_400: [400, /^$/],
    error_200: [200, /"bad_refresh_token"/],
    ok_false: [200, /"ok":false/],
    html_200: [200, /^<!doctype html>/],
    empty_200: [200, /^$/],
    empty_object: [200, /^\{\}$/],
    json_null: [200, /^null$/],
    json_array: [200, /^\[\]$/],
  }
  for (const [preset, [status, body]] of Object.entries(expected)) {
    const reply = await renewedUnder(t, preset as PresetName)
    assert.equal(reply.status, status, preset)
    assert.match(reply.text, body, preset)
  }
  assert.equal((await renewedUnder(t, 'rate_limited')).headers.get('retry-after'), '30')
})

test('presets that succeed oddly carry a token that works', async (t) => {
  const oddities: Partial<Record<PresetName, (reply: Reply) => unknown>> = {
    created_201: ({ status }) => assert.equal(status, 201),
    form_encoded: ({ text, headers }) => {
      assert.match(text, /^access_token=sbx_at_.*&expires_in=3600/)
      assert.equal(headers.get('content-type'), 'application/x-www-form-urlencoded')
    },
    form_called_json: ({ text, headers }) => {
      assert.match(text, /^access_token=/)
      assert.equal(headers.get('content-type'), 'application/json')
    },
    json_called_form: ({ json, headers }) => {
      assert.equal(json['token_type'], 'Bearer')
      assert.equal(headers.get('content-type'), 'application/x-www-form-urlencoded')
    },
    json_called_text: ({ headers }) => assert.equal(headers.get('content-type'), 'text/plain'),
    no_refresh_token: ({ json }) => assert.equal('refresh_token' in json, false),
    refresh_token_null: ({ json }) => assert.equal(json['refresh_token'], null),
    refresh_token_empty: ({ json }) => assert.equal(json['refresh_token'], ''),
    no_expires_in: ({ json }) => assert.equal('expires_in' in json, false),
    expires_in_string: ({ json }) => assert.equal(json['expires_in'], '3600'),
    expires_in_nonsense: ({ json }) => assert.equal(json['expires_in'], 'soon'),
    no_token_type: ({ json }) => assert.equal('token_type' in json, false),
    no_scope: ({ json }) => assert.equal('scope' in json, false),
    scope_array: ({ json }) => assert.deepEqual(json['scope'], ['a', 'b']),
    scope_comma: ({ json }) => assert.equal(json['scope'], 'a,b'),
    nested: ({ json }) => assert.deepEqual(Object.keys(json), ['authed_user', 'ok']),
  }
  const sandbox = await opened(t, { auto_approve: true })
  for (const [preset, check] of Object.entries(oddities)) {
    sandbox.control.script('token', preset as PresetName)
    const reply = await redeem(sandbox, await codeFor(sandbox, { scope: 'a b' }))
    check(reply)
    const [token] = /sbx_at_[\w.-]+/.exec(reply.text) ?? []
    assert.equal(await probe(sandbox, token ?? ''), 200, preset)
  }
})

test('a byte order mark stands before the JSON', async (t) => {
  const sandbox = await opened(t)
  const code = await codeFor(sandbox)
  sandbox.control.script('token', 'byte_order_mark')
  const body = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: 'http://127.0.0.1:9/callback' })
  const response = await fetch(`${sandbox.url}/token`, { method: 'POST', headers: { authorization: BASIC }, body })
  const bytes = Buffer.from(await response.arrayBuffer())
  assert.deepEqual([...bytes.subarray(0, 4)], [0xef, 0xbb, 0xbf, 0x7b])
  assert.equal(response.headers.get('content-length'), String(bytes.length))
})

test('an edit leaves a refusal that the request earned by itself as it is', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('token', { edit: { status: 201, set: { access_token: 'gift' } } })
  const { status, json } = await redeem(sandbox, 'made-up')
  assert.deepEqual([status, json['error'], json['access_token']], [400, 'invalid_grant', undefined])
})

test('deny and authorize_error come back to the app without asking the user', async (t) => {
  const sandbox = await opened(t, { iss: 'on' })
  sandbox.control.script('authorize', 'deny', 'authorize_error')
  const denied = await approved(sandbox)
  assert.deepEqual([...denied.searchParams.keys()].sort(), ['error', 'error_description', 'iss', 'state'])
  assert.equal(denied.searchParams.get('error'), 'access_denied')
  assert.equal((await approved(sandbox)).searchParams.get('error'), 'server_error')
  assert.equal(sandbox.control.count('login'), 0)
})

test('the answer in the redirect can be bent in any way', async (t) => {
  const sandbox = await opened(t, { iss: 'on' })
  sandbox.control.script(
    'authorize',
    { edit: { set: { error: 'access_denied' } } },
    { edit: { remove: ['code'] } },
    'repeated_state',
    { edit: { set: { iss: `${sandbox.url}/` } } },
  )
  const next = async () => (await approved(sandbox)).searchParams
  const both = await next()
  assert.ok(both.has('code') && both.has('error'))
  const neither = await next()
  assert.ok(!neither.has('code') && !neither.has('error'))
  assert.deepEqual((await next()).getAll('state'), ['one', 'two'])
  assert.equal((await next()).get('iss'), `${sandbox.url}/`)
})

test('bodies may be text, JSON, bytes or base64, with any headers', async (t) => {
  const sandbox = await opened(t)
  const order = async (answer: Parameters<Sandbox['control']['script']>[1]): Promise<Reply> => {
    sandbox.control.script('revoke', answer)
    return post(sandbox, '/revoke', { token: 'x' })
  }
  assert.equal((await order({ status: 200, body: 'plain' })).headers.get('content-type'), 'text/plain')
  assert.deepEqual((await order({ body: { a: 1 } })).json, { a: 1 })
  assert.equal((await order({ body: Buffer.from('bytes'), content_type: 'image/png' })).headers.get('content-type'), 'image/png')
  assert.equal((await order({ body_base64: Buffer.from('base64').toString('base64') })).text, 'base64')
  const moved = await order({ status: 307, headers: { location: 'http://127.0.0.1:9/' } })
  assert.deepEqual([moved.status, moved.headers.get('location')], [307, 'http://127.0.0.1:9/'])
})

test('a preset can be changed where it is used; headers and edits add up', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('me', { preset: 'rate_limited', status: 420, headers: { 'retry-after': '7', 'x-more': 'yes' } })
  const { status, headers, text } = await ask(sandbox, '/api/me')
  assert.deepEqual([status, headers.get('retry-after'), headers.get('x-more')], [420, '7', 'yes'])
  assert.match(text, /rate_limited/)
})

test('every endpoint can be scripted', async (t) => {
  const sandbox = await opened(t)
  const paths = {
    authorize: '/authorize',
    userinfo: '/userinfo',
    me: '/api/me',
    jwks: '/jwks',
    discovery: '/.well-known/openid-configuration',
  } as const
  for (const [endpoint, path] of Object.entries(paths)) {
    sandbox.control.script(endpoint as keyof typeof paths, 'outage')
    assert.equal((await ask(sandbox, path)).status, 503, endpoint)
  }
  for (const endpoint of ['login', 'consent', 'par', 'token', 'revoke', 'introspect'] as const) {
    sandbox.control.script(endpoint, 'outage')
    assert.equal((await post(sandbox, `/${endpoint}`, {})).status, 503, endpoint)
  }
  sandbox.control.script('discovery', { edit: { set: { issuer: 'https://other.example' } } })
  assert.equal((await ask(sandbox, '/.well-known/openid-configuration')).json['issuer'], 'https://other.example')
})

test('a mistake in an order is refused with what would be right, and changes nothing', () => {
  const script = new Script()
  script.order('refresh', ['outage'])
  const order = (answer: unknown, endpoint = 'refresh') => script.order(endpoint as 'refresh', ['outage', answer as 'outage'])
  assert.throws(() => order('outtage'), /no preset 'outtage'.*outage/)
  assert.throws(() => order({ stauts: 500 }), /no 'stauts'.*status/)
  assert.throws(() => order({ status: 99 }), /99 is no status/)
  assert.throws(() => order({ edit: { sett: {} } }), /is no edit/)
  assert.throws(() => order({ times: 0 }), /is no times/)
  assert.throws(() => order(null), /an object or the name of a preset/)
  assert.throws(() => order('outage', 'tokens'), /no endpoint 'tokens'.*token/)
  assert.deepEqual(script.toJSON(), { refresh: [{ preset: 'outage', times: 1 }] })
})

test('the README lists every preset and every switch', () => {
  const readme = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8')
  const missing = [...Object.keys(PRESETS), ...Object.keys(RULES)].filter(
    (name) => !new RegExp(`^\\| \`${name}\` +\\|`, 'm').test(readme),
  )
  assert.deepEqual(missing, [])
})
