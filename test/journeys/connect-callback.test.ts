/** What a browser can bring back from a provider, or pretend to: every way but the honest one ends without a request for a token. */

import assert from 'node:assert/strict'
import { after, before, describe, mock, test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, MINUTE, startWorld, type World } from '../world.ts'

let world: World

interface Returning {
  /** Where the provider sends the browser, not visited yet. */
  readonly back: URL
  readonly session: string
  readonly browser: Browser
}

async function returning(keyCodeRef = 'none', decision: 'allow' | 'deny' = 'allow'): Promise<Returning> {
  const { body } = await world.authUrl({ key_code_ref: keyCodeRef, user_id: 'ada' })
  const browser = new Browser()
  const back = await world.consent(String(body['url']), browser, { decision })
  return { back, session: String(body['session_id']), browser }
}

function changed(url: URL, change: (query: URLSearchParams) => void): URL {
  const other = new URL(url)
  change(other.searchParams)
  return other
}

/** A page of ours, and nowhere to go from it. */
async function assertPage(answer: Response, status: number): Promise<string> {
  assert.equal(answer.status, status)
  assert.equal(answer.headers.get('location'), null)
  assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8')
  return answer.text()
}

async function redirectUriOf(keyCodeRef: string, as: 'backend' | 'stranger' = 'backend'): Promise<string> {
  return String((await world.ask('GET', `/api/v1/apps/${keyCodeRef}`, { as })).body['redirect_uri'])
}

