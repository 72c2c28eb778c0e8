/** Whose account was connected: what proves it, and what does not. */

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { answered, assertSilent, CLIENT_ID, CLIENT_SECRET, NOW, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const JWKS = { keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' }] }
const CLAIMS = { sub: 'u-1', nonce: 'canary-nonce', email: 'ada@example.com', name: 'Ada' }

interface Identified {
  readonly title: string
  readonly claims?: Record<string, unknown>
  readonly issuer?: string
  readonly audience?: string | string[]
  readonly age?: number
  readonly key?: 'stranger' | 'none' | 'secret' | 'public key as secret'
  readonly reason?: string
  readonly account?: { id: string; label: string | null } | null
}

const ID_TOKENS: readonly Identified[] = [
  { title: 'a valid ID token names the account', account: { id: 'u-1', label: 'ada@example.com' } },
  { title: 'a label without an address', claims: { email: undefined }, account: { id: 'u-1', label: 'Ada' } },
  {
    title: 'S-42 a label longer than anybody reads is cut, and not within a character',
    claims: { email: `${'a'.repeat(199)}😀`.padEnd(10_000, 'b') },
    account: { id: 'u-1', label: 'a'.repeat(199) },
  },
  { title: 'S-42 a subject longer than any is: it identifies nobody', claims: { sub: 'u'.repeat(1025) }, account: null },
  { title: 'S-23 another nonce', claims: { nonce: 'of another attempt' }, reason: 'id_token_invalid' },
  { title: 'S-23 another audience', audience: 'another-client', reason: 'id_token_invalid' },
  {
    title: 'S-23 several audiences and no authorized party',
    audience: [CLIENT_ID, 'another-client'],
    reason: 'id_token_invalid',
  },
  { title: 'S-23 another issuer', issuer: 'https://evil.example', reason: 'id_token_invalid' },
  { title: 'S-23 an issuer with a slash more', issuer: '/', reason: 'id_token_invalid' },
  { title: 'S-23 alg none', key: 'none', reason: 'id_token_invalid' },
  { title: 'S-23 the key of a stranger', key: 'stranger', reason: 'id_token_invalid' },
  { title: 'S-23 the public key taken for a shared secret', key: 'public key as secret', reason: 'id_token_invalid' },
  { title: 'S-23 the client secret, where metadata does not say so', key: 'secret', reason: 'id_token_invalid' },
  { title: 'S-23 expired', age: 7200, reason: 'id_token_invalid' },
  { title: 'S-23 no subject', claims: { sub: undefined }, reason: 'id_token_invalid' },
  { title: 'S-23 no nonce: it identifies nobody', claims: { nonce: undefined }, account: null },
]

for (const { title, reason, account, ...token } of ID_TOKENS) {
  test(`${title}${reason === undefined ? '' : ` is ${reason}, and what was granted is told`}`, async (t) => {
    const world = await untilDone(
      t,
      worldWith({
        issuer: true,
        provider: { jwks_url: 'jwks' },
        answers: { '/jwks': () => ({ json: JWKS }) },
      }),
    )
    const idToken = await idTokenFrom(world.origin, token)
    world.answer('/token', () => ({ json: { ...TOKENS, refresh_token: 'new-refresh', id_token: idToken } }))
    const exchanged = await world.mode.exchange(world.registration, answered(world.origin))
    if (reason === undefined) {
      assert(exchanged.outcome === 'granted', JSON.stringify(exchanged))
      assert.deepEqual(exchanged.grant.account, account)
      return
    }
    assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], ['refused', reason])
    assert.equal(exchanged.outcome === 'refused' && exchanged.granted?.credentials.refreshToken?.reveal(), 'new-refresh')
    assertSilent(exchanged)
  })
}

test('an ID token whose keys cannot be had now refuses the connection as the provider being away', async (t) => {
  const world = await untilDone(
    t,
    worldWith({
      issuer: true,
      provider: { jwks_url: 'jwks' },
      answers: { '/jwks': () => ({ status: 503 }) },
    }),
  )
  const idToken = await idTokenFrom(world.origin, {})
  world.answer('/token', () => ({ json: { ...TOKENS, id_token: idToken } }))
  const exchanged = await world.mode.exchange(world.registration, answered(world.origin))
  assert.deepEqual([exchanged.outcome, 'reason' in exchanged && exchanged.reason], ['refused', 'provider_unreachable'])
  assert.equal(exchanged.outcome === 'refused' && exchanged.granted?.credentials.accessToken.reveal(), TOKENS.access_token)
})

