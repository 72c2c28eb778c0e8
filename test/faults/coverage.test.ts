/** The table of faults and tests says what the sources say. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesNamed } from '../../scripts/docs.ts'
import { faultRows, proofs, shownIn } from './coverage.ts'

const FAULTS = faultRows(readFileSync(join(import.meta.dirname, 'README.md'), 'utf8'))
/** Apart, so that this file is not taken for a test of them. */
const titled = (call: string, title: string) => `${call}'${title}', () => {})`

test('a fault is shown by the tests that have its number at the start of their title', () => {
  const sources = [
    { path: 'a.test.ts', text: titled('test(', 'S-90 F-91 nothing breaks') },
    { path: 'b.test.ts', text: `${titled('test(', 'as F-91 says')} // F-91` },
    { path: 'src/store/conformance-a.ts', text: titled('test(', 'F-91 on every store') },
    { path: 'c.ts', text: titled('test(', 'F-91 in no test') },
    { path: 'd.test.ts', text: `[{ title: 'F-92 in a table' }]` },
  ]
  assert.deepEqual(shownIn('F-91', sources), ['a.test.ts', 'src/store/conformance-a.ts'])
  assert.deepEqual(shownIn('F-92', sources), ['d.test.ts'])
  const table = proofs(
    [
      { number: 'F-91', what: 'a' },
      { number: 'F-93', what: 'b' },
    ],
    sources,
  )
  assert.match(table, /F-91 {2}a\n +a\.test\.ts src\/store\/conformance-a\.ts\nF-93 {2}b\n +not shown by any test/)
  assert.match(table, /1 of 2 faults/)
})

test('the faults are numbered without a gap', () => {
  const numbers = FAULTS.map(({ number }) => number)
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => `F-${String(i + 1).padStart(2, '0')}`),
  )
  assert.ok(numbers.length > 50)
})

test('every fault that a title names is in the list', () => {
  const known = new Set(FAULTS.map(({ number }) => number))
  const sources = filesNamed('.test.ts')
  const named = new Set(
    sources.flatMap(({ text }) => [...text.matchAll(/test\([`'](F-\d\d) /g)].map(([, number = '']) => number)),
  )
  assert.deepEqual(
    [...named].filter((number) => !known.has(number)),
    [],
  )
})
