/** Authorization servers that are taken for one another: by place (each app comes back to its own), and by name (`iss`, RFC 9207). */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Sandbox } from '../../sandbox/sandbox.ts'
import { Browser } from '../browser-stand-in.ts'
import { startRecordingEndpoint } from '../recording-endpoint.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, startWorld, type World, type WorldOptions } from '../world.ts'

const ISSUER = 'https://as.example'

describe('a malicious provider beside an honest one', () => {
  /** Mallory runs a provider that sends its users on to the honest one, in the name of the broker's app there. */
  function withMallory(tokenUrl: string, app: object = {}): NonNullable<WorldOptions['further']> {
    const mallory = { id: 'mallory', name: 'Mallory', mode: 'oauth2', allow_private_network: true }
    return (sandbox) => ({
      providers: [{ ...mallory, authorize_url: `${new URL(tokenUrl).origin}/authorize`, token_url: tokenUrl, issuer: ISSUER }],
      apps: [
        { ...sandbox.app(), key_code_ref: 'mallory', provider: 'mallory', user_binding: 'none', callback_url: CALLBACK, ...app },
      ],
    })
  }

  /** What Mallory's authorization endpoint redirects to: the honest provider, with the state and challenge that were meant for Mallory. */
  function sentOn(meantForMallory: string, { url }: Sandbox, redirectUri: string): string {
    const onward = new URL(`${url}/authorize`)
    for (const [name, value] of new URL(meantForMallory).searchParams) onward.searchParams.set(name, value)
    onward.searchParams.set('client_id', 'sandbox-app')
    onward.searchParams.set('redirect_uri', redirectUri)
    return onward.href
  }

  const redirectUriOf = async (world: World, keyCodeRef: string) =>
    String((await world.ask('GET', `/api/v1/apps/${keyCodeRef}`)).body['redirect_uri'])

  test('S-25 a code of the honest provider that comes with a state of the malicious one is sent to neither', async (t) => {
    const thief = await untilDone(t, startRecordingEndpoint())
    const world = await untilDone(t, startWorld({ further: withMallory(thief.url) }))
    const [honest, mallorys] = [await redirectUriOf(world, 'none'), await redirectUriOf(world, 'mallory')]
    assert.notEqual(honest, mallorys)
    const { sandbox } = world
    sandbox.control.register({ client_id: 'sandbox-app', client_secret: 'sandbox-secret', redirect_uris: [honest] })

    const { body } = await world.authUrl({ key_code_ref: 'mallory', user_id: 'ada' })
    await assert.rejects(sandbox.walk(sentOn(String(body['url']), sandbox, mallorys)), /redirect_uri/)
    const back = await sandbox.walk(sentOn(String(body['url']), sandbox, honest))
    assert.ok(back.searchParams.has('code'))
    const answer = await new Browser().visit(back)
    assert.equal(answer.status, 400)
    assert.equal(answer.headers.get('location'), null)

    const session = String(body['session_id'])
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.burned wrong_place'])
    // Not even if the browser is sent to the place that the state is good for afterwards.
    assert.equal((await new Browser().visit(`${mallorys}${back.search}`)).status, 400)
    assert.equal(thief.received.length, 0)
    assert.equal(world.redeemed, 0)
  })

  test('S-25 where both come back to the same place, the name of the honest provider gives it away', async (t) => {
    const thief = await untilDone(t, startRecordingEndpoint())
    const world = await untilDone(
      t,
      startWorld({
        sandbox: { iss: 'on' },
        app: { shared_redirect_uri: true },
        further: withMallory(thief.url, { shared_redirect_uri: true }),
      }),
    )
    const shared = await redirectUriOf(world, 'none')
    assert.equal(shared, `${world.url}/connected_apps/callback`)
    assert.equal(shared, await redirectUriOf(world, 'mallory'))
    const { body } = await world.authUrl({ key_code_ref: 'mallory', user_id: 'ada' })
    const back = await world.sandbox.walk(sentOn(String(body['url']), world.sandbox, shared))
    assert.equal((await new Browser().visit(back)).status, 400)
    assert.deepEqual(await world.told(String(body['session_id'])), ['attempt.begun none', 'attempt.burned wrong_issuer'])
    assert.equal(thief.received.length, 0)
  })
})

