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
