/** A signing key is shown before it signs, and verifies until the last token that it signed has ended. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dutiesOf, PUBLISHED_MS } from './signing-keys.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const T = 1_780_000_000_000
const a = { kid: 'a', createdAt: T }
const b = { kid: 'b', createdAt: T + HOUR }

function told(keys: readonly { kid: string; createdAt: number }[], now: number): string {
  const { signs, verify } = dutiesOf(keys, now)
  return `${signs.kid} ${verify.map(({ kid }) => kid).join('')}`
}

test('the only key signs from its first moment on, whatever the clock of this machine says', () => {
  assert.equal(told([a], T), 'a a')
  assert.equal(told([a], T - HOUR), 'a a')
  assert.throws(() => dutiesOf([], T), /no signing key/)
})

test('a new key is shown at once, signs when everybody has it, and the old one stays until its last token has ended', () => {
  const begins = b.createdAt + PUBLISHED_MS
  assert.equal(told([a, b], b.createdAt), 'a ab')
  assert.equal(told([a, b], begins - 1), 'a ab')
  assert.equal(told([a, b], begins), 'b ab')
  assert.equal(told([a, b], begins + HOUR), 'b ab')
  assert.equal(told([a, b], begins + HOUR + MINUTE - 1), 'b ab')
  assert.equal(told([a, b], begins + HOUR + MINUTE), 'b b')
})

test('keys that follow each other quickly are each shown before they sign', () => {
  const c = { kid: 'c', createdAt: b.createdAt + MINUTE }
  assert.equal(told([a, b, c], c.createdAt), 'a abc')
  assert.equal(told([a, b, c], b.createdAt + PUBLISHED_MS), 'b abc')
  assert.equal(told([a, b, c], c.createdAt + PUBLISHED_MS), 'c abc')
})
