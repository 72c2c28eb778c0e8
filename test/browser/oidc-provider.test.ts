/** A provider of which the operator gives nothing but the issuer: a real authorization server, with its own pages, in a real browser. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type OidcProviderServer, startOidcProvider } from '../oidc-provider.ts'
import { SECOND, startWorld, type World } from '../world.ts'
import { needsBrowser, visitor } from './browser.ts'
import { type Landing, startLanding } from './landing.ts'

const TOKEN_LIFE_SECONDS = 60
/** Its pages ask for a font that is not on this machine, and have no icon. */
const NOT_OURS = /fonts\.googleapis\.com|\/favicon\.ico/

describe('a real OpenID provider in a real browser', needsBrowser, () => {
  let landing: Landing
  let world: World
  let server: OidcProviderServer
  before(async () => {
    landing = await startLanding()
    world = await startWorld()
    const client = { client_id: 'harbour', client_secret: 'a-secret-of-harbour' }
    const redirect_uris = [`${world.url}/connected_apps/callback`]
    server = await startOidcProvider({ clients: [{ ...client, redirect_uris }], accessTokenLife: TOKEN_LIFE_SECONDS })
    const { issuer } = server
    const provider = { id: 'certified', name: 'Certified', mode: 'oauth2', issuer, allow_private_network: true }
    const app = { key_code_ref: 'certified', provider: 'certified', name: 'Harbour', shared_redirect_uri: true, ...client }
    const asked = { scopes: ['openid', 'email', 'offline_access'], callback_url: landing.callbackUrl }
    const file = join(world.folder, 'certified.yaml')
    await writeFile(file, JSON.stringify({ providers: [provider], apps: [{ ...app, ...asked }] }))
    await world.broker.applySetup(file)
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
    await server.close()
    await landing.close()
  })

  test('connects by its issuer alone: consent, who it is, renewal, revocation', async (t) => {
    const { body } = await world.authUrl({ key_code_ref: 'certified', user_id: 'u-1' })
    const session = String(body['session_id'])
    const who = await visitor(t, { notOurs: NOT_OURS })
    await who.open(String(body['url']))
    await who.sees('Connect your Certified account to Harbour')
    await who.press('Continue to Certified')
    await who.page.getByPlaceholder('Enter any login').fill('ada')
    await who.page.getByPlaceholder('and password').fill('any')
    await who.shoot('15-certified-sign-in')
    await who.press('Sign-in')
    await who.page.getByText('Authorize', { exact: true }).waitFor()
    await who.shoot('16-certified-consent')
    await who.press('Continue')
    await who.sees('Back in the app')
    assert.equal(landing.arrivals.at(-1)?.query.get('session_id'), session)

    const { body: connection } = await world.connection(session)
    assert.equal(connection['state'], 'connected')
    assert.deepEqual(connection['account'], { id: 'ada', label: 'ada@example.com' })
    assert.equal(server.requests('/me'), 0, 'the id_token said who it is')
    assert(server.requests('/jwks') > 0, 'and its signature was checked')

    const first = await accessToken(session)
    assert.equal(await server.userinfo(first), 'ada')
    assert.equal(await accessToken(session), first)
    world.pass((TOKEN_LIFE_SECONDS + 1) * SECOND)
    const second = await accessToken(session)
    assert.notEqual(second, first)
    assert.equal(await server.userinfo(second), 'ada')

    assert.equal((await world.revoke(session)).status, 200)
    assert.equal(await server.userinfo(second), null, 'dead at the provider too')
    assert.equal((await world.token(session)).code, 'INVALID_SESSION')
  })

  test('who cancels on its page comes back with that', async (t) => {
    const { body } = await world.authUrl({ key_code_ref: 'certified', user_id: 'u-2' })
    const who = await visitor(t, { screen: 'phone', notOurs: NOT_OURS })
    await who.open(String(body['url']))
    await who.press('Continue to Certified')
    await who.page.getByText('[ Cancel ]').click()
    await who.sees('Back in the app')
    assert.equal(landing.arrivals.at(-1)?.query.get('error'), 'access_denied')
    assert.equal((await world.token(String(body['session_id']))).code, 'ACCESS_DENIED')
  })

  async function accessToken(session: string): Promise<string> {
    const { status, body, text } = await world.token(session)
    assert.equal(status, 200, text)
    return String(body['access_token'])
  }
})
