/** The page that asks before the provider is visited: what looking at it does (nothing), and what it takes to press its button. */

import assert from 'node:assert/strict'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { Browser, formIn } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, MINUTE, startWorld, type World } from '../world.ts'

describe('the page that asks', () => {
  let world: World
  before(async () => {
    world = await startWorld()
  })
  after(() => world[Symbol.asyncDispose]())

  async function link(): Promise<{ url: string; session: string }> {
    const { body } = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })
    return { url: String(body['url']), session: String(body['session_id']) }
  }

  /** The page as a browser has it, and the form that pressing Continue would send. */
  async function opened(url: string, browser: Browser): Promise<URLSearchParams> {
    const form = formIn(await (await browser.visit(url)).text())
    assert.ok(form)
    for (const [name, value] of Object.entries(form.button)) form.fields.set(name, value)
    return form.fields
  }

  test('S-08 a link works once: after the user came back it leads nowhere', async () => {
    const { url } = await link()
    const browser = new Browser()
    const form = await opened(url, browser)
    const pressed = await browser.visit(url, form)
    assert.equal(pressed.status, 303)
    await browser.visit(await world.sandbox.walk(pressed.headers.get('location')!))

    for (const second of [await browser.visit(url, form), await browser.visit(url), await new Browser().visit(url)]) {
      assert.equal(second.status, 410)
      assert.equal(second.headers.get('location'), null)
      assert.equal(formIn(await second.text()), null)
    }
  })

  test('S-08 after the button was pressed the link leads nowhere in any other browser', async () => {
    const { url } = await link()
    const [browser, other] = [new Browser(), new Browser()]
    const [form, othersForm] = [await opened(url, browser), await opened(url, other)]
    assert.equal((await browser.visit(url, form)).status, 303)
    for (const late of [await other.visit(url, othersForm), await other.visit(url), await new Browser().visit(url)]) {
      assert.equal(late.status, 410)
      assert.equal(late.headers.get('location'), null)
      assert.equal(formIn(await late.text()), null)
    }
    assert.equal((await other.visit(url, form)).status, 403, 'the form of the one is no form of the other')
  })

  test('S-08 of eight browsers that press at once one goes on to the provider', async () => {
    const { url } = await link()
    const ready = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const browser = new Browser()
        return { browser, form: await opened(url, browser) }
      }),
    )
    const answers = await Promise.all(ready.map(({ browser, form }) => browser.visit(url, form)))
    assert.equal(answers.filter(({ status }) => status === 303).length, 1)
    assert.equal(answers.filter(({ status }) => status === 410).length, 7)
  })

  test('S-13 a button that is pressed eight times leads to one and the same page of the provider, whose answer counts once', async () => {
    const { url, session } = await link()
    const browser = new Browser()
    const form = await opened(url, browser)
    const answers = await Promise.all(Array.from({ length: 8 }, () => browser.visit(url, form)))
    const [one, ...others] = new Set(answers.map(({ headers }) => headers.get('location')))
    assert.deepEqual(others, [])
    // Back from the provider to our page, and on once more.
    const again = await browser.press(url)
    assert.equal(again.headers.get('location'), one)
    const redeemed = world.redeemed
    const back = await world.sandbox.walk(String(one))
    for (let visit = 0; visit < 3; visit++) await browser.visit(back)
    assert.equal(world.redeemed, redeemed + 1)
    assert.equal((await world.token(session)).status, 200)
  })

  test('whoever went back to our page from the provider can still cancel, and then what the provider answers is void', async () => {
    const { url, session } = await link()
    const browser = new Browser()
    const back = await world.consent(url, browser)
    await browser.press(url, { name: 'decision', value: 'cancel' })
    const redeemed = world.redeemed
    assert.equal((await browser.visit(back)).status, 400)
    assert.equal(world.redeemed, redeemed)
    assert.equal((await world.token(session)).code, 'ACCESS_DENIED')
  })

  test('S-08 a link that was cancelled leads nowhere either', async () => {
    const { url } = await link()
    const browser = new Browser()
    const form = await opened(url, browser)
    await browser.press(url, { name: 'decision', value: 'cancel' })
    assert.equal((await browser.visit(url, form)).status, 410)
  })

  test('S-09 a link older than ten minutes leads nowhere, and its page offers no way on', async () => {
    const { url, session } = await link()
    const browser = new Browser()
    const form = await opened(url, browser)
    world.pass(10 * MINUTE)
    for (const late of [await browser.visit(url), await browser.visit(url, form)]) {
      assert.equal(late.status, 410)
      assert.equal(late.headers.get('location'), null)
      const html = await late.text()
      assert.equal(formIn(html), null)
      assert.doesNotMatch(html, /<a\b|http-equiv="refresh"|<script/)
      assert.match(html, /start again/)
    }
    assert.equal((await world.token(session)).code, 'SESSION_EXPIRED')
  })

  test('S-09 a link that never was is answered like an old one', async () => {
    const never = await fetch(`${world.url}/connect/${'A'.repeat(43)}`)
    assert.equal(never.status, 410)
  })

  const LOOKS: readonly (readonly [string, RequestInit])[] = [
    ['a GET', {}],
    ['a HEAD', { method: 'HEAD' }],
    ['a prefetching browser', { headers: { 'sec-purpose': 'prefetch;prerender', purpose: 'prefetch' } }],
    ['the preview of a chat', { headers: { 'user-agent': 'Slackbot-LinkExpanding 1.0', 'x-purpose': 'preview' } }],
    ['a page that frames it', { headers: { 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'cross-site' } }],
  ]
  test('S-10 looking at the link consumes nothing and goes nowhere, whoever looks', async () => {
    const { url, session } = await link()
    const asked = world.sandbox.control.count('authorize')
    const before = await world.broker.ports.store.attempts.find('default', session)
    for (const [who, init] of LOOKS) {
      const answer = await fetch(url, { redirect: 'manual', ...init })
      assert.equal(answer.status, 200, who)
      assert.equal(answer.headers.get('location'), null, who)
      assert.equal(answer.headers.get('refresh'), null, who)
      assert.doesNotMatch(await answer.text(), /http-equiv="refresh"/, who)
    }
    assert.deepEqual(await world.broker.ports.store.attempts.find('default', session), before)
    assert.equal(world.sandbox.control.count('authorize'), asked)
    assert.equal((await world.arrive(url)).searchParams.get('session_id'), session, 'the user can still go on')
  })

  test('S-10 the button works only from our page in the same browser', async () => {
    const { url, session } = await link()
    const browser = new Browser()
    const form = await opened(url, browser)
    const elsewhere = new Browser()
    const elsewheres = await opened(url, elsewhere)
    const ofOtherLink = await opened((await link()).url, browser)
    const without = new URLSearchParams({ decision: 'continue' })
    const refusals: readonly (readonly [string, Response])[] = [
      ['without a token', await browser.visit(url, without)],
      ['with an empty token', await browser.visit(url, new URLSearchParams({ decision: 'continue', csrf: '' }))],
      ['with the token of another link', await browser.visit(url, ofOtherLink)],
      ['with the token of another browser', await browser.visit(url, elsewheres)],
      ['in another browser with its own cookie', await elsewhere.visit(url, form)],
      ['without a cookie', await new Browser().visit(url, form)],
      ['with a cookie that we never gave', await new Browser().visit(url, form, { cookie: `latchstring=${'A'.repeat(43)}` })],
      ['sent by another site', await browser.visit(url, form, { 'sec-fetch-site': 'cross-site' })],
      ['sent by a sibling domain', await browser.visit(url, form, { 'sec-fetch-site': 'same-site' })],
      ['cancelled by another site', await browser.visit(url, new URLSearchParams({ decision: 'cancel' }))],
    ]
    for (const [how, answer] of refusals) {
      assert.equal(answer.status, 403, how)
      assert.equal(answer.headers.get('location'), null, how)
    }
    assert.equal((await world.token(session)).code, 'SESSION_PENDING')
    assert.equal((await browser.visit(url, form, { 'sec-fetch-site': 'same-origin' })).status, 303)
  })

  test('S-10 a form of ours with the token of a cookie that the browser did not keep is shown once more, and leads nowhere', async () => {
    const { url } = await link()
    const [kept, lost] = [new Browser(), new Browser()]
    await kept.visit(url)
    const { fields } = formIn(await (await lost.visit(url)).text()) ?? assert.fail()
    fields.set('decision', 'continue')
    const asked = world.sandbox.control.count('authorize')
    const answer = await kept.visit(url, fields, { 'sec-fetch-site': 'same-origin' })
    assert.deepEqual([answer.status, answer.headers.get('location')], [403, null])
    const html = await answer.text()
    assert.match(html, /Did you start this/)
    assert.match(html, /press once more/)
    const again = formIn(html) ?? assert.fail()
    again.fields.set('decision', 'continue')
    assert.equal((await kept.visit(url, again.fields, { 'sec-fetch-site': 'same-origin' })).status, 303)
    assert.equal(world.sandbox.control.count('authorize'), asked)
    assert.equal((await lost.visit(url, fields, { 'sec-fetch-site': 'same-origin' })).status, 410, 'it leads on in one browser')
  })

  test('S-10 a JSON body, or none, is no press of the button', async () => {
    const { url } = await link()
    for (const init of [{ body: '{"decision":"continue"}', headers: { 'content-type': 'application/json' } }, {}]) {
      const answer = await fetch(url, { method: 'POST', redirect: 'manual', ...init })
      assert.equal(answer.status, 403)
    }
  })

  test('Cancel brings the user back to the app, which is told', async () => {
    const { url, session } = await link()
    const answer = await new Browser().press(url, { name: 'decision', value: 'cancel' })
    assert.equal(answer.status, 303)
    const back = new URL(answer.headers.get('location')!)
    assert.equal(`${back.origin}${back.pathname}`, CALLBACK)
    assert.equal(back.searchParams.get('session_id'), session)
    assert.equal(back.searchParams.get('error'), 'access_denied')
    assert.equal((await world.token(session)).code, 'ACCESS_DENIED')
    assert.deepEqual(await world.told(session), ['attempt.begun confirm', 'attempt.denied access_denied'])
  })

  test('S-73 the cookie that tells browsers apart is HttpOnly and Lax, and says nothing of the user', async () => {
    const answer = await fetch((await link()).url)
    const [cookie = ''] = answer.headers.getSetCookie()
    assert.match(cookie, /^latchstring=[A-Za-z0-9_-]{43};/)
    assert.match(cookie, /; HttpOnly/)
    assert.match(cookie, /; SameSite=Lax/)
    assert.match(cookie, /; Path=\//)
  })
})

