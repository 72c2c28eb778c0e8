/** Text from outside, before it stands in a sentence of ours. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clean } from './page-text.ts'

test('S-36 a name cannot reorder, hide, lengthen or paint over the sentence it stands in', () => {
  assert.equal(clean('\u202Eppa yM\u202C'), 'ppa yM')
  assert.equal(clean('Pay\u200BPal\u{E0041}\u00AD'), 'PayPal')
  assert.equal(clean('two\r\n\r\nlines\u2028three'), 'two lines three')
  assert.equal(clean('\u200F\u200B\u2800 '), '')
  assert.equal(clean('x'.repeat(10_000)).length, 80)
  assert.equal(clean(`Z${'\u0335'.repeat(60)}`), `Z${'\u0335'.repeat(4)}`)
  assert.equal(clean('half a \ud83d'), 'half a \ufffd')
  assert.equal(clean('Zoë 漢字 עברית 🙂'), 'Zoë 漢字 עברית 🙂', 'honest names stay as they are')
})

test('S-36 joiners stay where a word or an emoji is spelt with them, and hide nowhere else', () => {
  for (const name of ['می\u200Cخواهم', 'क्\u200Dष', 'র\u200D্য', '👩🏽\u200D💻', '🏴\u200D☠']) assert.equal(clean(name), name)
  assert.equal(clean('❤\uFE0F\u200D🔥'), '❤\u200D🔥')
  assert.equal(clean('\u200Dمی\u200C\u200Cخواهم\u200C خوب\u200D'), 'میخواهم خوب')
  assert.equal(clean('1\u200D2 a\u200D🙂 🙂\u200C🙂 .\u200C.'), '12 a🙂 🙂🙂 ..')
  assert.equal(clean(`Z${'\u0335'.repeat(4)}\u200C${'\u0335'.repeat(4)}`), `Z${'\u0335'.repeat(4)}`, 'no tower upon a tower')
  assert.equal(clean('ا\u200C'.repeat(100)), `${'ا\u200C'.repeat(39)}ا…`, 'none is left where a name is cut')
})
