/** What is gathered as tokens are handed out, and how often the store hears of it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY_MS, lastUse, noteUsage, Usage } from './usage.ts'

const used = (id: string, tenant = 't') => ({ tenant, id })

function gathering(rememberedMax?: number) {
  const clock = { now: 20_000 * DAY_MS + 5 }
  const usage = new Usage(() => clock.now, rememberedMax)
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
  for (let time = 0; time < 3; time++) {
    for (const id of ['a', 'b', 'a']) usage.used(used(id))
    usage.used(used('a', 'other'))
    await note()
  }
  assert.deepEqual(noted.splice(0), ['t a 20000', 't b 20000', 'other a 20000'])
  clock.now += DAY_MS
  usage.used(used('a'))
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

test('what is remembered is bounded; past it, a connection may be noted twice a day', async () => {
  const { usage, noted, note } = gathering(10)
  for (let i = 0; i < 11; i++) usage.used(used(`c${i}`))
  usage.used(used('c0'))
  await note()
  assert.deepEqual(noted.filter((line) => line.startsWith('t c0 ')).length, 2)
})

test('consenting is a use', () => {
  assert.equal(lastUse({ usedAt: null, connectedAt: 7 }), 7)
  assert.equal(lastUse({ usedAt: 9, connectedAt: 7 }), 9)
  assert.equal(lastUse({ usedAt: 5, connectedAt: 7 }), 7)
})
