/** Tokens of an issuer that the operator trusts: an honest one, and everything that is not one. */

import assert from 'node:assert/strict'
import { createHash, createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { calculateJwkThumbprint, SignJWT, UnsecuredJWT } from 'jose'
import { removeIssuer } from '../../src/core/manage.ts'
import { TrustedIssuers } from '../../src/http/trusted-issuers.ts'
import { createNet } from '../../src/net/fetch.ts'
import { startOidcProvider } from '../oidc-provider.ts'
import { type Answer, HOUR, MINUTE, SECOND, startWorld, type World } from '../world.ts'

const AUDIENCE = 'https://connect.example/api'

/** An issuer that says whatever a test wants it to. */
class Issuer {
  readonly server: Server
  readonly kid: string
  private: KeyObject
  keys: object[] = []
  /** Answers this instead. */
  failing: number | null = null
  fetched = 0
  /** Another than the one that was asked. */
  named: string | null = null

  constructor(kid = 'k1') {
    this.kid = kid
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.private = privateKey
    this.keys = [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }]
    this.server = createServer((request, response) => {
      const isKeys = request.url === '/keys'
      if (isKeys) this.fetched += 1
      response.writeHead(this.failing ?? 200, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify(isKeys ? { keys: this.keys } : { issuer: this.named ?? this.url, jwks_uri: `${this.url}/keys` }),
      )
    })
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  close(): void {
    this.server.closeAllConnections()
    this.server.close()
  }
}

let issuer: Issuer
let other: Issuer
let world: World
before(async () => {
  issuer = await new Issuer().start()
  other = await new Issuer('k2').start()
  world = await startWorld({
    further: () => ({
      issuers: [
        {
          issuer: issuer.url,
          audience: AUDIENCE,
          allow_private_network: true,
          scopes: { 'connect.read': ['read:connected_apps', 'read:connections'], 'connect.end': ['create:connected_apps'] },
        },
        {
          issuer: other.url,
          audience: AUDIENCE,
          allow_private_network: true,
          jwks_url: `${other.url}/keys`,
          scope_claim: 'permissions',
          tenant_claim: 'org',
          clock_tolerance: 0,
        },
      ],
    }),
  })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  issuer.close()
  other.close()
})

const seconds = (ahead = 0) => Math.floor((world.now() + ahead) / 1000)

function signed(claims: object = {}, header: object = {}, key = issuer.private): Promise<string> {
  const sound = { iss: issuer.url, aud: AUDIENCE, sub: 'service', scope: 'connect.read', iat: seconds(), exp: seconds(HOUR) }
  return new SignJWT({ ...sound, ...claims }).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(key)
}

function ask(
  token: string,
  path = '/api/v1/connections',
  method = 'GET',
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return world.ask(method, path, { as: null, headers: { authorization: `Bearer ${token}`, ...more } })
}

test('S-65 a token of an honest server, a certified one, is taken for what its scopes mean here', async (t) => {
  const audience = 'https://connect.example/api'
  const server = await startOidcProvider({
    clients: [
      {
        client_id: 'service',
        client_secret: 's'.repeat(40),
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
    resource: { audience, scope: 'read:connections read:connected_apps anything.else' },
  })
  t.after(() => server.close())
  const here = await startWorld({
    further: () => ({ issuers: [{ issuer: server.issuer, audience, allow_private_network: true }] }),
  })
  t.after(() => here[Symbol.asyncDispose]())
  const session = await here.connect('none')
  const got = async (scope: string): Promise<string> => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope, resource: audience })
    const basic = Buffer.from(`service:${'s'.repeat(40)}`).toString('base64')
    const response = await fetch(`${server.issuer}/token`, { method: 'POST', body, headers: { authorization: `Basic ${basic}` } })
    return ((await response.json()) as { access_token: string }).access_token
  }
  const asks = async (token: string, path: string, method = 'GET') =>
    here.ask(method, path, { as: null, headers: { authorization: `Bearer ${token}` } })
  const token = await got('read:connections read:connected_apps anything.else')
  const listed = await asks(token, '/api/v1/connections')
  assert.equal(listed.status, 200, listed.text)
  assert.equal((listed.body['connections'] as object[]).length, 1)
  assert.equal((await asks(token, `/api/v1/connected_apps/token?session_id=${session}`)).status, 200)
  assert.equal((await asks(token, `/api/v1/connected_apps/revoke?session_id=${session}`, 'POST')).code, 'INSUFFICIENT_SCOPE')
  assert.equal((await asks(token, '/api/v1/apps')).code, 'INSUFFICIENT_SCOPE')
  assert.equal((await asks(await got('anything.else'), '/api/v1/connections')).code, 'INSUFFICIENT_SCOPE')
  const [told] = await here.broker.ports.store.history('default', { before: null, limit: 1 })
  assert.deepEqual([told?.actor, told?.action], [`${server.issuer}#service`, 'access.refused'])
  assert.equal(server.requests('/jwks'), 1)
})

