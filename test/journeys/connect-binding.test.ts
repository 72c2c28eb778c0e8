/** Whose browser may finish: what each `user_binding` stops when a link ends up with somebody other than the user it was made for. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { UserBinding } from '../../src/core/app.ts'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { startWorld, type World } from '../world.ts'

/** Mallory starts a connection for herself; what comes next happens in the browser of somebody else. */
async function started(world: World, binding: UserBinding): Promise<{ url: string; session: string }> {
  const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'mallory' })
  return { url: String(body['url']), session: String(body['session_id']) }
}

async function connectionsOf(world: World, user: string): Promise<unknown[]> {
  const { body } = await world.ask('GET', '/api/v1/connections', { query: { user_id: user } })
  return body['connections'] as unknown[]
}

describe('a link in the wrong hands', () => {
  let world: World
  before(async () => {
    world = await startWorld()
  })
  after(() => world[Symbol.asyncDispose]())

  test('S-01 complete: a victim who follows the link connects nothing for whoever made it', async () => {
    const redeemed = world.redeemed
    const { url, session } = await started(world, 'complete')
    const { searchParams } = await world.arrive(url, new Browser(), { as: 'grace' })
    const code = searchParams.get('completion_code')
    const answer = await world.complete({ session_id: session, completion_code: code, user_id: 'victim' })
    assert.equal(answer.status, 400)
    assert.equal(answer.code, 'INVALID_COMPLETION')

    assert.equal((await world.complete({ session_id: session, completion_code: code, user_id: 'mallory' })).status, 404)
    assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
    assert.deepEqual(await connectionsOf(world, 'mallory'), [])
    assert.deepEqual(await world.told(session), ['attempt.begun complete', 'attempt.binding_mismatch wrong_user'])
    assert.equal(world.redeemed, redeemed, 'the code of the victim was never sent to the provider')
  })

  for (const binding of ['confirm', 'callback'] as const) {
    test(`S-01 ${binding}: the provider's URL, taken from the browser that confirmed, is of no use in another`, async () => {
      const redeemed = world.redeemed
      const { url, session } = await started(world, binding)
      const mallory = new Browser()
      const back = await world.consent(url, mallory, { as: 'grace' })

      const answer = await new Browser().visit(back)
      assert.equal(answer.status, 400)
      assert.equal(answer.headers.get('location'), null)
      assert.match(await answer.text(), /another browser/)

      const again = await mallory.visit(back)
      assert.equal(again.status, 400, 'the browser that started cannot go on with the code of the other')
      assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
      assert.deepEqual(await connectionsOf(world, 'mallory'), [])
      assert.deepEqual(await world.told(session), [`attempt.begun ${binding}`, 'attempt.binding_mismatch other_browser'])
      assert.equal(world.redeemed, redeemed)
    })
  }

  test('S-01 a cookie of an earlier visit by the victim does not pass for the browser that confirmed', async () => {
    const { url } = await started(world, 'confirm')
    const victim = new Browser()
    await victim.visit(String((await world.authUrl({ key_code_ref: 'confirm', user_id: 'victim' })).body['url']))
    assert.notEqual(victim.cookie(world.url, 'latchstring'), null)
    const back = await world.consent(url, new Browser())
    assert.equal((await victim.visit(back)).status, 400)
  })

  test('S-02 callback: a victim who opens the link and presses the button keeps the only id that works', async () => {
    const { url, session } = await started(world, 'callback')
    const arrived = await world.arrive(url, new Browser(), { as: 'grace' })
    const usable = arrived.searchParams.get('session_id')!
    assert.notEqual(usable, session)
    const token = await world.token(session)
    assert.equal(token.status, 400)
    assert.equal(token.code, 'INVALID_SESSION')
    assert.ok(!token.text.includes(usable), 'the refusal does not say which id would work')
    assert.equal((await world.connection(session)).status, 404)
    assert.equal((await world.token(usable)).status, 200)
    assert.equal((await world.connection(usable)).body['user_id'], 'mallory', 'and an application can see whose it was to be')
  })

  test('S-01 complete: the end of somebody else’s connection, sent to a victim, connects nothing', async () => {
    const { url, session } = await started(world, 'complete')
    const { searchParams } = await world.arrive(url, new Browser(), { as: 'ada' })
    const told = { session_id: session, completion_code: searchParams.get('completion_code') }
    assert.equal((await world.complete({ ...told, user_id: 'victim' })).code, 'INVALID_COMPLETION')
    assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
    assert.deepEqual(await connectionsOf(world, 'victim'), [])
  })

  test('S-02 confirm: until the button is pressed nothing happens, and the page says whom it is for', async () => {
    const { url, session } = await started(world, 'confirm')
    const asked = world.sandbox.control.count('authorize')
    const victim = new Browser()
    const page = await victim.visit(url)
    const html = await page.text()
    assert.match(html, /Did you start this/)
    assert.match(html, /mallory/)
    assert.equal(page.headers.get('location'), null)
    assert.equal((await world.token(session)).code, 'SESSION_PENDING')
    assert.equal(world.sandbox.control.count('authorize'), asked)

    // A person who presses it all the same is past what this binding can do.
    const arrived = await world.arrive(url, victim, { as: 'grace' })
    assert.equal(arrived.searchParams.get('session_id'), session)
    assert.equal((await world.token(session)).status, 200)
    assert.deepEqual(await world.told(session), ['attempt.begun confirm', 'connection.connected confirm'])
  })

  test('S-01 none: whoever follows the link is connected to whoever made it, and the history says why', async () => {
    const { url, session } = await started(world, 'none')
    assert.ok(url.startsWith(world.sandbox.url), 'no page of ours stands in between')
    await world.arrive(url, new Browser(), { as: 'grace' })
    assert.equal((await world.token(session)).status, 200)
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'connection.connected none'])
  })
})

