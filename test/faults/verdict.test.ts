/** The judge of the kill rounds sees every promise that is broken: otherwise a long list of kills would prove nothing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, type Seen, tallyOf, type Window } from './verdict.ts'
import type { Passage } from './wire.ts'

const HANDED_OUT = { status: 200, location: null, text: '{"access_token":"at"}' }
const LOST = refused('RECONNECT_REQUIRED', 'the user must connect again: rotation_response_lost')
const READ: Passage = { grant: 0, stage: 'answered', agoMs: 1, unread: 0 }

function refused(code: string, message: string) {
  return { status: 400, location: null, text: JSON.stringify({ errors: [{ code, message }] }) }
}

function judged(window: Window, seen: Partial<Seen>) {
  const tally = tallyOf(window)
  judge(tally, { answer: HANDED_OUT, passage: null, acknowledged: false, alive: () => true, ...seen })
  return tally
}

const BREACHES: readonly { readonly title: string; readonly window: Window; readonly seen: Partial<Seen> }[] = [
  { title: 'a token that is dead at the provider', window: 'none', seen: { alive: () => false } },
  { title: 'no answer at all', window: 'none', seen: { answer: null } },
  { title: 'an error of another kind', window: 'none', seen: { answer: refused('INVALID_SESSION', 'no') } },
  { title: 'the reason of the provider', window: 'none', seen: { answer: refused('RECONNECT_REQUIRED', 'invalid_grant') } },
  {
    title: 'the reason of the provider beside the right one',
    window: 'none',
    seen: { answer: refused('RECONNECT_REQUIRED', 'rotation_response_lost (invalid_grant)') },
  },
  { title: 'a loss within a replay window', window: 30, seen: { answer: LOST } },
  { title: 'a loss that only the next use makes one', window: 'until_next_use', seen: { answer: LOST } },
  { title: 'a loss after the token was handed out', window: 'none', seen: { answer: LOST, acknowledged: true } },
  {
    title: 'a loss long after the answer was read',
    window: 'none',
    seen: { answer: LOST, passage: { ...READ, agoMs: 1001 } },
  },
]

for (const { title, window, seen } of BREACHES) {
  test(`a promise is broken by ${title}`, () => {
    const { broken, working, lost } = judged(window, seen)
    assert.equal(broken.length, 1)
    assert.equal(working + Object.values(lost).reduce((sum, one) => sum + one, 0), 0, 'it counts as nothing else')
    assert.doesNotMatch(broken[0] ?? '', /"at"/, 'tokens have no place in a report')
  })
}

test('a loss without a replay window is counted by how far the renewal had come', () => {
  const places: readonly [Passage | null, string][] = [
    [null, 'not asked'],
    [{ ...READ, stage: 'asked' }, 'asked'],
    [{ ...READ, stage: 'processed' }, 'processed'],
    [{ ...READ, stage: 'half answered' }, 'half answered'],
    [{ ...READ, unread: 7 }, 'unread'],
    [READ, 'unstored'],
    [{ ...READ, unread: null }, 'unstored'],
  ]
  for (const [passage, place] of places) {
    const { lost, broken } = judged('none', { answer: LOST, passage })
    assert.deepEqual(broken, [])
    assert.deepEqual(
      Object.entries(lost).filter(([, count]) => count > 0),
      [[place, 1]],
    )
  }
})
