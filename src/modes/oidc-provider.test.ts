/** The whole of OAuth 2 against a real authorization server: from the first redirect to a token that is really dead. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { type OidcClient, type OidcProviderServer, startOidcProvider } from '../../test/oidc-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import type { Registration } from '../core/app.ts'
import type { Grant, Mode, Net, NetRequest } from '../core/ports.ts'
import type { ClientAuth, Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import { createOAuth2Mode } from './oauth2.ts'

const REDIRECT_URI = 'https://broker.example/connected_apps/callback/x'
const CLIENT = { client_id: 'latchstring', client_secret: 'a-secret-of-the-app', redirect_uris: [REDIRECT_URI] }

test('the issuer alone is enough: connect, renew, and revoke', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const registration = registered(server)
  const first = await connected(server, mode, registration)
  assert.equal(await server.userinfo(reveal(first.credentials.accessToken)), 'ada')
  assert.deepEqual(first.account, { id: 'ada', label: 'ada@example.com' })
  assert.deepEqual([...(first.grantedScopes ?? [])].sort(), ['email', 'offline_access', 'openid'])

  const renewed = await (await mode.prepareRenewal(registration, first.credentials))()
  assert(renewed.outcome === 'renewed')
  const second = renewed.grant
  assert.notEqual(reveal(second.credentials.accessToken), reveal(first.credentials.accessToken))
  assert.notEqual(reveal(second.credentials.refreshToken), reveal(first.credentials.refreshToken))
  assert.equal(await server.userinfo(reveal(second.credentials.accessToken)), 'ada')

  assert.equal((await mode.revoke(registration, second.credentials)).outcome, 'confirmed')
  assert.equal(await server.userinfo(reveal(second.credentials.accessToken)), null)
  const after = await (await mode.prepareRenewal(registration, second.credentials))()
  assert.deepEqual([after.outcome, after.outcome === 'rejected' && after.reason], ['rejected', 'invalid_grant'])
})

test('S-21 every flow has PKCE with S256, and the verifier is nowhere in the URL', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const attempt = request()
  const { url } = await mode.begin(registered(server), attempt)
  const query = new URL(url).searchParams
  assert.equal(query.get('code_challenge_method'), 'S256')
  assert.match(query.get('code_challenge') ?? '', /^[\w-]{43}$/)
  assert(!url.includes(attempt.codeVerifier.reveal()))
})

test('S-21 a code is worth nothing with another verifier', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const registration = registered(server)
  const attempt = request()
  const { url, issuer } = await mode.begin(registration, attempt)
  const code = codeIn(await server.approve(url))
  const exchanged = await mode.exchange(registration, { ...attempt, code, issuer, codeVerifier: random(), kept: {} })
  assert.equal(exchanged.outcome, 'refused')
})

test('the answer carries the issuer, and has to, because the metadata says so', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const attempt = request()
  const { url, issuer, issuerRequired } = await mode.begin(registered(server), attempt)
  assert.deepEqual([issuer, issuerRequired], [server.issuer, true])
  assert.equal((await server.approve(url)).searchParams.get('iss'), issuer)
})

test('S-23 an ID token with the nonce of another attempt refuses the connection, and what was granted is told', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const registration = registered(server)
  const attempt = request()
  const { url, issuer } = await mode.begin(registration, attempt)
  const code = codeIn(await server.approve(url))
  const exchanged = await mode.exchange(registration, { ...attempt, code, issuer, nonce: random(), kept: {} })
  assert(exchanged.outcome === 'refused')
  assert.equal(exchanged.reason, 'id_token_invalid')
  assert.match(exchanged.detail ?? '', /nonce/)
  assert(exchanged.granted)
  assert.equal(server.requests('/token/revocation'), 0, 'whether it is taken back is not for the mode to say')
})

const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { privateKey: ed } = generateKeyPairSync('ed25519')

interface Authentication {
  readonly title: string
  readonly client_auth?: ClientAuth
  readonly client: Partial<OidcClient>
  readonly secret?: string
  readonly key?: string
  readonly alg?: string
}

const AUTHENTICATIONS: readonly Authentication[] = [
  {
    title: 'basic',
    client_auth: 'basic',
    client: { token_endpoint_auth_method: 'client_secret_basic' },
    secret: CLIENT.client_secret,
  },
  {
    title: 'basic_encoded, with a secret that needs it',
    client_auth: 'basic_encoded',
    client: { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'pl+us/per%cent:colon' },
    secret: 'pl+us/per%cent:colon',
  },
  {
    title: 'post',
    client_auth: 'post',
    client: { token_endpoint_auth_method: 'client_secret_post' },
    secret: CLIENT.client_secret,
  },
  { title: 'none', client_auth: 'none', client: { token_endpoint_auth_method: 'none', client_secret: undefined } },
  { title: 'none, because the app has no secret', client: { token_endpoint_auth_method: 'none', client_secret: undefined } },
  { title: 'private_key_jwt with an RSA key in PEM', client: signed(rsa, 'RS256'), key: pem(rsa), alg: 'RS256' },
  {
    title: 'private_key_jwt with an RSA key that says PS256',
    client: signed(rsa, 'PS256'),
    key: jwk(rsa, 'PS256'),
    alg: 'PS256',
  },
  {
    title: 'private_key_jwt with a P-256 key',
    client_auth: 'private_key_jwt',
    client: signed(ec, 'ES256'),
    key: pem(ec),
    alg: 'ES256',
  },
  { title: 'private_key_jwt with an Ed25519 key as JWK', client: signed(ed, 'Ed25519'), key: jwk(ed, 'Ed25519'), alg: 'Ed25519' },
]

for (const { title, client_auth, client, secret, key, alg } of AUTHENTICATIONS) {
  test(`an app authenticates by ${title}, for codes, renewals and revocation`, async (t) => {
    const server = await untilDone(t, startOidcProvider({ clients: [{ ...CLIENT, ...client }] }))
    const { mode, sent } = world()
    const provider = { ...registered(server).provider, ...(client_auth && { client_auth }) }
    const registration: Registration = {
      ...registered(server),
      provider,
      clientSecret: secret === undefined ? null : new Secret(secret),
      privateKey: key === undefined ? null : new Secret(key),
    }
    const grant = await connected(server, mode, registration)
    const renewed = await (await mode.prepareRenewal(registration, grant.credentials))()
    assert.equal(renewed.outcome, 'renewed')
    assert(renewed.outcome === 'renewed')
    assert.equal((await mode.revoke(registration, renewed.grant.credentials)).outcome, 'confirmed')
    assert.equal(await server.userinfo(reveal(renewed.grant.credentials.accessToken)), null)
    if (alg === undefined) return

    const assertions = sent.flatMap(({ body }) => new URLSearchParams(body).get('client_assertion') ?? [])
    assert.equal(assertions.length, 3)
    for (const assertion of assertions) {
      const [header, payload] = assertion.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
      assert.equal(header.alg, alg)
      // S-32: one audience, as a plain string.
      assert.equal(payload.aud, server.issuer)
    }
  })
}

test('a server that takes pushed requests only gets them, and nothing of them is in the URL', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT], requirePushed: true }))
  const { mode } = world()
  const registration = registered(server)
  assert.equal(await mode.pushes(registration), true)
  const attempt = request()
  const { url, issuer } = await mode.begin(registration, attempt)
  assert.deepEqual([...new URL(url).searchParams.keys()], ['client_id', 'request_uri'])
  const callback = await server.approve(url)
  assert.equal(callback.searchParams.get('state'), attempt.state.reveal())
  const exchanged = await mode.exchange(registration, { ...attempt, code: codeIn(callback), issuer, kept: {} })
  assert.equal(exchanged.outcome, 'granted')
  assert.equal(server.requests('/request'), 1)
})

test('a pushed request that is refused says why, and whose fault it is', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT], requirePushed: true }))
  const { mode } = world()
  const registration = { ...registered(server), clientSecret: new Secret('not-the-secret-of-the-app') }
  await assert.rejects(mode.begin(registration, request()), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'CONNECT_FAILED')
    assert.match(error.message, /invalid_client/)
    return !error.message.includes('not-the-secret')
  })
})

test('F-14 a wrong client secret is the fault of the app, and the refresh token is not spent', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const registration = registered(server)
  const { credentials } = await connected(server, mode, registration)
  const wrong = { ...registration, clientSecret: new Secret('rotated-meanwhile') }
  const refused = await (await mode.prepareRenewal(wrong, credentials))()
  assert.deepEqual([refused.outcome, 'reason' in refused && refused.reason], ['app_rejected', 'invalid_client'])
  assert.equal((await (await mode.prepareRenewal(registration, credentials))()).outcome, 'renewed')
})

test('a prepared renewal is sent once, however often it is called', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const { mode } = world()
  const registration = registered(server)
  const { credentials } = await connected(server, mode, registration)
  const before = server.requests('/token')
  const spend = await mode.prepareRenewal(registration, credentials)
  assert.equal(server.requests('/token'), before)
  const [first, second] = await Promise.all([spend(), spend()])
  assert.equal(first, second)
  assert.equal(first.outcome, 'renewed')
  assert.equal(server.requests('/token'), before + 1)
})

test('discovery is asked once for many at once, and not again within the hour', async (t) => {
  const server = await untilDone(t, startOidcProvider({ clients: [CLIENT] }))
  const clock = { now: Date.now() }
  const { mode } = world(() => clock.now)
  const registration = registered(server)
  await Promise.all(Array.from({ length: 20 }, () => mode.begin(registration, request())))
  assert.equal(server.requests('/.well-known/openid-configuration'), 1)
  clock.now += 3_599_000
  await mode.begin(registration, request())
  assert.equal(server.requests('/.well-known/openid-configuration'), 1)
  clock.now += 2000
  await mode.begin(registration, request())
  assert.equal(server.requests('/.well-known/openid-configuration'), 2)
})

/** The mode, and everything it sent. The way out is the plain one of the platform: what it checks has tests of its own. */
function world(now: () => number = Date.now): { mode: Mode; sent: NetRequest[] } {
  const sent: NetRequest[] = []
  const net: Net = {
    async request(request) {
      sent.push(request)
      const { method, url, headers, body } = request
      const response = await fetch(url, { method, headers, body: body ?? null, redirect: 'manual' })
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: new Uint8Array(await response.arrayBuffer()),
      }
    },
  }
  return { mode: createOAuth2Mode({ net, now }), sent }
}

