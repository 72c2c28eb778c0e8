/** Tokens that are bound to a key (RFC 9449): of use only to who holds it, for one request at a time. */

import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { decodeJwt, SignJWT } from 'jose'
import { ConnectedAppsApi } from '../../sdk/src/sdk.ts'
import { Proofs, UsedProofs } from '../../src/http/dpop.ts'
import { type Answer, answerOf, HOUR, MINUTE, SECOND, startWorld, type World } from '../world.ts'

interface Key {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

let world: World
let key: Key
const secret = 'd'.repeat(44)
before(async () => {
  world = await startWorld()
  key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  for (const [client_id, dpop] of [
    ['bound', 'required'],
    ['free', 'optional'],
  ]) {
    const json = { client_id, client_secret: secret, scopes: ['read:apps'], owner: 'o', expires: '2100-01-01', dpop }
    assert.equal((await world.ask('POST', '/api/v1/callers', { json })).status, 200)
  }
})
after(() => world[Symbol.asyncDispose]())

interface Wishes {
  readonly claims?: object
  readonly header?: object
  readonly by?: Key
  readonly key?: KeyObject
}

/** A proof that is right, but for what is wished. */
function proof(
  method: string,
  path: string,
  token: string | null,
  { claims = {}, header = {}, by = key, key: signer }: Wishes = {},
) {
  const ath = token === null ? {} : { ath: createHash('sha256').update(token).digest('base64url') }
  const iat = Math.floor(world.now() / 1000)
  return new SignJWT({ jti: randomUUID(), htm: method, htu: `${world.url}${path}`, iat, ...ath, ...claims })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: by.publicKey.export({ format: 'jwk' }), ...header })
    .sign(signer ?? by.privateKey)
}

async function fetched(client_id: string, dpop?: string): Promise<Answer> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret: secret })
  const headers: Record<string, string> = dpop === undefined ? {} : { dpop }
  return answerOf(await fetch(`${world.url}/oauth2/token`, { method: 'POST', body, headers }))
}

async function boundToken(client = 'bound'): Promise<string> {
  const { status, body, text } = await fetched(client, await proof('POST', '/oauth2/token', null))
  assert.equal(status, 200, text)
  assert.equal(body['token_type'], 'DPoP')
  return String(body['access_token'])
}

const APPS = '/api/v1/apps'
const asking = (headers: Readonly<Record<string, string>>, path = APPS) => world.ask('GET', path, { as: null, headers })
const showing = (token: string, dpop: string, path = APPS) => asking({ authorization: `DPoP ${token}`, dpop }, path)

test('S-64 our own client proves its key with each request', async (t) => {
  const scopes = ['read:connections']
  const json = { client_id: 'ours', client_secret: secret, scopes, owner: 'o', expires: '2100-01-01', dpop: 'required' }
  assert.equal((await world.ask('POST', '/api/v1/callers', { json })).status, 200)
  const configuration = { host: world.url, clientId: 'ours', clientSecret: secret }
  const [with_, without] = [new ConnectedAppsApi({ ...configuration, dpop: true }), new ConnectedAppsApi(configuration)]
  t.after(() => [with_, without].forEach((api) => api.close()))
  for (let i = 0; i < 3; i++) assert.deepEqual((await with_.listConnections({ user_id: 'nobody' })).body.connections, [])
  await assert.rejects(without.listConnections({ user_id: 'nobody' }), /invalid_dpop_proof|DPoP/)
})

describe('S-64 a caller that must prove a key', () => {
  test('gets a token that is bound to it, and uses it with a proof for each request', async () => {
    const token = await boundToken()
    assert.equal(typeof (decodeJwt(token)['cnf'] as { jkt: string }).jkt, 'string')
    for (let i = 0; i < 2; i++) assert.equal((await showing(token, await proof('GET', APPS, token))).status, 200)
    const queried = '/api/v1/connections?page_size=1'
    assert.equal((await showing(token, await proof('GET', '/api/v1/connections', token), queried)).code, 'INSUFFICIENT_SCOPE')
  })

  test('gets none without a proof, or with one that is wrong, and a wrong secret is told before that', async () => {
    for (const wrong of [
      undefined,
      '',
      'x',
      'a.b.c',
      await proof('GET', '/oauth2/token', null),
      await proof('POST', APPS, null),
    ]) {
      const { status, body } = await fetched('bound', wrong)
      assert.deepEqual([status, body['error']], [400, 'invalid_dpop_proof'], wrong)
    }
    const used = await proof('POST', '/oauth2/token', null)
    assert.equal((await fetched('bound', used)).status, 200)
    assert.equal((await fetched('bound', used)).body['error'], 'invalid_dpop_proof')
    assert.equal((await fetched('unknown', used)).body['error'], 'invalid_client')
  })

  test('cannot use tokens from before it had to', async () => {
    const json = { client_id: 'later', client_secret: secret, scopes: ['read:apps'], owner: 'o', expires: '2100-01-01' }
    await world.ask('POST', '/api/v1/callers', { json })
    const authorization = `Bearer ${String((await fetched('later')).body['access_token'])}`
    assert.equal((await asking({ authorization })).status, 200)
    await world.ask('POST', '/api/v1/callers', { json: { ...json, dpop: 'required' } })
    assert.equal((await asking({ authorization })).code, 'INVALID_CREDENTIALS')
  })
})

