/** What the policy of a page lets its form do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageHeaders } from './page-headers.ts'

test('S-35 the form may lead to the provider, back to the app, and over https to wherever the provider signs people in', () => {
  assert.equal(formAction('https://example.com/oauth/authorize?x=1'), "'self' https://example.com https:")
  assert.equal(
    formAction('http://127.0.0.1:4999', 'http://localhost:3000/cb'),
    "'self' http://127.0.0.1:4999 http://localhost:3000 https:",
  )
})

test('S-35 what has no origin that a policy can name is named by its scheme', () => {
  assert.equal(formAction('http://[::1]:4999', 'com.example.app:/callback'), "'self' http: com.example.app: https:")
})

test('S-35 an address cannot smuggle a directive into the policy', () => {
  for (const providerOrigin of ["https://a;script-src'unsafe-inline'", 'https://a,b', 'not a url']) {
    assert.throws(() => pageHeaders({ providerOrigin }), TypeError, providerOrigin)
  }
})

function formAction(providerOrigin: string, returnOrigin?: string): string | undefined {
  return /form-action ([^;]*)/.exec(pageHeaders({ providerOrigin, returnOrigin })['content-security-policy'] ?? '')?.[1]
}
