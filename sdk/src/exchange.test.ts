/** What happens when the network does not do as it should, and when a call is to end early. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fakeBroker, json } from '../test/fake-broker.ts'
import { backoff, type Fetch } from './exchange.ts'
import { ConnectedAppsApi, ConnectionError, TimeoutError } from './sdk.ts'

const TOKEN = { access_token: 'ya29.abc' }
const SESSION = { session_id: 's1' }

/** Counts how often fetch is called; the first `times` calls meet a port where nobody listens. */
async function unreachable(t: TestContext, times: number): Promise<{ fetch: Fetch; calls: () => number }> {
  const nobody = await fakeBroker(t, () => {})
  await nobody.close()
  let calls = 0
  const fetch: Fetch = (url, init) => {
    const { pathname, search } = new URL(url)
    return globalThis.fetch(++calls <= times ? `${nobody.host}${pathname}${search}` : url, init)
  }
  return { fetch, calls: () => calls }
}

test('a GET that got no connection is tried again until one stands', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, TOKEN))
  const { fetch, calls } = await unreachable(t, 2)
  const { body } = await new ConnectedAppsApi({ host: broker.host, accessToken: 'x', fetch }).getConnectedAppToken(SESSION)
  assert.deepEqual(body, TOKEN)
  assert.equal(calls(), 3)
  assert.equal(broker.asked.length, 1)
})

test('a GET is given up after its retries, and the error says what and where, not which session', async (t) => {
  const { fetch, calls } = await unreachable(t, Infinity)
  const api = new ConnectedAppsApi({ host: 'http://localhost:4400', accessToken: 'x', retries: 1, fetch })
  await assert.rejects(api.getConnection('session-secret'), (error: Error) => {
    assert(error instanceof ConnectionError && !(error instanceof TimeoutError))
    assert.equal(error.message, 'GET /api/v1/connections/{session_id}: no connection to http://localhost:4400')
    assert(error.cause instanceof Error)
    return true
  })
  assert.equal(calls(), 2)
})

/** Everything that is not a GET. */
const CHANGES: readonly ((api: ConnectedAppsApi) => Promise<unknown>)[] = [
  (api) => api.revokeConnectedAppToken(SESSION),
  (api) => api.complete({ ...SESSION, completion_code: 'c1', user_id: 'u1' }),
  (api) => api.relabelConnection('s1', 'work'),
  (api) => api.deleteConnection('s1'),
]

test('POST, PATCH and DELETE are tried once', async (t) => {
  const { fetch, calls } = await unreachable(t, Infinity)
  const api = new ConnectedAppsApi({ accessToken: 'x', fetch })
  for (const change of CHANGES) await assert.rejects(change(api), ConnectionError)
  assert.equal(calls(), CHANGES.length)
})

// Its fetch repeats what it sends by itself, and nothing that is said to it prevents that.
const repeating =
  /^(0|1|2\.[0-8]|2\.9\.[0-5])\b/.test(denoVersion() ?? '') && 'platform: Deno before 2.9.6 sends every request twice'

test('POST, PATCH and DELETE reach a broker once that hangs up on them, on a new connection or a kept one', {
  skip: repeating,
}, async (t) => {
  const broker = await fakeBroker(t, ({ method }, response) => (method === 'GET' ? json(response, TOKEN) : response.destroy()))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  const changes = () => broker.asked.filter(({ method }) => method !== 'GET').length
  for (const change of CHANGES) await assert.rejects(change(api), ConnectionError)
  assert.equal(changes(), CHANGES.length)
  for (const change of CHANGES) {
    await api.getConnectedAppToken(SESSION)
    await assert.rejects(change(api), ConnectionError)
  }
  assert.equal(changes(), 2 * CHANGES.length)
})

test('an answer from the broker is final, even a 503', async (t) => {
  const broker = await fakeBroker(t, (_, response) => response.writeHead(503).end())
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  await assert.rejects(api.getConnectedAppToken(SESSION), { status: 503 })
  assert.equal(broker.asked.length, 1)
})