test('S-64 a caller that may, gets a bound token with a proof, and an ordinary one without', async () => {
  const plain = await fetched('free')
  assert.equal(plain.body['token_type'], 'bearer')
  assert.equal(decodeJwt(String(plain.body['access_token']))['cnf'], undefined)
  const token = await boundToken('free')
  assert.equal((await showing(token, await proof('GET', APPS, token))).status, 200)
  assert.equal((await asking({ authorization: `Bearer ${token}` })).status, 403)
  // An ordinary token is not made more than it is by a proof.
  const ordinary = String(plain.body['access_token'])
  for (const shown of [await proof('GET', APPS, ordinary), 'none']) assert.equal((await showing(ordinary, shown)).status, 403)
})

describe('S-64 refused like any bearer that is wrong', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const wrong: Readonly<Record<string, (token: string) => Promise<string> | string>> = {
    'no proof': () => '',
    'another method': (token) => proof('POST', APPS, token),
    'another path': (token) => proof('GET', '/api/v1/callers', token),
    'another host': (token) => proof('GET', APPS, token, { claims: { htu: `https://evil.example${APPS}` } }),
    'another port': (token) => proof('GET', APPS, token, { claims: { htu: `http://127.0.0.1:1${APPS}` } }),
    'no address': (token) => proof('GET', APPS, token, { claims: { htu: undefined } }),
    'another token': () => proof('GET', APPS, 'other'),
    'no token': () => proof('GET', APPS, null),
    'another key': (token) => proof('GET', APPS, token, { by: other }),
    'another key than it names': (token) => proof('GET', APPS, token, { key: other.privateKey }),
    'too old': (token) => proof('GET', APPS, token, { claims: { iat: Math.floor(world.now() / 1000) - 61 } }),
    'from the future': (token) => proof('GET', APPS, token, { claims: { iat: Math.floor(world.now() / 1000) + 15 } }),
    'no id': (token) => proof('GET', APPS, token, { claims: { jti: undefined } }),
    'an id without end': (token) => proof('GET', APPS, token, { claims: { jti: 'x'.repeat(257) } }),
    'of another kind': (token) => proof('GET', APPS, token, { header: { typ: 'JWT' } }),
    'with the private key in it': (token) =>
      proof('GET', APPS, token, { header: { jwk: key.privateKey.export({ format: 'jwk' }) } }),
    'two in one': async (token) => `${await proof('GET', APPS, token)}, ${await proof('GET', APPS, token)}`,
  }
  for (const [what, make] of Object.entries(wrong)) {
    test(what, async () => {
      const token = await boundToken()
      const refused = await showing(token, await make(token))
      assert.deepEqual(
        [refused.status, refused.code, refused.body['result']],
        [403, 'INVALID_CREDENTIALS', 'Invalid credentials'],
      )
      assert.equal((await showing(token, await proof('GET', APPS, token))).status, 200)
    })
  }

  test('the token as a plain bearer', async () => {
    const token = await boundToken()
    for (const headers of [{}, { dpop: await proof('GET', APPS, token) }])
      assert.equal((await asking({ authorization: `Bearer ${token}`, ...headers })).code, 'INVALID_CREDENTIALS')
  })

  test('a proof that was used, whatever of 16 at once was first, and also when its time is nearly over', async () => {
    const token = await boundToken()
    const once = await proof('GET', APPS, token)
    const statuses = await Promise.all(Array.from({ length: 16 }, async () => (await showing(token, once)).status))
    assert.deepEqual(
      statuses.toSorted((a, b) => a - b),
      [200, ...Array.from({ length: 15 }, () => 403)],
    )
    for (const ahead of [10, 59]) {
      const late = await proof('GET', APPS, token, { claims: { iat: Math.floor(world.now() / 1000) + (ahead === 10 ? 9 : 0) } })
      assert.equal((await showing(token, late)).status, 200)
      world.pass(ahead * SECOND)
      assert.equal((await showing(token, late)).status, 403)
    }
  })
})

test('S-64 proofs are remembered as long as they are good, and while no more can be, no more are taken', async () => {
  let now = world.now()
  const memory = new UsedProofs(() => now, 4)
  const isFirst = async (used: string) => memory.isFirst(used)
  const proofs = new Proofs({ publicUrl: world.url, now: () => now, isFirst })
  const used = async () =>
    proofs.thumbprint({
      proof: await proof('GET', APPS, null, { claims: { iat: Math.floor(now / 1000) } }),
      method: 'GET',
      path: APPS,
      token: null,
    })
  for (let i = 0; i < 4; i++) assert.notEqual(await used(), null)
  assert.equal(await used(), null)
  now += 3 * MINUTE
  assert.notEqual(await used(), null)
})

test('S-64 a clock that was ahead and is set right lets proofs be forgotten all the same, and none be used twice', () => {
  let now = HOUR
  const memory = new UsedProofs(() => now, 4)
  assert(memory.isFirst('ahead'))
  now = 0
  for (let minute = 0; minute < 30; minute++, now += MINUTE) {
    assert(memory.isFirst(`proof ${minute}`))
    assert(!memory.isFirst(`proof ${minute}`))
  }
})

test('S-64 discovery names what proofs may be signed with', async () => {
  const { body } = await answerOf(await fetch(`${world.url}/.well-known/openid-configuration`))
  assert((body['dpop_signing_alg_values_supported'] as string[]).includes('ES256'))
})
