/** Requests to a provider's API: which are sent again, with what, and which are not. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Answering, type FakeBroker, fakeBroker, json, refuse } from '../test/fake-broker.ts'
import { ArgumentError, ConnectedAppsApi } from './sdk.ts'

interface Scene {
  readonly api: ConnectedAppsApi
  readonly broker: FakeBroker
  readonly provider: FakeBroker
  /** At the provider. */
  readonly url: string
}

/** A broker whose next token is `token-2`, as long as it is asked for another one, and a provider. */
async function scene(t: TestContext, answering: Answering, { hasAnother = true } = {}): Promise<Scene> {
  const broker = await fakeBroker(t, ({ query }, response) =>
    json(response, { access_token: hasAnother && query['force_refresh'] === 'true' ? 'token-2' : 'token-1' }),
  )
  const provider = await fakeBroker(t, answering)
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-1' })
  t.after(() => api.close())
  return { api, broker, provider, url: `${provider.host}/user/repos?page=2` }
}

const refusing: Answering = ({ headers }, response) =>
  headers.authorization === 'Bearer token-2' ? json(response, { ok: true }) : json(response, { message: 'Bad credentials' }, 401)

test('a request goes out with the token, and everything else as it was given', async (t) => {
  const { api, broker, provider, url } = await scene(t, (_, response) => json(response, { id: 1 }, 201))
  const answer = await api.fetch('s1', url, {
    method: 'POST',
    body: '{"name":"x"}',
    headers: { 'content-type': 'application/json', 'x-mine': '1' },
  })
  assert.equal(answer.status, 201)
  assert.deepEqual(await answer.json(), { id: 1 })
  const [asked] = provider.asked
  assert.deepEqual(
    [asked?.method, asked?.path, asked?.query, asked?.body],
    ['POST', '/user/repos', { page: '2' }, '{"name":"x"}'],
  )
  assert.deepEqual([asked?.headers.authorization, asked?.headers['x-mine']], ['Bearer token-1', '1'])
  assert.deepEqual(
    broker.asked.map(({ query }) => query),
    [{ session_id: 's1' }],
  )
})

test('requests that only read share a connection, whether they name their method or not', async (t) => {
  const connections = new Set<number | undefined>()
  const { api, url } = await scene(t, (_, response) => {
    connections.add(response.socket?.remotePort)
    json(response, {})
  })
  for (const init of [{}, {}, { method: 'GET' }, { method: 'get' }]) await (await api.fetch('s1', url, init)).text()
  assert.equal(connections.size, 1)
})

test('F-52 a token that the provider refuses is replaced once, and the request sent again', async (t) => {
  const { api, broker, provider, url } = await scene(t, refusing)
  const bodies = ['text', new URLSearchParams({ a: '1' }), new Blob(['blob']), new TextEncoder().encode('bytes')]
  for (const body of bodies) {
    const answer = await api.fetch('s1', new URL(url), { method: 'PUT', body })
    assert.equal(answer.status, 200)
  }
  assert.deepEqual(
    provider.asked.map(({ headers, body }) => `${headers.authorization} ${body}`),
    ['text', 'a=1', 'blob', 'bytes'].flatMap((body) => [`Bearer token-1 ${body}`, `Bearer token-2 ${body}`]),
  )
  assert.deepEqual(broker.asked[1]?.query, { session_id: 's1', force_refresh: 'true' })
})

test('F-52 a second refusal is the answer, and so is the first where the broker has no other token', async (t) => {
  const always = await scene(t, (_, response) => json(response, { message: 'no' }, 401))
  assert.equal((await always.api.fetch('s1', always.url)).status, 401)
  assert.deepEqual([always.provider.asked.length, always.broker.asked.length], [2, 2])

  const same = await scene(t, refusing, { hasAnother: false })
  const answer = await same.api.fetch('s1', same.url)
  assert.deepEqual([answer.status, await answer.json()], [401, { message: 'Bad credentials' }])
  assert.deepEqual([same.provider.asked.length, same.broker.asked.length], [1, 2])
})

