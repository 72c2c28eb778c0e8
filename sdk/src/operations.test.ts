/** What is refused before any request, and what the refusal says. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArgumentError, ConnectedAppsApi } from './sdk.ts'

/** A client whose every request would fail the test. */
const api = new ConnectedAppsApi({
  accessToken: 'x',
  fetch: () => {
    throw new Error('a request was sent')
  },
})

type Method = Exclude<keyof ConnectedAppsApi, symbol>

/** As a program in plain JavaScript calls it. */
function call(method: Method, ...args: unknown[]): Promise<unknown> {
  const untyped = api as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  return untyped[method]?.(...args) ?? Promise.resolve()
}

const LONE_SURROGATE = 'u\ud800'

const REFUSED: readonly (readonly [string, Method, readonly unknown[], RegExp])[] = [
  ['a missing key', 'getConnectedAppToken', [{}], /session_id is missing; it takes session_id \(a string\)/],
  ['a required key that is undefined', 'getConnectedAppToken', [{ session_id: undefined }], /session_id is missing/],
  ['an unknown key', 'getConnectedAppToken', [{ session_id: 's1', user: 'u1' }], /there is no "user"; it takes session_id/],
  ['an inherited name as key', 'getConnectedAppToken', [{ session_id: 's1', toString: 'u1' }], /there is no "toString"/],
  ['a key in camel case', 'getConnectedAppAuthUrl', [{ keyCodeRef: 'local' }], /there is no "keyCodeRef"; it takes key_code_ref/],
  ['no object at all', 'getConnectedAppToken', [], /takes an object: session_id/],
  ['a string for the object', 'revokeConnectedAppToken', ['s1'], /takes an object/],
  ['an array for the object', 'revokeConnectedAppToken', [['s1']], /takes an object/],
  ['a number for a string', 'getConnectedAppToken', [{ session_id: 1 }], /session_id must be a string, not that number/],
  [
    'null for a string',
    'getConnectedAppAuthUrl',
    [{ key_code_ref: 'local', org_code: null }],
    /org_code must be a string, not null/,
  ],
  ['an empty string', 'getConnectedAppToken', [{ session_id: '' }], /session_id must not be empty/],
  ['half a surrogate pair', 'getConnectedAppAuthUrl', [{ key_code_ref: 'local', user_id: LONE_SURROGATE }], /surrogate/],
  ['an unsafe integer', 'getConnectedAppAuthUrl', [{ key_code_ref: 'local', user_id: 2 ** 53 }], /pass a string or a bigint/],
  ['a fraction', 'getConnectedAppAuthUrl', [{ key_code_ref: 'local', user_id: 1.5 }], /whole number/],
  ['not a number', 'getConnectedAppAuthUrl', [{ key_code_ref: 'local', user_id: Number.NaN }], /whole number/],
  ['a boolean for a user_id', 'listConnections', [{ user_id: true }], /user_id must be a string/],
  ['an unknown state', 'listConnections', [{ state: 'dead' }], /one of pending, connected, failing, broken, revoked/],
  ['a page size of zero', 'listConnections', [{ page_size: 0 }], /page_size must be a positive whole number/],
  ['a page size as text', 'listConnections', [{ page_size: '20' }], /page_size must be a positive whole number/],
  ['a session that a URL parser would resolve away', 'deleteConnection', ['..'], /session_id is no id/],
  ['no session', 'getConnection', [], /session_id is missing/],
  ['no label', 'relabelConnection', ['s1'], /label is missing/],
  ['an unknown option', 'getConnectedAppToken', [{ session_id: 's1' }, { timeOut: 1 }], /options: there is no "timeOut"/],
  ['a timeout of zero', 'getConnectedAppToken', [{ session_id: 's1' }, { timeout: 0 }], /timeout must be milliseconds/],
  ['half a timeout', 'getConnectedAppToken', [{ session_id: 's1' }, { timeout: { connect: 1 } }], /timeout must be milliseconds/],
  ['a signal that is none', 'getConnectedAppToken', [{ session_id: 's1' }, { signal: {} }], /signal must be an AbortSignal/],
  ['no accepted types', 'getConnectedAppToken', [{ session_id: 's1' }, { acceptContentTypes: [] }], /list of media types/],
  [
    'a header in a media type',
    'getConnectedAppToken',
    [{ session_id: 's1' }, { acceptContentTypes: ['a/b\r\nx: y'] }],
    /list of media types/,
  ],
]

for (const [what, method, args, says] of REFUSED) {
  test(`${method} refuses ${what} and says what is right, before any request`, async () => {
    await assert.rejects(call(method, ...args), (error: Error) => {
      assert(error instanceof ArgumentError && error instanceof TypeError)
      assert.match(error.message, says)
      return true
    })
  })
}

test('a refusal does not quote the value, which may be a secret', async () => {
  await assert.rejects(call('complete', { session_id: 's1', completion_code: ['secret-1'], user_id: 'u1' }), (error: Error) => {
    assert.match(error.message, /completion_code must be a string, not an array/)
    assert.doesNotMatch(error.message, /secret-1/)
    return true
  })
})
