/** Some kills in every run of the tests; `npm run faults` makes a thousand of them. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { postgres } from '../postgres.ts'
import { type KillOptions, killRounds } from './kill-rounds.ts'
import { killTable } from './kill-table.ts'

const ROUNDS: readonly { readonly title: string; readonly store: 'sqlite' | 'postgres'; readonly options: KillOptions }[] = [
  { title: 'one broker on SQLite', store: 'sqlite', options: { window: 30, kills: 5 } },
  { title: 'one broker on SQLite', store: 'sqlite', options: { window: 'none', kills: 5 } },
  { title: 'four brokers on one file', store: 'sqlite', options: { window: 'until_next_use', kills: 3, processes: 4 } },
  { title: 'four brokers on PostgreSQL', store: 'postgres', options: { window: 30, kills: 3, processes: 4 } },
  { title: 'one broker on PostgreSQL', store: 'postgres', options: { window: 'none', kills: 3 } },
  { title: 'lines that are cut', store: 'sqlite', options: { window: 30, kills: 4, fault: 'cut' } },
  { title: 'lines that are cut', store: 'sqlite', options: { window: 'none', kills: 4, fault: 'cut' } },
]

// Most of a round is waiting.
describe('brokers that are killed', { concurrency: 3 }, () => {
  for (const { title, store, options } of ROUNDS) {
    test(`F-05 F-07 F-08 ${options.kills} times, no promise is broken: ${title}, window ${options.window}`, async (t) => {
      const database = store === 'postgres' ? { database: await (await postgres()).fresh() } : {}
      const tally = await killRounds({ ...options, ...database })
      t.diagnostic(`\n${killTable([tally])}`)
      assert.deepEqual(tally.broken, [])
    })
  }
})
