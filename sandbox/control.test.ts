/** Pulling the strings, in process and over HTTP. */

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { test } from 'node:test'
import { approved, ask, basic, connected, opened, post, probe, type Reply, renew, tokensIn } from './practice-app.ts'
import type { Sandbox } from './sandbox.ts'

function control(sandbox: Sandbox, method: string, body?: unknown, headers = {}, query = ''): Promise<Reply> {
  const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  return ask(sandbox, `/control${query}`, { method, headers: { 'content-type': 'application/json', ...headers }, ...sent })
}

test('counters tell renewals from other token requests, and count what was scripted too', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'outage')
  await renew(sandbox, refresh)
  await renew(sandbox, refresh)
  const { token, refresh: refreshes, authorize, login, consent, revoke } = sandbox.control.counters
  assert.deepEqual([token, refreshes, authorize, login, consent, revoke], [1, 2, 2, 1, 1, 0])
})

test('the record of a request says who asked for what and how it ended', async (t) => {
  const sandbox = await opened(t, { now: () => 1234, auto_approve: true })
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'outage')
  await renew(sandbox, refresh)
  const record = {
    endpoint: 'refresh',
    at: 1234,
    grant_type: 'refresh_token',
    client_id: 'sandbox-app',
    nth: 1,
    scripted: true,
    answered: 503,
  }
  assert.deepEqual(sandbox.control.requests.at(-1), record)
  assert.deepEqual(
    sandbox.control.requests.map(({ endpoint }) => endpoint),
    ['authorize', 'token', 'refresh'],
  )
})

test('nothing that the sandbox shows about itself holds a secret', async (t) => {
  const sandbox = await opened(t)
  const tokens = await connected(sandbox)
  await post(
    sandbox,
    '/token',
    { grant_type: 'client_credentials', client_id: 'sandbox-app', client_secret: 'sandbox-secret' },
    {},
  )
  await post(sandbox, '/revoke', { token: tokens.refresh })
  const { text } = await control(sandbox, 'GET')
  for (const secret of ['sandbox-secret', 'sbx_', tokens.access]) assert.ok(!text.includes(secret), secret)
})

test('the latest thousand requests are kept, in order, and all are counted', async (t) => {
  const sandbox = await opened(t)
  for (let batch = 0; batch < 11; batch++)
    await Promise.all(Array.from({ length: 100 }, () => ask(sandbox, '/jwks?x').catch(() => {})))
  const numbers = sandbox.control.requests.map(({ nth }) => nth)
  assert.equal(sandbox.control.count('jwks'), 1100)
  assert.deepEqual([numbers.length, numbers[0], numbers.at(-1)], [1000, 101, 1100])
})

test('waitFor finds a request of the past, waits for one to come, and for its end', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  assert.equal((await sandbox.control.waitFor(({ endpoint }) => endpoint === 'token')).nth, 1)
  const second = sandbox.control.waitFor(({ endpoint, nth, answered }) => endpoint === 'refresh' && nth === 2 && answered === 200)
  const { refresh: next } = tokensIn(await renew(sandbox, refresh))
  await renew(sandbox, next)
  assert.equal((await second).answered, 200)
})

test('waitFor gives up with a list of what did come, and when the sandbox closes', async (t) => {
  const sandbox = await opened(t)
  await ask(sandbox, '/jwks')
  await assert.rejects(
    sandbox.control.waitFor(({ endpoint }) => endpoint === 'revoke', { timeout_ms: 5 }),
    /within 5 ms; so far: jwks 1/,
  )
  const waiting = assert.rejects(
    sandbox.control.waitFor(() => false),
    /was closed/,
  )
  await sandbox.close()
  await waiting
})

test('expireAccessTokens ends access tokens and leaves refresh tokens', async (t) => {
  const sandbox = await opened(t)
  const { access, refresh } = await connected(sandbox)
  sandbox.control.expireAccessTokens()
  assert.deepEqual([sandbox.control.alive(access), sandbox.control.alive(refresh)], [false, true])
  assert.equal(await probe(sandbox, access), 401)
  assert.equal(await probe(sandbox, tokensIn(await renew(sandbox, refresh)).access), 200)
})

test('revokeEverything ends everything, codes included', async (t) => {
  const sandbox = await opened(t)
  const { access, refresh } = await connected(sandbox)
  const code = (await approved(sandbox)).searchParams.get('code')!
  assert.equal(sandbox.control.revokeEverything(), 2)
  assert.deepEqual([sandbox.control.alive(access), sandbox.control.alive(refresh)], [false, false])
  assert.equal((await post(sandbox, '/token', { grant_type: 'authorization_code', code })).json['error'], 'invalid_grant')
})

test('reset brings back switches, clients and counters, and keeps connections', async (t) => {
  const sandbox = await opened(t, { rotation: 'never' })
  const { refresh } = await connected(sandbox)
  sandbox.control.set({ rotation: 'always', iss: 'on' })
  sandbox.control.script('refresh', 'outage')
  sandbox.control.register({ client_id: 'sandbox-app', client_secret: 'changed' })
  sandbox.control.register({ client_id: 'another' })
  sandbox.control.reset()
  assert.equal(sandbox.control.count('token'), 0)
  assert.deepEqual(sandbox.control.requests, [])
  assert.deepEqual([sandbox.control.switches.rotation, sandbox.control.switches.iss], ['never', 'off'])
  assert.equal(tokensIn(await renew(sandbox, refresh)).refresh, refresh)
})

