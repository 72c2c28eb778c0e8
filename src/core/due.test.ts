/** When the broker looks after a connection that nobody asks for. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dueAt } from './due.ts'
import type { Provider } from './provider.ts'

const DAY = 86_400_000
const PLAIN: Provider = { id: 'p', name: 'P', mode: 'oauth2' }
const IDLE: Provider = { ...PLAIN, refresh_token_idle: '60d' }
const NOW = 1_000 * DAY

test('a refresh token that does not die of disuse is left alone', () => {
  assert.equal(dueAt(PLAIN, { usedAt: NOW, lost: null, retryAt: NOW }, 0), null)
})

test('one that dies of disuse is used after seven to eight tenths of that time', () => {
  assert.equal(dueAt(IDLE, { usedAt: NOW, lost: null, retryAt: NOW }, 0), NOW + 42 * DAY)
  assert.equal(dueAt(IDLE, { usedAt: NOW, lost: null, retryAt: NOW }, 0.999999), NOW + 48 * DAY - 1 - 518)
})

test('a failure puts it off to the next try, and does not begin its time anew', () => {
  assert.equal(dueAt(IDLE, { usedAt: NOW - 50 * DAY, lost: null, retryAt: NOW + 1 }, 0), NOW + 1)
  assert.equal(dueAt(IDLE, { usedAt: NOW - 10 * DAY, lost: null, retryAt: NOW + 1 }, 0), NOW + 32 * DAY)
})

test('F-08 a lost answer is asked for again in its time, and only where that is a matter of time', () => {
  const lost = { at: NOW, spent: true }
  const window = (window: string): Provider => ({ ...PLAIN, rotation: { window } })
  assert.equal(dueAt(window('30s'), { usedAt: NOW, lost, retryAt: NOW + 2000 }, 0), NOW + 2000)
  assert.equal(dueAt(window('30s'), { usedAt: NOW, lost, retryAt: NOW + 30_000 }, 0), null)
  assert.equal(dueAt(window('none'), { usedAt: NOW, lost, retryAt: NOW + 1 }, 0), null)
  assert.equal(dueAt(window('until_next_use'), { usedAt: NOW, lost, retryAt: NOW + 1 }, 0), null)
})
