/** Which connections nobody uses; and looking through very many, which those who are served meanwhile must not notice. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { memoryStore } from '../store/memory.ts'
import { connect, NOW, sampleApp } from '../store/samples.ts'
import type { Connection } from './connection.ts'
import { everyConnection, revokeUnused } from './dormant.ts'
import type { Ports } from './ports.ts'
import { DAY_MS, dayOf } from './usage.ts'

test('between two pages everybody else has a turn, also where the store answers at once', async () => {
  const pages = 5
  let turns = 0
  const turn = setInterval(() => (turns += 1))
  const seen: number[] = []
  const walk = async (_after: unknown, limit: number) => {
    seen.push(turns)
    return Array.from({ length: seen.length < pages ? limit : 0 }, (_, n) => ({ id: `${seen.length}-${n}` }) as Connection)
  }
  const ports = { store: { connections: { walk } }, pause: (ms: number) => pause(ms) } as unknown as Ports
  const found: Connection[] = []
  for await (const connection of everyConnection(ports)) found.push(connection)
  clearInterval(turn)
  assert.equal(new Set(seen).size, pages, `pages were read in turns ${seen.join(', ')}`)
  assert.equal(new Set(found.map(({ id }) => id)).size, found.length)
})

test('S-81 a connection that was used late on a day is left alone until its days are over, counted from that use', async () => {
  const clock = { now: 0 }
  const store = memoryStore()
  const app = sampleApp({ revokeWhenUnused: 7 })
  const ports = {
    store: { ...store, records: { apps: async () => [app] } },
    now: () => clock.now,
    pause: async () => {},
    registry: { app: async () => app },
    unbegun: { serious: () => null },
    restored: null,
  } as unknown as Ports
  const day = dayOf(NOW)
  await connect(store, { id: 'late', app: app.keyCodeRef, connectedAt: day - 90 * DAY_MS, usedAt: day })
  const stateAt = async (now: number) => {
    clock.now = now
    await revokeUnused(ports, new AbortController().signal)
    return (await store.connections.find(app.tenant, 'late'))?.health.state
  }
  // Its last token may have been handed out a minute before midnight.
  assert.equal(await stateAt(day + 7 * DAY_MS + 60_000), 'connected')
  assert.equal(await stateAt(day + 8 * DAY_MS), 'revoked')
})
