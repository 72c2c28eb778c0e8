/** What a person is told about a document that cannot be read as it stands. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CatalogError, nearest } from './mistake.ts'
import { readYaml } from './yaml.ts'

test('a document becomes plain data', () => {
  const { value, mistakes } = readYaml('# about\na: 1\nb: [x, "y", no, 2027-06-01]\nc: {d: ~, e: true}\n', 'f.yaml')
  assert.deepEqual(value, { a: 1, b: ['x', 'y', 'no', '2027-06-01'], c: { d: null, e: true } })
  assert.deepEqual(mistakes, [])
  assert.equal(readYaml('', 'f.yaml').value, null)
})

test('what stands where is remembered, and what is missing is where it would be', () => {
  const { source } = readYaml('a:\n  - b: 1\n    c:\n      d: 2\n', 'f.yaml')
  assert.deepEqual(source.valueAt(['a', 0, 'c', 'd']), { line: 4, column: 10 })
  assert.deepEqual(source.keyAt(['a', 0, 'c', 'd']), { line: 4, column: 7 })
  assert.deepEqual(source.valueAt(['a', 0, 'missing']), { line: 2, column: 5 })
})

const REFUSED: readonly [string, string, string][] = [
  ['a key that stands twice', 'a: 1\nb: 2\na: 3', 'f.yaml:3:1: a: stands here twice: the first is on line 1'],
  ['an anchor', 'a: &x 1', 'f.yaml:1:7: a: has an anchor (&)'],
  ['an alias', 'a: *x', 'f.yaml:1:4: a: is an alias (*)'],
  ['an anchor on a map', 'a: &x\n  b: 1', 'f.yaml:2:3: a: has an anchor (&)'],
  ['a merge key, which is a field like any other', 'a:\n  <<: *x', 'f.yaml:2:7: a.<<: is an alias (*)'],
  ['a prototype key', 'a:\n  __proto__: {x: 1}', 'f.yaml:2:3: a: must not have a key __proto__'],
  ['a constructor', 'constructor: 1', 'f.yaml:1:1: must not have a key constructor'],
  ['a second document', 'a: 1\n---\nb: 2', 'f.yaml:2:1: begins a second document'],
  ['a tag of its own', 'a: !secret x', 'f.yaml:1:4: has a tag (!)'],
  ['a tab', 'a:\n\tb: 1', 'f.yaml:2:1: is indented with a tab'],
  ['a list as a key', '? [a, b]\n: 1', 'f.yaml:1:3: has a key that is a list or a map'],
  ['a bracket that is not closed', 'a: [1, 2', 'f.yaml:1:9:'],
  ['a quote that is not closed', 'a: "x', 'f.yaml:1:6:'],
]

for (const [what, text, expected] of REFUSED) {
  test(`refuses ${what}, with its line`, () => {
    const message = told(text)
    assert.ok(message.includes(expected), `${message}\nhas no\n${expected}`)
  })
}

test('tells all mistakes at once', () => {
  assert.equal(told('a: &x 1\na: 2\nb: *x\nprototype: 1').split('\n').length, 4)
})

test('a prototype key changes no object', () => {
  const { value } = readYaml('__proto__: {polluted: yes}\nconstructor: {prototype: {polluted: yes}}', 'f.yaml')
  assert.equal((value as Record<string, unknown>)['polluted'], undefined)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('aliases cannot be piled up into billions of values', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
  for (const [index, name] of 'bcdefghij'.split('').entries()) {
    const inner = `*${'abcdefghij'[index]}`
    bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => inner).join(', ')}]`)
  }
  assert.match(told(bomb.join('\n')), /is an alias/)
})

test('refuses a document of more than 1 MiB without reading it', () => {
  assert.equal(told(`a: ${'x'.repeat(1024 * 1024)}`), 'f.yaml: is larger than 1 MiB: split it')
})

test('refuses a document that is nested too deeply, however deeply', () => {
  assert.match(told(`a: ${'['.repeat(40)}${']'.repeat(40)}`), /f\.yaml:1:\d+: a(\[0\])+: is nested too deeply/)
  assert.match(told('['.repeat(200_000)), /is nested too deeply/)
})

test('a mistyped name is told with the nearest one, unless none is near', () => {
  assert.equal(nearest('clinet_id', ['client_id', 'client_secret']), 'client_id')
  assert.equal(nearest('Authorize_URL', ['authorize_url']), 'authorize_url')
  assert.equal(nearest('colour', ['client_id', 'scopes']), null)
  assert.equal(nearest('x'.repeat(100_000), ['client_id']), null)
})

function told(text: string): string {
  return new CatalogError(readYaml(text, 'f.yaml').mistakes).message
}
