/** Looking through all connections takes long where there are many: those who are served meanwhile must not notice. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { everyConnection } from './dormant.ts'
import type { Ports } from './ports.ts'

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
