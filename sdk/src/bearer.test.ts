/** A client with credentials of its own: when it fetches a bearer, when it does not, and that its secrets stay inside. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { type Asked, fakeBroker, json, refuse } from '../test/fake-broker.ts'
import { renewedBearer } from './bearer.ts'
import { ApiException, ArgumentError, ConnectedAppsApi, type Fetch } from './sdk.ts'

const TOKEN = { access_token: 'ya29.abc' }
const SESSION = { session_id: 's1' }
const SECRET = 'S3cretS3cretS3cretS3cretS3cretS3cretS3cret42'

interface Issuing {
  /** By default the newest alone. */
  readonly takes?: (nth: number, issued: number) => boolean
  readonly expires_in?: unknown
}

/** Issues bearers in a row, and takes the ones it is told to. */
async function issuing(t: TestContext, { takes = (nth, issued) => nth === issued, expires_in = 3600 }: Issuing = {}) {
  let issued = 0
  const broker = await fakeBroker(t, ({ path, headers }, response) => {
    if (path === '/oauth2/token') return json(response, { access_token: `bearer-${++issued}`, token_type: 'bearer', expires_in })
    const nth = Number(/^Bearer bearer-(\d+)$/.exec(headers.authorization ?? '')?.[1])
    return takes(nth, issued) ? json(response, TOKEN) : refuse(response, 403, 'INVALID_CREDENTIALS')
  })
  const paths = () => broker.asked.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'backend', clientSecret: SECRET })
  t.after(() => api.close())
  return { api, broker, paths, invalidate: () => issued++ }
}

test('the first call fetches a bearer with client id and secret in a form, and later calls keep it', async (t) => {
  const { api, broker, paths } = await issuing(t)
  await api.getConnectedAppToken(SESSION)
  await api.getConnectedAppToken(SESSION)
  assert.deepEqual(paths(), ['token', 'token', 'token'])
  const [first, second, third] = broker.asked
  assert.equal(first?.path, '/oauth2/token')
  assert.equal(first?.method, 'POST')
  assert.equal(first?.headers['content-type'], 'application/x-www-form-urlencoded')
  assert.deepEqual(form(first), { grant_type: 'client_credentials', client_id: 'backend', client_secret: SECRET })
  assert.equal(second?.headers.authorization, 'Bearer bearer-1')
  assert.equal(third?.headers.authorization, 'Bearer bearer-1')
})

test('scopes and audience are asked for where they were given', async (t) => {
  const { broker } = await issuing(t)
  const scopes = ['read:connected_apps', 'create:connected_apps']
  const api = new ConnectedAppsApi({
    host: broker.host,
    clientId: 'a',
    clientSecret: 's&=+',
    scopes,
    audience: 'https://a.example/api',
  })
  await api.getConnectedAppToken(SESSION)
  const { client_secret, scope, audience } = form(broker.asked[0])
  assert.deepEqual(
    [client_secret, scope, audience],
    ['s&=+', 'read:connected_apps create:connected_apps', 'https://a.example/api'],
  )
})

test('many calls at once fetch one bearer', async (t) => {
  const { api, broker } = await issuing(t)
  await Promise.all(Array.from({ length: 20 }, () => api.getConnectedAppToken(SESSION)))
  assert.equal(broker.asked.filter(({ path }) => path === '/oauth2/token').length, 1)
})

test("a bearer that is refused after the broker's key changed is fetched anew, once for all calls, and the calls succeed", async (t) => {
  const { api, broker, invalidate } = await issuing(t)
  await api.getConnectedAppToken(SESSION)
  invalidate()
  const answers = await Promise.all(Array.from({ length: 10 }, () => api.getConnectedAppToken(SESSION)))
  assert(answers.every(({ status }) => status === 200))
  assert.equal(broker.asked.filter(({ path }) => path === '/oauth2/token').length, 2)
})

test('a POST is sent again too when its bearer was refused: nothing was done yet', async (t) => {
  const { api, paths } = await issuing(t, { takes: (nth) => nth === 2 })
  await api.revokeConnectedAppToken(SESSION)
  assert.deepEqual(paths(), ['token', 'revoke', 'token', 'revoke'])
})

test('a broker that refuses every bearer is asked for one more, and then believed', async (t) => {
  const { api, broker } = await issuing(t, { takes: () => false })
  await assert.rejects(api.getConnectedAppToken(SESSION), { status: 403, code: 'INVALID_CREDENTIALS' })
  assert.equal(broker.asked.length, 4)
})

test('no other refusal makes it fetch a bearer', async (t) => {
  let issued = 0
  const broker = await fakeBroker(t, ({ path }, response) => {
    if (path !== '/oauth2/token') return refuse(response, 403, 'INSUFFICIENT_SCOPE')
    issued++
    return json(response, { access_token: 'b', token_type: 'bearer', expires_in: 60 })
  })
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'a', clientSecret: SECRET })
  await assert.rejects(api.getConnectedAppToken(SESSION), { code: 'INSUFFICIENT_SCOPE' })
  assert.equal(issued, 1)
})

test('a given token that is refused is not tried again', async (t) => {
  const broker = await fakeBroker(t, (_, response) => refuse(response, 403, 'INVALID_CREDENTIALS'))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: () => 'x' })
  await assert.rejects(api.getConnectedAppToken(SESSION), { code: 'INVALID_CREDENTIALS' })
  assert.equal(broker.asked.length, 1)
})