test('a GET whose answer was cut off in the middle is tried again', async (t) => {
  const broker = await fakeBroker(t, (_, response, nth) => {
    if (nth > 1) return json(response, TOKEN)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"access_token":', () => response.destroy())
  })
  const { body } = await new ConnectedAppsApi({ host: broker.host, accessToken: 'x' }).getConnectedAppToken(SESSION)
  assert.deepEqual(body, TOKEN)
  assert.equal(broker.asked.length, 2)
})

test('pauses between tries double up to a limit, and chance takes away up to half', () => {
  assert.deepEqual(
    [1, 2, 3, 9].map((tried) => backoff(tried, 1)),
    [100, 200, 400, 2000],
  )
  assert.deepEqual(
    [1, 2, 3, 9].map((tried) => backoff(tried, 0)),
    [50, 100, 200, 1000],
  )
})

test('a timeout in milliseconds limits the whole call', async (t) => {
  const broker = await fakeBroker(t, () => {})
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  await assert.rejects(api.getConnectedAppToken(SESSION, { timeout: 30 }), (error: Error) => {
    assert(error instanceof TimeoutError && error instanceof ConnectionError)
    assert.match(error.message, /longer than 30 ms/)
    return true
  })
  assert(broker.asked.length <= 1, 'a call that ran out of time is not tried again')
})

test('a timeout in milliseconds limits a body that trickles in', async (t) => {
  const broker = await fakeBroker(t, (_, response) => {
    response.writeHead(200)
    const dripping = setInterval(() => response.write(' '), 5)
    response.on('close', () => clearInterval(dripping))
  })
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x', timeout: 60 })
  await assert.rejects(api.getConnectedAppToken(SESSION), /longer than 60 ms/)
})

test('with { connect, read } an answer that never begins ends within both', async (t) => {
  const broker = await fakeBroker(t, () => {})
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  await assert.rejects(api.getConnectedAppToken(SESSION, { timeout: { connect: 20, read: 15 } }), /no answer within 35 ms/)
})

test('with { connect, read } a body that falls silent ends after read', async (t) => {
  const broker = await fakeBroker(t, (_, response) => response.writeHead(200).write('{"access_'))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  await assert.rejects(
    api.getConnectedAppToken(SESSION, { timeout: { connect: 5_000, read: 40 } }),
    /nothing more came within 40 ms/,
  )
})

test('with { connect, read } a body that keeps coming may take longer than both', async (t) => {
  const broker = await fakeBroker(t, (_, response) => {
    response.writeHead(200)
    let left = 20
    const dripping = setInterval(() => {
      response.write(' ')
      if (--left > 0) return
      clearInterval(dripping)
      response.end(JSON.stringify(TOKEN))
    }, 25)
  })
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x', timeout: { connect: 50, read: 400 } })
  assert.deepEqual((await api.getConnectedAppToken(SESSION)).body, TOKEN)
})

test('a timeout of Infinity is no limit', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, TOKEN))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x', timeout: Infinity })
  assert.deepEqual((await api.getConnectedAppToken(SESSION)).body, TOKEN)
})

test('an aborted signal ends the call with its reason, and the connection with it', async (t) => {
  const { promise: hungUp, resolve } = Promise.withResolvers<void>()
  const broker = await fakeBroker(t, (_, response) => response.on('close', resolve))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  const stop = new AbortController()
  const call = api.getConnectedAppToken(SESSION, { signal: stop.signal })
  await broker.arrived(1)
  const reason = new Error('the user left')
  stop.abort(reason)
  await assert.rejects(call, (error) => error === reason)
  await hungUp
  assert.equal(broker.asked.length, 1)
})

