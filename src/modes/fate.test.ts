/** What became of a refresh token, by what came back: every kind of answer, and of silence. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fate, type NetAnswer, NetError } from '../core/ports.ts'
import { fateByAnswer, fateByFailure } from './fate.ts'

const answer = (status: number, text: string): NetAnswer => ({ status, headers: {}, body: Buffer.from(text) })

const ANSWERS: readonly [what: string, answer: NetAnswer, code: string, fate: Fate][] = [
  ['500', answer(500, ''), 'http_500', 'kept'],
  ['502 of a gateway', answer(502, '<html>'), 'http_502', 'unknown'],
  ['503', answer(503, ''), 'http_503', 'kept'],
  ['504 of a gateway', answer(504, ''), 'http_504', 'unknown'],
  ['520 of a gateway', answer(520, 'error code: 520'), 'http_520', 'unknown'],
  ['524 of a gateway', answer(524, 'error code: 524'), 'http_524', 'unknown'],
  ['429', answer(429, ''), 'http_429', 'kept'],
  ['a no that nobody knows', answer(400, '{"error":"odd"}'), 'odd', 'kept'],
  ['200 with an error in it', answer(200, '{"ok":false,"error":"try_later"}'), 'try_later', 'kept'],
  ['200 with nothing in it', answer(200, '{}'), 'no_access_token', 'unknown'],
  ['a page with 200', answer(200, '<html>We will be back</html>'), 'malformed_answer', 'unknown'],
  ['an empty 200', answer(200, ''), 'malformed_answer', 'unknown'],
  ['tokens that break off', answer(200, '{"access_token":"abc","refre'), 'malformed_answer', 'spent'],
]

for (const [what, given, code, fate] of ANSWERS) {
  test(`F-12 F-20 after ${what} the refresh token is ${fate}`, () => assert.equal(fateByAnswer(given, code), fate))
}

const FAILURES: readonly [what: string, error: unknown, fate: Fate][] = [
  ['no connection', new NetError('unreachable', '', false), 'kept'],
  ['an address that is refused', new NetError('address_refused', '', false), 'kept'],
  ['a time-out before anything was sent', new NetError('timeout', '', false), 'kept'],
  ['a time-out without an answer', new NetError('timeout', '', true), 'unknown'],
  ['a reset without an answer', new NetError('reset', '', true), 'unknown'],
  ['a success that is cut off', new NetError('reset', '', true, { status: 200 }), 'spent'],
  ['a success in an encoding nobody asked for', new NetError('encoded', '', true, { status: 200 }), 'spent'],
  ['an outage that is cut off', new NetError('reset', '', true, { status: 503 }), 'kept'],
  ['a mistake of ours', new TypeError(), 'unknown'],
]

for (const [what, error, fate] of FAILURES) {
  test(`F-12 after ${what} the refresh token is ${fate}`, () => assert.equal(fateByFailure(error), fate))
}
