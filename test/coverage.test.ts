/** The tables of faults and attacks and their tests say what the sources say. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesNamed } from '../scripts/docs.ts'
import { numberedRows, proofs, shownIn } from './coverage.ts'

const tableIn = (folder: string) => readFileSync(join(import.meta.dirname, folder, 'README.md'), 'utf8')
const FAULTS = numberedRows(tableIn('faults'), 'F')
const ATTACKS = numberedRows(tableIn('security'), 'S')
/** Apart, so that this file is not taken for a test of them. */
const titled = (call: string, title: string) => `${call}'${title}', () => {})`

test('a fault is shown by the tests that have its number at the start of their title', () => {
  const sources = [
    { path: 'a.test.ts', text: titled('test(', 'S-90 F-91 nothing breaks') },
    { path: 'b.test.ts', text: `${titled('test(', 'as F-91 says')} // F-91` },
    { path: 'src/store/conformance-a.ts', text: titled('check(', 'F-91 on every store') },
    { path: 'c.ts', text: titled('test(', 'F-91 in no test') },
    { path: 'd.test.ts', text: `[{ title: 'F-92 in a table' }]` },
  ]
  assert.deepEqual(shownIn('F-91', sources), ['a.test.ts', 'src/store/conformance-a.ts'])
  assert.deepEqual(shownIn('F-92', sources), ['d.test.ts'])
  const table = proofs(
    [
      { number: 'F-91', what: 'a', excuse: '' },
      { number: 'F-93', what: 'b', excuse: '' },
      { number: 'F-94', what: 'c', excuse: 'there is none' },
    ],
    sources,
    'faults',
  )
  assert.match(
    table,
    /F-91 {2}a\n +a\.test\.ts src\/store\/conformance-a\.ts\nF-93 {2}b\n +not shown by any test\nF-94 {2}c\n +there is none/,
  )
  assert.match(table, /1 of 3 faults/)
})

for (const [kind, letter, numbered, last] of [
  ['faults', 'F', FAULTS, 52],
  ['attacks', 'S', ATTACKS, 85],
] as const) {
  test(`the ${kind} are numbered without a gap`, () => {
    assert.deepEqual(
      numbered.map(({ number }) => number),
      Array.from({ length: last }, (_, i) => `${letter}-${String(i + 1).padStart(2, '0')}`),
    )
  })
}

test('every attack is shown by a test, or it is said why not, and never both', () => {
  const sources = filesNamed('.ts')
  for (const { number, excuse } of ATTACKS)
    assert.equal(
      shownIn(number, sources).length > 0,
      excuse === '',
      `${number}: ${excuse || 'no test has its number, and no reason is given'}`,
    )
})

test('every number that a title names is in a list', () => {
  const known = new Set([...FAULTS, ...ATTACKS].map(({ number }) => number))
  const named = new Set(
    filesNamed('.test.ts').flatMap(({ text }) =>
      [...text.matchAll(/\btest\([`']((?:[FS]-\d\d )+)/g)].flatMap(([, numbers = '']) => numbers.trim().split(' ')),
    ),
  )
  assert.deepEqual(
    [...named].filter((number) => !known.has(number) && !/-9\d$/.test(number)),
    [],
  )
})