describe('S-65 refused, all with the same words', () => {
  const wrong: Readonly<Record<string, () => Promise<string> | string>> = {
    'another audience': () => signed({ aud: 'https://other.example' }),
    'no audience': () => signed({ aud: undefined }),
    'an issuer that nobody trusts': () => signed({ iss: 'https://evil.example' }),
    'an issuer that is spelled almost right': () => signed({ iss: `${issuer.url}/` }),
    'no issuer': () => signed({ iss: undefined }),
    'expired, beyond what clocks may differ': () => signed({ exp: seconds(-31 * SECOND) }),
    'without an end': () => signed({ exp: undefined }),
    'not good yet': () => signed({ nbf: seconds(2 * MINUTE) }),
    'nobody named': () => signed({ sub: undefined }),
    'an empty name': () => signed({ sub: '' }),
    'another key under the right id': () => signed({}, {}, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
    "the other issuer's key": () => signed({}, {}, other.private),
    "the other issuer's name, our key": () => signed({ iss: other.url, org: 'default', permissions: ['read:connections'] }),
    'no signature': () => new UnsecuredJWT({ iss: issuer.url, aud: AUDIENCE, sub: 'x', exp: seconds(HOUR) }).encode(),
    'the public key as a shared secret': () => {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
      const head = part({ alg: 'HS256', kid: 'k1', typ: 'JWT' })
      const body = part({ iss: issuer.url, aud: AUDIENCE, sub: 'x', scope: 'connect.read', exp: seconds(HOUR) })
      const pem = createPublicKey({ key: issuer.keys[0] as never, format: 'jwk' }).export({ format: 'pem', type: 'spki' })
      return `${head}.${body}.${createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url')}`
    },
    'an algorithm that is not listed': () => signed({}, { alg: 'RS512' }),
    'a key of its own in the header': () => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      return signed({}, { jwk: publicKey.export({ format: 'jwk' }), kid: undefined }, privateKey)
    },
    'a critical header that we do not know': () =>
      new SignJWT({ iss: issuer.url, aud: AUDIENCE, sub: 'x', scope: 'connect.read', exp: seconds(HOUR) })
        .setProtectedHeader({ alg: 'RS256', kid: 'k1', crit: ['urn:x'], 'urn:x': 1 })
        .sign(issuer.private, { crit: { 'urn:x': true } }),
    'bound to a certificate, which we cannot see': () => signed({ cnf: { 'x5t#S256': 'x' } }),
    'bound to a key, and no proof': () => signed({ cnf: { jkt: 'x' } }),
    'our own issuer, their key': () => signed({ iss: world.url, aud: `${world.url}/api` }),
  }
  for (const [what, make] of Object.entries(wrong)) {
    test(what, async () => {
      assert.equal((await ask(await signed())).status, 200)
      const { status, body } = await ask(await make())
      const error = { code: 'INVALID_CREDENTIALS', message: 'Invalid credentials' }
      assert.deepEqual({ status, body }, { status: 403, body: { result: error.message, errors: [error] } })
    })
  }
})