test('S-02 complete: with a page of ours in between, pressing its button in the wrong browser proves nothing', async (t) => {
  // A provider that wants the request pushed: then even `complete` begins at our page.
  const world = await untilDone(t, startWorld({ sandbox: { require_par: true } }))
  const { url, session } = await started(world, 'complete')
  assert.ok(url.startsWith(`${world.url}/connect/`))
  const { searchParams } = await world.arrive(url, new Browser(), { as: 'grace' })
  const told = { session_id: session, completion_code: searchParams.get('completion_code') }
  assert.equal((await world.complete({ ...told, user_id: 'victim' })).code, 'INVALID_COMPLETION')
  assert.equal((await world.complete({ ...told, user_id: 'mallory' })).status, 404)
  assert.equal(world.redeemed, 0)
  assert.deepEqual(await connectionsOf(world, 'mallory'), [])
})

test('S-07 an app that says nothing of its binding asks on a page, and opting out is in the history of every attempt', async (t) => {
  const world = await untilDone(
    t,
    startWorld({
      further: (sandbox) => ({ apps: [{ ...sandbox.app(), key_code_ref: 'plain', name: 'Plain app' }] }),
    }),
  )
  const { body } = await world.authUrl({ key_code_ref: 'plain', user_id: 'ada', org_code: 'acme' })
  const page = await new Browser().visit(String(body['url']))
  const html = (await page.text()).replaceAll(/<[^>]*>/g, '')
  assert.match(html, /Connect your Sandbox account to Plain app/)
  assert.match(html, /For the user ada \(organisation acme\) of Plain app/)
  assert.match(html, /files\.read/)
  assert.match(page.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/)
  assert.deepEqual(await world.told(String(body['session_id'])), ['attempt.begun confirm'])

  const optedOut = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
  assert.deepEqual(await world.told(String(optedOut.body['session_id'])), ['attempt.begun none'])
})
