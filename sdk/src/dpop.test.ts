/** Bearer tokens that are bound to a key of the client's: what the broker is shown. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type Asked, fakeBroker, json, refuse } from '../test/fake-broker.ts'
import { ApiException, ArgumentError, type Configuration, ConnectedAppsApi } from './sdk.ts'

const CLIENT = { clientId: 'backend', clientSecret: 'secret-1' }
const SESSION = { session_id: 's/1' }

/** Gives a token, refuses what it is told to, and keeps what it was asked. */
async function proving(t: TestContext, dpop: Configuration['dpop'] | true = true, tokenType = 'DPoP', refused = 0) {
  let left = refused
  const broker = await fakeBroker(t, ({ path }, response) => {
    if (path === '/oauth2/token') return json(response, { access_token: 'token-1', token_type: tokenType, expires_in: 3600 })
    return left-- > 0 ? refuse(response, 403, 'INVALID_CREDENTIALS') : json(response, { access_token: 'at' })
  })
  const api = new ConnectedAppsApi({ host: `${broker.host}/`, ...CLIENT, dpop })
  t.after(() => api.close())
  return { api, broker }
}

interface Claims {
  readonly jti: string
  readonly htm: string
  readonly htu: string
  readonly iat: number
  readonly ath?: string
}

/** What a proof says, once its signature was checked with the key in it; the key as text. */
async function proofIn({ headers }: Asked): Promise<{ claims: Claims; key: string }> {
  const [head = '', body = '', signature = ''] = String(headers['dpop']).split('.')
  const { typ, alg, jwk } = parsed(head) as { typ: string; alg: string; jwk: { kty: string; crv: string; x: string; y: string } }
  assert.deepEqual([typ, alg], ['dpop+jwt', 'ES256'])
  assert.deepEqual(Object.keys(jwk).sort(), ['crv', 'kty', 'x', 'y'], 'nothing of the private key is in it')
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify'])
  const method = { name: 'ECDSA', hash: 'SHA-256' }
  const signed = Buffer.from(`${head}.${body}`)
  assert(await crypto.subtle.verify(method, key, Buffer.from(signature, 'base64url'), signed), 'it is signed by that key')
  return { claims: parsed(body) as Claims, key: JSON.stringify([jwk.x, jwk.y]) }
}

function parsed(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString())
}

test('with dpop each request has a proof of its own: for itself, for its token, by one key', async (t) => {
  const { api, broker } = await proving(t)
  await api.getConnectedAppToken(SESSION)
  await api.revokeConnectedAppToken(SESSION)
  const proofs = await Promise.all(broker.asked.map(proofIn))
  const [asking, reading, revoking] = proofs.map(({ claims }) => claims) as [Claims, Claims, Claims]
  assert.deepEqual([asking['htm'], asking['htu'], asking['ath']], ['POST', `${broker.host}/oauth2/token`, undefined])
  const ath = createHash('sha256').update('token-1').digest('base64url')
  assert.deepEqual(
    [reading['htm'], reading['htu'], reading['ath']],
    ['GET', `${broker.host}/api/v1/connected_apps/token`, ath],
    'without the query',
  )
  assert.deepEqual([revoking['htm'], revoking['ath']], ['POST', ath])
  assert.equal(new Set(proofs.map(({ key }) => key)).size, 1)
  assert.equal(new Set(proofs.map(({ claims }) => claims.jti)).size, 3)
  for (const { claims } of proofs) assert(Math.abs(claims.iat - Date.now() / 1000) < 10)
  assert.deepEqual(broker.asked.map(({ headers }) => headers.authorization).slice(1), ['DPoP token-1', 'DPoP token-1'])
})

test('a request that is sent again has another proof', async (t) => {
  const { api, broker } = await proving(t, true, 'DPoP', 1)
  await api.getConnectedAppToken(SESSION)
  const ids = (await Promise.all(broker.asked.map(proofIn))).map(({ claims }) => claims.jti)
  assert.equal(ids.length, 4)
  assert.equal(new Set(ids).size, 4)
})

test('a key pair of one’s own is used as it is', async (t) => {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  const { api, broker } = await proving(t, pair)
  await api.getConnectedAppToken(SESSION)
  const { x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  assert.equal((await proofIn(broker.asked[0]!)).key, JSON.stringify([x, y]))
})

test('two clients have two keys', async (t) => {
  const keys = await Promise.all(
    [1, 2].map(async () => {
      const { api, broker } = await proving(t)
      await api.getConnectedAppToken(SESSION)
      return (await proofIn(broker.asked[0]!)).key
    }),
  )
  assert.notEqual(keys[0], keys[1])
})

test('a server that gives a token which is bound to nothing is not shown it', async (t) => {
  const { api, broker } = await proving(t, true, 'Bearer')
  await assert.rejects(
    api.getConnectedAppToken(SESSION),
    (error: Error) => error instanceof ApiException && /not bound to a key/.test(error.message),
  )
  assert.equal(broker.asked.length, 1)
})

test('without dpop there is no proof', async (t) => {
  for (const configuration of [{}, { dpop: false }]) {
    const { broker } = await proving(t, false, 'Bearer')
    const api = new ConnectedAppsApi({ host: broker.host, ...CLIENT, ...configuration })
    t.after(() => api.close())
    await api.getConnectedAppToken(SESSION)
    for (const { headers } of broker.asked) assert.equal(headers['dpop'], undefined)
  }
})

test('what cannot make proofs is refused at once', async () => {
  const generate = (name: string, more: object, usages: ('sign' | 'verify' | 'deriveBits')[]) =>
    crypto.subtle.generateKey({ name, ...more } as { name: string; namedCurve: string }, false, usages)
  const others: readonly unknown[] = [
    'true',
    {},
    await generate('ECDSA', { namedCurve: 'P-384' }, ['sign', 'verify']),
    await generate('ECDH', { namedCurve: 'P-256' }, ['deriveBits']),
  ]
  for (const dpop of others)
    assert.throws(
      () => new ConnectedAppsApi({ ...CLIENT, dpop } as Configuration),
      (error: Error) => {
        return error instanceof ArgumentError && /dpop must be true, or a key pair of ECDSA on P-256/.test(error.message)
      },
    )
  assert.throws(() => new ConnectedAppsApi({ accessToken: 'x', dpop: true } as unknown as Configuration), /not both/)
})
