/** Our pages as a browser meets them: what their headers forbid, who can use them, and whether they fit. */

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Page, Request, Response } from 'playwright-core'
import { startWorld, type World } from '../world.ts'
import { consentAtSandbox, needsBrowser, type Visitor, visitor, type Wishes } from './browser.ts'
import { type Landing, startLanding } from './landing.ts'

const LONG = 'The Honourable Company of Harbour Masters, Lighthouse Keepers and Their Apprentices'
const UNBROKEN = `organisation-${'0123456789abcdef'.repeat(8)}`
const SCOPES = ['openid', 'files.read', 'https://sandbox.example/auth/calendar.events.owned.readonly', 'a', 'b', 'c', 'd', 'e']
/** In the page: what is focused can be seen, with the ring of six pixels around it. */
const FOCUS_IN_SIGHT = `(() => {
  const { top, bottom, height } = document.activeElement.getBoundingClientRect()
  return document.activeElement !== document.body && height > 0 && top >= 6 && bottom <= innerHeight - 6
})()`

describe('our pages in a real browser', needsBrowser, () => {
  let landing: Landing
  let world: World
  before(async () => {
    landing = await startLanding()
    world = await startWorld({ sandbox: { host: 'localhost' }, app: { callback_url: landing.callbackUrl, name: 'Harbour' } })
    await addApp({ key_code_ref: 'long', name: LONG, scopes: SCOPES, callback_url: landing.callbackUrl })
    await addApp({ key_code_ref: 'without-callback', name: 'Script' })
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
    await landing.close()
  })

  test('S-35 every page keeps to itself: no frame, no referrer, no trace on the disk, nothing runs that we did not write', async (t) => {
    const who = await visitor(t)
    const { url } = await link('without-callback')
    const answers: Response[] = []
    who.page.on('response', (response) => void (isOurs(response) && answers.push(response)))
    await who.open(url)
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Connected')
    await who.open(url)
    await who.sees('This link has expired')
    await who.open(`${world.url}/connected_apps/callback/nothing?state=unknown&code=x`)
    await who.sees('That did not work')
    await who.open(`${world.url}/nowhere`)
    await who.sees('There is no page here')
    const seen = answers.map((answer) => `${answer.status()} ${answer.request().method()}`)
    assert.deepEqual(seen, ['200 GET', '303 POST', '200 GET', '410 GET', '400 GET', '404 GET'])
    for (const answer of answers) await assertKeepsToItself(answer)
  })

  test('S-07 S-35 another site cannot show our page in a frame and have it clicked unseen', async (t) => {
    const who = await visitor(t)
    const { url } = await link()
    const complaint = who.page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'))
    await who.open(landing.framing(url))
    await complaint
    assert.equal(await who.page.frameLocator('iframe').getByRole('button').count(), 0)
    who.complaints.length = 0 // which is what we came for
  })

  test('S-35 a script that somebody manages to write into our page does not run', async (t) => {
    const who = await arrived(t)
    const ran = await who.page.locator('body').evaluate((body) => {
      const { ownerDocument: document } = body
      const script = document.createElement('script')
      script.textContent = 'document.title = "taken over"'
      body.append(script)
      body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="document.title = `taken over`">')
      return document.title
    })
    assert.equal(ran, 'Connect Sandbox to Harbour')
    await who.page.waitForFunction('document.images[0]?.complete')
    assert.equal(await who.page.title(), 'Connect Sandbox to Harbour')
    assert.equal(who.complaints.filter((text) => /Content Security Policy/.test(text)).length, who.complaints.length)
    assert.notEqual(who.complaints.splice(0).length, 0)
  })

  test('S-35 neither the provider nor the app is told by the browser where it has been', async (t) => {
    const who = await arrived(t)
    const departures: Request[] = []
    who.page.on('request', (request) => void (isAuthorize(request.url()) && departures.push(request)))
    await who.press('Continue to Sandbox')
    await consentAtSandbox(who, 'Ada Lovelace')
    await who.sees('Back in the app')
    assert.equal(landing.arrivals.at(-1)?.referrer, null)
    const [departure] = departures
    assert(departure, 'the browser went to the provider')
    assert.equal((await departure.allHeaders())['referer'], undefined)
  })

  test('a form that did not come from our page in this browser goes nowhere', async (t) => {
    const who = await arrived(t)
    await who.context.clearCookies()
    await who.press('Continue to Sandbox')
    await who.sees('That did not work')
    await who.page.getByText('Allow cookies for this site').waitFor()
    await who.shoot('08-no-cookies')
  })

  test('the keyboard alone is enough, and what is focused can be seen', async (t) => {
    const who = await arrived(t, { screen: 'desktop' })
    await who.page.keyboard.press('Tab')
    const focused = who.page.locator(':focus')
    assert.notEqual(await focused.evaluate((at) => at.ownerDocument.defaultView?.getComputedStyle(at).outlineStyle), 'none')
    await who.shoot('09-focus')
    await who.enter('Continue to Sandbox')
    await who.sees('Sign in')
    await who.page.keyboard.press('Tab')
    await who.page.keyboard.press('Enter')
    await who.sees('Sandbox app wants to use your Sandbox account')
    for (const _ of ['Not you?', 'Deny', 'Allow']) await who.page.keyboard.press('Tab')
    await who.enter('Allow')
    await who.sees('Back in the app')

    const again = await arrived(t)
    for (const _ of ['Continue', 'Cancel']) await again.page.keyboard.press('Tab')
    await again.enter('Cancel')
    await again.sees('Back in the app')
    assert.equal(landing.arrivals.at(-1)?.query.get('error'), 'access_denied')
  })

  for (const screen of ['phone', 'desktop'] as const) {
    test(`long names and many scopes fit, and Tab reaches everything in its order, on a ${screen}`, async (t) => {
      const { url } = await link('long', { user_id: `ada@${'long.'.repeat(20)}example`, org_code: UNBROKEN })
      const who = await visitor(t, { screen, dark: true })
      await who.open(url)
      await assertFits(who.page)
      assert.deepEqual(await tabThrough(who.page), ['and 2 more', 'Continue to Sandbox', 'Cancel'])
      for (const _ of ['Continue to Sandbox', 'and 2 more']) await who.page.keyboard.press('Shift+Tab')
      await who.page.keyboard.press('Enter')
      await who.page.getByText('e', { exact: true }).waitFor()
      await assertFits(who.page)
      await who.shoot('10-long-dark')
      await who.page.setViewportSize({ width: 320, height: 568 })
      await assertFits(who.page)
    })
  }

  for (const screen of ['phone', 'desktop'] as const) {
    test(`S-24 the last page says which account it is, and another one is refused in words, on a ${screen}`, async (t) => {
      const who = await visitor(t, { screen })
      const owner = { user_id: `pager-${screen}` }
      const first = await world.authUrl({ key_code_ref: 'without-callback', ...owner })
      await who.open(String(first.body['url']))
      await who.press('Continue to Sandbox')
      await consentAtSandbox(who, 'Ada Lovelace')
      await who.sees('Connected')
      await who.page.getByText('Ada Lovelace').waitFor()
      await assertFits(who.page)
      await who.shoot('17-connected-as')
      const session_id = String(first.body['session_id'])
      const { body } = await world.authUrl({ key_code_ref: 'without-callback', ...owner, session_id })
      const other = await visitor(t, { screen })
      await other.open(String(body['url']))
      await other.press('Continue to Sandbox')
      await consentAtSandbox(other, 'Grace Hopper')
      await other.sees('Not connected')
      await assertFits(other.page)
      await other.shoot('18-another-account')
      assert.equal((await world.token(session_id)).status, 200)
    })
  }

  function isAuthorize(url: string): boolean {
    return url.startsWith(`${world.sandbox.url}/authorize`)
  }

  function isOurs(response: Response): boolean {
    return response.request().isNavigationRequest() && response.url().startsWith(world.url)
  }

  async function addApp(app: Readonly<Record<string, unknown>>): Promise<void> {
    const { status, text } = await world.ask('POST', '/api/v1/apps', { json: { ...world.sandbox.app(), ...app } })
    assert.equal(status, 200, text)
  }

  async function link(app = 'confirm', owner: Readonly<Record<string, string>> = { user_id: 'ada' }): Promise<{ url: string }> {
    const { body } = await world.authUrl({ key_code_ref: app, ...owner })
    return { url: String(body['url']) }
  }

  async function arrived(t: TestContext, wishes: Wishes = {}): Promise<Visitor> {
    const who = await visitor(t, wishes)
    await who.open((await link()).url)
    await who.sees('Connect your Sandbox account to Harbour')
    return who
  }
})

