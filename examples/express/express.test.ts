/** The Express app as it stands, between a broker, a provider, and two users with a browser each. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Browser, formIn } from '../../test/browser-stand-in.ts'
import { type Example, runExample } from '../../test/run-example.ts'
import { CALLERS, HOUR, startWorld, type World } from '../../test/world.ts'

describe('examples/express', () => {
  let world: World
  let example: Example
  let url: string
  before(async () => {
    world = await startWorld()
    const env = {
      LATCHSTRING_URL: world.url,
      CLIENT_SECRET: CALLERS.backend.secret,
      PROVIDER_API: `${world.sandbox.url}/api/me`,
      PORT: '0',
    }
    example = await runExample('express', 'app.ts', env, ['express'])
    url = /http:\S+/.exec(await example.says(/^listening on http/))?.[0] ?? ''
    const app = { ...world.sandbox.app(), key_code_ref: 'notes', user_binding: 'complete', callback_url: `${url}/callback` }
    assert.equal((await world.ask('POST', '/api/v1/apps', { json: app })).status, 200)
  })
  after(async () => {
    await example.close()
    await world[Symbol.asyncDispose]()
  })

  test('a user connects, uses the account, an hour later too, and disconnects', async () => {
    const ada = await loggedIn('ada')
    assert.match(await read(ada, '/'), /ada: not connected/)
    await ada.visit(await arrival(ada, await connect(ada)))
    assert.match(await read(ada, '/'), /ada: connected/)
    assert.match(await read(ada, '/account'), /answered 200: .*Ada Lovelace/)
    world.pass(2 * HOUR)
    assert.match(await read(ada, '/account'), /answered 200: .*Ada Lovelace/)

    assert.equal((await press(ada, '/disconnect')).status, 303)
    assert.match(await read(ada, '/'), /ada: not connected/)
    assert.equal((await ada.visit(`${url}/account`)).headers.get('location'), '/')
    assert.equal(world.sandbox.control.count('revoke'), 1)
  })

  test('S-01 whoever else opens the link connects nothing, neither for themselves nor for the one who began', async () => {
    const [ada, grace] = [await loggedIn('ada'), await loggedIn('grace')]
    const redeemed = world.sandbox.control.count('token')
    const callback = await arrival(grace, await connect(ada), 'grace')
    const refused = await grace.visit(callback)
    assert.equal(refused.status, 403)
    assert.match(await refused.text(), /Somebody else began this connection/)
    for (const user of [ada, grace]) assert.match(await read(user, '/'), /not connected/)
    assert.equal(world.sandbox.control.count('token'), redeemed)
  })

  test('who says no reads that nothing was connected', async () => {
    const cleo = await loggedIn('cleo')
    const back = await world.sandbox.walk(await connect(cleo), { decision: 'deny' })
    const callback = (await cleo.visit(back)).headers.get('location') ?? ''
    assert.match(await read(cleo, callback), /Not connected\. You can try again/)
  })

  test('a browser that comes to the callback a second time finds the user connected, and no error', async () => {
    const hedy = await loggedIn('hedy')
    const callback = await arrival(hedy, await connect(hedy))
    for (const visit of [1, 2]) {
      const answer = await hedy.visit(callback)
      assert.deepEqual([answer.status, answer.headers.get('location')], [303, '/'], `visit ${visit}`)
    }
    assert.match(await read(hedy, '/account'), /answered 200/)
  })

  test('who comes to the callback with an address that was made up reads no stack', async () => {
    const kim = await loggedIn('kim')
    for (const query of ['', '?session_id=a&session_id=b']) {
      const answer = await kim.visit(`${url}/callback${query}`)
      assert.equal(answer.status, 400)
      assert.doesNotMatch(await answer.text(), /ArgumentError| at /)
    }
  })

  test('a code that the provider does not redeem leaves the user unconnected, and told so', async () => {
    const ines = await loggedIn('ines')
    const callback = await arrival(ines, await connect(ines))
    world.sandbox.control.revokeEverything()
    const answer = await ines.visit(callback)
    assert.equal(answer.status, 409)
    assert.match(await answer.text(), /Not connected/)
    assert.match(await read(ines, '/'), /not connected/)
  })

  test('a connection that the provider ended is made anew under its old id', async () => {
    const dora = await loggedIn('dora')
    const first = await arrival(dora, await connect(dora))
    await dora.visit(first)
    world.sandbox.control.revokeEverything()
    world.pass(2 * HOUR)
    assert.match(await read(dora, '/account'), /wants you to connect again.*action="\/connect"/)
    const second = await arrival(dora, await connect(dora))
    await dora.visit(second)
    assert.equal(second.searchParams.get('session_id'), first.searchParams.get('session_id'))
    assert.match(await read(dora, '/account'), /answered 200/)
  })

  test('a connection that was ended elsewhere is forgotten, and a new one can be made', async () => {
    const eve = await loggedIn('eve')
    const first = await arrival(eve, await connect(eve))
    await eve.visit(first)
    await world.revoke(first.searchParams.get('session_id') ?? '')
    assert.match(await read(eve, '/account'), /ended elsewhere.*action="\/connect"/)
    await eve.visit(await arrival(eve, await connect(eve)))
    assert.match(await read(eve, '/account'), /answered 200/)
  })

  test('a stranger is asked to log in, and a name is text and not markup', async () => {
    const stranger = new Browser()
    for (const path of ['/account', '/callback?session_id=s&completion_code=c'])
      assert.match(await read(stranger, path), /Log in first/)
    assert.match(await read(await loggedIn('<script>'), '/'), /<p>&#60;script&#62;: not connected/)
  })

  async function loggedIn(user: string): Promise<Browser> {
    const browser = new Browser()
    await browser.visit(`${url}/login`, new URLSearchParams({ user }))
    return browser
  }

  async function read(browser: Browser, path: string): Promise<string> {
    return (await browser.visit(new URL(path, url))).text()
  }

  /** The button that posts there has to be on the front page. */
  async function press(browser: Browser, action: string): Promise<Response> {
    assert.equal(formIn(await read(browser, '/'))?.action, action)
    return browser.visit(url + action, new URLSearchParams())
  }

  /** Where "Connect" leads: a link that works in any browser. */
  async function connect(browser: Browser): Promise<string> {
    return (await browser.visit(`${url}/connect`, new URLSearchParams())).headers.get('location') ?? ''
  }

  /** Over the provider's pages and the broker to the app's callback, not visited yet. */
  function arrival(browser: Browser, link: string, as = 'ada'): Promise<URL> {
    return world.arrive(link, browser, { as })
  }
})
