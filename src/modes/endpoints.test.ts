/** A server that is given by its issuer, with one of its URLs named beside it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attempt, CLIENT_SECRET, credentials, TOKENS, worldWith } from '../../test/scripted-provider.ts'
import { untilDone } from '../../test/until-done.ts'
import type { Provider } from '../core/provider.ts'

/** Its metadata names every place, and says that clients authenticate in the body and answers carry `iss`. */
async function given(provider: Partial<Provider>) {
  const world = await worldWith({ discovering: '', provider })
  const { origin } = world
  const metadata = {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post'],
    authorization_response_iss_parameter_supported: true,
  }
  world.answer('/.well-known/openid-configuration', () => ({ json: metadata }))
  for (const place of ['/token', '/refresh', '/revoke']) world.answer(place, () => ({ json: TOKENS }))
  return world
}

test('where one URL is named beside the issuer, the client authenticates there as the metadata says', async (t) => {
  const world = await untilDone(t, given({ refresh_url: 'refresh', revoke_url: 'revoke' }))
  await (await world.mode.prepareRenewal(world.registration, credentials()))()
  await world.mode.revoke(world.registration, credentials())
  for (const place of ['/refresh', '/revoke']) {
    const [asked] = world.asked(place)
    assert.equal(asked?.headers.authorization, undefined, place)
    assert.equal(new URLSearchParams(asked?.body).get('client_secret'), CLIENT_SECRET, place)
  }
})

test('S-27 where only the authorize URL is named beside the issuer, an answer has to carry iss if the metadata promises it', async (t) => {
  const world = await untilDone(t, given({ authorize_url: 'authorize' }))
  assert.equal((await world.mode.begin(world.registration, attempt())).issuerRequired, true)
})

test('whoever names both where browsers go and where codes are redeemed depends on no discovery document', async (t) => {
  const world = await untilDone(t, given({ authorize_url: 'authorize', token_url: 'token', revoke_url: 'revoke' }))
  await world.mode.begin(world.registration, attempt())
  await (await world.mode.prepareRenewal(world.registration, credentials()))()
  await world.mode.revoke(world.registration, credentials())
  assert.equal(world.asked('/.well-known/openid-configuration').length, 0)
})
