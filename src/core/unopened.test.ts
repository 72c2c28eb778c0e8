/** What does not open is told of, and does not fill the history. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Unopened } from './unopened.ts'

const NOW = 1_780_000_000_000
const [one, other] = [
  { tenant: 'acme', id: 'one' },
  { tenant: 'acme', id: 'other' },
]

test('a connection that does not open is told of once in an hour, and again for another reason', () => {
  const unopened = new Unopened()
  const told = [0, 1, 3_599_999, 3_600_000, 3_600_001].map((ms) => unopened.isToTell(one, 'damaged', NOW + ms))
  assert.deepEqual(told, [true, false, false, true, false])
  assert(unopened.isToTell(one, 'needs another key', NOW))
  assert(unopened.isToTell(other, 'damaged', NOW))
  assert(unopened.isToTell(one, 'damaged', NOW - 7_200_000), 'a clock that was set back hides nothing')
})

test('what could not be written down is told of the next time', () => {
  const unopened = new Unopened()
  assert(unopened.isToTell(one, 'damaged', NOW))
  unopened.untold(one, 'damaged')
  assert(unopened.isToTell(one, 'damaged', NOW + 1))
})

test('of very many at once some are told of in each minute', () => {
  const unopened = new Unopened()
  const tell = (now: number) =>
    Array.from({ length: 1000 }, (_, n) => unopened.isToTell({ tenant: 'acme', id: `${now}-${n}` }, 'needs another key', now))
  for (const now of [NOW, NOW + 60_000]) assert.equal(tell(now).filter(Boolean).length, 60)
  assert.equal(tell(NOW + 60_001).filter(Boolean).length, 0)
})