test('S-35 every page is unframable, unremembered, sends no referrer and runs nothing that we did not write', async (t) => {
  const world = await untilDone(
    t,
    startWorld({
      failedGuessesPerMinute: 8,
      further: (sandbox) => ({
        apps: [{ ...sandbox.app(), key_code_ref: 'bare', user_binding: 'none' }], // without a callback: it ends at our pages
      }),
    }),
  )
  const bare = async () => String((await world.authUrl({ key_code_ref: 'bare', user_id: 'ada' })).body['url'])
  const confirm = String((await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })).body['url'])
  const browser = new Browser()
  const html = { accept: 'text/html' }
  const callback = `${world.url}/connected_apps/callback`
  const back = await world.consent(await bare(), browser)
  const denied = await world.consent(await bare(), browser, { decision: 'deny' })
  const pages: [string, number, Response][] = [
    ['the page that asks', 200, await browser.visit(confirm)],
    ['not from our page', 403, await browser.visit(confirm, new URLSearchParams())],
    ['connected', 200, await browser.visit(back)],
    ['connected, again', 200, await browser.visit(back)],
    ['denied', 400, await browser.visit(denied)],
    ['used', 400, await browser.visit(denied)],
    ['expired', 410, await browser.visit(`${world.url}/connect/${'A'.repeat(43)}`)],
    ['unknown state', 400, await browser.visit(`${callback}?state=x&code=y`)],
    ['unreadable', 400, await browser.visit(`${callback}?state=x&state=y`)],
    ['by the wrong method', 405, await fetch(callback, { method: 'POST' })],
    ['a path that does not decode', 400, await fetch(`${world.url}/connect/%E0%A4%A`, { headers: html })],
    ['too long an address', 414, await browser.visit(`${callback}?state=${'x'.repeat(9000)}`)],
    ['nothing here', 404, await fetch(`${world.url}/nowhere`, { headers: html })],
  ]
  while (pages.at(-1)![1] !== 429 && pages.length < 40) {
    const answer = await browser.visit(`${callback}?state=guess${pages.length}`)
    pages.push(['a guess', answer.status === 429 ? 429 : 400, answer])
  }
  assert.equal(pages.at(-1)![1], 429, 'guessing comes to an end')
  pages.push(['a guessed link', 429, await browser.visit(`${world.url}/connect/${'B'.repeat(43)}`)])
  for (const [name, , page] of pages.slice(-2)) assert(Number(page.headers.get('retry-after')) > 0, `S-75 ${name}`)

  for (const [name, status, page] of pages) {
    assert.equal(page.status, status, name)
    const header = (field: string) => page.headers.get(field)
    const policy = new Map(
      (header('content-security-policy') ?? '').split('; ').map((part) => {
        const [directive = '', ...sources] = part.split(' ')
        return [directive, sources.join(' ')]
      }),
    )
    assert.equal(header('content-type'), 'text/html; charset=utf-8', name)
    assert.equal(policy.get('frame-ancestors'), "'none'", name)
    assert.equal(policy.get('default-src'), "'none'", name)
    assert.ok(['', "'self'"].includes(policy.get('script-src') ?? ''), name)
    assert.doesNotMatch([...policy.values()].join(' '), /unsafe|\*/, name)
    assert.equal(policy.get('form-action') === "'none'", name !== 'the page that asks', name)
    assert.equal(header('x-frame-options'), 'DENY', name)
    assert.equal(header('referrer-policy'), 'no-referrer', name)
    assert.equal(header('cache-control'), 'no-store', name)
    assert.equal(header('x-content-type-options'), 'nosniff', name)
    const text = await page.text()
    assert.match(text, /^<!doctype html>/, name)
    assert.doesNotMatch(text, /<script>|<script [^>]*>[^<]|\son[a-z]+=|javascript:/, `${name}: nothing inline`)
  }
})

