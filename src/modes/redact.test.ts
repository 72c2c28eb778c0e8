/** What stays of a provider's words. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../core/secret.ts'
import { redacted } from './redact.ts'

test('S-69 a secret is taken out before lines are joined, and again after', () => {
  assert.equal(redacted('got two\nlines, sorry', [new Secret('two\nlines')]), 'got [redacted], sorry')
  assert.equal(redacted('got two\u0000words, sorry', [new Secret('two words')]), 'got [redacted], sorry')
})

test('S-69 a secret is found as it was sent and as it is written in a URL', () => {
  assert.equal(redacted('a/b+c and a%2Fb%2Bc', ['a/b+c']), '[redacted] and [redacted]')
})

test('what looks like a token is taken for one, and words and codes are not', () => {
  assert.equal(redacted('token eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30 expired', []), 'token [redacted] expired')
  assert.equal(redacted('trace 7d0a3cf2-90cd-4d4c-8e63-54a1b2c3d4e5', []), 'trace [redacted]')
  for (const words of ['AADSTS700082: refresh_token_expired_or_revoked', 'Token has been expired or revoked.']) {
    assert.equal(redacted(words, []), words)
  }
})

test('a text is cut without breaking a character, and one of nothing is none', () => {
  const cut = redacted('🔑'.repeat(200), [])
  assert(cut !== null && cut.length <= 300 && cut.isWellFormed())
  assert.equal(redacted(' \r\n\u200b ', []), null)
})
