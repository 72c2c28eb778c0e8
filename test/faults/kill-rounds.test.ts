/** Brokers that are killed for real, at random instants around the provider's answer: what is promised about refresh tokens holds. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type KillOptions, killRounds } from './kill-rounds.ts'

/** A window as long as a lease, or shorter, is part of the long run. */
const ROUNDS: readonly (KillOptions & { readonly title: string })[] = [
  {
    title:
      'F-05 F-07 F-08 a provider without a replay window: what is lost is lost with its exact reason, and nothing is sent twice',
    window: 'none',
    kills: 8,
  },
  {
    title: 'F-05 F-07 F-08 a provider that gives the answer again until it is used: nothing is lost',
    window: 'until_next_use',
    kills: 8,
  },
  { title: 'F-05 F-07 F-08 a provider that gives the answer again for five minutes: nothing is lost', window: 300, kills: 5 },
  {
    title: 'F-04 F-07 one of two processes on one file is killed, and the other goes on',
    window: 'until_next_use',
    kills: 4,
    processes: 2,
  },
]

describe('brokers that are killed while they renew', { concurrency: 2 }, () => {
  for (const { title, ...options } of ROUNDS) {
    test(title, async () => {
      const { kills, working, lost, doubleSpends, broken } = await killRounds(options)
      assert.deepEqual(broken, [])
      assert.equal(doubleSpends, 0)
      assert.equal(kills, options.kills)
      const over = Object.values(lost).reduce((sum, one) => sum + one, 0)
      assert.equal(working + over, kills * 8, 'every connection ended one way or the other')
      if (options.window !== 'none') assert.equal(over, 0)
    })
  }
})
