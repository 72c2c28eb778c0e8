/** Places of connections: numbers that SQLite and JavaScript both hold, in the order of the ids. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { placeOf } from './places.ts'

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

test('places are in the order of the ids, and only ids that begin alike share one', () => {
  const id = fc.string({ unit: fc.constantFrom(...DIGITS.split('')), minLength: 8, maxLength: 24 })
  fc.assert(
    fc.property(id, id, (a, b) => {
      const [beginA, beginB] = [a.slice(0, 8), b.slice(0, 8)]
      assert.equal(Math.sign(placeOf(a) - placeOf(b)), beginA < beginB ? -1 : beginA > beginB ? 1 : 0)
    }),
  )
})

test('any text has a place that a number holds exactly', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const place = placeOf(text)
      assert(Number.isSafeInteger(place) && place >= 0 && place < 2 ** 48)
    }),
  )
})