test('a signal that was aborted before means that nothing is sent, not even for a bearer', async () => {
  let calls = 0
  const fetch = async () => {
    calls++
    return Response.json(TOKEN)
  }
  const api = new ConnectedAppsApi({ clientId: 'c', clientSecret: 's', fetch })
  await assert.rejects(api.getConnectedAppToken(SESSION, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  assert.equal(calls, 0)
})

test('a signal that is aborted while the bearer is looked up ends the call there', async () => {
  const stop = new AbortController()
  const accessToken = () => {
    stop.abort()
    return 'x'
  }
  const api = new ConnectedAppsApi({ accessToken, fetch: () => new Promise(() => {}) })
  await assert.rejects(api.getConnectedAppToken(SESSION, { signal: stop.signal }), { name: 'AbortError' })
})

test('a signal ends the pause before the next try', async (t) => {
  const { fetch, calls } = await unreachable(t, Infinity)
  const stop = new AbortController()
  const stopping = (...args: Parameters<typeof fetch>) => fetch(...args).finally(() => setImmediate(() => stop.abort()))
  const api = new ConnectedAppsApi({ accessToken: 'x', retries: 10, fetch: stopping })
  await assert.rejects(api.getConnectedAppToken(SESSION, { signal: stop.signal }), { name: 'AbortError' })
  assert.equal(calls(), 1)
})

test('an own fetch that does not listen to signals is not waited for', async () => {
  const api = new ConnectedAppsApi({ accessToken: 'x', fetch: () => new Promise(() => {}) })
  await assert.rejects(api.getConnectedAppToken(SESSION, { timeout: 20 }), TimeoutError)
})

test('a call ends with the reason of the signal, whatever an own fetch makes of it', async () => {
  const stop = new AbortController()
  const fetch: Fetch = (_, { signal }) => {
    return new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('something else')))
      stop.abort(new Error('the user left'))
    })
  }
  const api = new ConnectedAppsApi({ accessToken: 'x', fetch })
  await assert.rejects(api.getConnectedAppToken(SESSION, { signal: stop.signal }), /the user left/)
})

test('a long-lived signal is let go after every call', async (t) => {
  const broker = await fakeBroker(t, (_, response) => json(response, TOKEN))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  const { signal } = new AbortController()
  let listening = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listening++
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listening--
    remove(...args)
  }
  await api.getConnectedAppToken(SESSION, { signal })
  const { body } = await api.getConnectedAppToken(SESSION, { signal, stream: true })
  assert.equal(listening, 1)
  await new Response(body).text()
  assert.equal(listening, 0)
  await broker.close()
  await assert.rejects(api.revokeConnectedAppToken(SESSION, { signal }), ConnectionError)
  assert.equal(listening, 0)
})

test('close ends what is under way and refuses what comes after', async (t) => {
  const broker = await fakeBroker(t, () => {})
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  const call = api.getConnectedAppToken(SESSION)
  await broker.arrived(1)
  api.close()
  await assert.rejects(call, /this client was closed/)
  await assert.rejects(api.getConnectedAppToken(SESSION), ConnectionError)
  assert.equal(broker.asked.length, 1)
  api.close()
})

test('close ends the fetching of a bearer too', async (t) => {
  const { promise: hungUp, resolve } = Promise.withResolvers<void>()
  const broker = await fakeBroker(t, (_, response) => response.on('close', resolve))
  const api = new ConnectedAppsApi({ host: broker.host, clientId: 'c', clientSecret: 's' })
  const call = api.getConnectedAppToken(SESSION)
  await broker.arrived(1)
  api.close()
  await assert.rejects(call, /this client was closed/)
  await hungUp
})

test('a client disposed of by `await using` is closed', async () => {
  const api = new ConnectedAppsApi({ accessToken: 'x', fetch: () => assert.fail('a request was sent') })
  await api[Symbol.asyncDispose]()
  await assert.rejects(api.getConnectedAppToken(SESSION), /this client was closed/)
})

function denoVersion(): string | undefined {
  return (globalThis as { readonly Deno?: { readonly version: { readonly deno: string } } }).Deno?.version.deno
}
