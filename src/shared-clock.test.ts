/** Servers go by the store's clock, wherever their own is set. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SharedClock } from './shared-clock.ts'

const NOW = 1_800_000_000_000

/** A machine whose wall clock is off, a store, and time that passes for both. */
function machine({ off = 0, hasClock = true } = {}) {
  const time = { ms: 0, off, answerMs: 0, storeOff: 0 }
  const told: unknown[] = []
  const clocks = { wall: () => NOW + time.ms + time.off, monotonic: () => 5_000.25 + time.ms }
  const clock = new SharedClock((level, _, fields) => told.push([level, fields?.['ms']]), clocks)
  const store = {
    async clock() {
      time.ms += time.answerMs / 2
      const at = hasClock ? NOW + time.ms + time.storeOff : null
      time.ms += time.answerMs / 2
      return at
    },
  }
  return { clock, time, told, follow: () => clock.follow(store) }
}

test('F-41 two machines whose clocks are a minute apart agree to the millisecond, and the one that is wrong says so once', async () => {
  const [right, wrong] = [machine(), machine({ off: 60_000 })]
  for (let look = 0; look < 3; look++) {
    await right.follow()
    await wrong.follow()
    assert.equal(wrong.clock.now(), right.clock.now())
    for (const { time } of [right, wrong]) time.ms += 10_000
    assert.equal(wrong.clock.now(), right.clock.now())
  }
  assert.equal(right.clock.now(), NOW + 30_000)
  assert.deepEqual([right.told, wrong.told], [[], [['warn', -60_000]]])
})

test('F-41 a clock that is set while servers run changes nothing, and is told of each time that it goes wrong', async () => {
  const { clock, time, told, follow } = machine()
  await follow()
  for (const off of [600_000, -600_000, 0, 3_600_000]) {
    time.off = off
    time.ms += 1
    assert.equal(clock.now(), NOW + time.ms)
    await follow()
    assert.equal(clock.now(), NOW + time.ms)
  }
  assert.deepEqual(told, [
    ['warn', -600_000],
    ['warn', -3_600_000],
  ])
})

test('F-41 an answer that took long does not move what was known better, and one that proves it wrong does', async () => {
  const { clock, time, told, follow } = machine()
  time.answerMs = 2_000
  await follow()
  assert.equal(clock.now(), NOW + time.ms)
  time.storeOff = 400
  await follow()
  assert.equal(clock.now(), NOW + time.ms, 'it may have been read 400 ms later')
  time.answerMs = 2
  await follow()
  assert.equal(clock.now(), NOW + time.ms + 400)
  time.answerMs = 20_000
  time.off = 8_000
  await follow()
  assert.deepEqual(told, [], 'nor is a clock called wrong for it')
})

test('a store without a clock of its own leaves it at that of the machine', async () => {
  const { clock, time, told, follow } = machine({ off: 60_000, hasClock: false })
  await follow()
  assert.equal(clock.now(), NOW + 60_000)
  time.off = 0
  assert.equal(clock.now(), NOW)
  assert.deepEqual(told, [])
})

test('times are whole milliseconds, as the stores keep them', async () => {
  const { clock, time, follow } = machine()
  await follow()
  time.ms += 0.7
  assert(Number.isInteger(clock.now()))
})
