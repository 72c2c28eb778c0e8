/** The sample app of the demo in a real browser, over the strongest way to finish: the app says who is logged in. */

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { type SampleApp, startSampleApp } from '../../cli/demo/sample-app.ts'
import { CALLERS, HOUR, startWorld, type World } from '../world.ts'
import { consentAtSandbox, needsBrowser, type Visitor, visitor, type Wishes } from './browser.ts'

const SCREENS = ['phone', 'desktop'] as const

describe('the sample app in a real browser', needsBrowser, () => {
  let world: World
  let sample: SampleApp
  before(async () => {
    world = await startWorld({ sandbox: { host: 'localhost' } })
    sample = await sampleApp('complete')
  })
  after(async () => {
    await sample.close()
    await world[Symbol.asyncDispose]()
  })

  test('a user connects, watches the token’s life run down, gets a token and disconnects', async (t) => {
    const ada = await atHome(t)
    for (const screen of SCREENS) await ada.shoot('11-sample-not-connected', screen)
    await ada.press('Connect Sandbox')
    await consentAtSandbox(ada, 'Ada Lovelace')
    await ada.page.getByText('Connected as Ada Lovelace').waitFor()
    for (const screen of SCREENS) await ada.shoot('12-sample-connected', screen)

    const first = await lifeLeft(ada)
    await ada.page.locator('[data-left]').filter({ hasNotText: first.text }).waitFor()
    assert((await lifeLeft(ada)).seconds < first.seconds, 'it counts down')

    await ada.press('Get a token now')
    await ada.page.getByText('The same token').waitFor()
    world.pass(HOUR)
    await ada.press('Get a token now')
    await ada.page.getByText('A new token').waitFor()

    const granted = world.sandbox.control.count('revoke')
    await ada.press('Disconnect')
    await ada.page.getByText('Disconnected').waitFor()
    await ada.page.getByText('Not connected').waitFor()
    assert.equal(world.sandbox.control.count('revoke'), granted + 1, 'the provider was told')
    for (const screen of SCREENS) await ada.shoot('13-sample-disconnected', screen)
  })

  test('who says no reads that nothing was shared', async (t) => {
    const ada = await atHome(t)
    await ada.press('Connect Sandbox')
    await consentAtSandbox(ada, 'Ada Lovelace', 'Deny')
    await ada.page.getByRole('alert').getByText('You said no, so Sandbox shared nothing.').waitFor()
    await ada.page.getByText('Not connected', { exact: true }).first().waitFor()
  })

  test('S-01 the link that Ada was given connects nothing in the browser where Grace is logged in', async (t) => {
    const ada = await atHome(t)
    const link = await linkFor(ada)
    const grace = await atHome(t, { screen: 'phone' }, 'Grace')
    await assertRefused(world, sample, grace, link)
    await ada.open(sample.url)
    await ada.page.getByText('Not connected', { exact: true }).waitFor()
  })

  test('S-02 nor does our own page help: that Grace confirmed on it is no proof that she is Ada', async (t) => {
    // With pushed authorization requests the way leads over our page, even though the app finishes.
    const pushing = await startWorld({ sandbox: { host: 'localhost', require_par: true } })
    t.after(() => pushing[Symbol.asyncDispose]())
    const app = await sampleApp('complete', pushing)
    t.after(() => app.close())

    const link = await linkFor(await atHome(t, {}, 'Ada', app))
    assert.match(link, /\/connect\//)
    const grace = await atHome(t, {}, 'Grace', app)
    await assertRefused(pushing, app, grace, link)
  })

  /** The world's app of that binding, with the sample app behind it. */
  async function sampleApp(keyCodeRef: string, at: World = world): Promise<SampleApp> {
    const { backend } = CALLERS
    const app = await startSampleApp({ brokerUrl: at.url, keyCodeRef, clientId: 'backend', clientSecret: backend.secret })
    const changed = {
      ...at.sandbox.app(),
      key_code_ref: keyCodeRef,
      name: 'Harbour',
      user_binding: keyCodeRef,
      callback_url: app.callbackUrl,
    }
    const { status, text } = await at.ask('POST', '/api/v1/apps', { json: changed })
    assert.equal(status, 200, text)
    return app
  }

  async function atHome(t: TestContext, wishes: Wishes = {}, user: 'Ada' | 'Grace' = 'Ada', app = sample): Promise<Visitor> {
    const who = await visitor(t, wishes)
    await who.open(app.url)
    if (user === 'Grace') await who.press('Grace')
    await who.sees(`Good to see you, ${user}`)
    return who
  }
})

/** What the app answers to "Connect": the address that a person could be talked into passing on. */
async function linkFor({ page }: Visitor): Promise<string> {
  const csrf = await page.locator('input[name=csrf]').first().inputValue()
  const answer = await page.request.post(new URL('/connect', page.url()).href, { form: { csrf }, maxRedirects: 0 })
  return answer.headers()['location'] ?? ''
}

async function assertRefused(world: World, app: SampleApp, grace: Visitor, link: string): Promise<void> {
  const redeemed = world.sandbox.control.count('token')
  await grace.open(link)
  if (link.startsWith(world.url)) await grace.press('Continue to Sandbox')
  await consentAtSandbox(grace, 'Grace Hopper')
  await grace.page.getByText('This connection was begun by somebody else').waitFor()
  await grace.page.getByText('Not connected', { exact: true }).waitFor()
  assert.equal(new URL(grace.page.url()).origin, app.url)
  await assertFits(grace)
  await grace.shoot('14-sample-refused')

  assert.equal(world.sandbox.control.count('token'), redeemed, 'the provider was asked for no token')
  const { body } = await world.ask('GET', '/api/v1/connections', { query: { state: 'connected' } })
  assert.deepEqual(body['connections'], [])
  const fact = await world.toldLast()
  assert.equal(fact?.action, 'attempt.binding_mismatch')
}

async function lifeLeft({ page }: Visitor): Promise<{ text: string; seconds: number }> {
  const text = (await page.locator('[data-left]').textContent()) ?? ''
  const [, hours = 0, minutes = 0, seconds = 0] = /(?:(\d+) h ?)?(?:(\d+) min ?)?(?:(\d+) s)?/.exec(text) ?? []
  return { text, seconds: Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) }
}

async function assertFits({ page }: Visitor): Promise<void> {
  const scrolls = await page.locator(':root').evaluate(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
  assert(!scrolls, 'nothing is wider than the screen')
}
