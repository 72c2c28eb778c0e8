/** What is made of what a server says about itself. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, attempt, NOW, rejectsSilently, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import { createOAuth2Mode } from './oauth2.ts'

test('URLs in the file win over discovered ones, and a file that names them all asks for no discovery', async (t) => {
  const world = await untilDone(t, worldWith({ issuer: true, answers: { '/token': () => ({ json: TOKENS }) } }))
  await world.mode.begin(world.registration, attempt())
  await world.mode.exchange(world.registration, answered(world.origin))
  assert.equal(world.asked('/.well-known/openid-configuration').length, 0)

  const { token_url: _, ...partly } = world.registration.provider
  const document = {
    issuer: world.origin,
    authorization_endpoint: 'https://elsewhere.example/',
    token_endpoint: `${world.origin}/token2`,
  }
  world.answer('/.well-known/openid-configuration', () => ({ json: document }))
  world.answer('/token2', () => ({ json: TOKENS }))
  const registration = { ...world.registration, provider: partly }
  const { url } = await world.mode.begin(registration, attempt())
  assert(url.startsWith(`${world.origin}/authorize?`))
  assert.equal((await world.mode.exchange(registration, answered(world.origin))).outcome, 'granted')
  assert.equal(world.asked('/token2').length, 1)
})

test('without OpenID Connect the metadata of RFC 8414 is found, at its place between host and path', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '/tenant' }))
  const document = {
    issuer: `${world.origin}/tenant`,
    authorization_endpoint: `${world.origin}/go`,
    authorization_response_iss_parameter_supported: true,
  }
  world.answer('/.well-known/oauth-authorization-server/tenant', () => ({
    json: document,
    headers: { 'content-type': 'text/plain' },
  }))
  const { url, issuer, issuerRequired } = await world.mode.begin(world.registration, attempt())
  assert(url.startsWith(`${world.origin}/go?`))
  assert.deepEqual([issuer, issuerRequired], [`${world.origin}/tenant`, true])
  assert.equal(world.asked('/tenant/.well-known/openid-configuration').length, 1)
})

for (const [difference, other] of [
  ['another host', 'https://evil.example'],
  ['a trailing slash', (origin: string) => `${origin}/`],
  ['other case', (origin: string) => origin.replace('http', 'HTTP')],
  ['no issuer at all', undefined],
] as const) {
  test(`S-30 S-26 a discovery document with ${difference} is refused`, async (t) => {
    const world = await untilDone(t, worldWith({ discovering: '' }))
    const issuer = typeof other === 'function' ? other(world.origin) : other
    world.answer('/.well-known/openid-configuration', () => ({
      json: { issuer, authorization_endpoint: `${world.origin}/authorize` },
    }))
    await rejectsSilently(
      world.mode.begin(world.registration, attempt()),
      issuer === undefined ? 'PROVIDER_UNAVAILABLE' : 'CONNECT_FAILED',
    )
  })
}

test('a discovered authorization endpoint that no browser should follow is refused', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  for (const [at, endpoint] of ['javascript:alert(1)', 'data:text/html,x', '//evil.example', 'ftp://x.example/'].entries()) {
    const mode = createOAuth2Mode({ net: world.net, now: () => NOW + at })
    world.answer('/.well-known/openid-configuration', () => ({
      json: { issuer: world.origin, authorization_endpoint: endpoint },
    }))
    await rejectsSilently(mode.begin(world.registration, attempt()), 'CONNECT_FAILED')
  }
})

test('S-22 a server that lists PKCE methods and not S256 is refused, unless its file says to go without', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  const document = {
    issuer: world.origin,
    authorization_endpoint: `${world.origin}/authorize`,
    code_challenge_methods_supported: ['plain'],
  }
  world.answer('/.well-known/openid-configuration', () => ({ json: document }))
  await rejectsSilently(world.mode.begin(world.registration, attempt()), 'CONNECT_FAILED')
  const without = { ...world.registration, provider: { ...world.registration.provider, pkce: false } }
  assert(!(await world.mode.begin(without, attempt())).url.includes('challenge'))
})

test('F-12 discovery that fails is the provider being away, and is asked again some seconds later', async (t) => {
  const clock = { now: NOW }
  const world = await untilDone(t, worldWith({ discovering: '', clock }))
  world.answer('/.well-known/openid-configuration', () => ({ status: 503 }))
  const begin = () => world.mode.begin(world.registration, attempt())
  await rejectsSilently(begin(), 'PROVIDER_UNAVAILABLE')
  await rejectsSilently(begin(), 'PROVIDER_UNAVAILABLE')
  assert.equal(world.asked('/.well-known/openid-configuration').length, 1)
  clock.now += 6000
  world.answer('/.well-known/openid-configuration', () => ({
    json: { issuer: world.origin, authorization_endpoint: `${world.origin}/authorize` },
  }))
  assert((await begin()).url.startsWith(world.origin))
})

test('S-39 an issuer on a private address is refused unless the file allows it', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '', provider: { allow_private_network: false } }))
  await rejectsSilently(world.mode.begin(world.registration, attempt()), 'CONNECT_FAILED')
  assert.equal(world.asked('/.well-known/openid-configuration').length, 0)
})
