/** Where the browser is sent, and with what. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { answered, attempt, CLIENT_ID, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'

test('S-21 the authorization URL carries PKCE S256, state and redirect URI, and the verifier stays here', async (t) => {
  const world = await untilDone(t, worldWith())
  const { url, issuer, issuerRequired } = await world.mode.begin(world.registration, attempt())
  const query = Object.fromEntries(new URL(url).searchParams)
  assert.deepEqual(query, {
    response_type: 'code',
    client_id: CLIENT_ID,
    redirect_uri: attempt().redirectUri,
    scope: 'read write',
    state: 'canary-state',
    code_challenge: createHash('sha256').update('canary-verifier').digest('base64url'),
    code_challenge_method: 'S256',
  })
  assert.deepEqual([issuer, issuerRequired], [null, false])
})

test('a nonce is sent when openid is among the scopes, and only then', async (t) => {
  const world = await untilDone(t, worldWith())
  const withOpenid = await world.mode.begin(world.registration, { ...attempt(), scopes: ['openid'] })
  assert.equal(new URL(withOpenid.url).searchParams.get('nonce'), 'canary-nonce')
})

test('S-22 a provider whose file says that PKCE breaks it gets neither challenge nor verifier', async (t) => {
  const world = await untilDone(t, worldWith({ provider: { pkce: false }, answers: { '/token': () => ({ json: TOKENS }) } }))
  const { url } = await world.mode.begin(world.registration, attempt())
  assert(!url.includes('code_challenge'))
  await world.mode.exchange(world.registration, answered())
  assert(!world.asked('/token')[0]?.body.includes('code_verifier'))
})

const SCOPES = [
  { scopes: { separator: ',' as const }, asked: ['a', 'b'], sent: 'a,b' },
  { scopes: { separator: '+' as const }, asked: ['a', 'b'], sent: 'a+b' },
  { scopes: { default: ['d'], offline: ['off'] }, asked: [], sent: 'd off' },
  { scopes: { default: ['d'], offline: ['off', 'a'] }, asked: ['a'], sent: 'a off' },
  { scopes: {}, asked: [], sent: null },
]

for (const { scopes, asked, sent } of SCOPES) {
  test(`F-24 scopes: of ${JSON.stringify(asked)} with ${JSON.stringify(scopes)} becomes ${sent}`, async (t) => {
    const world = await untilDone(t, worldWith({ provider: { scopes } }))
    const { url } = await world.mode.begin(world.registration, { ...attempt(), scopes: asked })
    assert.equal(new URL(url).searchParams.get('scope'), sent)
  })
}

test("the provider's fixed parameters and names are used, its URL keeps its query, and none of ours can be replaced", async (t) => {
  const world = await untilDone(
    t,
    worldWith({
      provider: {
        authorize_url: 'https://{shop}.example.com/{client_id}/authorize?fixed=1',
        config: { shop: { title: 'Shop' } },
        authorize_params: { access_type: 'offline', prompt: 'a b', state: 'theirs', code_challenge_method: 'plain' },
        param_names: { client_id: 'client_key', scope: 'user_scope' },
      },
      config: { shop: 'eu-1' },
    }),
  )
  const { url } = await world.mode.begin(world.registration, attempt())
  assert(url.startsWith(`https://eu-1.example.com/${CLIENT_ID}/authorize?fixed=1&access_type=offline&prompt=a%20b&`), url)
  const query = new URL(url).searchParams
  assert.deepEqual(query.getAll('state'), ['canary-state'])
  assert.deepEqual(query.getAll('code_challenge_method'), ['S256'])
  assert.deepEqual([query.get('client_key'), query.get('user_scope'), query.has('client_id')], [CLIENT_ID, 'read write', false])
})

test('a provider on this machine that may not be reached is refused with what lets it be reached', async (t) => {
  const provider = { authorize_url: 'http://127.0.0.1:4999/authorize', allow_private_network: false }
  const world = await untilDone(t, worldWith({ provider }))
  await assert.rejects(world.mode.begin(world.registration, attempt()), {
    code: 'CONNECT_FAILED',
    message: /authorize_url of .* must begin with https:\/\/ .*allow_private_network: true/,
  })
})

test('our page is told the origin that its form leads to', async (t) => {
  const world = await untilDone(t, worldWith())
  assert.equal(await world.mode.authorizeOrigin(world.registration), world.origin)
})