test('S-64 a token of theirs that is bound to a key is of use with a proof of it', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  const token = await signed({ cnf: { jkt: await calculateJwkThumbprint(jwk) } })
  const proof = await new SignJWT({
    jti: 'once',
    htm: 'GET',
    htu: `${world.url}/api/v1/connections`,
    iat: seconds(),
    ath: createHash('sha256').update(token).digest('base64url'),
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
    .sign(privateKey)
  const showing = (scheme: string) =>
    ask(token, '/api/v1/connections', 'GET', { authorization: `${scheme} ${token}`, dpop: proof })
  assert.equal((await showing('Bearer')).code, 'INVALID_CREDENTIALS')
  assert.equal((await showing('DPoP')).status, 200)
  assert.equal((await showing('DPoP')).code, 'INVALID_CREDENTIALS')
})

test('S-65 a clock may differ as much as was said, and no more', async () => {
  assert.equal((await ask(await signed({ exp: seconds(-20 * SECOND) }))).status, 200)
  assert.equal((await ask(await signed({ nbf: seconds(20 * SECOND) }))).status, 200)
})

test('S-65 scopes that mean nothing here allow nothing', async () => {
  for (const scope of [
    '',
    'read:connections',
    'connect.everything',
    undefined,
    7,
    { 'connect.read': true },
    '__proto__ toString constructor',
  ])
    assert.equal((await ask(await signed({ scope }))).code, 'INSUFFICIENT_SCOPE', JSON.stringify(scope))
  assert.equal((await ask(await signed({ scope: ['connect.read', 'x'] }))).status, 200)
})

test('S-67 whose connections are meant is what the claim says; without it, or with something else in it, nobody’s', async () => {
  const session = await world.connect('none', 'of-default')
  const token = (org: unknown) => signed({ iss: other.url, org, permissions: ['read:connections'] }, { kid: 'k2' }, other.private)
  for (const org of [undefined, null, '', 7, true, ['default'], { id: 'default' }, '*', 'a/b', 'x'.repeat(65)])
    assert.equal((await ask(await token(org))).code, 'INVALID_CREDENTIALS', JSON.stringify(org))
  assert.equal((await ask(await token('default'), `/api/v1/connections/${session}`)).status, 200)
  assert.equal((await ask(await token('elsewhere'), `/api/v1/connections/${session}`)).code, 'NOT_FOUND')
})

test('S-65 a flood of unknown key ids asks the issuer once in half a minute, and keeps nobody out who is right', async () => {
  world.pass(MINUTE)
  await ask(await signed())
  const before = issuer.fetched
  const flood = Array.from(
    { length: 200 },
    async (_, i) => (await ask(await signed({ jti: `${i}` }, { kid: `unknown-${i}` }))).code,
  )
  assert.deepEqual([...new Set(await Promise.all(flood))], ['INVALID_CREDENTIALS'])
  assert(issuer.fetched - before <= 1, `${issuer.fetched - before} fetched`)
  assert.equal((await ask(await signed({ jti: 'right' }))).status, 200)
  const between = issuer.fetched
  world.pass(31 * SECOND)
  await ask(await signed({}, { kid: 'unknown-again' }))
  assert.equal(issuer.fetched, between + 1)
})

test('S-65 a new key is found when it is first used, and one that was taken back is believed ten minutes more at most', async () => {
  world.pass(MINUTE)
  const old = await signed({ jti: 'old' })
  assert.equal((await ask(old)).status, 200)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const [first] = issuer.keys
  issuer.keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'k9', alg: 'ES256', use: 'sig' }]
  assert.equal((await ask(await signed({}, { alg: 'ES256', kid: 'k9' }, privateKey))).status, 200)
  assert.equal((await ask(old)).code, 'INVALID_CREDENTIALS', 'what was remembered is looked at again with the new keys')
  issuer.keys = [first!]
  world.pass(11 * MINUTE)
  assert.equal((await ask(await signed({ jti: 'back' }))).status, 200)
  issuer.keys = []
  world.pass(9 * MINUTE)
  const kept = await signed({ jti: 'kept' })
  assert.equal((await ask(kept)).status, 200)
  world.pass(2 * MINUTE)
  assert.equal((await ask(kept)).code, 'INVALID_CREDENTIALS')
  issuer.keys = [first!]
  world.pass(MINUTE)
})

test('S-65 while the issuer does not answer its keys are good for a day; then, and from the start without any, it is 503', async () => {
  assert.equal((await ask(await signed())).status, 200)
  issuer.failing = 500
  world.pass(23 * HOUR)
  assert.equal((await ask(await signed())).status, 200)
  world.pass(2 * HOUR)
  const down = await ask(await signed())
  assert.deepEqual([down.status, down.code], [503, 'ISSUER_UNAVAILABLE'])
  assert(Number(down.headers.get('retry-after')) > 0)
  issuer.failing = null
  world.pass(MINUTE)
  assert.equal((await ask(await signed())).status, 200)

  issuer.named = 'https://somebody-else.example'
  await world.restart()
  assert.equal((await ask(await signed())).code, 'ISSUER_UNAVAILABLE', 'whose discovery document is of another issuer')
  issuer.named = null
  await world.restart()
  assert.equal((await ask(await signed())).status, 200)
})

test('S-65 an issuer that could not be had is asked again, although the clock was ahead then', async (t) => {
  let now = world.now() + HOUR
  const net = createNet()
  t.after(() => net.close())
  const trusted = new TrustedIssuers({ net, now: () => now, log: world.broker.ports.log })
  const theirs = await world.broker.ports.registry.trustedIssuer(issuer.url)
  assert(theirs)
  const token = await signed({ jti: 'clock' })
  issuer.failing = 500
  await assert.rejects(trusted.verify(token, theirs), { code: 'ISSUER_UNAVAILABLE' })
  issuer.failing = null
  now = world.now()
  assert.notEqual(await trusted.verify(token, theirs), null)
})

test('S-65 an issuer that is trusted no more is refused at once, remembered tokens too', async () => {
  const token = await signed()
  assert.equal((await ask(token)).status, 200)
  assert.equal(await removeIssuer(world.broker.ports, 'operator', issuer.url), true)
  assert.equal((await ask(token)).code, 'INVALID_CREDENTIALS')
  assert.equal(await removeIssuer(world.broker.ports, 'operator', issuer.url), false)
})
