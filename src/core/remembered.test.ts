/** What is remembered, and what is forgotten for it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Remembered } from './remembered.ts'

const keysOf = (memory: Remembered<unknown>): string[] => [...memory].map(([key]) => key).toSorted()

function filled(max: number): Remembered<number> {
  const memory = new Remembered<number>(max)
  for (let i = 0; i < max; i++) memory.add(`k${i}`, i)
  return memory
}

test('it never holds more than it may, and forgets first what came first', () => {
  const memory = filled(3)
  memory.add('new', 9)
  assert.deepEqual(keysOf(memory), ['k1', 'k2', 'new'])
  assert.equal(memory.get('k0'), undefined)
  assert.equal(memory.get('new'), 9)
})

test('what was used since is passed over once', () => {
  const memory = filled(3)
  memory.get('k0')
  memory.add('a', 1)
  assert.deepEqual(keysOf(memory), ['a', 'k0', 'k2'])
  for (const key of ['b', 'c', 'd']) memory.add(key, 1)
  assert.deepEqual(keysOf(memory), ['b', 'c', 'd'])
})

test('though all were used, there is room for one more', () => {
  const memory = filled(3)
  for (const key of ['k0', 'k1', 'k2']) memory.get(key)
  memory.add('new', 1)
  assert.deepEqual(keysOf(memory), ['k1', 'k2', 'new'])
})

test('another value for a key takes the place of the one before', () => {
  const memory = filled(2)
  memory.add('k0', 5)
  assert.equal(memory.get('k0'), 5)
  assert.deepEqual(keysOf(memory), ['k0', 'k1'])
})

test('what was forgotten on request makes room, and nobody else has to go', () => {
  const memory = filled(3)
  memory.forget('k1')
  memory.forget('k1')
  memory.forget('nobody')
  assert.equal(memory.get('k1'), undefined)
  memory.add('new', 1)
  assert.deepEqual(keysOf(memory), ['k0', 'k2', 'new'])
  memory.add('newer', 1)
  assert.deepEqual(keysOf(memory), ['k2', 'new', 'newer'])
})

test('while there is room everything is welcome; then what comes a second time, and not what merely passes by', () => {
  const memory = new Remembered<number>(100)
  for (let i = 0; i < 100; i++) {
    assert.equal(memory.welcomes(`k${i}`), true)
    memory.add(`k${i}`, i)
  }
  const passing = Array.from({ length: 1000 }, (_, i) => `passing ${i}`).filter((key) => memory.welcomes(key))
  assert.deepEqual(passing, [])
  assert.equal(memory.welcomes('again'), false)
  assert.equal(memory.welcomes('again'), true)
  memory.forget('k7')
  assert.equal(memory.welcomes('there is room again'), true)
})

test('what came once is forgotten when enough came since', () => {
  const memory = filled(100)
  memory.welcomes('once')
  for (let i = 0; i < 2000; i++) memory.welcomes(`passing ${i}`)
  assert.equal(memory.welcomes('once'), false)
})

test('over many rounds it answers as a plain map does, for what it still holds', () => {
  const memory = new Remembered<number>(50)
  const plain = new Map<string, number>()
  // As good as random, and the same each time.
  let state = 1
  const next = (below: number): number => (state = (state * 48_271) % 2_147_483_647) % below
  for (let i = 0; i < 20_000; i++) {
    const key = `k${next(200)}`
    if (next(10) === 0) {
      memory.forget(key)
      plain.delete(key)
    } else if (next(2) === 0) {
      memory.add(key, i)
      plain.set(key, i)
    }
    const found = memory.get(key)
    if (found !== undefined) assert.equal(found, plain.get(key))
    assert([...memory].length <= 50)
  }
})
