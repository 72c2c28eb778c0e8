/** Spending a refresh token: what is sent, once, and who can act on what comes back. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, assertSilent, credentials, rejectsSilently, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import { Secret } from '../core/secret.ts'

test('nothing is sent until the prepared renewal is called', async (t) => {
  const world = await untilDone(t, worldWith({ answers: { '/token': () => ({ json: TOKENS }) } }))
  const spend = await world.mode.prepareRenewal(world.registration, credentials())
  assert.equal(world.asked('/token').length, 0)
  await spend()
  const form = Object.fromEntries(new URLSearchParams(world.asked('/token')[0]?.body))
  assert.deepEqual(form, { grant_type: 'refresh_token', refresh_token: 'canary-refresh' })
})

for (const value of [undefined, null, '']) {
  test(`F-23 a renewal that answers ${JSON.stringify(value)} for the refresh token keeps the old one, and what was kept`, async (t) => {
    const world = await untilDone(t, worldWith({ answers: { '/token': () => ({ json: { ...TOKENS, refresh_token: value } }) } }))
    const renewed = await (await world.mode.prepareRenewal(world.registration, credentials()))()
    assert(renewed.outcome === 'renewed')
    assert.equal(renewed.grant.credentials.refreshToken, null)
    assert.deepEqual(renewed.grant.credentials.kept, { realmId: '7' })
    assert.equal(renewed.grant.credentials.also['bot']?.reveal(), 'old-bot')
  })
}

test('F-24 without a refresh token there is nothing to send', async (t) => {
  const world = await untilDone(t, worldWith())
  const renewed = await (await world.mode.prepareRenewal(world.registration, { ...credentials(), refreshToken: null }))()
  assert.deepEqual(renewed, { outcome: 'rejected', reason: 'no_refresh_token', detail: null })
  assert.equal(world.asked('/token').length, 0)
})

test('F-28 a refresh token arrives byte for byte', async (t) => {
  const world = await untilDone(t, worldWith({ answers: { '/token': () => ({ json: TOKENS }) } }))
  const refreshToken = 'a+b%2B/=&é🔑'.repeat(700)
  await (await world.mode.prepareRenewal(world.registration, { ...credentials(), refreshToken: new Secret(refreshToken) }))()
  assert.equal(new URLSearchParams(world.asked('/token')[0]?.body).get('refresh_token'), refreshToken)
})

test('renewals go to their own URL with their own parameters, where the file says so', async (t) => {
  const provider = {
    refresh_url: 'renew',
    refresh_params: { grant_type: 'exchange', scope: 'all' },
    token_params: { only: 'codes' },
  }
  const world = await untilDone(t, worldWith({ provider, answers: { '/renew': () => ({ json: TOKENS }) } }))
  await (await world.mode.prepareRenewal(world.registration, credentials()))()
  const form = Object.fromEntries(new URLSearchParams(world.asked('/renew')[0]?.body))
  assert.deepEqual(form, { grant_type: 'exchange', refresh_token: 'canary-refresh', scope: 'all' })
})

const FAILED_RENEWALS: readonly { title: string; answer: Answer; gives: { outcome: string; [field: string]: unknown } }[] = [
  {
    title: 'F-10 invalid_grant',
    answer: { status: 400, json: { error: 'invalid_grant' } },
    gives: { outcome: 'rejected', reason: 'invalid_grant' },
  },
  {
    title: 'F-14 invalid_client',
    answer: { status: 401, json: { error: 'invalid_client' } },
    gives: { outcome: 'app_rejected', reason: 'invalid_client' },
  },
  {
    title: 'F-12 503',
    answer: { status: 503, headers: { 'retry-after': '9' } },
    gives: { outcome: 'unavailable', retryAfterMs: 9000, unclear: false },
  },
  {
    title: 'F-13 429',
    answer: { status: 429, headers: { 'retry-after': '315360000' } },
    gives: { outcome: 'unavailable', retryAfterMs: 3_600_000, unclear: false },
  },
  {
    title: 'F-12 a connection that breaks',
    answer: 'break',
    gives: { outcome: 'unavailable', reason: 'answer_lost', unclear: false },
  },
  {
    title: 'F-20 a page',
    answer: { text: '<html>' },
    gives: { outcome: 'unavailable', reason: 'malformed_answer', unclear: false },
  },
  {
    title: 'F-11 a code that nobody knows',
    answer: { status: 400, json: { error: 'odd' } },
    gives: { outcome: 'unavailable', reason: 'odd', unclear: true },
  },
  {
    title: 'S-42 an answer of more than 256 KiB',
    answer: { json: { ...TOKENS, more: 'x'.repeat(262_144) } },
    gives: { outcome: 'unavailable', reason: 'answer_lost' },
  },
  {
    title: 'S-42 a compressed answer',
    answer: { text: 'x', headers: { 'content-encoding': 'gzip' } },
    gives: { outcome: 'unavailable', reason: 'answer_lost' },
  },
  {
    title: 'S-69 a no that quotes the refresh token',
    answer: {
      status: 400,
      json: { error: 'canary-refresh', error_description: 'no such token: canary-refresh, nor canary-access' },
    },
    gives: { outcome: 'unavailable', reason: 'http_400', detail: 'no such token: [redacted], nor [redacted]' },
  },
]

for (const { title, answer, gives } of FAILED_RENEWALS) {
  test(`a renewal answered with ${title} is ${gives.outcome}`, async (t) => {
    const world = await untilDone(t, worldWith({ answers: { '/token': () => answer } }))
    const renewed: Record<string, unknown> = await (await world.mode.prepareRenewal(world.registration, credentials()))()
    for (const [field, value] of Object.entries(gives)) assert.deepEqual(renewed[field], value, field)
    assertSilent(renewed)
    assert.equal(world.asked('/token').length, 1)
  })
}

test('F-12 a provider that cannot be reached, or must not be, spends no refresh token', async (t) => {
  for (const token_url of ['http://127.0.0.1:1/token', 'http://169.254.169.254/token']) {
    const world = await untilDone(t, worldWith({ provider: { token_url } }))
    const renewed = await (await world.mode.prepareRenewal(world.registration, credentials()))()
    assert(renewed.outcome === 'unavailable')
    assert.deepEqual([renewed.reason, renewed.unclear], ['provider_unreachable', false])
  }
})

test('F-12 a renewal whose preparation fails throws before anything is spent', async (t) => {
  const world = await untilDone(t, worldWith({ discovering: '' }))
  world.answer('/.well-known/openid-configuration', () => ({ status: 502 }))
  await rejectsSilently(world.mode.prepareRenewal(world.registration, credentials()), 'PROVIDER_UNAVAILABLE')
})
