/** What a program learns when the broker says no. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Answering, fakeBroker, json, refuse } from '../test/fake-broker.ts'
import { ApiException, ConnectedAppsApi } from './sdk.ts'

async function failure(t: TestContext, answering: Answering): Promise<ApiException> {
  const broker = await fakeBroker(t, answering)
  const api = new ConnectedAppsApi({ host: broker.host, accessToken: 'bearer-secret' })
  const error = await api.getConnectedAppToken({ session_id: 's1' }).then(
    () => assert.fail('it should have been refused'),
    (error: unknown) => error,
  )
  assert(error instanceof ApiException)
  return error
}

test('a declared error carries status, reason, the parsed body, headers and its code', async (t) => {
  const error = await failure(t, (_, response) => refuse(response, 400, 'INVALID_SESSION', { 'x-request-id': 'r1' }))
  const errors = [{ code: 'INVALID_SESSION', message: 'it is invalid_session' }]
  assert.equal(error.status, 400)
  assert.equal(error.reason, 'Bad Request')
  assert.deepEqual(error.body, { result: 'it is invalid_session', errors })
  assert.deepEqual(error.errors, errors)
  assert.equal(error.code, 'INVALID_SESSION')
  assert.equal(error.headers.get('x-request-id'), 'r1')
  assert.equal(error.message, '400 Bad Request: INVALID_SESSION: it is invalid_session')
})

test('a code that nobody has heard of arrives as it is', async (t) => {
  const error = await failure(t, (_, response) => refuse(response, 418, 'TEAPOT'))
  assert.equal(error.code, 'TEAPOT')
})

test('the oldest form of an error, a result alone, is told in the message', async (t) => {
  const error = await failure(t, (_, response) => json(response, { result: 'Invalid credentials' }, 403))
  assert.equal(error.message, '403 Forbidden: Invalid credentials')
  assert.deepEqual(error.errors, [])
  assert.equal(error.code, undefined)
})

test('an error without a body leaves body unset', async (t) => {
  const error = await failure(t, (_, response) => response.writeHead(502).end())
  assert.equal(error.status, 502)
  assert.equal(error.body, undefined)
})

test('an error that is no JSON keeps its text', async (t) => {
  const error = await failure(t, (_, response) =>
    response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'),
  )
  assert.equal(error.body, '<h1>Bad gateway</h1>')
})

test('errors of an odd shape are passed over', async (t) => {
  const error = await failure(t, (_, response) =>
    json(response, { errors: [null, 'no', { code: 7 }, { code: 'NOT_FOUND', message: 'gone' }] }, 404),
  )
  assert.deepEqual(error.errors, [{ code: 'NOT_FOUND', message: 'gone' }])
})

test('a redirect is not followed: it is an error, and the bearer goes nowhere else', async (t) => {
  const elsewhere = await fakeBroker(t, (_, response) => json(response, { access_token: 'stolen' }))
  const error = await failure(t, (_, response) => response.writeHead(307, { location: elsewhere.host }).end())
  assert.equal(error.status, 307)
  assert.equal(error.headers.get('location'), elsewhere.host)
  assert.equal(
    error.message,
    `307 Temporary Redirect: it leads to ${elsewhere.host} and is not followed: is host the address of the broker?`,
  )
  assert.equal(elsewhere.asked.length, 0)
})

test('the message of a redirect names no more of where it leads than the origin', async (t) => {
  const error = await failure(t, ({ url }, response) => response.writeHead(301, { location: `/moved${url}` }).end())
  assert.match(error.message, /^301 Moved Permanently: it leads to http:\/\/127\.0\.0\.1:\d+ and is not followed/)
  assert.doesNotMatch(error.message, /s1/)
})

const WAITS: readonly (readonly [Record<string, string>, number | undefined])[] = [
  [{ 'retry-after': '7' }, 7],
  [{ 'ratelimit-reset': '60' }, 60],
  [{ 'retry-after': '7', 'ratelimit-reset': '60' }, 7],
  [{ 'retry-after': 'soon', 'ratelimit-reset': '60' }, 60],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
  [{ 'retry-after': 'soon' }, undefined],
  [{}, undefined],
]

for (const [headers, seconds] of WAITS) {
  test(`retryAfter is ${seconds} with ${JSON.stringify(headers)}`, async (t) => {
    const error = await failure(t, (_, response) => refuse(response, 429, 'TOO_MANY_REQUESTS', headers))
    assert.equal(error.retryAfter, seconds)
  })
}

test('retryAfter understands a date', () => {
  const inTenSeconds = new Date(Date.now() + 10_000).toUTCString()
  const { retryAfter } = new ApiException(503, 'Service Unavailable', undefined, new Headers({ 'retry-after': inTenSeconds }))
  assert(retryAfter !== undefined && retryAfter >= 8 && retryAfter <= 10, `${retryAfter}`)
})

test('a server that echoes the request puts no bearer into the exception', async (t) => {
  const error = await failure(t, ({ headers }, response) =>
    json(response, { result: `bad: ${headers.authorization}`, errors: [] }, 500),
  )
  assert.equal(error.message, '500 Internal Server Error: bad: Bearer [secret]')
  assert.doesNotMatch(JSON.stringify(error.body), /bearer-secret/)
})