test('a mistake in a switch is refused with what would be right', async (t) => {
  const sandbox = await opened(t)
  const set = (changes: object) => sandbox.control.set(changes)
  assert.throws(() => set({ rotaton: 'never' }), /no switch 'rotaton'.*rotation/)
  assert.throws(
    () => set({ pkce: 'required', replay_window: 'sometimes' }),
    /replay_window must be 'none' \| 'until_next_use' \| a number/,
  )
  assert.throws(() => set({ access_token_lifetime: Number.NaN }), /a number of seconds/)
  assert.equal(sandbox.control.switches.pkce, 'optional')
})

test('over HTTP: POST sets switches, script and clients, GET shows them, DELETE resets', async (t) => {
  const sandbox = await opened(t)
  const orders = {
    switches: { rotation: 'never' },
    script: { refresh: [{ preset: 'outage', times: 2 }], revoke: [{ status: 500 }] },
    clients: [{ client_id: 'late', client_secret: 's' }],
  }
  assert.equal((await control(sandbox, 'POST', orders)).status, 200)
  const { json } = await control(sandbox, 'GET')
  assert.equal((json['switches'] as Record<string, unknown>)['rotation'], 'never')
  assert.deepEqual(json['script'], { refresh: [{ preset: 'outage', times: 2 }], revoke: [{ status: 500, times: 1 }] })
  const late = { authorization: basic('late', 's') }
  assert.equal((await post(sandbox, '/token', { grant_type: 'client_credentials' }, late)).status, 200)
  const reset = (await control(sandbox, 'DELETE')).json
  assert.deepEqual([reset['script'], (reset['counters'] as Record<string, unknown>)['token']], [{}, 0])
  assert.equal(sandbox.control.switches.rotation, 'always')
})

test('over HTTP: time moves, access tokens expire, everything is revoked', async (t) => {
  const sandbox = await opened(t)
  const { access, refresh } = await connected(sandbox)
  await control(sandbox, 'POST', { advance: 3599 })
  assert.equal(sandbox.control.alive(access), true)
  await control(sandbox, 'POST', { do: ['expire_access_tokens'] })
  assert.deepEqual([sandbox.control.alive(access), sandbox.control.alive(refresh)], [false, true])
  await control(sandbox, 'POST', { do: ['revoke_everything'] })
  assert.equal(sandbox.control.alive(refresh), false)
})

test('over HTTP: an answer is held, and let go', async (t) => {
  const sandbox = await opened(t)
  await control(sandbox, 'POST', { script: { jwks: [{ hold: true }] } })
  const held = ask(sandbox, '/jwks')
  await sandbox.control.waitFor(({ endpoint }) => endpoint === 'jwks')
  assert.equal((await control(sandbox, 'GET')).json['held'], 1)
  assert.equal((await control(sandbox, 'POST', { do: ['release'] })).json['held'], 0)
  assert.equal((await held).status, 200)
})

test('over HTTP: one can wait for the n-th request to an endpoint', async (t) => {
  const sandbox = await opened(t)
  const waiting = control(sandbox, 'GET', undefined, {}, '?wait_for=jwks&nth=2')
  await ask(sandbox, '/jwks')
  await ask(sandbox, '/jwks')
  assert.equal(((await waiting).json['counters'] as Record<string, unknown>)['jwks'], 2)
  assert.equal((await control(sandbox, 'GET', undefined, {}, '?wait_for=revoke&timeout_ms=5')).status, 408)
  assert.equal((await control(sandbox, 'GET', undefined, {}, '?wait_for=nothing')).status, 400)
  assert.equal((await control(sandbox, 'GET', undefined, {}, '?wait_for=jwks&nth=none')).status, 400)
})

test('over HTTP: a mistake is explained and nothing is half applied', async (t) => {
  const sandbox = await opened(t)
  const why = async (body: unknown, headers = {}): Promise<unknown> => {
    const { status, json } = await control(sandbox, 'POST', body, headers)
    assert.equal(status, 400)
    return json['error_description']
  }
  assert.match(
    String(await why({ switches: { iss: 'on' }, script: { refresh: ['outage'], tokens: [] } })),
    /no endpoint 'tokens'/,
  )
  assert.match(String(await why({ script: { refresh: ['outage'], revoke: ['nope'] } })), /no preset 'nope'/)
  assert.match(String(await why({ script: { refresh: 'outage' } })), /will not do for 'script'/)
  assert.match(String(await why({ do: ['explode'] })), /will not do for 'do'/)
  assert.match(String(await why({ scripts: {} })), /no 'scripts' here/)
  assert.match(String(await why('{')), /not JSON/)
  assert.match(String(await why('[]')), /not a JSON object/)
  assert.match(String(await why({}, { 'content-type': 'text/plain' })), /Content-Type/)
  assert.equal(sandbox.control.switches.iss, 'off')
  assert.deepEqual(sandbox.control.scripted, {})
  assert.equal((await control(sandbox, 'PUT', {})).status, 405)
})

test('pages of other sites and rebound names cannot reach /control', async (t) => {
  const sandbox = await opened(t)
  assert.equal((await control(sandbox, 'POST', {}, { origin: 'https://evil.example' })).status, 403)
  assert.equal((await control(sandbox, 'POST', {}, { origin: sandbox.url })).status, 200)
  const status = await new Promise((resolve, reject) => {
    const rebound = httpRequest(`${sandbox.url}/control`, { headers: { host: 'evil.example' } }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    rebound.on('error', reject).end()
  })
  assert.equal(status, 403)
})
