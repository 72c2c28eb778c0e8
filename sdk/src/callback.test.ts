/** What the app's callback reads out of the URL that the browser arrives with. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArgumentError, readCallback } from './sdk.ts'

test('session and completion code are read, and what else is in the query is left alone', () => {
  const expected = { session_id: 's1', completion_code: 'c+1' }
  assert.deepEqual(readCallback('https://app.example/callback?tab=2&session_id=s1&completion_code=c%2B1'), expected)
  assert.deepEqual(readCallback(new URL('https://app.example/callback?session_id=s1&completion_code=c%2B1')), expected)
})

test("the path and query of Node's request.url are enough", () => {
  assert.deepEqual(readCallback('/callback?session_id=s1'), { session_id: 's1' })
})

test('a denial carries its error', () => {
  const { session_id, error, error_description, completion_code } = readCallback(
    '/callback?session_id=s1&error=access_denied&error_description=No+thanks',
  )
  assert.deepEqual([session_id, error, error_description, completion_code], ['s1', 'access_denied', 'No thanks', undefined])
})

const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  ['no session', '/callback?completion_code=secret-1', /no session_id/],
  ['an empty session', '/callback?session_id=&completion_code=secret-1', /no session_id/],
  ['what a provider sends', '/callback?error=redirect_uri_mismatch&state=secret-1', /register the broker's redirect URI/],
  ['two sessions', '/callback?session_id=s1&session_id=s2&completion_code=secret-1', /session_id is there twice/],
  ['two codes', '/callback?session_id=s1&completion_code=secret-1&completion_code=secret-1', /completion_code is there twice/],
  ['no URL', 'http://[secret-1', /no URL/],
  ['something else', { url: '/callback?session_id=secret-1' }, /takes a URL/],
]

for (const [what, url, says] of REFUSED) {
  test(`a callback with ${what} is refused without quoting it`, () => {
    assert.throws(
      () => readCallback(url as string),
      (error: Error) => {
        assert(error instanceof ArgumentError)
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /secret-1/)
        return true
      },
    )
  })
}
