/** The sample app, walked through as a browser does it, against a broker that answers as told. */

import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { startSampleApp } from './sample-app.ts'
import { lifeLeft } from './sample-page.ts'

test('a user connects, sees the token’s life, asks for a token and disconnects', async (t) => {
  const { broker, browser } = await start(t)
  assert.match(await browser.read('/'), /Good to see you, Ada.*Not connected/s)

  const consent = await browser.press('/connect')
  assert.equal(consent, `${broker.url}/consent?session_id=s-1`)
  assert.deepEqual(broker.asked('auth_url'), [{ key_code_ref: 'sandbox', user_id: 'ada' }])

  await browser.visit('/callback?session_id=s-1')
  const connected = await browser.read('/')
  assert.match(connected, /Connected.*Ada’s Sandbox account is connected/s)
  assert.match(connected, /<code>to-fo…ada-1<\/code>/)
  assert.match(connected, /data-left="(3599|3600)">(59 min 59 s|1 h 0 min)</)
  assert.match(connected, /<progress max="3600" value="(3599|3600)"/)
  assert.doesNotMatch(connected, /forward-to-nobody/, 'never the whole token')
  assert.doesNotMatch(await browser.read('/'), /account is connected/, 'what is said is said once')

  await browser.press('/token')
  assert.match(await browser.read('/'), /The same token/)
  broker.token = 'another-token-which-is-new-1'
  await browser.press('/token')
  assert.match(await browser.read('/'), /A new token.*<code>anot…ew-1<\/code>/s)

  await browser.press('/disconnect')
  assert.deepEqual(broker.asked('revoke'), [{ session_id: 's-1' }])
  assert.match(await browser.read('/'), /Disconnected.*Not connected/s)
})

test('with a completion code the app tells the broker who is logged in, and the broker’s word counts', async (t) => {
  const { broker, browser } = await start(t)
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1&completion_code=c-1')
  assert.deepEqual(broker.asked('complete'), [{ session_id: 's-1', completion_code: 'c-1', user_id: 'ada' }])
  assert.match(await browser.read('/'), /Connected as <bdi>ada@sandbox<\/bdi>/)
})

test('S-01 who brings back a completion code of somebody else reads that it was not for them, and has no connection', async (t) => {
  const { broker, browser } = await start(t)
  await browser.press('/login', { user: 'grace' })
  broker.refuse('complete', 400, 'INVALID_COMPLETION')
  await browser.visit('/callback?session_id=s-1&completion_code=c-1')
  assert.deepEqual(broker.asked('complete'), [{ session_id: 's-1', completion_code: 'c-1', user_id: 'grace' }])
  assert.match(await browser.read('/'), /begun by somebody else.*Not connected/s)
  assert.deepEqual(broker.asked('token'), [])
})

test('S-01 a session id that this browser did not set out for is refused without asking the broker', async (t) => {
  const { broker, app, browser } = await start(t)
  await browser.press('/connect')
  const victim = visitor(app.url)
  await victim.visit('/callback?session_id=s-1')
  assert.match(await victim.read('/'), /was not started here.*Not connected/s)

  await browser.visit('/callback?session_id=s-2')
  assert.match(await browser.read('/'), /was not started here.*Not connected/s)
  assert.deepEqual(broker.asked('token'), [])
})

test('S-01 a connection begun as Ada does not become Grace’s when the same browser finishes as Grace', async (t) => {
  const { broker, browser } = await start(t)
  await browser.press('/connect')
  await browser.press('/login', { user: 'grace' })
  await browser.visit('/callback?session_id=s-1')
  assert.match(await browser.read('/'), /Good to see you, Grace.*was not started here.*Not connected/s)
  assert.deepEqual(broker.asked('token'), [])
})

test('a callback is good once', async (t) => {
  const { browser } = await start(t)
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1')
  await browser.press('/disconnect')
  await browser.visit('/callback?session_id=s-1')
  assert.match(await browser.read('/'), /was not started here.*Not connected/s)
})

test('each user has a connection of their own', async (t) => {
  const { browser } = await start(t)
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1')
  await browser.press('/login', { user: 'grace' })
  assert.match(await browser.read('/'), /Good to see you, Grace/)
  assert.match(await browser.read('/'), /Not connected/)
  await browser.press('/login', { user: 'ada' })
  assert.match(await browser.read('/'), /data-left/)
})

test('who says no at the provider reads that nothing was shared', async (t) => {
  const { browser } = await start(t)
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1&error=access_denied&error_description=whatever')
  const page = await browser.read('/')
  assert.match(page, /You said no, so Sandbox shared nothing/)
  assert.doesNotMatch(page, /whatever/)
})

