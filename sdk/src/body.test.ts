/** Answers that are not read ahead. */

import assert from 'node:assert/strict'
import { type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { fakeBroker, refuse } from '../test/fake-broker.ts'
import { ApiException, ConnectedAppsApi } from './sdk.ts'

const TOKEN = { access_token: 'ya29.abc' }
const SESSION = { session_id: 's1' }

/** A server that has begun to answer and goes on when it is told to. */
async function begun(t: TestContext) {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>()
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  const broker = await fakeBroker(t, (_, response) => {
    response.on('close', close)
    response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': 'r1' }).write('{"access_')
    resolve(response)
  })
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  return { api, answer: promise, closed }
}

test('with stream the body is a ReadableStream that is there before the answer is', async (t) => {
  const { api, answer } = await begun(t)
  const { status, headers, body, response } = await api.getConnectedAppToken(SESSION, { stream: true })
  assert(body instanceof ReadableStream)
  assert.equal(response.body, body)
  assert.equal(status, 200)
  assert.equal(headers.get('x-request-id'), 'r1')
  ;(await answer).end('token":"ya29.abc"}')
  assert.deepEqual(await new Response(body).json(), TOKEN)
})

test('a stream that is not wanted any more ends the connection', async (t) => {
  const { api, closed } = await begun(t)
  const { body } = await api.getConnectedAppToken(SESSION, { stream: true })
  await body.cancel()
  await closed
})

test('close ends a stream, with the reason', async (t) => {
  const { api, closed } = await begun(t)
  const { body } = await api.getConnectedAppToken(SESSION, { stream: true })
  const reader = body.getReader()
  await reader.read()
  const next = reader.read()
  api.close()
  await assert.rejects(next, /this client was closed/)
  await closed
})

test('a timeout limits the silences of a stream', async (t) => {
  const { api } = await begun(t)
  const { body } = await api.getConnectedAppToken(SESSION, { stream: true, timeout: 100 })
  const reader = body.getReader()
  await reader.read()
  await assert.rejects(reader.read(), /nothing more came within 100 ms/)
})

test('a reader that takes its time is not a silence', async (t) => {
  const { api, answer } = await begun(t)
  const { body } = await api.getConnectedAppToken(SESSION, { stream: true, timeout: 100 })
  const reader = body.getReader()
  await reader.read()
  await new Promise((resolve) => setTimeout(resolve, 150)) // on purpose: longer than the timeout is what a slow reader takes
  ;(await answer).end('token":"ya29.abc"}')
  const { value } = await reader.read()
  assert.equal(new TextDecoder().decode(value), 'token":"ya29.abc"}')
})

test('with skipDeserialization there is only the response, unread', async (t) => {
  const broker = await fakeBroker(t, (_, response) => response.end('no JSON'))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  const answer = await api.getConnectedAppToken(SESSION, { skipDeserialization: true })
  const unset: undefined = answer.body
  assert.equal(unset, undefined)
  assert.deepEqual(Object.keys(answer), ['response'])
  assert.equal(answer.response.status, 200)
  assert.equal(answer.response.bodyUsed, false)
  assert.equal(await answer.response.text(), 'no JSON')
})

test('a failure throws whatever form was asked for', async (t) => {
  const broker = await fakeBroker(t, (_, response) => refuse(response, 400, 'SESSION_PENDING'))
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'x' })
  for (const options of [{ stream: true }, { skipDeserialization: true }, { stream: true, skipDeserialization: true }]) {
    await assert.rejects(api.getConnectedAppToken(SESSION, options), (error: Error) => {
      assert(error instanceof ApiException)
      assert.equal(error.code, 'SESSION_PENDING')
      return true
    })
  }
})

test('text in many bytes survives being cut between them', async (t) => {
  const label = 'naïve 🔑'
  const bytes = Buffer.from(JSON.stringify({ session_id: 's1', label }))
  const broker = await fakeBroker(t, (_, response) => {
    response.writeHead(200)
    let sent = 0
    const next = () => {
      if (sent === bytes.length) response.end()
      else response.write(bytes.subarray(sent, ++sent), () => setImmediate(next))
    }
    next()
  })
  const { body } = await new ConnectedAppsApi({ host: broker.host, accessToken: 'x' }).getConnection('s1')
  assert.equal(body.label, label)
})