test('a page that cannot lead on because of how the app is set up says so, and the log says why', async (t) => {
  const world = await untilDone(t, startWorld({ sandbox: { require_par: true }, app: { client_secret: 'wrong' } }))
  const { body } = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })
  world.log.length = 0
  const answer = await new Browser().press(String(body['url']))
  assert.equal(answer.status, 400)
  const html = await answer.text()
  assert.match(html, /Tell the people who run the app/)
  assert.doesNotMatch(html, /invalid_client/, 'what the provider says of the app is not for its users')
  assert.match(world.log.join(''), /"level":"warn".*CONNECT_FAILED.*did not take the pushed request: invalid_client/)
})

/** Ends at a path of its own, takes it off, and lets through what `docs/operating.md` says, and nothing else. */
async function startProxy(to: string) {
  const passed = /^\/broker(\/(?:api|oauth2|\.well-known|connect|connected_apps)\/.*)$/
  const server = createServer((request, response) => {
    const [, path] = passed.exec(request.url ?? '') ?? []
    if (path === undefined) return void response.writeHead(502).end()
    const onward = forward(new URL(path, to), { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    publicUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/broker`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise<void>((closed) => server.close(() => closed()))
    },
  }
}

test('the broker may be at a path of its own, behind a proxy that takes it off', async (t) => {
  const world = await untilDone(t, startWorld())
  const { publicUrl } = await untilDone(t, startProxy(world.url))
  await world.restart({ publicUrl })
  const asked = await fetch(`${publicUrl}/api/v1/connected_apps/auth_url?key_code_ref=confirm&user_id=ada`, {
    headers: { authorization: `Bearer ${await world.bearer()}` },
  })
  const { url, session_id } = (await asked.json()) as { url: string; session_id: string }
  const browser = new Browser()
  const [, script = ''] = /<script src="([^"]*)"/.exec(await (await browser.visit(url)).text()) ?? []
  assert.equal((await browser.visit(new URL(script, url))).headers.get('content-type'), 'text/javascript; charset=utf-8')
  const arrived = await world.arrive(url, browser)
  assert.equal(arrived.searchParams.get('session_id'), session_id)
  assert.equal(arrived.searchParams.get('error'), null)
})