/** A connection whose answer comes with that `iss`; null: with none. */
async function answeredAs(world: World, iss: string | null, more: Readonly<Record<string, string>> = {}) {
  const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
  const session = String(body['session_id'])
  const back = await world.consent(String(body['url']), new Browser())
  if (iss === null) back.searchParams.delete('iss')
  else back.searchParams.set('iss', iss)
  for (const [name, value] of Object.entries(more)) back.searchParams.set(name, value)
  return { session, answer: await new Browser().visit(back) }
}

describe('the name that an answer comes with', () => {
  const OTHERS = [
    'https://AS.example',
    'HTTPS://as.example',
    'https://as.example/',
    'https://as.example:443',
    'https://as.example.',
    'https://as.example?',
    'https://as.example#',
    'https://as.example//',
    'https://a%73.example',
    'http://as.example',
    'as.example',
    ' https://as.example',
    'https://as.example\u0000',
    'https://evil.example',
    'null',
    '',
  ]
  test('S-26 an iss that differs by a single character is another issuer', async (t) => {
    const world = await untilDone(t, startWorld({ provider: { issuer: ISSUER, iss: 'required' } }))
    for (const iss of OTHERS) {
      const { session, answer } = await answeredAs(world, iss)
      assert.equal(answer.status, 400, iss)
      assert.equal(answer.headers.get('location'), null)
      assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.burned wrong_issuer'], iss)
    }
    assert.equal(world.redeemed, 0)
    const { session } = await answeredAs(world, ISSUER)
    assert.equal((await world.token(session)).status, 200, 'the right one is taken')
  })

  test('S-27 an answer without iss is refused where the provider is known to send it', async (t) => {
    const world = await untilDone(t, startWorld({ provider: { issuer: ISSUER, iss: 'required' } }))
    const { session, answer } = await answeredAs(world, null)
    assert.equal(answer.status, 400)
    assert.equal(world.redeemed, 0)
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.burned wrong_issuer'])
  })

  test('S-27 an answer without iss is refused where the metadata promises it', async (t) => {
    const discovered = {
      authorize_url: undefined,
      token_url: undefined,
      revoke_url: undefined,
      jwks_url: undefined,
      iss: undefined,
    }
    const world = await untilDone(t, startWorld({ sandbox: { iss: 'missing' }, provider: discovered }))
    const { session, answer } = await answeredAs(world, null)
    assert.equal(answer.status, 400)
    assert.equal(world.redeemed, 0)
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.burned wrong_issuer'])
    const right = await answeredAs(world, world.sandbox.url)
    assert.equal((await world.token(right.session)).status, 200)
  })

  test('S-27 an iss that nobody announced is compared all the same', async (t) => {
    const world = await untilDone(t, startWorld({ sandbox: { iss: 'unadvertised' } }))
    const wrong = await answeredAs(world, 'https://evil.example')
    assert.equal(wrong.answer.status, 400)
    assert.equal(world.redeemed, 0)
    assert.equal((await world.token((await answeredAs(world, world.sandbox.url)).session)).status, 200)
    assert.equal((await world.token((await answeredAs(world, null)).session)).status, 200, 'and may be left out')
  })

  test('S-28 an error that comes with the wrong iss is neither shown nor told to the app', async (t) => {
    const world = await untilDone(t, startWorld({ sandbox: { iss: 'on' } }))
    const error = {
      error: 'access_denied',
      error_description: 'Call +1 555 0100 to unlock your account',
      error_uri: 'https://evil.example/help',
    }
    const { session, answer } = await answeredAs(world, 'https://evil.example', error)
    assert.equal(answer.status, 400)
    assert.equal(answer.headers.get('location'), null)
    assert.doesNotMatch(await answer.text(), /555|unlock|evil/)
    const token = await world.token(session)
    assert.equal(token.code, 'CONNECT_FAILED')
    assert.doesNotMatch(token.text, /555|unlock|evil/)
  })
})
