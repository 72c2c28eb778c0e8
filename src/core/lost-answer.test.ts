/** Whether a refresh token is sent again whose answer was lost: every window, every way to lose it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AskingAgain, askingAgain, lostAfter, lostBefore, renewalLimits } from './lost-answer.ts'
import type { Provider } from './provider.ts'

const withWindow = (window: string | undefined): Provider => ({
  ...{ id: 'p', name: 'P', mode: 'oauth2' },
  ...(window !== undefined && { rotation: { window } }),
})

const CASES: readonly [window: string | undefined, spent: boolean, agoMs: number, asking: AskingAgain][] = [
  [undefined, true, 1e9, 'freely'],
  ['until_next_use', true, 1e9, 'freely'],
  ['30s', true, 29_999, 'freely'],
  ['30s', true, 30_000, 'never'],
  ['30s', false, 29_999, 'freely'],
  ['30s', false, 30_000, 'in_need'],
  ['none', true, 0, 'never'],
  ['none', false, 0, 'in_need'],
]

for (const [window, spent, agoMs, asking] of CASES) {
  const lost = spent ? 'tokens that were lost' : 'silence'
  test(`F-08 after ${lost}, ${agoMs} ms later, with a window of ${window ?? 'nobody knows'}, it is asked again ${asking}`, () => {
    assert.equal(askingAgain(withWindow(window), { at: 1000, spent }, 1000 + agoMs), asking)
  })
}

test('F-08 nothing was lost: it is asked freely', () => {
  for (const window of [undefined, 'none', '30s']) assert.equal(askingAgain(withWindow(window), null, 0), 'freely')
})

test('F-08 what was certain stays certain, and the first silence is the one that counts', () => {
  assert.deepEqual(lostAfter(null, 'kept', 5), null)
  assert.deepEqual(lostAfter(null, 'unknown', 5), { at: 5, spent: false })
  assert.deepEqual(lostAfter({ at: 1, spent: false }, 'unknown', 5), { at: 1, spent: false })
  assert.deepEqual(lostAfter({ at: 1, spent: false }, 'kept', 5), { at: 1, spent: false })
  assert.deepEqual(lostAfter({ at: 1, spent: true }, 'unknown', 5), { at: 1, spent: true })
  assert.deepEqual(lostAfter({ at: 1, spent: false }, 'spent', 5), { at: 5, spent: true })
})

test('F-04 a lease that nobody gave back is an answer that may be lost, whatever is known of earlier ones', () => {
  const trouble = { attempts: 1, since: 0, retryAt: 0, reason: 'answer_lost', unclear: false, lost: { at: 1, spent: false } }
  const health = { state: 'failing', trouble } as const
  assert.deepEqual(lostBefore({ health }, null), { at: 1, spent: false })
  assert.deepEqual(lostBefore({ health }, { holder: 'p', fence: 1, startedAt: 9, until: 10 }), { at: 9, spent: true })
  assert.deepEqual(lostBefore({ health: { state: 'connected', trouble: null } }, null), null)
})

test('F-08 a lease ends, and an answer is given up on before that, with half of the window still to come', () => {
  assert.deepEqual(renewalLimits(withWindow('none')), { leaseMs: 30_000, answerMs: 20_000 })
  assert.deepEqual(renewalLimits(withWindow('600s')), { leaseMs: 30_000, answerMs: 20_000 })
  assert.deepEqual(renewalLimits(withWindow('30s')), { leaseMs: 15_000, answerMs: 10_000 })
  assert.deepEqual(renewalLimits(withWindow('12s')), { leaseMs: 6_000, answerMs: 4_000 })
  assert.deepEqual(renewalLimits(withWindow('1s')), { leaseMs: 5_000, answerMs: 3_333 }, 'no provider answers in half a second')
})
