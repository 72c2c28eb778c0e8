/** Redeeming a code at providers of every habit, and what it means when no answer comes. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import {
  type Answer,
  type Asked,
  answered,
  assertSilent,
  attempt,
  CLIENT_ID,
  CLIENT_SECRET,
  credentials,
  fromBasic,
  NOW,
  TOKENS,
  worldWith,
} from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import type { Registration } from '../core/app.ts'
import type { Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'

test('a code is redeemed with its verifier and redirect URI, once', async (t) => {
  const world = await untilDone(
    t,
    worldWith({
      answers: { '/token': () => ({ json: { ...TOKENS, refresh_token: 'new-refresh', scope: 'read' } }) },
    }),
  )
  const exchanged = await world.mode.exchange(world.registration, answered())
  assert(exchanged.outcome === 'granted')
  const { credentials, ...rest } = exchanged.grant
  assert.deepEqual(rest, { tokenType: 'Bearer', expiresAt: NOW + 3_600_000, grantedScopes: ['read'], account: null })
  assert.deepEqual([credentials.accessToken.reveal(), credentials.refreshToken?.reveal()], ['new-access', 'new-refresh'])
  const [sent, ...more] = world.asked('/token')
  assert.equal(more.length, 0)
  assert.deepEqual(Object.fromEntries(new URLSearchParams(sent?.body)), {
    grant_type: 'authorization_code',
    code: 'canary-code',
    redirect_uri: attempt().redirectUri,
    code_verifier: 'canary-verifier',
  })
})

const HARD_SECRET = "s-e:c+r%e't ü"
const REQUESTS: readonly { title: string; provider: Partial<Provider>; secret?: string; expect: (sent: Asked) => void }[] = [
  {
    title: 'basic is raw',
    provider: {},
    secret: HARD_SECRET,
    expect: ({ headers }) => assert.equal(fromBasic(headers), `${CLIENT_ID}:${HARD_SECRET}`),
  },
  {
    title: 'basic_encoded is encoded as RFC 6749 says',
    provider: { client_auth: 'basic_encoded' },
    secret: HARD_SECRET,
    expect: ({ headers }) => assert.equal(fromBasic(headers), `${CLIENT_ID}:s-e%3Ac%2Br%25e%27t+%C3%BC`),
  },
  {
    title: 'post puts both in the body, and no header',
    provider: { client_auth: 'post' },
    expect: ({ headers, body }) => {
      const form = new URLSearchParams(body)
      assert.deepEqual(
        [form.get('client_id'), form.get('client_secret'), headers.authorization],
        [CLIENT_ID, CLIENT_SECRET, undefined],
      )
    },
  },
  {
    title: 'none names the client only',
    provider: { client_auth: 'none' },
    expect: ({ headers, body }) => {
      assert.equal(new URLSearchParams(body).get('client_id'), CLIENT_ID)
      assert(!body.includes('secret') && headers.authorization === undefined)
    },
  },
  {
    title: 'parameters have the names of the file, and its fixed ones have the last word',
    provider: {
      client_auth: 'post',
      param_names: { client_id: 'client_key', code: 'auth_code' },
      token_params: { grant_type: 'own', extra: 'x y' },
    },
    expect: ({ body }) => {
      const form = Object.fromEntries(new URLSearchParams(body))
      assert.deepEqual(
        [form['client_key'], form['auth_code'], form['grant_type'], form['extra']],
        [CLIENT_ID, 'canary-code', 'own', 'x y'],
      )
      assert(!('client_id' in form) && !('code' in form))
    },
  },
  {
    title: 'a JSON body',
    provider: { token_body: 'json', client_auth: 'post' },
    expect: ({ headers, body }) => {
      assert.equal(headers['content-type'], 'application/json')
      assert.equal((JSON.parse(body) as Record<string, string>)['client_secret'], CLIENT_SECRET)
    },
  },
  {
    title: 'parameters in the query',
    provider: { token_body: 'query' },
    expect: ({ url, body }) => assert.deepEqual([url.searchParams.get('code'), body], ['canary-code', '']),
  },
  {
    title: 'headers of the file, whatever their case',
    provider: { token_headers: { Accept: 'application/vnd.x+json', 'X-Version': '2' } },
    expect: ({ headers }) => assert.deepEqual([headers.accept, headers['x-version']], ['application/vnd.x+json', '2']),
  },
]

for (const { title, provider, secret, expect } of REQUESTS) {
  test(`the token request: ${title}`, async (t) => {
    const world = await untilDone(t, worldWith({ provider, answers: { '/token': () => ({ json: TOKENS }) } }))
    const registration = { ...world.registration, clientSecret: new Secret(secret ?? CLIENT_SECRET) }
    assert.equal((await world.mode.exchange(registration, answered())).outcome, 'granted')
    const [sent] = world.asked('/token')
    assert(sent)
    expect(sent)
  })
}

test('S-32 without an issuer the audience of an assertion is the token endpoint, as one string', async (t) => {
  // The machine's own clock, which the library goes by, stands still as well: else a second may end in between.
  t.mock.timers.enable({ apis: ['Date'], now: NOW + 12_345 })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const world = await untilDone(
    t,
    worldWith({
      provider: { client_auth: 'private_key_jwt' },
      answers: { '/token': () => ({ json: TOKENS }) },
    }),
  )
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await world.mode.exchange({ ...world.registration, privateKey: new Secret(pem) }, answered())
  const form = new URLSearchParams(world.asked('/token')[0]?.body)
  const claims = JSON.parse(Buffer.from(form.get('client_assertion')!.split('.')[1]!, 'base64url').toString())
  assert.deepEqual([claims.aud, claims.iss, claims.sub], [`${world.origin}/token`, CLIENT_ID, CLIENT_ID])
  assert.equal(claims.iat, NOW / 1000)
  assert(claims.exp > claims.iat && claims.exp <= claims.iat + 300 && typeof claims.jti === 'string')
})

test('what is missing in an app is told without anything being sent, and no key is quoted', async (t) => {
  const world = await untilDone(t, worldWith())
  const misconfigured: [Partial<Registration>, Partial<Provider>][] = [
    [{ clientSecret: null }, { client_auth: 'post' }],
    [{ privateKey: null }, { client_auth: 'private_key_jwt' }],
    [{ privateKey: new Secret('-----BEGIN canary-code-----') }, { client_auth: 'private_key_jwt' }],
    [{ privateKey: new Secret('{"kty":"canary-code"') }, { client_auth: 'private_key_jwt' }],
    [{}, { token_url: 'https://{missing}.example/token' }],
  ]
  for (const [registration, provider] of misconfigured) {
    const mistaken = { ...world.registration, ...registration, provider: { ...world.registration.provider, ...provider } }
    const exchanged = await world.mode.exchange(mistaken, answered())
    assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], ['refused', 'app_misconfigured'])
    const renewed = await (await world.mode.prepareRenewal(mistaken, credentials()))()
    assert.deepEqual([renewed.outcome, 'reason' in renewed && renewed.reason], ['app_rejected', 'app_misconfigured'])
    assertSilent(exchanged, renewed)
  }
  assert.equal(world.asked('/token').length, 0)
})

test('fields of the callback and of the answer are kept together, and further tokens beside them', async (t) => {
  const json = { ...TOKENS, instance_url: 'https://na1.example', bot: { token: 'bot-token' } }
  const world = await untilDone(
    t,
    worldWith({
      provider: { keep_from_answer: ['instance_url'], also: { bot: 'bot.token' } },
      answers: { '/token': () => ({ json }) },
    }),
  )
  const exchanged = await world.mode.exchange(world.registration, { ...answered(), kept: { realmId: '7' } })
  assert(exchanged.outcome === 'granted')
  const { kept, also } = exchanged.grant.credentials
  assert.deepEqual(kept, { realmId: '7', instance_url: 'https://na1.example' })
  assert.equal(also['bot']?.reveal(), 'bot-token')
})

test('S-31 a provider that was given another issuer while the user was away gets no code', async (t) => {
  const world = await untilDone(t, worldWith({ issuer: true }))
  const exchanged = await world.mode.exchange(world.registration, answered('https://issuer-of-before.example'))
  assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], ['refused', 'issuer_changed'])
  assert.equal(world.asked('/token').length, 0)
})

const FAILED_EXCHANGES: readonly { title: string; answer: Answer; outcome: string; reason: string }[] = [
  {
    title: 'F-34 a connection that breaks after the code was sent',
    answer: 'break',
    outcome: 'uncertain',
    reason: 'answer_lost',
  },
  { title: 'F-34 a server error', answer: { status: 503 }, outcome: 'uncertain', reason: 'http_503' },
  { title: 'F-34 a page instead of an answer', answer: { text: '<html>' }, outcome: 'uncertain', reason: 'malformed_answer' },
  { title: 'a no', answer: { status: 400, json: { error: 'invalid_grant' } }, outcome: 'refused', reason: 'invalid_grant' },
  {
    title: 'S-41 a redirect, which is not followed',
    answer: { status: 307, headers: { location: '/stolen' } },
    outcome: 'refused',
    reason: 'http_307',
  },
  {
    title: 'a no that quotes the code and the secret',
    answer: {
      status: 400,
      json: { error: 'invalid_grant', error_description: `canary-code of ${CLIENT_SECRET} canary-verifier` },
    },
    outcome: 'refused',
    reason: 'invalid_grant',
  },
]

for (const { title, answer, outcome, reason } of FAILED_EXCHANGES) {
  test(`redeeming a code: ${title} is ${outcome}`, async (t) => {
    const world = await untilDone(t, worldWith({ answers: { '/token': () => answer } }))
    const exchanged = await world.mode.exchange(world.registration, answered())
    assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], [outcome, reason])
    assertSilent(exchanged)
    assert.equal(world.asked('/token').length, 1)
    assert.equal(world.asked('/stolen').length, 0)
  })
}

test('F-34 a slow provider is given the time that it needs: a code that was sent is spent', async (t) => {
  const world = await untilDone(t, worldWith({ timeoutMs: 50 }))
  world.answer('/never', () => ({ after: new Promise(() => {}) }))
  // Asked for after the code was, and given up: so had the code been, if it waited no longer than others do.
  const givenUp = () =>
    assert.rejects(world.net.request({ method: 'GET', url: `${world.origin}/never`, headers: {}, allowPrivateNetwork: true }))
  world.answer('/token', () => ({ after: givenUp(), json: TOKENS }))
  assert.equal((await world.mode.exchange(world.registration, answered())).outcome, 'granted')
})

test('F-34 a provider that cannot be reached got no code', async (t) => {
  const world = await untilDone(t, worldWith({ provider: { token_url: 'http://127.0.0.1:1/token' } }))
  const exchanged = await world.mode.exchange(world.registration, answered())
  assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], ['refused', 'provider_unreachable'])
})
