/** Every method: what it sends, what it refuses to send, and what it gives back. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Answering, type FakeBroker, fakeBroker, json } from '../test/fake-broker.ts'
import { ConnectedAppsApi, type ConnectionItem } from './sdk.ts'

const AUTH_URL = { url: 'https://provider.example/authorize?state=1', session_id: 's1' }
const TOKEN = { access_token: 'ya29.abc', access_token_expiry: '2026-01-31T12:00:00.000Z' }
const DONE = { result: 'revoked', message: 'Success', code: 'OK' }
const CONNECTION: ConnectionItem = {
  session_id: 's1',
  key_code_ref: 'local',
  provider: 'local',
  user_id: 'u1',
  org_code: null,
  label: null,
  state: 'connected',
  reason: null,
  detail: null,
  revocation: null,
  granted_scopes: ['files.read'],
  missing_scopes: [],
  account: { id: '7', label: 'ann@example.com' },
  access_token_expiry: null,
  created_at: '2026-01-31T11:00:00.000Z',
  connected_at: '2026-01-31T11:01:00.000Z',
  last_renewed_at: null,
  last_used_on: null,
}

async function clientOf(t: TestContext, answering: Answering): Promise<{ api: ConnectedAppsApi; broker: FakeBroker }> {
  const broker = await fakeBroker(t, answering)
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-1' })
  t.after(() => api.close())
  return { api, broker }
}

test('getConnectedAppAuthUrl asks with the bearer and gives response, status, headers and body', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, AUTH_URL))
  const query = { key_code_ref: 'local', user_id: 'u/1 é&', org_code: 'o1', override_callback_url: 'https://app.example/cb?x=1' }
  const { response, status, headers, body } = await api.getConnectedAppAuthUrl(query)

  assert.deepEqual(body, AUTH_URL)
  assert.equal(status, 200)
  assert.equal(headers.get('content-type'), 'application/json')
  assert(response instanceof Response)
  const [asked] = broker.asked
  assert.equal(asked?.method, 'GET')
  assert.equal(asked?.path, '/api/v1/connected_apps/auth_url')
  assert.deepEqual(asked?.query, query)
  assert.equal(asked?.headers.authorization, 'Bearer bearer-1')
  assert.equal(asked?.headers.accept, 'application/json')
})

test('a broken connection is connected again under its session_id', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, AUTH_URL))
  await api.getConnectedAppAuthUrl({ key_code_ref: 'local', user_id: 'u1', session_id: 's1' })
  assert.equal(broker.asked[0]?.query['session_id'], 's1')
})

test('a user_id arrives exactly: text, safe integer or bigint of any size', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, AUTH_URL))
  for (const user_id of ['007', 42, 12345678901234567890n, Number.MAX_SAFE_INTEGER])
    await api.getConnectedAppAuthUrl({ key_code_ref: 'local', user_id })
  assert.deepEqual(
    broker.asked.map(({ query }) => query['user_id']),
    ['007', '42', '12345678901234567890', '9007199254740991'],
  )
})

test('an optional key that is undefined is left out', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, AUTH_URL))
  await api.getConnectedAppAuthUrl({ key_code_ref: 'local', user_id: undefined, org_code: 'o1' })
  assert.deepEqual(broker.asked[0]?.query, { key_code_ref: 'local', org_code: 'o1' })
})

test('getConnectedAppToken gives the token and when it ends', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, TOKEN))
  const { body } = await api.getConnectedAppToken({ session_id: 's1' })
  const ends: string | undefined = body.access_token_expiry
  assert.deepEqual(body, TOKEN)
  assert.equal(ends, TOKEN.access_token_expiry)
  assert.equal(broker.asked[0]?.url, '/api/v1/connected_apps/token?session_id=s1')
})

test('revokeConnectedAppToken posts, with everything in the query and no body', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, DONE))
  const { body } = await api.revokeConnectedAppToken({ session_id: 's1' })
  assert.deepEqual(body, DONE)
  const [asked] = broker.asked
  assert.equal(asked?.method, 'POST')
  assert.equal(asked?.url, '/api/v1/connected_apps/revoke?session_id=s1')
  assert.equal(asked?.body, '')
})

test('complete posts session, code and owner as JSON, and nothing of it in the URL', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, CONNECTION))
  const { body } = await api.complete({ session_id: 's1', completion_code: 'c1', user_id: 12345678901234567890n })
  assert.deepEqual(body, CONNECTION)
  const [asked] = broker.asked
  assert.equal(asked?.method, 'POST')
  assert.equal(asked?.url, '/api/v1/connected_apps/complete')
  assert.equal(asked?.headers['content-type'], 'application/json')
  assert.deepEqual(JSON.parse(asked?.body ?? ''), { session_id: 's1', completion_code: 'c1', user_id: '12345678901234567890' })
})

test('complete takes a user, an organisation or both: not neither', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, CONNECTION))
  // @ts-expect-error: refused by the types as well
  await assert.rejects(api.complete({ session_id: 's1', completion_code: 'c1' }), /user_id, org_code or both/)
  await api.complete({ session_id: 's1', completion_code: 'c1', org_code: 'o1' })
  assert.deepEqual(JSON.parse(broker.asked[0]?.body ?? ''), { session_id: 's1', completion_code: 'c1', org_code: 'o1' })
  await api.complete({ session_id: 's1', completion_code: 'c1', user_id: 'u1', org_code: 'o1' })
  assert.deepEqual(JSON.parse(broker.asked[1]?.body ?? ''), {
    session_id: 's1',
    completion_code: 'c1',
    user_id: 'u1',
    org_code: 'o1',
  })
})

test('listConnections sends its filters and gives one page', async (t) => {
  const page = { connections: [CONNECTION], next_token: 'p2' }
  const { api, broker } = await clientOf(t, (_, response) => json(response, page))
  const { body } = await api.listConnections({
    user_id: 7,
    key_code_ref: 'local',
    state: 'broken',
    label: 'work',
    page_size: 20,
    next_token: 'p1',
  })
  assert.deepEqual(body, page)
  const [asked] = broker.asked
  assert.equal(asked?.path, '/api/v1/connections')
  assert.deepEqual(asked?.query, {
    user_id: '7',
    key_code_ref: 'local',
    state: 'broken',
    label: 'work',
    page_size: '20',
    next_token: 'p1',
  })
})

test('listConnections without filters asks for everything', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, { connections: [], next_token: null }))
  await api.listConnections()
  assert.equal(broker.asked[0]?.url, '/api/v1/connections')
})

test('allConnections walks every page, and fetches none before it is needed', async (t) => {
  const names: Record<string, string[]> = { '': ['a', 'b'], p2: ['c'], p3: [] }
  const next: Record<string, string | null> = { '': 'p2', p2: 'p3', p3: null }
  const { api, broker } = await clientOf(t, ({ query }, response) => {
    const at = query['next_token'] ?? ''
    json(response, { connections: names[at]?.map((session_id) => ({ ...CONNECTION, session_id })), next_token: next[at] })
  })
  const all: string[] = []
  for await (const { session_id } of api.allConnections({ user_id: 'u1', page_size: 2 })) {
    all.push(session_id)
    if (session_id === 'b') assert.equal(broker.asked.length, 1)
  }
  assert.deepEqual(all, ['a', 'b', 'c'])
  assert(broker.asked.every(({ query }) => query['user_id'] === 'u1' && query['page_size'] === '2'))
})

test('allConnections ends with an error where a list would go in a circle', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, { connections: [CONNECTION], next_token: 'again' }))
  const walk = async () => {
    for await (const { session_id } of api.allConnections()) assert.equal(session_id, 's1')
  }
  await assert.rejects(walk, /circle/)
  assert.equal(broker.asked.length, 2)
})

test('allEvents walks every page from the event that was seen last', async (t) => {
  const event = { id: 'evt_8', type: 'connection.broken', timestamp: '2026-01-31T12:00:00.000Z', data: { session_id: 's1' } }
  const { api, broker } = await clientOf(t, ({ query }, response) =>
    json(response, query['next_token'] ? { events: [], next_token: null } : { events: [event], next_token: 'evt_8' }),
  )
  const all: string[] = []
  for await (const { id } of api.allEvents({ after: 'evt_7', type: 'connection.broken', session_id: 's1' })) all.push(id)
  assert.deepEqual(all, ['evt_8'])
  const asked = { after: 'evt_7', type: 'connection.broken', session_id: 's1' }
  assert.deepEqual(
    broker.asked.map(({ path, query }) => ({ path, query })),
    [
      { path: '/api/v1/events', query: asked },
      { path: '/api/v1/events', query: { ...asked, next_token: 'evt_8' } },
    ],
  )
})

test('getConnection, relabelConnection and deleteConnection name the session in the path', async (t) => {
  const { api, broker } = await clientOf(t, ({ method }, response) => json(response, method === 'DELETE' ? DONE : CONNECTION))
  assert.deepEqual((await api.getConnection('a/b c')).body, CONNECTION)
  assert.deepEqual((await api.relabelConnection('s1', 'work')).body, CONNECTION)
  await api.relabelConnection('s1', null)
  assert.deepEqual((await api.deleteConnection('s1')).body, DONE)
  assert.deepEqual(
    broker.asked.map(({ method, url, body }) => `${method} ${url} ${body}`),
    [
      'GET /api/v1/connections/a%2Fb%20c ',
      'PATCH /api/v1/connections/s1 {"label":"work"}',
      'PATCH /api/v1/connections/s1 {"label":null}',
      'DELETE /api/v1/connections/s1 ',
    ],
  )
})

test('deleteConnection is content with an answer that has no body', async (t) => {
  const { api } = await clientOf(t, (_, response) => response.writeHead(204).end())
  const { status, body } = await api.deleteConnection('s1')
  assert.equal(status, 204)
  assert.equal(body, undefined)
})

test('acceptContentTypes become one Accept header', async (t) => {
  const { api, broker } = await clientOf(t, (_, response) => json(response, TOKEN))
  await api.getConnectedAppToken(
    { session_id: 's1' },
    { acceptContentTypes: ['application/json; charset=utf-8', 'text/plain;q=0.5'] },
  )
  assert.equal(broker.asked[0]?.headers.accept, 'application/json; charset=utf-8, text/plain;q=0.5')
})

test('an answer that lacks what it promises is an error, and the error shows nothing of it', async (t) => {
  const bodies = ['<html>secret-1</html>', '"secret-1"', '{"session_id":"secret-1"}', '']
  const { api } = await clientOf(t, (_, response, nth) => response.end(bodies[nth - 1]))
  for (const _ of bodies) {
    await assert.rejects(api.getConnectedAppToken({ session_id: 's1' }), (error: Error & { body?: unknown }) => {
      assert.match(error.message, /no JSON object with access_token/)
      assert.equal(error.name, 'ApiException')
      assert.equal(error.body, undefined)
      return true
    })
  }
})

test('a trailing slash of the host is harmless, and a path before the API is kept', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, TOKEN))
  for (const host of [broker.host, `${broker.host}/`, `${broker.host}//`, `${broker.host}/broker/`]) {
    await new ConnectedAppsApi({ host, accessToken: 'x' }).getConnectedAppToken({ session_id: 's1' })
  }
  const path = '/api/v1/connected_apps/token'
  assert.deepEqual(
    broker.asked.map((asked) => asked.path),
    [path, path, path, `/broker${path}`],
  )
})

test('a function as accessToken is asked before every request', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, TOKEN))
  let count = 0
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: async () => `bearer-${++count}` })
  await api.getConnectedAppToken({ session_id: 's1' })
  await api.getConnectedAppToken({ session_id: 's1' })
  assert.deepEqual(
    broker.asked.map(({ headers }) => headers.authorization),
    ['Bearer bearer-1', 'Bearer bearer-2'],
  )
})

test('an own fetch is used instead of the global one', async () => {
  const urls: string[] = []
  const fetch = async (url: string) => {
    urls.push(url)
    return Response.json(TOKEN)
  }
  const api = new ConnectedAppsApi({ accessToken: 'x', fetch })
  assert.equal((await api.getConnectedAppToken({ session_id: 's1' })).body.access_token, TOKEN.access_token)
  assert.deepEqual(urls, ['https://app.kinde.com/api/v1/connected_apps/token?session_id=s1'])
})
