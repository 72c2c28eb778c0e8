/** What is gathered as tokens are handed out, and how often the store hears of it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY_MS, lastUse, noteSomeUsage, noteUsage, Usage } from './usage.ts'

const used = (id: string, usedAt: number | null = null, tenant = 't') => ({ tenant, id, usedAt })

function gathering(waitingMax?: number) {
  const clock = { now: 20_000 * DAY_MS + 5 }
  const usage = new Usage(() => clock.now, waitingMax)
  const noted: string[] = []
  const store = {
    connections: {
      fails: false,
      async noteUsed(rows: readonly { tenant: string; id: string }[], day: number) {
        if (this.fails) throw new Error('the disk is full')
        noted.push(...rows.map(({ tenant, id }) => `${tenant} ${id} ${day / DAY_MS}`))
      },
    },
  }
  const note = () => noteUsage({ store } as never, usage)
  return { clock, usage, noted, store, note }
}

test('S-81 a connection is noted once a day, however often its token is handed out', async () => {
  const { clock, usage, noted, note } = gathering()
  for (const id of ['a', 'b', 'a']) usage.used(used(id))
  await note()
  assert.deepEqual(noted.splice(0), ['t a 20000', 't b 20000'])
  // From now on its row says so.
  usage.used(used('a', 20_000 * DAY_MS))
  await note()
  assert.deepEqual(noted, [])
  clock.now += DAY_MS
  usage.used(used('a', 20_000 * DAY_MS))
  await note()
  assert.deepEqual(noted, ['t a 20001'])
})

test('S-81 what was handed out before midnight and not noted yet is noted for the day that it was', async () => {
  const { clock, usage, noted, note } = gathering()
  usage.used(used('a'))
  clock.now += DAY_MS
  usage.used(used('b'))
  await note()
  assert.deepEqual(noted, ['t a 20000', 't b 20001'])
})

test('S-81 what the store does not take is noted later, and nothing is lost', async () => {
  const { usage, noted, store, note } = gathering()
  for (let i = 0; i < 1200; i++) usage.used(used(`c${i}`))
  store.connections.fails = true
  await assert.rejects(note())
  usage.used(used('late'))
  store.connections.fails = false
  await note()
  assert.equal(new Set(noted).size, 1201)
  assert.equal(noted.length, 1201)
})

test('what waits is bounded; what is beyond is noted when it is used again', async () => {
  const { usage, noted, note } = gathering(10)
  for (let i = 0; i < 11; i++) usage.used(used(`c${i}`))
  await note()
  assert.equal(noted.length, 10)
  usage.used(used('c10'))
  await note()
  assert.deepEqual(noted.slice(10), ['t c10 20000'])
})

test('a batch at a time, the oldest first, so that writing it never takes long', async () => {
  const { usage, noted, store } = gathering()
  for (let i = 0; i < 1200; i++) usage.used(used(`c${i}`))
  await noteSomeUsage({ store } as never, usage)
  assert.equal(noted.length, 200)
  assert.equal(noted[0], 't c0 20000')
})

test('consenting is a use', () => {
  assert.equal(lastUse({ usedAt: null, connectedAt: 7 }), 7)
  assert.equal(lastUse({ usedAt: 9, connectedAt: 7 }), 9)
  assert.equal(lastUse({ usedAt: 5, connectedAt: 7 }), 7)
})
