/** Answers that are not read ahead. */

import assert from 'node:assert/strict'
import { type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { fakeBroker, refuse } from '../test/fake-broker.ts'
import { streamed } from './body.ts'
import { exchange } from './exchange.ts'
import { Leash } from './leash.ts'
import { limitsOf } from './options.ts'
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
  const { body } = await api.getConnectedAppToken(SESSION, { stream: true, timeout: 300 })
  const reader = body.getReader()
  await reader.read()
  await assert.rejects(reader.read(), /nothing more came within 300 ms/)
})

/** How many limits run. */
class CountingLeash extends Leash {
  limits = 0
  override limitPhase(): void {
    this.limits++
  }
  override endPhase(): void {
    this.limits--
  }
}

test('the limit for the head of an answer ends with it, or with the try: no stream is cut off unread, and no pause cut short', async () => {
  const running: number[] = []
  class Noting extends CountingLeash {
    override async sleep(): Promise<void> {
      running.push(this.limits)
    }
  }
  const leash = new Noting([])
  let tried = 0
  const fetch = async () => {
    if (++tried === 1) throw new TypeError('no connection')
    return new Response('{}')
  }
  const outgoing = { method: 'GET', url: 'http://broker.invalid/', title: 'GET /', repeatable: true, headers: {} }
  await exchange({ fetch, retries: 1 }, outgoing, leash, limitsOf({ connect: 1, read: 1 }), async () =>
    running.push(leash.limits),
  )
  assert.deepEqual(running, [0, 0])
})

test('no limit runs while nobody reads a stream, and nothing is read ahead', async () => {
  const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>>(undefined, undefined, { highWaterMark: 2 })
  const leash = new CountingLeash([])
  const { body } = streamed(new Response(readable), { title: 'GET /', leash, silence: 1 })
  assert(body !== null)
  const writer = writable.getWriter()
  const reader = body.getReader()

  assert.equal(leash.limits, 0)
  const first = reader.read()
  await turns()
  assert.equal(leash.limits, 1)
  await writer.write(new Uint8Array([1]))
  assert.deepEqual((await first).value, new Uint8Array([1]))
  await turns()
  assert.equal(leash.limits, 0)
  await writer.close()
  assert.equal((await reader.read()).done, true)
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

/** Everything that is ready to happen has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
