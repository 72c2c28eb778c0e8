/** Servers whose clocks differ are told of, by whoever is behind, once. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStore } from '../store/memory.ts'
import { Clocks } from './clocks.ts'
import type { Mark, Ports } from './ports.ts'

const NOW = 1_800_000_000_000
const mark: Mark = { read: async () => null, write: async () => {} }

test('F-41 a server whose clock is behind that of another says so once, and again when it happens again', async () => {
  const store = memoryStore()
  const clock = { ms: NOW, behind: 0 }
  const told: unknown[] = []
  const log: Ports['log'] = (level, _, fields) => told.push([level, fields?.['ms']])
  const one = new Clocks({ store, mark, now: () => clock.ms, log: () => assert.fail('it is ahead, and nobody can tell') })
  const other = new Clocks({ store, mark, now: () => clock.ms - clock.behind, log })
  const beat = async (behind: number): Promise<void> => {
    clock.behind = behind
    clock.ms += 10_000
    await one.beat()
    await other.beat()
  }
  await beat(0)
  await beat(4_000)
  assert.deepEqual(told, [])
  await beat(60_000)
  await beat(60_000)
  assert.deepEqual(told, [['error', 60_000]])
  await beat(0)
  await beat(30_000)
  assert.deepEqual(told.slice(1), [['error', 30_000]])
})
