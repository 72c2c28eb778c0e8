/** That memory is given back, and nothing else changes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveBackMemory } from './give-back.ts'

test('what is not needed any more is given back, and nobody else gets at the collector', async (t) => {
  let needed: { i: number }[] | null = Array.from({ length: 1_000_000 }, (_, i) => ({ i }))
  const before = process.memoryUsage().heapUsed
  assert(needed.length > 0)
  needed = null
  giveBackMemory()
  await t.waitFor(() => assert(process.memoryUsage().heapUsed < before - 20_000_000), { interval: 50, timeout: 10_000 })
  assert.equal(globalThis.gc, undefined)
})
