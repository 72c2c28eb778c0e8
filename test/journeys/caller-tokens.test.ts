/** Caller tokens: what stands in them, who can verify them, and every forgery refused. */

import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, UnsecuredJWT } from 'jose'
import { CallerTokens } from '../../src/http/caller-token.ts'
import { TrustedIssuers } from '../../src/http/trusted-issuers.ts'
import { rotateSigningKey } from '../../src/seal/broker-keys.ts'
import { type Answer, answerOf, HOUR, MINUTE, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

async function known(path: string): Promise<Answer> {
  return answerOf(await fetch(`${world.url}${path}`))
}

function presenting(token: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}` }
  return world.ask('GET', '/api/v1/connected_apps/auth_url', { as: null, headers, query: { key_code_ref: 'none', user_id: 'u' } })
}

test('the claims are those that the stock clients read, and no others', async () => {
  const token = await world.bearer('reader')
  const claims = decodeJwt(token)
  const issued = claims.iat ?? 0
  assert(Math.abs(issued - world.now() / 1000) < 30)
  assert.match(String(claims.jti), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual(claims, {
    iss: world.url,
    aud: [`${world.url}/api`],
    azp: 'reader',
    iat: issued,
    exp: issued + 3600,
    jti: claims.jti,
    scope: 'read:connected_apps',
    scp: ['read:connected_apps'],
    gty: ['client_credentials'],
    v: '2',
  })
  assert.deepEqual(decodeProtectedHeader(token), { alg: 'RS256', kid: world.broker.keys.signing()[0]!.kid, typ: 'JWT' })
})

test('the keys stand at both addresses, and nothing private is with them', async () => {
  const [one, other] = [await known('/.well-known/jwks'), await known('/.well-known/jwks.json')]
  assert.equal(one.text, other.text)
  const [key, ...more] = one.body['keys'] as Record<string, string>[]
  assert.deepEqual(more, [])
  assert.deepEqual(Object.keys(key ?? {}).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
  assert.deepEqual([key?.['kty'], key?.['alg'], key?.['use']], ['RSA', 'RS256', 'sig'])
  assert.equal(Buffer.from(key?.['n'] ?? '', 'base64url').length, 256)
})

test('a stock client verifies a token with what discovery alone tells it', async () => {
  const { body } = await known('/.well-known/openid-configuration')
  assert.equal(body['issuer'], world.url)
  assert.equal(body['token_endpoint'], `${world.url}/oauth2/token`)
  const keys = createRemoteJWKSet(new URL(String(body['jwks_uri'])))
  const { payload } = await jwtVerify(await world.bearer('backend'), keys, { issuer: world.url, audience: `${world.url}/api` })
  assert.equal(payload['azp'], 'backend')
})

test('a token outlives a start of the broker, as its key does', async (t) => {
  const lasting = await startWorld({ store: 'sqlite' })
  t.after(() => lasting[Symbol.asyncDispose]())
  const token = await lasting.bearer()
  const jwks = await (await fetch(`${lasting.url}/.well-known/jwks`)).text()
  await lasting.restart()
  assert.equal(await (await fetch(`${lasting.url}/.well-known/jwks`)).text(), jwks)
  assert.equal(
    (await lasting.ask('GET', '/api/v1/apps', { as: null, headers: { authorization: `Bearer ${token}` } })).status,
    200,
  )
})

describe('a forged token is refused with 403, always in the same words', () => {
  interface Parts {
    readonly header?: Readonly<Record<string, unknown>>
    readonly claims?: Readonly<Record<string, unknown>>
    readonly key?: KeyObject
  }

  /** What the broker itself would issue, but for the parts named; undefined leaves a part out. */
  function forged({ header, claims, key }: Parts = {}): Promise<string> {
    const [signing] = world.broker.keys.signing()
    assert(signing)
    const now = Math.floor(world.now() / 1000)
    const right = {
      ...{ iss: world.url, aud: [`${world.url}/api`], azp: 'backend', iat: now, exp: now + 3600, jti: randomUUID(), v: '2' },
      ...{ scope: 'read:connected_apps', scp: ['read:connected_apps'], gty: ['client_credentials'] },
    }
    return new SignJWT({ ...right, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: signing.kid, typ: 'JWT', ...header })
      .sign(key ?? signing.privateKey)
  }

  const another = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const now = () => Math.floor(world.now() / 1000)

  test('but for what is forged in each, it would be let in', async () => {
    assert.equal((await presenting(await forged())).status, 200)
  })

  const FORGERIES: Readonly<Record<string, () => Promise<string> | string>> = {
    'another key under our kid': () => forged({ key: another.privateKey }),
    'another kid': () => forged({ header: { kid: 'another' } }),
    'no kid': () => forged({ header: { kid: undefined } }),
    'a key of its own in the header': () =>
      forged({ key: another.privateKey, header: { jwk: another.publicKey.export({ format: 'jwk' }) } }),
    'another algorithm of the same key': () => forged({ header: { alg: 'PS256' } }),
    'another issuer': () => forged({ claims: { iss: 'https://elsewhere.example' } }),
    'our issuer with a trailing slash': () => forged({ claims: { iss: `${world.url}/` } }),
    'no issuer': () => forged({ claims: { iss: undefined } }),
    'another audience': () => forged({ claims: { aud: ['https://elsewhere.example/api'] } }),
    'our issuer as its audience': () => forged({ claims: { aud: world.url } }),
    'no audience': () => forged({ claims: { aud: undefined } }),
    'its time over': () => forged({ claims: { exp: now() - 1 } }),
    'no end': () => forged({ claims: { exp: undefined } }),
    'an end that is no number': () => forged({ claims: { exp: 'never' } }),
    'a beginning to come': () => forged({ claims: { nbf: now() + 600 } }),
    'no id': () => forged({ claims: { jti: undefined } }),
    'no caller': () => forged({ claims: { azp: undefined } }),
    'a caller that is not there': () => forged({ claims: { azp: 'nobody' } }),
    'scopes that are no list': () => forged({ claims: { scp: 'read:connected_apps' } }),
    'no algorithm': async () => new UnsecuredJWT(decodeJwt(await forged()) as Record<string, unknown>).encode(),
    'our public key as a shared secret': async () => {
      const header = Buffer.from(JSON.stringify({ alg: 'HS256', kid: world.broker.keys.signing()[0]!.kid })).toString('base64url')
      const signed = `${header}.${(await forged()).split('.')[1]}`
      const pem = world.broker.keys.signing()[0]!.publicKey.export({ type: 'spki', format: 'pem' })
      return `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`
    },
    'claims changed after it was signed': async () => {
      const [header, , signature] = (await forged()).split('.')
      return [header, (await forged({ claims: { azp: 'stranger' } })).split('.')[1], signature].join('.')
    },
    'no signature': async () => (await forged()).split('.').slice(0, 2).join('.'),
    'an empty signature': async () => `${(await forged()).split('.').slice(0, 2).join('.')}.`,
    'five parts': () => 'e30.e30.e30.e30.e30',
    'no form at all': () => 'x'.repeat(2000),
  }
  for (const [what, forge] of Object.entries(FORGERIES)) {
    test(what, async () => {
      const { status, body } = await presenting(await forge())
      const error = { code: 'INVALID_CREDENTIALS', message: 'Invalid credentials' }
      assert.deepEqual({ status, body }, { status: 403, body: { result: error.message, errors: [error] } })
    })
  }

  test('one that was let in before is refused once its time is over', async () => {
    const token = await forged()
    assert.equal((await presenting(token)).status, 200)
    world.pass(HOUR)
    assert.equal((await presenting(token)).status, 403)
  })
})

test('of the tokens that were verified only so many are remembered, and the others are verified again', async () => {
  const { keys, net, ports } = world.broker
  const { registry, now, callersSeen, log } = ports
  const trusted = new TrustedIssuers({ net, now, log })
  const tokens = new CallerTokens(keys.signing, { issuer: world.url, registry, now, callersSeen, trusted, rememberedMax: 6 })
  const issued = await Promise.all(Array.from({ length: 20 }, () => tokens.issue('backend', ['read:apps'], null)))
  for (const token of issued) assert.equal((await tokens.verify(token)).name, 'backend')
  // What is remembered is answered without a promise.
  const remembered = issued.filter((token) => !(tokens.verify(token) instanceof Promise))
  assert(remembered.length >= 3 && remembered.length <= 6, `${remembered.length} remembered`)
  assert.equal(remembered.at(-1), issued.at(-1), 'the latest is among them')
})

test('a signing key is replaced without a token being refused: the new one is published, then signs, and the old one goes last', async (t) => {
  const own = await startWorld()
  t.after(() => own[Symbol.asyncDispose]())
  const { ports } = own.broker
  const rotate = async (atOnce: boolean) => {
    const { records } = ports.store
    const { id } = await rotateSigningKey({ records, seal: ports.seal, now: ports.now }, { atOnce, actor: 'operator' })
    await ports.registry.refresh()
    return id
  }
  const kids = async () => {
    const { body } = await own.ask('GET', '/.well-known/jwks.json', { as: null })
    return (body['keys'] as { kid: string }[]).map(({ kid }) => kid)
  }
  const kidOf = (token: string) => decodeProtectedHeader(token).kid
  const shown = (token: string) =>
    own.ask('GET', '/api/v1/apps', { as: null, headers: { authorization: `Bearer ${token}` } }).then(({ status }) => status)

  const before = await own.bearer()
  const first = kidOf(before)
  const second = await rotate(false)
  assert.deepEqual(await kids(), [second, first])
  own.pass(4 * MINUTE)
  const late = await own.bearer()
  assert.equal(kidOf(late), first, 'who verifies has time to learn of the new one')
  own.pass(2 * MINUTE)
  assert.equal(kidOf(await own.bearer()), second)
  assert.deepEqual([await shown(before), await shown(late)], [200, 200])
  const remote = createRemoteJWKSet(new URL(`${own.url}/.well-known/jwks.json`))
  for (const token of [late, await own.bearer()]) await jwtVerify(token, remote, { currentDate: new Date(own.now()) })
  own.pass(HOUR)
  assert.deepEqual(await kids(), [second])
  assert.equal(await shown(late), 403)

  const current = await own.bearer()
  assert.equal(await shown(current), 200)
  const third = await rotate(true)
  assert.equal(await shown(current), 403, 'also one that was verified before')
  assert.deepEqual(await kids(), [third])
  own.pass(1)
  assert.equal(await shown(await own.bearer()), 200)
  assert.deepEqual(
    (await ports.store.records.keys()).map(({ purpose }) => purpose),
    ['audit', 'hash', 'sign'],
  )
})