describe('the way back', () => {
  before(async () => {
    world = await startWorld({
      further: (sandbox) => ({
        providers: [{ ...sandbox.provider(), id: 'other', name: 'Other provider' }],
        apps: [
          { ...sandbox.app(), key_code_ref: 'at-other', provider: 'other', user_binding: 'none', callback_url: CALLBACK },
          { ...sandbox.app(), key_code_ref: 'bare', user_binding: 'none' },
        ],
      }),
    })
  })
  after(() => world[Symbol.asyncDispose]())

  test('S-12 a missing, unknown, tampered or replayed state ends on an error page, without a request for a token', async () => {
    const { back, browser } = await returning()
    const redeemed = world.redeemed
    const state = back.searchParams.get('state')!
    const flipped = `${state[0] === 'A' ? 'B' : 'A'}${state.slice(1)}`
    const forged: readonly ((query: URLSearchParams) => void)[] = [
      (query) => query.delete('state'),
      (query) => query.set('state', ''),
      (query) => query.set('state', 'A'.repeat(43)),
      (query) => query.set('state', flipped),
      (query) => query.set('state', state.slice(0, -1)),
      (query) => query.set('state', `${state}A`),
      (query) => query.set('state', state.toLowerCase()),
      (query) => query.set('state', ` ${state}`),
      (query) => query.set('state', `${state}\u0000`),
    ]
    for (const forge of forged) await assertPage(await browser.visit(changed(back, forge)), 400)
    assert.equal(world.redeemed, redeemed)

    assert.equal((await browser.visit(back)).status, 303, 'none of them touched the real one')
    const replayed = changed(back, (query) => query.set('code', 'another-code'))
    await assertPage(await browser.visit(replayed), 200)
    assert.equal(world.redeemed, redeemed + 1, 'a state that was used sends nothing again')
  })

  test('S-12 a state whose attempt failed is spent, whatever comes with it afterwards', async () => {
    const { back, browser } = await returning()
    const redeemed = world.redeemed
    world.sandbox.control.script('token', 'invalid_grant')
    assert.equal((await browser.visit(back)).status, 303)
    await assertPage(await browser.visit(back), 400)
    assert.equal(world.redeemed, redeemed + 1)
  })

  test("S-15 a state of one provider at another provider's callback ends the attempt", async () => {
    const { back, session, browser } = await returning('none')
    const redeemed = world.redeemed
    const elsewhere = `${await redirectUriOf('at-other')}${back.search}`
    await assertPage(await browser.visit(elsewhere), 400)
    await assertPage(await browser.visit(back), 400)
    assert.equal(world.redeemed, redeemed)
    assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.burned wrong_place'])
  })

  const OTHER_PLACES: readonly (readonly [string, () => Promise<string>])[] = [
    ['of another app of the same provider', () => redirectUriOf('confirm')],
    ['of the same app of another tenant', () => redirectUriOf('none', 'stranger')],
    ['without a context', async () => `${world.url}/connected_apps/callback`],
    ['of a context that is nobody’s', async () => `${world.url}/connected_apps/callback/AAAAAAAAAAAAAAAAAAAAAA`],
    ['with a slash at its end', async () => `${await redirectUriOf('none')}/`],
    ['with its path spelled otherwise', async () => (await redirectUriOf('none')).replace('callback', 'c%61llback')],
  ]
  for (const [which, placeOf] of OTHER_PLACES) {
    test(`S-16 a state at the callback ${which} ends the attempt`, async () => {
      const { back, session, browser } = await returning('none')
      const redeemed = world.redeemed
      await assertPage(await browser.visit(`${await placeOf()}${back.search}`), 400)
      await assertPage(await browser.visit(back), 400)
      assert.equal(world.redeemed, redeemed)
      assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
    })
  }

  for (const binding of ['none', 'complete']) {
    test(`S-17 ${binding}: a code that comes with an error is not redeemed`, async () => {
      const { back, session, browser } = await returning(binding)
      const redeemed = world.redeemed
      const both = changed(back, (query) => query.set('error', 'server_error'))
      const told = new URL((await browser.visit(both)).headers.get('location')!).searchParams
      assert.equal(told.get('error'), 'server_error')
      assert.equal(told.get('completion_code'), null)
      await assertPage(await browser.visit(back), 400)
      assert.equal(world.redeemed, redeemed)
      assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
    })
  }

  test('S-18 an answer with neither code nor error is an error, and nothing is stored', async () => {
    for (const forge of [(query: URLSearchParams) => query.delete('code'), (query: URLSearchParams) => query.set('code', '')]) {
      const { back, session, browser } = await returning()
      const redeemed = world.redeemed
      const told = new URL((await browser.visit(changed(back, forge))).headers.get('location')!).searchParams
      assert.equal(told.get('error'), 'invalid_response')
      assert.equal(told.get('session_id'), session)
      assert.equal(world.redeemed, redeemed)
      assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
      assert.equal((await world.connection(session)).status, 404)
    }
  })

  test('S-19 a parameter that comes twice, or as a list, is refused, and the honest answer still counts', async () => {
    const { back, session, browser } = await returning()
    const redeemed = world.redeemed
    const [state, code] = [back.searchParams.get('state')!, back.searchParams.get('code')!]
    for (const query of [
      `state=${state}&state=${state}&code=${code}`,
      `state=${state}&state=other&code=${code}`,
      `state=other&state=${state}&code=${code}`,
      `state=${state}&code=${code}&code=other`,
      `state=${state}&code=${code}&iss=a&iss=b`,
      `state=${state}&error=a&error=b`,
      `state=${state}&code[]=${code}`,
      `state=${state}&code%5B%5D=${code}`,
      `state=${state}&code[0]=${code}`,
      `state[]=${state}&code=${code}`,
      `state=${state}&code=${code}&error[]=access_denied`,
    ]) {
      await assertPage(await browser.visit(`${back.origin}${back.pathname}?${query}`), 400)
    }
    assert.equal(world.redeemed, redeemed)
    assert.equal((await browser.visit(back)).status, 303)
    assert.equal((await world.token(session)).status, 200)
  })

  test('S-20 a callback by any method but GET is 405 and spends nothing', async () => {
    const { back, session, browser } = await returning()
    const redeemed = world.redeemed
    const form = new URLSearchParams(back.search)
    const requests: readonly (readonly [URL | string, RequestInit])[] = [
      [`${back.origin}${back.pathname}`, { method: 'POST', body: form }],
      [back, { method: 'POST', body: form }],
      [back, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }],
      [back, { method: 'PUT' }],
      [back, { method: 'DELETE' }],
      [back, { method: 'HEAD' }],
      [`${world.url}/connected_apps/callback${back.search}`, { method: 'POST' }],
    ]
    for (const [url, init] of requests) {
      const answer = await fetch(url, { redirect: 'manual', ...init })
      assert.equal(answer.status, 405, init.method)
      assert.equal(answer.headers.get('allow'), 'GET')
      assert.equal(answer.headers.get('location'), null)
    }
    assert.equal(world.redeemed, redeemed)
    assert.equal((await browser.visit(back)).status, 303)
    assert.equal((await world.token(session)).status, 200)
  })

  test('S-36 what a provider says is text on our page, never markup, and never long', async () => {
    const { back, browser } = await returning('bare')
    const words = `<script>alert(1)</script><img src=x onerror=alert(1)>"'&${'z'.repeat(5000)}`
    const told = changed(back, (query) => {
      query.delete('code')
      query.set('error', '<b>bold</b>')
      query.set('error_description', words)
    })
    const html = await assertPage(await browser.visit(told), 400)
    assert.doesNotMatch(html, /<script>|<img|<b>/)
    assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/)
    assert.ok((html.match(/z{2,}/)?.[0].length ?? 0) <= 300)
  })

  test('S-36 an error code that is none is kept out of the history, the API and the way back to the app', async () => {
    const { back, session, browser } = await returning('none', 'deny')
    const told = changed(back, (query) => query.set('error', `</script>${'x'.repeat(3000)}`))
    const location = (await browser.visit(told)).headers.get('location')!
    assert.equal(new URL(location).searchParams.get('error'), 'invalid_response')
    assert.deepEqual(await world.told(session), ['attempt.begun none', 'attempt.failed invalid_response'])
    assert.doesNotMatch((await world.token(session)).text, /script|xxx/)
  })

  test('F-30 a user who says no comes back to the app with a code it can rely on, and loses nothing', async () => {
    const connected = await world.connect('none', 'ada')
    const { back, session, browser } = await returning('none', 'deny')
    const location = new URL((await browser.visit(back)).headers.get('location')!)
    assert.equal(`${location.origin}${location.pathname}`, CALLBACK)
    assert.equal(location.searchParams.get('session_id'), session)
    assert.equal(location.searchParams.get('error'), 'access_denied')
    assert.equal(location.searchParams.get('error_description'), 'The user said no')
    assert.equal((await world.token(session)).code, 'ACCESS_DENIED')
    assert.equal((await world.token(connected)).status, 200)
    await assertPage(await browser.visit(back), 400)
  })

  test('an error of the provider comes back to the app in its own words', async () => {
    const { back, browser } = await returning('confirm')
    const told = changed(back, (query) => {
      query.delete('code')
      query.set('error', 'temporarily_unavailable')
      query.set('error_description', 'Back in ten minutes & sorry')
    })
    const { searchParams } = new URL((await browser.visit(told)).headers.get('location')!)
    assert.equal(searchParams.get('error'), 'temporarily_unavailable')
    assert.equal(searchParams.get('error_description'), 'Back in ten minutes & sorry')
  })

  test('F-31 a state that expired at the provider ends on a page that says how to start again', async () => {
    const { back, session, browser } = await returning()
    const redeemed = world.redeemed
    world.pass(10 * MINUTE)
    const html = await assertPage(await browser.visit(back), 410)
    assert.match(html, /start again/)
    assert.doesNotMatch(html, /Error:|\bat \S+:\d+|node_modules/)
    assert.equal(world.redeemed, redeemed)
    assert.equal((await world.token(session)).code, 'SESSION_EXPIRED')
    assert.equal((await world.connection(session)).status, 404)
  })

  for (const binding of ['none', 'confirm', 'callback'] as const) {
    test(`F-32 ${binding}: a reload after success shows success, and no second code is sent`, async () => {
      const { back, browser } = await returning(binding)
      const location = new URL((await browser.visit(back)).headers.get('location')!)
      const session = location.searchParams.get('session_id')!
      const redeemed = world.redeemed
      for (let reload = 0; reload < 3; reload++) {
        const html = await assertPage(await browser.visit(back), 200)
        assert.match(html, /<h1>Connected<\/h1>/)
        assert.ok(!html.includes(session), 'the id that works was told once')
      }
      assert.equal(world.redeemed, redeemed)
      assert.equal((await world.token(session)).status, 200)
    })
  }

  for (const binding of ['confirm', 'callback'] as const) {
    test(`F-32 ${binding}: the same reload in another browser shows nothing`, async () => {
      const { back, browser } = await returning(binding)
      await browser.visit(back)
      await assertPage(await new Browser().visit(back), 400)
    })
  }

  for (const binding of ['none', 'confirm', 'callback'] as const) {
    test(`F-32 ${binding}: a reload while the code is with the provider sends nothing, and tells what came of it`, async () => {
      const { back, session, browser } = await returning(binding)
      const nth = world.redeemed + 1
      world.sandbox.control.script('token', { delay: 200 })
      const first = browser.visit(back)
      await world.sandbox.control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
      const html = await assertPage(await browser.visit(back), binding === 'callback' ? 400 : 200)
      if (binding !== 'callback') assert.match(html, /<h1>Connected<\/h1>/)
      assert.equal((await first).status, 303)
      assert.equal(world.redeemed, nth)
      assert.equal((await world.token(session)).status, binding === 'callback' ? 400 : 200)
    })
  }

  test('a connection that cannot be stored is taken back at the provider, and the user is told to come again', async () => {
    const { back, session, browser } = await returning('at-other')
    const { grants } = world.sandbox.control
    const finish = mock.method(world.broker.ports.store.attempts, 'finish', async () => {
      throw new Error('the disk is full')
    })
    const html = await assertPage(await browser.visit(back), 500)
    finish.mock.restore()
    assert.match(html, /start again/)
    assert.doesNotMatch(html, /disk/)
    assert.equal(world.sandbox.control.grants, grants - 1)
    assert.notEqual((await world.token(session)).status, 200)
  })

  test('an app without a callback ends on a page of ours that names app and provider', async () => {
    const { back, session, browser } = await returning('bare')
    const html = await assertPage(await browser.visit(back), 200)
    assert.match(html, /<h1>Connected<\/h1>/)
    assert.match(html, /Sandbox/)
    assert.equal((await world.token(session)).status, 200)
  })

  test('an app without a callback shows the provider’s refusal in the provider’s words', async () => {
    const { back, browser } = await returning('bare')
    const told = changed(back, (query) => {
      query.delete('code')
      query.set('error', 'invalid_scope')
      query.set('error_description', 'files.read is not for you')
    })
    const html = await assertPage(await browser.visit(told), 400)
    assert.match(html.replaceAll(/<[^>]*>/g, ''), /Sandbox said:\s*files\.read is not for you/)
    assert.match(html, /invalid_scope/)
  })

  for (const [preset, reference] of [
    ['outage', 'exchange_uncertain (answered 503 with text/plain)'],
    ['lost_answer', 'exchange_uncertain (127.0.0.1:PORT broke off (ECONNRESET))'],
    ['empty_400', 'http_400 (answered 400 with text/plain)'],
  ] as const) {
    test(`${preset}: what we saw of a provider that said nothing is not shown as its words`, async () => {
      const { back, browser } = await returning('bare')
      world.sandbox.control.script('token', preset)
      const text = (await assertPage(await browser.visit(back), 400))
        .replaceAll(/<[^>]*>/g, '')
        .replace(/(127\.0\.0\.1):\d+/, '$1:PORT')
      assert.doesNotMatch(text, /said:/)
      assert.ok(text.includes(`Reference: ${reference}`), text)
    })
  }

  test('what a provider says when it does not redeem the code is shown as its words, also when it failed', async () => {
    const { back, browser } = await returning('bare')
    world.sandbox.control.script('token', {
      status: 500,
      body: { error: 'oops', error_description: 'The cat is on the keyboard' },
    })
    const text = (await assertPage(await browser.visit(back), 400)).replaceAll(/<[^>]*>/g, '')
    assert.match(text, /Sandbox said:\s*The cat is on the keyboard/)
    assert.match(text, /Reference: exchange_uncertain\s/)
  })
})

test('a provider that calls the code something else in its requests does so when the browser is back, too', async (t) => {
  const own = await untilDone(t, startWorld({ provider: { param_names: { code: 'auth_code' } } }))
  own.sandbox.control.script('token', { body: { access_token: 'granted', token_type: 'Bearer' } })
  const browser = new Browser()
  const { body } = await own.authUrl({ key_code_ref: 'none', user_id: 'ada' })
  const back = await own.consent(String(body['url']), browser)
  back.searchParams.set('auth_code', back.searchParams.get('code') ?? '')
  back.searchParams.delete('code')
  assert.equal((await browser.visit(back)).status, 303)
  assert.equal((await own.token(String(body['session_id']))).body['access_token'], 'granted')
})
