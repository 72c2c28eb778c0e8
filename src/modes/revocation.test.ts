/** Taking a grant back, by the standard and by the ways of those who have their own. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Answer,
  type Asked,
  CLIENT_ID,
  CLIENT_SECRET,
  credentials,
  fromBasic,
  worldWith,
} from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import type { Credentials } from '../core/connection.ts'
import type { Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'

interface Revocation {
  readonly title: string
  readonly provider?: Partial<Provider>
  readonly holds?: Partial<Credentials>
  readonly answers: readonly Answer[]
  readonly result: string
  readonly sent: readonly string[]
  readonly expect?: (sent: Asked) => void
}

const UNSUPPORTED = { status: 400, json: { error: 'unsupported_token_type' } }
const REVOCATIONS: readonly Revocation[] = [
  { title: 'the refresh token first, with a hint', answers: [{}], result: 'confirmed', sent: ['canary-refresh refresh_token'] },
  {
    title: 'the access token where there is no other',
    holds: { refreshToken: null },
    answers: [{}],
    result: 'confirmed',
    sent: ['canary-access access_token'],
  },
  {
    title: 'then the access token, where the server knows no other',
    answers: [UNSUPPORTED, {}],
    result: 'confirmed',
    sent: ['canary-refresh refresh_token', 'canary-access access_token'],
  },
  {
    title: 'neither',
    answers: [UNSUPPORTED, UNSUPPORTED],
    result: 'failed',
    sent: ['canary-refresh refresh_token', 'canary-access access_token'],
  },
  {
    title: 'both, where the file says that neither takes the other along',
    provider: { revoke: { token: 'both' } },
    answers: [{}, {}],
    result: 'confirmed',
    sent: ['canary-refresh null', 'canary-access null'],
  },
  {
    title: 'both, and there is only one',
    provider: { revoke: { token: 'both' } },
    holds: { refreshToken: null },
    answers: [{}],
    result: 'confirmed',
    sent: ['canary-access null'],
  },
  {
    title: 'both, and it was imported without an access token',
    provider: { revoke: { token: 'both' } },
    holds: { accessToken: new Secret('') },
    answers: [{}],
    result: 'confirmed',
    sent: ['canary-refresh null'],
  },
  {
    title: 'both, of which the first went before',
    provider: { revoke: { token: 'both' } },
    answers: [{ status: 400, json: { error: 'invalid_token' } }, {}],
    result: 'confirmed',
    sent: ['canary-refresh null', 'canary-access null'],
  },
  {
    title: 'both, of which the second stays',
    provider: { revoke: { token: 'both' } },
    answers: [{}, { status: 500 }],
    result: 'failed',
    sent: ['canary-refresh null', 'canary-access null'],
  },
  {
    title: 'both, of which the server knows only one',
    provider: { revoke: { token: 'both' } },
    answers: [UNSUPPORTED, {}],
    result: 'failed',
    sent: ['canary-refresh null'],
  },
  { title: 'F-50 a server that is down', answers: [{ status: 503 }], result: 'failed', sent: ['canary-refresh refresh_token'] },
  { title: 'F-50 a connection that breaks', answers: ['break'], result: 'failed', sent: ['canary-refresh refresh_token'] },
  {
    title: 'an error inside 200',
    answers: [{ json: { ok: false, error: 'fatal' } }],
    result: 'failed',
    sent: ['canary-refresh refresh_token'],
  },
  {
    title: 'a refresh token that is dead already',
    answers: [{ status: 400, json: { error: 'invalid_token' } }],
    result: 'confirmed',
    sent: ['canary-refresh refresh_token'],
  },
  {
    title: 'a dead access token beside a refresh token that may live',
    provider: { revoke: { token: 'access' } },
    answers: [{ status: 400, json: { error: 'invalid_token' } }],
    result: 'failed',
    sent: ['canary-access null'],
  },
  {
    title: 'an error that the file calls gone',
    provider: { revoke: { token: 'access', gone: ['token_revoked'] } },
    answers: [{ json: { ok: false, error: 'token_revoked' } }],
    result: 'confirmed',
    sent: ['canary-access null'],
  },
  {
    title: 'a status that the file calls gone',
    provider: { revoke: { ok: [204, 404] } },
    answers: [{ status: 404 }],
    result: 'confirmed',
    sent: ['canary-refresh null'],
  },
  {
    title: 'a status that the file does not',
    provider: { revoke: { ok: [204] } },
    answers: [{ status: 200 }],
    result: 'failed',
    sent: ['canary-refresh null'],
  },
  {
    title: 'by DELETE with JSON, and the client in a header of its own kind',
    provider: {
      client_auth: 'post',
      revoke_url: 'revoke?of={client_id}',
      revoke: { method: 'DELETE', body: 'json', token: 'access', token_param: 'access_token', client_auth: 'basic' },
    },
    answers: [{ status: 204 }],
    result: 'confirmed',
    sent: ['null null'],
    expect: ({ method, url, headers, body }) => {
      assert.deepEqual([method, url.search, JSON.parse(body)], ['DELETE', `?of=${CLIENT_ID}`, { access_token: 'canary-access' }])
      assert.equal(fromBasic(headers), `${CLIENT_ID}:${CLIENT_SECRET}`)
    },
  },
  {
    title: 'with names of its own for who the client is',
    provider: {
      client_auth: 'post',
      param_names: { client_id: 'app' },
      revoke: {
        ...{ body: 'json', token: 'access', token_param: 'accessToken' },
        param_names: { client_id: 'clientId', client_secret: 'clientSecret' },
      },
    },
    answers: [{ status: 204 }],
    result: 'confirmed',
    sent: ['null null'],
    expect: ({ body }) =>
      assert.deepEqual(JSON.parse(body), { accessToken: 'canary-access', clientId: CLIENT_ID, clientSecret: CLIENT_SECRET }),
  },
  {
    title: 'a token that revokes itself, with the headers of the API',
    provider: { api_headers: { 'X-Api': '3' }, revoke: { auth: 'bearer', body: 'none', token: 'access', token_param: 'none' } },
    answers: [{}],
    result: 'confirmed',
    sent: ['null null'],
    expect: ({ headers, body }) =>
      assert.deepEqual([headers.authorization, headers['x-api'], body], ['Bearer canary-access', '3', '']),
  },
  {
    title: 'without any proof',
    provider: { revoke: { auth: 'none' } },
    answers: [{}],
    result: 'confirmed',
    sent: ['canary-refresh null'],
    expect: ({ headers, body }) => assert(headers.authorization === undefined && !body.includes('client')),
  },
]

for (const { title, provider, holds, answers, result, sent, expect } of REVOCATIONS) {
  test(`S-76 revoking: ${title}: ${result}`, async (t) => {
    const world = await untilDone(t, worldWith({ ...(provider && { provider }) }))
    const queue = [...answers]
    world.answer('/revoke', () => queue.shift() ?? { status: 500 })
    assert.equal((await world.mode.revoke(world.registration, { ...credentials(), ...holds })).outcome, result)
    const requests = world.asked('/revoke')
    const named = requests.map(
      ({ body }) => `${new URLSearchParams(body).get('token')} ${new URLSearchParams(body).get('token_type_hint')}`,
    )
    assert.deepEqual(named, sent)
    if (expect && requests[0]) expect(requests[0])
  })
}

test('S-76 a provider without a way to revoke says so', async (t) => {
  const world = await untilDone(t, worldWith())
  const { revoke_url: _, ...provider } = world.registration.provider
  assert.equal((await world.mode.revoke({ ...world.registration, provider }, credentials())).outcome, 'unsupported')
})

test('S-76 a provider without a way to revoke says so, too, where its issuer is only there to be compared with', async (t) => {
  const world = await untilDone(t, worldWith({ issuer: true }))
  const { revoke_url: _, ...provider } = world.registration.provider
  const revoke = () => world.mode.revoke({ ...world.registration, provider }, credentials())
  world.answer('/.well-known/openid-configuration', () => ({ status: 503 }))
  assert.equal((await revoke()).outcome, 'failed', 'nobody knows')
  const later = await untilDone(t, worldWith({ issuer: true }))
  const { revoke_url: _url, ...same } = later.registration.provider
  assert.equal((await later.mode.revoke({ ...later.registration, provider: same }, credentials())).outcome, 'unsupported')
})

test('F-50 a provider that cannot be reached has revoked nothing', async (t) => {
  const world = await untilDone(t, worldWith({ provider: { revoke_url: 'http://127.0.0.1:1/revoke' } }))
  assert.equal((await world.mode.revoke(world.registration, credentials())).outcome, 'failed')
})

test('F-50 why a revocation failed is told, how long the server wants to be left alone, and whether asking again can help', async (t) => {
  const world = await untilDone(t, worldWith())
  const cases: [Answer, object][] = [
    [
      { status: 503, headers: { 'retry-after': '120' } },
      { reason: 'http_503', retryAfterMs: 120_000, final: false },
    ],
    [
      { status: 429, headers: { 'retry-after': '999999' } },
      { reason: 'http_429', retryAfterMs: 3_600_000, final: false },
    ],
    [
      { status: 401, json: { error: 'invalid_client' } },
      { reason: 'invalid_client', retryAfterMs: null, final: false },
    ],
    ['break', { reason: 'reset', retryAfterMs: null, final: false }],
    [UNSUPPORTED, { reason: 'unsupported_token_type', retryAfterMs: null, final: true }],
  ]
  for (const [answer, told] of cases) {
    world.answer('/revoke', () => answer)
    assert.deepEqual(await world.mode.revoke(world.registration, credentials()), { outcome: 'failed', ...told })
  }
})

test('S-69 a provider that answers with the token where its error code would stand puts it on no record', async (t) => {
  const world = await untilDone(t, worldWith())
  world.answer('/revoke', () => ({ status: 400, json: { error: 'canary-refresh' } }))
  const revoked = await world.mode.revoke(world.registration, credentials())
  assert.deepEqual(revoked, { outcome: 'failed', reason: 'http_400', retryAfterMs: null, final: false })
})
