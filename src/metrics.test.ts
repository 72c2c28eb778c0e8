/** What is counted is shown in whatever state the rest of the process is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from './metrics.ts'

test('F-39 a store that does not answer keeps nobody from seeing what was counted', async () => {
  const metrics = createMetrics(
    () => 3,
    () => new Promise(() => {}),
  )
  const { text } = await metrics.show()
  assert.match(text, /^latchstring_revocations_waiting Nan$/m)
  assert.match(text, /^latchstring_renewals_running 3$/m)
})

test('a process is watched once, however many brokers are made in it', async (t) => {
  const timers = t.mock.method(globalThis, 'setInterval').mock
  const [first, second] = [createMetrics(() => 1), createMetrics(() => 2)]
  assert(timers.callCount() <= 1)
  for (const [metrics, running] of [
    [first, 1],
    [second, 2],
  ] as const) {
    const { text } = await metrics.show()
    assert.match(text, new RegExp(`^latchstring_renewals_running ${running}$`, 'm'))
    assert.match(text, /^latchstring_process_cpu_seconds_total \d/m)
  }
})
