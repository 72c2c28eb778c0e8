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
