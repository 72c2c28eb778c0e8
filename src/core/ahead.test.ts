/** What is remembered of tokens that were handed out, and when they are due. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ahead } from './ahead.ts'

const HOUR = 3_600_000
const used = (id: string, expiresAt: number | null = HOUR) => ({ tenant: 't', id, issuedAt: 0, expiresAt })

const idsDue = (ahead: Ahead, now: number) => ahead.due(now).map(({ id }) => id)

test('a token is due once, in its last minute, however often it was handed out', () => {
  const ahead = new Ahead(() => 0)
  for (let i = 0; i < 3; i++) ahead.used(used('a'))
  assert.deepEqual(idsDue(ahead, HOUR - 60_001), [])
  assert.deepEqual(idsDue(ahead, HOUR - 60_000), ['a'])
  assert.deepEqual(idsDue(ahead, HOUR - 59_000), [])
})

test('what was connected together is spread over half a minute', () => {
  let chance = 0
  const ahead = new Ahead(() => chance)
  for (chance = 0; chance < 1; chance += 0.25) ahead.used(used(`chance ${chance}`))
  const due = [60, 52.5, 45, 37.5].map((seconds) => idsDue(ahead, HOUR - seconds * 1000))
  assert.deepEqual(due, [['chance 0'], ['chance 0.25'], ['chance 0.5'], ['chance 0.75']])
})

test('what has expired meanwhile is left to whoever asks for it, and what never expires is never due', () => {
  const ahead = new Ahead(() => 0)
  ahead.used(used('expired'))
  ahead.used(used('endless', null))
  assert.deepEqual(idsDue(ahead, HOUR), [])
})

test('the token that took its place is due in its turn', () => {
  const ahead = new Ahead(() => 0)
  ahead.used(used('a'))
  ahead.used({ tenant: 't', id: 'a', issuedAt: HOUR, expiresAt: 2 * HOUR })
  assert.deepEqual(idsDue(ahead, HOUR - 1), [])
  assert.deepEqual(idsDue(ahead, 2 * HOUR - 1), ['a'])
})

test('memory has an end: then only what is handed out again takes the place of what was not for longest', () => {
  const ahead = new Ahead(() => 0)
  for (let i = 0; i < 50_000; i++) ahead.used(used(String(i)))
  for (const id of ['0', 'once', 'twice', 'twice']) ahead.used(used(id))
  const ids = new Set(idsDue(ahead, HOUR - 1))
  const has = (...asked: string[]): boolean[] => asked.map((id) => ids.has(id))
  assert.deepEqual([ids.size, ...has('0', '1', 'once', 'twice')], [50_000, true, false, false, true])
})

test('the next token of one that is remembered is remembered, however full it is', () => {
  const ahead = new Ahead(() => 0)
  for (let i = 0; i < 50_000; i++) ahead.used(used(String(i)))
  ahead.used({ tenant: 't', id: '7', issuedAt: HOUR, expiresAt: 2 * HOUR })
  assert(!idsDue(ahead, HOUR - 1).includes('7'))
  assert(idsDue(ahead, 2 * HOUR - 1).includes('7'))
})