for (const status of [403, 429, 500, 503]) {
  test(`F-52 ${status} is the answer: no token is asked for, and nothing is sent again`, async (t) => {
    const { api, broker, provider, url } = await scene(t, (_, response) => json(response, { message: 'slow down' }, status))
    const answer = await api.fetch('s1', url)
    assert.deepEqual([answer.status, await answer.json()], [status, { message: 'slow down' }])
    assert.deepEqual([provider.asked.length, broker.asked.length], [1, 1])
  })
}

test('F-52 a stream is not sent again: it is gone', async (t) => {
  const { api, broker, provider, url } = await scene(t, refusing)
  const body = new Blob(['streamed']).stream()
  // Not among the types of every runtime, and needed by Node for a stream.
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit
  assert.equal((await api.fetch('s1', url, init)).status, 401)
  assert.deepEqual([provider.asked.map((asked) => asked.body), broker.asked.length], [['streamed'], 1])
})

test('F-52 a 401 from where a redirect led is the answer: the provider has acted, and that other server never saw the token', async (t) => {
  const elsewhere = await fakeBroker(t, (_, response) => json(response, { message: 'who are you?' }, 401))
  const { api, broker, provider, url } = await scene(t, (_, response) =>
    response.writeHead(302, { location: `${elsewhere.host}/receipt` }).end(),
  )
  const answer = await api.fetch('s1', url, { method: 'POST', body: 'pay' })
  assert.deepEqual([answer.status, await answer.json()], [401, { message: 'who are you?' }])
  assert.deepEqual([provider.asked.length, broker.asked.length], [1, 1])
  assert.equal(elsewhere.asked[0]?.headers.authorization, undefined)
})

test('a token is sent to no address in the clear, and not beside another one', async (t) => {
  const { api, broker } = await scene(t, (_, response) => json(response, {}))
  for (const url of ['http://api.example/user', 'ftp://api.example/', '/user', 'file:///etc/passwd', 'http://localhost.example/'])
    await assert.rejects(api.fetch('s1', url), ArgumentError)
  const headers = { Authorization: 'Bearer mine' }
  await assert.rejects(api.fetch('s1', 'https://api.example/', { headers }), /leave the header authorization out/)
  assert.equal(broker.asked.length, 0)
})

test('a token that no header takes is sent nowhere, and quoted in no error', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, { access_token: 'hush\nhush' }))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-1' })
  t.after(() => api.close())
  const provider = await fakeBroker(t, refusing)
  const error: unknown = await api.fetch('s1', provider.host).catch((thrown: unknown) => thrown)
  assert.match(String(error), /no header takes/)
  assert.doesNotMatch(String((error as Error).stack), /hush/)
  assert.equal(provider.asked.length, 0)
})

test('what the broker refuses is thrown, and nothing is sent to the provider', async (t) => {
  const broker = await fakeBroker(t, (_, response) =>
    json(response, { result: 'connect again', errors: [{ code: 'RECONNECT_REQUIRED', message: 'connect again' }] }, 400),
  )
  const provider = await fakeBroker(t, (_, response) => json(response, {}))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-1' })
  t.after(() => api.close())
  await assert.rejects(api.fetch('s1', provider.host), { code: 'RECONNECT_REQUIRED' })
  assert.equal(provider.asked.length, 0)
})

test('a refusal that nobody will read is hung up on when the broker has no token instead', async (t) => {
  const broker = await fakeBroker(t, ({ query }, response) =>
    query['force_refresh'] === 'true' ? refuse(response, 400, 'RECONNECT_REQUIRED') : json(response, { access_token: 'token-1' }),
  )
  const { promise: hungUp, resolve } = Promise.withResolvers<void>()
  const provider = await fakeBroker(t, (_, response) => response.on('close', resolve).writeHead(401).write('half of a refusal'))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-1' })
  await assert.rejects(api.fetch('s1', provider.host), { code: 'RECONNECT_REQUIRED' })
  await hungUp
})
