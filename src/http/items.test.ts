/** Moments on the wire. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { moment } from './items.ts'

test('a moment is written as Date writes it, whichever was written before', () => {
  const moments = fc.oneof(
    fc.integer({ min: -8.64e15, max: 8.64e15 }),
    fc.integer({ min: 1_779_926_390_000, max: 1_779_926_410_000 }),
    fc.constantFrom(0, -1, 86_400_000, 86_399_999, 253_402_300_800_000, 951_782_400_000),
  )
  fc.assert(fc.property(moments, (ms) => assert.equal(moment(ms), new Date(ms).toISOString())))
})

test('what is no moment is not written', () => {
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, 8.64e15 + 1]) assert.throws(() => moment(wrong), RangeError)
})