test('S-36 an error of the provider is shown as text, and only to the browser that was waiting for it', async (t) => {
  const { app, browser } = await start(t)
  await browser.press('/connect')
  const forged = '/callback?session_id=s-1&error=server_error&error_description=%3Cscript%3Ealert(1)%3C/script%3E'
  const stranger = visitor(app.url)
  await stranger.visit(forged)
  assert.doesNotMatch(await stranger.read('/'), /alert\(1\)/)
  await browser.visit(forged)
  assert.match(await browser.read('/'), /It said: “&lt;script&gt;alert\(1\)&lt;\/script&gt;”/)
})

test('a callback without a session id, or with two, changes nothing and says so', async (t) => {
  const { browser } = await start(t)
  for (const query of ['', '?session_id=a&session_id=b']) {
    await browser.visit(`/callback${query}`)
    assert.match(await browser.read('/'), /That address is not complete/)
  }
})

const refusals = [
  ['RECONNECT_REQUIRED', 400, /Sandbox wants you to connect again.*invalid_grant.*Connect Sandbox again/s],
  ['INVALID_SESSION', 400, /This connection is over.*Not connected/s],
  ['SESSION_EXPIRED', 400, /That took too long.*Not connected/s],
  ['SESSION_PENDING', 400, /Not connected yet/],
  ['ACCESS_DENIED', 400, /You said no/],
  ['PROVIDER_UNAVAILABLE', 503, /Sandbox is out of reach.*Try again in 7 seconds.*Get a token now/s],
  ['TOO_MANY_REQUESTS', 429, /Too many requests/],
  ['INVALID_CREDENTIALS', 403, /This app is not set up right/],
  ['SOMETHING_NEW', 418, /The broker said: invalid_grant/],
] as const

for (const [code, status, sentence] of refusals) {
  test(`a broker that answers ${code} is put in words for the user`, async (t) => {
    const { broker, browser } = await start(t)
    await browser.press('/connect')
    await browser.visit('/callback?session_id=s-1')
    await browser.read('/')
    broker.refuse('token', status, code)
    await browser.press('/token')
    const page = await browser.read('/')
    assert.match(page, sentence)
    assert.doesNotMatch(page, new RegExp(code))
  })
}

test('connecting again after the provider turned a connection down keeps its session id', async (t) => {
  const { broker, browser } = await start(t)
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1')
  broker.refuse('token', 400, 'RECONNECT_REQUIRED')
  await browser.press('/token')
  broker.relent()
  await browser.press('/connect')
  assert.deepEqual(broker.asked('auth_url').at(-1), { key_code_ref: 'sandbox', user_id: 'ada', session_id: 's-1' })
  await browser.visit('/callback?session_id=s-1')
  assert.match(await browser.read('/'), /state live.*data-left/s)
})

test('a broker that is not there is put in words for the user', async (t) => {
  const { broker, browser } = await start(t)
  await broker.close()
  assert.equal(await browser.press('/disconnect'), '/')
  assert.equal(await browser.press('/connect'), '/')
  assert.match(await browser.read('/'), /The broker does not answer/)
})

test('S-34 the callback leads on to an address without the code', async (t) => {
  const { browser } = await start(t)
  await browser.press('/connect')
  assert.equal(await browser.visit('/callback?session_id=s-1&completion_code=c-1'), '/')
})

test('a form from elsewhere is refused, and so is one that never ends', async (t) => {
  const { app, broker, browser } = await start(t)
  await browser.read('/')
  for (const path of ['/connect', '/token', '/disconnect', '/login']) {
    assert.equal((await browser.post(path, {})).status, 403)
    assert.equal((await browser.post(path, { csrf: 'x'.repeat(32) })).status, 403)
    assert.equal((await visitor(app.url).post(path, { csrf: browser.csrf })).status, 403, 'the value of another browser')
  }
  assert.equal((await browser.post('/login', { csrf: browser.csrf, user: 'x'.repeat(10_000) })).status, 413)
  assert.deepEqual(broker.asked('auth_url'), [])
})

test('the login cookie is kept from scripts and other sites, but comes along when the provider sends the user back', async (t) => {
  const { app } = await start(t)
  const { headers } = await fetch(app.url)
  assert.match(headers.get('set-cookie') ?? '', /^harbour_session=[\w-]{32}; HttpOnly; SameSite=Lax; Path=\/$/)
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  assert.equal(headers.get('cache-control'), 'no-store')
})

test('what only looks at a link does not use it up', async (t) => {
  const { app, browser } = await start(t)
  await browser.press('/connect')
  const glance = await fetch(`${app.callbackUrl}?session_id=s-1`, { method: 'HEAD', headers: { cookie: browser.cookie } })
  assert.equal(glance.status, 405)
  await browser.visit('/callback?session_id=s-1')
  assert.match(await browser.read('/'), /account is connected/)
})

test('a token that does not end says so', async (t) => {
  const { broker, browser } = await start(t)
  broker.lifetime = undefined
  await browser.press('/connect')
  await browser.visit('/callback?session_id=s-1')
  const page = await browser.read('/')
  assert.match(page, /until it is revoked/)
  assert.doesNotMatch(page, /<progress/)
})