async function assertKeepsToItself(answer: Response): Promise<void> {
  const headers = await answer.allHeaders()
  assert.equal(headers['referrer-policy'], 'no-referrer', answer.url())
  assert.equal(headers['cache-control'], 'no-store', answer.url())
  if (answer.status() === 303) return
  assert.equal(headers['x-content-type-options'], 'nosniff', answer.url())
  const policy = policyIn(headers['content-security-policy'])
  for (const directive of ['default-src', 'base-uri', 'frame-ancestors'])
    assert.equal(policy.get(directive), "'none'", answer.url())
  assert(["'self'", undefined].includes(policy.get('script-src')), answer.url())
  assert.match(policy.get('style-src') ?? '', /^'sha256-[\w+/]{43}='$/)
}

function policyIn(header: string | undefined): Map<string, string> {
  const directives = (header ?? '').split(/; ?/).map((directive) => directive.split(/ (.*)/))
  return new Map(directives.map(([name = '', sources = '']) => [name, sources]))
}

/** Nothing is wider than the screen, and nothing stands outside it. */
async function assertFits(page: Page): Promise<void> {
  const outside = await page.locator(':root').evaluate((root) => {
    const wide = [...root.querySelectorAll('body *')].filter((element) => {
      const { left, right } = element.getBoundingClientRect()
      return left < -0.5 || right > root.clientWidth + 0.5
    })
    return {
      wide: wide.map(({ tagName, textContent }) => `${tagName} ${textContent}`),
      scrolls: root.scrollWidth > root.clientWidth,
    }
  })
  assert.deepEqual(outside, { wide: [], scrolls: false })
}

/** The names of everything that Tab reaches, in its order; it waits for each to be there to see. */
async function tabThrough(page: Page): Promise<string[]> {
  const focusable = await page.locator('a[href], button, summary, input:not([type=hidden]), [tabindex]').count()
  const reached: string[] = []
  for (let stop = 0; stop < focusable; stop++) {
    await page.keyboard.press('Tab')
    // A browser may take a frame or two to scroll there.
    await page.waitForFunction(FOCUS_IN_SIGHT)
    reached.push((await page.locator(':focus').textContent()) ?? '')
  }
  return reached
}