function registered({ issuer }: OidcProviderServer): Registration {
  const provider: Provider = {
    id: 'real',
    name: 'A real one',
    mode: 'oauth2',
    issuer,
    allow_private_network: true,
    scopes: { offline: ['offline_access'] },
    authorize_params: { prompt: 'consent' },
  }
  return { provider, clientId: CLIENT.client_id, clientSecret: new Secret(CLIENT.client_secret), privateKey: null, config: {} }
}

async function connected(server: OidcProviderServer, mode: Mode, registration: Registration): Promise<Grant> {
  const attempt = request()
  const { url, issuer } = await mode.begin(registration, attempt)
  const callback = await server.approve(url)
  assert.equal(callback.searchParams.get('state'), attempt.state.reveal())
  const exchanged = await mode.exchange(registration, { ...attempt, code: codeIn(callback), issuer, kept: {} })
  assert.equal(exchanged.outcome, 'granted', JSON.stringify(exchanged))
  assert(exchanged.outcome === 'granted')
  return exchanged.grant
}

function request() {
  return { state: random(), codeVerifier: random(), nonce: random(), redirectUri: REDIRECT_URI, scopes: ['openid', 'email'] }
}

function random(): Secret {
  return new Secret(randomBytes(32).toString('base64url'))
}

function codeIn(callback: URL): Secret {
  const code = callback.searchParams.get('code')
  assert(code !== null, callback.href)
  return new Secret(code)
}

function reveal(secret: Secret | null): string {
  assert(secret)
  return secret.reveal()
}

function pem(key: typeof rsa): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function jwk(key: typeof rsa, alg: string): string {
  return JSON.stringify({ ...key.export({ format: 'jwk' }), alg, kid: 'one' })
}

function signed(key: typeof rsa, alg: string): Partial<OidcClient> {
  const { d, p, q, dp, dq, qi, ...publicKey } = key.export({ format: 'jwk' })
  return {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: alg,
    client_secret: undefined,
    jwks: { keys: [{ ...publicKey, alg, kid: 'one', use: 'sig' }] },
  }
}