test('the life left is said in the two largest units', () => {
  const said = [0, 1, 59, 60, 61, 3600, 3661, 90_000].map(lifeLeft)
  assert.deepEqual(said.slice(1), ['1 s', '59 s', '1 min 0 s', '1 min 1 s', '1 h 0 min', '1 h 1 min', '25 h 0 min'])
  assert.match(said[0] ?? '', /has ended/)
})

test('the script that moves the countdown is served whole', async (t) => {
  const { app } = await start(t)
  const script = await (await fetch(`${app.url}/sample.js`)).text()
  assert.equal(runInNewContext(`${script}; lifeLeft(61)`, { document: { querySelector: () => null } }), '1 min 1 s')
})

interface Refusal {
  readonly status: number
  readonly code: string
}

async function start(t: TestContext) {
  const broker = await startBroker()
  const app = await startSampleApp({
    brokerUrl: broker.url,
    keyCodeRef: 'sandbox',
    clientId: 'backend',
    clientSecret: 's'.repeat(40),
  })
  t.after(() => Promise.all([app.close(), broker.close()]))
  return { broker, app, browser: visitor(app.url) }
}

/** Speaks the contract, remembers what it was asked, and refuses when told to. */
async function startBroker() {
  const asked: { operation: string; given: Record<string, string> }[] = []
  const refusals = new Map<string, Refusal>()
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://broker.invalid')
    let text = ''
    for await (const chunk of request as AsyncIterable<Buffer>) text += String(chunk)
    const reply = (status: number, body: unknown) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...(status === 503 && { 'retry-after': '7' }) })
        .end(JSON.stringify(body))
    if (pathname === '/oauth2/token') return reply(200, { access_token: 'caller', token_type: 'bearer', expires_in: 3600 })
    const operation = pathname.replace('/api/v1/connected_apps/', '')
    const given = text ? (JSON.parse(text) as Record<string, string>) : Object.fromEntries(searchParams)
    asked.push({ operation, given })
    const refusal = refusals.get(operation)
    if (refusal)
      return reply(refusal.status, { result: 'invalid_grant', errors: [{ code: refusal.code, message: 'invalid_grant' }] })
    const session_id = given['session_id'] ?? 's-1'
    if (operation === 'auth_url') return reply(200, { url: `${broker.url}/consent?session_id=${session_id}`, session_id })
    if (operation === 'complete') return reply(200, connectionItem(given))
    if (operation === 'revoke') return reply(200, { result: 'Success', message: 'Success', code: 'OK' })
    const { token: access_token, lifetime } = broker
    const access_token_expiry = lifetime && new Date(Date.now() + lifetime).toISOString()
    return reply(200, { access_token, access_token_expiry })
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const broker = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: 'to-forward-to-nobody-but-ada-1',
    lifetime: 3_600_000 as number | undefined,
    asked: (operation: string) => asked.filter((each) => each.operation === operation).map(({ given }) => given),
    refuse: (operation: string, status: number, code: string) => void refusals.set(operation, { status, code }),
    relent: () => refusals.clear(),
    close: async () => {
      if (!server.listening) return
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      await closed
    },
  }
  return broker
}

function connectionItem({ session_id, user_id }: Record<string, string>) {
  return {
    session_id,
    key_code_ref: 'sandbox',
    provider: 'sandbox',
    user_id,
    org_code: null,
    label: null,
    state: 'connected',
    reason: null,
    granted_scopes: [],
    missing_scopes: [],
    account: { id: '1', label: 'ada@sandbox' },
    access_token_expiry: null,
    created_at: '2026-01-01T00:00:00.000Z',
    connected_at: null,
    last_renewed_at: null,
  }
}

/** A browser with a cookie and no scripts, which follows no redirect by itself. */
function visitor(origin: string) {
  const browser = {
    cookie: '',
    csrf: '',
    async request(path: string, init: RequestInit = {}): Promise<Response> {
      const response = await fetch(origin + path, { ...init, redirect: 'manual', headers: { cookie: browser.cookie } })
      browser.cookie = response.headers.get('set-cookie')?.split(';')[0] ?? browser.cookie
      return response
    },
    async read(path: string): Promise<string> {
      const response = await browser.request(path)
      assert.equal(response.status, 200)
      const page = await response.text()
      browser.csrf = /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? ''
      return page
    },
    /** Where it leads. */
    async visit(path: string): Promise<string> {
      return (await browser.request(path)).headers.get('location') ?? ''
    },
    post: (path: string, fields: Record<string, string>) =>
      browser.request(path, { method: 'POST', body: new URLSearchParams(fields) }),
    /** Presses a button and says where it leads. */
    async press(path: string, fields: Record<string, string> = {}): Promise<string> {
      if (!browser.csrf) await browser.read('/')
      const response = await browser.post(path, { csrf: browser.csrf, ...fields })
      assert.equal(response.status, 303)
      return response.headers.get('location') ?? ''
    },
  }
  return browser
}
