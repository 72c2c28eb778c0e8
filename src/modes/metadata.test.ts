/** What is made of what a server says about itself. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, attempt, credentials, NOW, rejectsSilently, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import { BrokerError } from '../core/errors.ts'
import { createOAuth2Mode } from './oauth2.ts'

const HOUR = 3_600_000

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

test('F-12 while discovery fails, what the server said last stands for a day: its other endpoints may be well', async (t) => {
  const clock = { now: NOW }
  const world = await untilDone(t, worldWith({ discovering: '', clock }))
  const works = { issuer: world.origin, authorization_endpoint: `${world.origin}/authorize` }
  const begin = async () => (await world.mode.begin(world.registration, attempt())).url
  world.answer('/.well-known/openid-configuration', () => ({ json: works }))
  await begin()
  clock.now += 3_600_001
  world.answer('/.well-known/openid-configuration', () => ({ status: 503 }))
  assert((await begin()).startsWith(works.authorization_endpoint))
  await begin()
  assert.equal(world.asked('/.well-known/openid-configuration').length, 2, 'and it is asked again some seconds later')
  clock.now += 6000
  world.answer('/.well-known/openid-configuration', () => ({ json: { ...works, issuer: 'https://evil.example' } }))
  await rejectsSilently(begin(), 'CONNECT_FAILED')
  clock.now += 6000
  world.answer('/.well-known/openid-configuration', () => ({
    json: { ...works, authorization_endpoint: `${world.origin}/moved` },
  }))
  assert((await begin()).startsWith(`${world.origin}/moved`))
  world.answer('/.well-known/openid-configuration', () => 'break')
  clock.now += 23 * 3_600_000
  assert((await begin()).startsWith(`${world.origin}/moved`))
  clock.now += 3_600_001
  await rejectsSilently(begin(), 'PROVIDER_UNAVAILABLE')
})

for (const status of [401, 403, 404, 410, 302, 200]) {
  test(`F-12 a document that was there is believed for its day when its place answers ${status} and a page`, async (t) => {
    const clock = { now: NOW }
    const world = await untilDone(t, worldWith({ discovering: '', clock, answers: { '/token': () => ({ json: TOKENS }) } }))
    const place = '/.well-known/openid-configuration'
    world.answer(place, () => ({ json: { issuer: world.origin, token_endpoint: `${world.origin}/token` } }))
    const renewed = async () => (await (await world.mode.prepareRenewal(world.registration, credentials()))()).outcome
    assert.equal(await renewed(), 'renewed')
    world.answer(place, () => ({ status, text: '<html>', headers: { location: '/login' } }))
    clock.now += 23 * HOUR
    assert.equal(await renewed(), 'renewed')
    clock.now += HOUR + 1
    if (status === 200) await rejectsSilently(renewed(), 'PROVIDER_UNAVAILABLE')
    else assert.equal(await renewed(), 'app_rejected')
  })
}

test('S-39 an issuer on a private address is refused unless the file allows it', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '', provider: { allow_private_network: false } }))
  await rejectsSilently(world.mode.begin(world.registration, attempt()), 'CONNECT_FAILED')
  assert.equal(world.asked('/.well-known/openid-configuration').length, 0)
})

test('a discovery document of another issuer is told with the issuer that it names, so that it can be written down', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  const named = async (issuer: string, at: number) => {
    world.answer('/.well-known/openid-configuration', () => ({ json: { issuer } }))
    return refusalOf(createOAuth2Mode({ net: world.net, now: () => NOW + at * HOUR }).begin(world.registration, attempt()))
  }
  assert.match(await named(`${world.origin}/`, 1), new RegExp(`says that it is of ${world.origin}/: `))
  assert.match(
    await named('https://login.example.com/realms/r2', 2),
    /says that it is of https:\/\/login\.example\.com\/realms\/r2: /,
  )
  // Whatever else stands there is nobody's to read.
  assert.doesNotMatch(await named('https://x.example/\n<b>', 3), /<b>/)
  assert.doesNotMatch(await named(`https://x.example/${'x'.repeat(300)}`, 4), /xxx/)
})

test('that there is no discovery document is told with what its places answered', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '/tenant' }))
  world.answer('/tenant/.well-known/openid-configuration', () => ({ status: 301, headers: { location: '/elsewhere' } }))
  const told = await refusalOf(world.mode.begin(world.registration, attempt()))
  assert.match(told, /\/tenant\/\.well-known\/openid-configuration answered 301/)
  assert.match(told, /\/\.well-known\/oauth-authorization-server\/tenant answered 404/)
})

test('a page where the OpenID Connect document would be does not hide the other one', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  world.answer('/.well-known/openid-configuration', () => ({ text: '<!doctype html>', headers: { 'content-type': 'text/html' } }))
  world.answer('/.well-known/oauth-authorization-server', () => ({
    json: { issuer: world.origin, authorization_endpoint: `${world.origin}/go` },
  }))
  assert((await world.mode.begin(world.registration, attempt())).url.startsWith(`${world.origin}/go?`))
})

test('an endpoint that the discovery document lacks is told by its name there', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  world.answer('/.well-known/openid-configuration', () => ({ json: { issuer: world.origin } }))
  const told = await refusalOf(world.mode.begin(world.registration, attempt()))
  assert.match(told, /discovery document of .* has no authorization_endpoint.*authorize_url/)
})

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('it was not refused'),
    (refused: unknown) => refused,
  )
  assert(error instanceof BrokerError)
  assert.equal(error.code, 'CONNECT_FAILED')
  return error.message
}