test('an expired bearer is fetched anew; expires_in may be text', async (t) => {
  const { api, paths } = await issuing(t, { expires_in: '0' })
  await api.getConnectedAppToken(SESSION)
  await api.getConnectedAppToken(SESSION)
  assert.deepEqual(paths(), ['token', 'token', 'token', 'token'])
})

test('a bearer is renewed before it ends, behind a call that does not wait for it', async () => {
  let now = 0
  let asked = 0
  const { promise: slow, resolve } = Promise.withResolvers<void>()
  const bearer = renewedBearer(
    async () => {
      if (++asked > 1) await slow
      return { token: `bearer-${asked}`, lifetime: 3600 }
    },
    () => now,
  )
  assert.equal(await bearer.get(), 'bearer-1')
  now = 3_539_000
  assert.equal(await bearer.get(), 'bearer-1')
  assert.equal(asked, 1)
  now = 3_541_000
  assert.equal(await bearer.get(), 'bearer-1')
  assert.equal(await bearer.get(), 'bearer-1')
  assert.equal(asked, 2)
  resolve()
  await until(async () => (await bearer.get()) === 'bearer-2')
  assert.equal(asked, 2)
})

test('a renewal that fails takes away no bearer that still works, and is tried again', async () => {
  let now = 0
  let asked = 0
  const bearer = renewedBearer(
    async () => {
      if (++asked === 2) throw new Error('down')
      return { token: `bearer-${asked}`, lifetime: 100 }
    },
    () => now,
  )
  await bearer.get()
  now = 80_000
  assert.equal(await bearer.get(), 'bearer-1')
  await until(async () => (await bearer.get()) === 'bearer-3')
})

test('a bearer that could not be asked for is asked for again, and then the call is made: a POST still once', async (t) => {
  const { broker, paths } = await issuing(t)
  let calls = 0
  const fetch: Fetch = async (url, init) => {
    if (++calls <= 2) throw new TypeError('no connection')
    return globalThis.fetch(url, init)
  }
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'backend', clientSecret: SECRET, fetch })
  await api.revokeConnectedAppToken(SESSION)
  assert.deepEqual(paths(), ['token', 'revoke'])
})

test('with { connect, read } a call waits for its bearer no longer than for an answer', async (t) => {
  const broker = await fakeBroker(t, () => {})
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'a', clientSecret: SECRET })
  t.after(() => api.close())
  await assert.rejects(api.getConnectedAppToken(SESSION, { timeout: { connect: 20, read: 15 } }), /no bearer token within 35 ms/)
})

test('when no bearer can be had, the call fails with what the token endpoint said', async (t) => {
  const broker = await fakeBroker(t, (_, response) =>
    json(response, { error: 'invalid_client', error_description: 'unknown client' }, 401),
  )
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'a', clientSecret: SECRET })
  await assert.rejects(api.getConnectedAppToken(SESSION), (error: Error) => {
    assert(error instanceof ApiException)
    assert.equal(error.code, 'invalid_client')
    assert.equal(error.message, '401 Unauthorized: invalid_client: unknown client')
    return true
  })
  assert.equal(broker.asked.length, 1)
})

test('a call that is aborted does not take the bearer from those that wait with it', async (t) => {
  const { promise: go, resolve } = Promise.withResolvers<void>()
  const broker = await fakeBroker(t, async ({ path }, response) => {
    if (path === '/oauth2/token') await go
    json(response, { ...TOKEN, token_type: 'bearer', expires_in: 60 })
  })
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'a', clientSecret: SECRET })
  const stop = new AbortController()
  const impatient = api.getConnectedAppToken(SESSION, { signal: stop.signal })
  const patient = api.getConnectedAppToken(SESSION)
  await broker.arrived(1)
  stop.abort()
  await assert.rejects(impatient, { name: 'AbortError' })
  resolve()
  assert.equal((await patient).status, 200)
  assert.equal(broker.asked.length, 2)
})

test('nothing that a program prints of a client or of its failures holds a secret', async (t) => {
  const broker = await fakeBroker(t, ({ path, body, headers }, response) => {
    if (path === '/oauth2/token') json(response, { error: 'invalid_client', error_description: body }, 401)
    else
      json(response, { result: JSON.stringify(headers), errors: [{ code: 'INTERNAL', message: JSON.stringify(headers) }] }, 500)
  })
  const own = new ConnectedAppsApi({ host: broker.host, clientId: 'a', clientSecret: SECRET })
  const given = new ConnectedAppsApi({ host: broker.host, accessToken: SECRET })
  const printed: string[] = []
  for (const api of [own, given]) {
    const error = await api.getConnectedAppToken(SESSION).catch((error: unknown) => error)
    assert(error instanceof ApiException)
    for (const thing of [api, error]) {
      printed.push(inspect(thing, { depth: 9, showHidden: true }), JSON.stringify(thing), JSON.stringify(Object.entries(thing)))
    }
    printed.push(error.message, error.stack ?? '')
  }
  for (const text of printed) assert.doesNotMatch(text, new RegExp(SECRET))
  assert.match(printed.join(), /\[secret\]/)
})

test('a function that gives no token is told so, and what it gave is not shown', async () => {
  const fetch = () => assert.fail('a request was sent')
  for (const token of ['', `Bearer ${SECRET}`, `${SECRET}\r\nx: y`, 7, undefined]) {
    const api = new ConnectedAppsApi({ accessToken: () => token as string, fetch })
    await assert.rejects(api.getConnectedAppToken(SESSION), (error: Error) => {
      assert(error instanceof ArgumentError)
      assert.doesNotMatch(error.message, new RegExp(SECRET))
      return true
    })
  }
})

function form(asked: Asked | undefined): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(asked?.body))
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}
