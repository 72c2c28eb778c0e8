/** From `auth_url` to the app's callback, in a real browser: every way a user can take, and the ways that lead nowhere. */

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Locator } from 'playwright-core'
import type { UserBinding } from '../../src/core/app.ts'
import { MINUTE, startWorld, type World } from '../world.ts'
import { consentAtSandbox, needsBrowser, type Visitor, visitor, type Wishes } from './browser.ts'
import { type Landing, startLanding } from './landing.ts'

describe('connecting in a real browser', needsBrowser, () => {
  let landing: Landing
  let world: World
  before(async () => {
    landing = await startLanding()
    // The provider is another site than ours, so that cookies have to be right to come back with the user.
    world = await startWorld({ sandbox: { host: 'localhost' }, app: { callback_url: landing.callbackUrl, name: 'Harbour' } })
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
    await landing.close()
  })

  for (const screen of ['phone', 'desktop'] as const) {
    test(`a user reads what is asked and for whom, continues, consents and is back in the app, on a ${screen}`, async (t) => {
      const { who, session } = await sentOff(t, { screen })
      await who.page.getByText('For the user ada of Harbour').waitFor()
      await who.page.reload() // looking costs nothing
      await who.shoot('01-confirm')
      await who.press('Continue to Sandbox')
      await who.sees('Sign in')
      await who.shoot('02-sandbox-sign-in')
      await who.page.getByRole('button', { name: 'Ada Lovelace' }).click()
      await who.sees('Sandbox app wants to use your Sandbox account')
      await who.shoot('03-sandbox-consent')
      await who.press('Allow')
      await who.sees('Back in the app')
      assert.deepEqual(told(), { session_id: session })
      await assertConnected(session, 'Ada Lovelace')
    })
  }

  test('no JavaScript is needed anywhere', async (t) => {
    const { who, session } = await sentOff(t, { javaScript: false, screen: 'phone' })
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Grace Hopper')
    await who.sees('Back in the app')
    assert.deepEqual(told(), { session_id: session })
    await assertConnected(session, 'Grace Hopper')
  })

  test('S-13 who presses twice without JavaScript, or goes back and presses again, is connected once', async (t) => {
    const { who, session } = await sentOff(t, { javaScript: false })
    await who.page.getByRole('button', { name: 'Continue to Sandbox' }).dblclick({ noWaitAfter: true })
    await who.sees('Sign in')
    await who.page.goBack()
    await who.press('Continue to Sandbox')
    assert.ok(who.posts.filter((url) => url.startsWith(world.url)).length >= 2, 'it was sent more than once')
    const redeemed = world.redeemed
    await consentAtSandbox(who, 'Grace Hopper')
    await who.sees('Back in the app')
    assert.deepEqual(told(), { session_id: session })
    assert.equal(world.redeemed, redeemed + 1)
    await assertConnected(session, 'Grace Hopper')
  })

  test('who says no at the provider comes back with that, and nothing is connected', async (t) => {
    const { who, session } = await sentOff(t)
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Ada Lovelace', 'Deny')
    await who.sees('Back in the app')
    assert.deepEqual(told(), { session_id: session, error: 'access_denied', error_description: 'The user said no' })
    assert.equal((await world.token(session)).code, 'ACCESS_DENIED')
  })

  test('who says no on our page comes back with that, and the provider never hears of it', async (t) => {
    const asked = world.sandbox.control.count('authorize')
    const { who, session } = await sentOff(t)
    await who.press('Cancel')
    await who.sees('Back in the app')
    assert.deepEqual(told(), { session_id: session, error: 'access_denied', error_description: 'the user cancelled' })
    assert.equal((await world.token(session)).code, 'ACCESS_DENIED')
    assert.equal(world.sandbox.control.count('authorize'), asked)
  })

  test('a double click on Continue sends one form', async (t) => {
    const { who, session } = await sentOff(t)
    // The network is so slow that every click comes before the answer.
    const clicked = Promise.withResolvers<void>()
    await who.page.route('**/connect/*', async (route) => {
      await clicked.promise
      await route.continue()
    })
    const button = who.page.getByRole('button', { name: 'Continue to Sandbox' })
    await button.click({ trial: true })
    const { x, y } = await middleOf(button)
    await who.page.mouse.dblclick(x, y)
    await who.page.keyboard.press('Enter')
    await who.page.mouse.dblclick(x, y)
    clicked.resolve()
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Back in the app')
    assert.equal(who.posts.filter((url) => url.startsWith(world.url)).length, 1)
    await assertConnected(session, 'Ada Lovelace')
  })

  test('S-07 the second half of a double click, lured here by a window that closed at the first, presses nothing', async (t) => {
    const { who, session } = await sentOff(t)
    const button = who.page.getByRole('button', { name: 'Continue to Sandbox' })
    await button.click({ trial: true })
    const { x, y } = await middleOf(button)
    // A browser without a screen has no windows that lie above each other.
    await who.page.evaluate('dispatchEvent(new Event("focus"))')
    await who.page.mouse.click(x, y)
    await button.click({ trial: true })
    assert.deepEqual(who.posts, [])
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Back in the app')
    await assertConnected(session, 'Ada Lovelace')
  })

  test('two links that are opened at once, in a browser that knows us not yet, both lead on', async (t) => {
    const [first, second] = await Promise.all(
      ['ada', 'grace'].map(async (user_id) => (await world.authUrl({ key_code_ref: 'confirm', user_id })).body),
    )
    const who = await visitor(t)
    const other = await who.context.newPage()
    // Each is answered before the browser has the other's cookie.
    const both = Promise.withResolvers<void>()
    let asked = 0
    await who.context.route('**/connect/*', async (route) => {
      const answer = await route.fetch({ headers: { ...route.request().headers(), cookie: '' } })
      if (++asked === 2) both.resolve()
      await both.promise
      await route.fulfill({ response: answer })
    })
    await Promise.all([who.open(String(first?.['url'])), other.goto(String(second?.['url']))])
    await who.context.unrouteAll()
    for (const page of [who.page, other]) {
      const button = page.getByRole('button', { name: 'Continue to Sandbox' })
      const [signIn, again] = [page.getByRole('heading', { name: 'Sign in' }), page.getByText('Please press once more')]
      await button.click()
      await signIn.or(again).waitFor()
      if (await again.isVisible()) await button.click()
      await signIn.waitFor()
    }
  })

  test('S-08 a link that was used leads nowhere, in this browser and in any other', async (t) => {
    const { who, session, url } = await sentOff(t)
    const other = await visitor(t, { screen: 'phone' })
    assert.equal(await other.open(url), 200, 'both may look')
    await who.press('Continue to Sandbox')
    await who.sees('Sign in')

    await other.press('Continue to Sandbox')
    await other.sees('This link has expired')
    assert.equal(await other.open(url), 410)
    await other.sees('This link has expired')
    await assertLeadsNowhere(other)
    await other.shoot('05-expired')
    assert.equal((await world.token(session)).code, 'SESSION_PENDING')

    await consentAtSandbox(who, 'Ada Lovelace')
    await assertConnectedSoon(who, session)
  })

  test('S-09 a link older than ten minutes leads nowhere, and says so', async (t) => {
    const { who, url } = await sentOff(t)
    world.pass(11 * MINUTE)
    await who.press('Continue to Sandbox')
    await who.sees('This link has expired')
    assert.equal(await who.open(url), 410)
    await assertLeadsNowhere(who)
  })

  test('S-01 what the provider answers one browser is worth nothing in another', async (t) => {
    const redeemed = world.sandbox.control.count('token')
    const { who, session } = await sentOff(t)
    await who.press('Continue to Sandbox')
    const answer = await answerOnItsWay(who)

    const other = await visitor(t)
    assert.equal(await other.open(answer), 400)
    await other.sees('That did not work')
    await other.page.getByText('This was started in another browser, so nothing was connected.').waitFor()
    await assertLeadsNowhere(other)
    await other.shoot('06-other-browser')

    // And the answer is spent, for the one who waited as well.
    assert.equal(await who.open(answer), 400)
    await who.page.getByText('This answer has been used already.').waitFor()
    assert.equal((await world.token(session)).status, 400)
    assert.equal(world.sandbox.control.count('token'), redeemed, 'the provider was asked for no token')
    const fact = await world.toldLast()
    assert.equal(fact?.action, 'attempt.binding_mismatch')
  })

  test('F-32 reload and back after success tell of success, and ask the provider for nothing', async (t) => {
    const { who, session } = await sentOff(t, { screen: 'phone' })
    await who.press('Continue to Sandbox')
    const callbacks: string[] = []
    who.page.on('request', (request) => void (/\/connected_apps\/callback/.test(request.url()) && callbacks.push(request.url())))
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Back in the app')
    const redeemed = world.sandbox.control.count('token')

    await who.page.reload()
    await who.sees('Back in the app')
    await who.page.goBack()
    await who.sees('Sandbox app wants to use your Sandbox account')
    await who.press('Allow') // once more, with feeling
    await who.sees('Connected')
    await who.shoot('07-connected')
    await who.page.reload()
    await who.sees('Connected')
    assert.equal(new Set(callbacks).size, 2, 'the provider sent two answers')
    assert.equal(await who.open(callbacks[0] ?? ''), 200)
    await who.sees('Connected')
    assert.equal(world.sandbox.control.count('token'), redeemed)
    await assertConnected(session, 'Ada Lovelace')
  })

  test('S-08 a page of ours that was used does not come back to life once the user is back from the provider', async (t) => {
    const { who, url } = await sentOff(t)
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Back in the app')
    await who.open(url)
    await who.sees('This link has expired')
    await assertLeadsNowhere(who)
  })

  /** A visitor who stands where `auth_url` leads. */
  async function sentOff(t: TestContext, wishes: Wishes = {}, binding: UserBinding = 'confirm') {
    const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'ada' })
    const [url, session] = [String(body['url']), String(body['session_id'])]
    const who = await visitor(t, wishes)
    assert.equal(await who.open(url), 200)
    await who.sees('Connect your Sandbox account to Harbour')
    return { who, url, session }
  }

  /** Consents, but keeps the browser from going where the provider then sends it. */
  async function answerOnItsWay(who: Visitor): Promise<string> {
    const stopped = Promise.withResolvers<string>()
    await who.page.route('**/consent', async (route) => {
      const { location = '' } = (await route.fetch({ maxRedirects: 0 })).headers()
      stopped.resolve(location)
      await route.fulfill({ status: 204 })
    })
    await consentAtSandbox(who, 'Ada Lovelace')
    const answer = await stopped.promise
    await who.page.unrouteAll()
    return answer
  }

  /** What the browser that arrived last brought the app. */
  function told(): Record<string, string> {
    return Object.fromEntries(landing.arrivals.at(-1)?.query ?? [])
  }

  async function assertConnectedSoon(who: Visitor, session: string): Promise<void> {
    await who.sees('Back in the app')
    await assertConnected(session, 'Ada Lovelace')
  }

  /** The token opens the provider's door, as whoever consented. */
  async function assertConnected(session: string, name: string): Promise<void> {
    const { body } = await world.token(session)
    const headers = { authorization: `Bearer ${String(body['access_token'])}` }
    const me = await fetch(`${world.sandbox.url}/api/me`, { headers })
    assert.equal(((await me.json()) as { name: string }).name, name)
  }
})

async function assertLeadsNowhere({ page }: Visitor): Promise<void> {
  assert.equal(await page.locator('a, button, form, input, iframe, meta[http-equiv]').count(), 0)
}

async function middleOf(element: Locator): Promise<{ x: number; y: number }> {
  const { x = 0, y = 0, width = 0, height = 0 } = (await element.boundingBox()) ?? {}
  return { x: x + width / 2, y: y + height / 2 }
}