test('an ID token signed with the client secret is accepted where the metadata says so', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '', answers: { '/token': () => ({}) } }))
  const document = {
    issuer: world.origin,
    token_endpoint: `${world.origin}/token`,
    id_token_signing_alg_values_supported: ['HS256'],
  }
  world.answer('/.well-known/openid-configuration', () => ({ json: document }))
  for (const [key, outcome] of [
    ['secret', 'granted'],
    ['public key as secret', 'refused'],
  ] as const) {
    const idToken = await idTokenFrom(world.origin, { key })
    world.answer('/token', () => ({ json: { ...TOKENS, id_token: idToken } }))
    assert.equal((await world.mode.exchange(world.registration, answered(world.origin))).outcome, outcome)
  }
})

test('without an issuer an ID token proves nothing, and the API is asked instead', async (t) => {
  const world = await untilDone(
    t,
    worldWith({
      provider: { identity: { url: 'me', id: 'data.id', label: 'data.login' }, api_headers: { 'X-Api': '3' } },
      answers: { '/me': () => ({ text: '{"data":{"id":12345678901234567890,"login":"ada"}}' }) },
    }),
  )
  const idToken = await idTokenFrom('https://evil.example', {})
  world.answer('/token', () => ({ json: { ...TOKENS, id_token: idToken } }))
  const exchanged = await world.mode.exchange(world.registration, answered())
  assert(exchanged.outcome === 'granted')
  assert.deepEqual(exchanged.grant.account, { id: '12345678901234567890', label: 'ada' })
  const [sent] = world.asked('/me')
  assert.deepEqual([sent?.headers.authorization, sent?.headers['x-api']], ['Bearer new-access', '3'])
})

test('the account is found in a list, and one that cannot be read costs no connection', async (t) => {
  const provider = { identity: { url: 'me', id: '0.id' } }
  for (const [answer, account] of [
    [{ json: [{ id: 'first' }, { id: 'second' }] }, { id: 'first', label: null }],
    [{ status: 500, json: [{ id: 'first' }] }, null],
    [{ json: [{ id: 'i'.repeat(1025) }] }, null],
    [{ text: '<html>' }, null],
    ['break', null],
  ] as const) {
    const world = await untilDone(
      t,
      worldWith({ provider, answers: { '/me': () => answer, '/token': () => ({ json: TOKENS }) } }),
    )
    const exchanged = await world.mode.exchange(world.registration, answered())
    assert(exchanged.outcome === 'granted')
    assert.deepEqual(exchanged.grant.account, account)
  }
})

test('an account that the answer names wins, and nobody is asked', async (t) => {
  const world = await untilDone(
    t,
    worldWith({
      provider: { account_at: { id: 'team.id', label: 'team.name' }, identity: { url: 'me', id: 'id' } },
      answers: { '/token': () => ({ json: { ...TOKENS, team: { id: 'T1', name: 'Acme' } } }) },
    }),
  )
  const exchanged = await world.mode.exchange(world.registration, answered())
  assert(exchanged.outcome === 'granted')
  assert.deepEqual(exchanged.grant.account, { id: 'T1', label: 'Acme' })
  assert.equal(world.asked('/me').length, 0)
})

async function idTokenFrom(origin: string, { claims, issuer, audience, age = 0, key }: Partial<Identified>): Promise<string> {
  const at = NOW / 1000 - age
  const payload = {
    iss: issuer === '/' ? `${origin}/` : (issuer ?? origin),
    aud: audience ?? CLIENT_ID,
    iat: at,
    exp: at + 3600,
    ...CLAIMS,
    ...claims,
  }
  if (key === 'none')
    return `${[{ alg: 'none' }, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
  const publicPem = createPublicKey(rsa.publicKey.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'pem' })
  const shared = key === 'secret' ? CLIENT_SECRET : key === 'public key as secret' ? publicPem.toString() : null
  const jwt = new SignJWT(payload).setProtectedHeader({ alg: shared === null ? 'RS256' : 'HS256', kid: 'k1' })
  return jwt.sign(shared === null ? (key === 'stranger' ? stranger : rsa).privateKey : Buffer.from(shared))
}
