/** When answers leave. */

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { depart } from './departures.ts'

test('answers that are ready in one turn leave at its end, in their order, and none twice', async () => {
  const left: string[] = []
  const response = { end: (body: string) => void left.push(body) } as unknown as ServerResponse
  depart(response, 'first')
  depart(response, 'second')
  await Promise.resolve()
  assert.deepEqual(left, [])
  await nextTurn()
  assert.deepEqual(left, ['first', 'second'])
  depart(response, 'third')
  await nextTurn()
  assert.deepEqual(left, ['first', 'second', 'third'])
})

test('a dozen leave without waiting for the end of the turn, and those after them at its end', async () => {
  const left: string[] = []
  const response = { end: (body: string) => void left.push(body) } as unknown as ServerResponse
  const bodies = Array.from({ length: 26 }, (_, i) => String(i))
  for (const body of bodies.slice(0, 11)) depart(response, body)
  assert.deepEqual(left, [])
  for (const body of bodies.slice(11)) depart(response, body)
  assert.deepEqual(left, bodies.slice(0, 24))
  await nextTurn()
  assert.deepEqual(left, bodies)
})
