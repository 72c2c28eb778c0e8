/** Whose turn it is to be taken back: each provider for itself, and one that is down costs the others nothing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../core/connection.ts'
import type { Ports, Revoked } from '../core/ports.ts'
import { toBeTakenBack } from '../core/revocation.ts'
import { Secret } from '../core/secret.ts'
import { memoryStore } from '../store/memory.ts'
import { connect, NOW } from '../store/samples.ts'
import { Revoking } from './revoking.ts'

const DOWN: Revoked = { outcome: 'failed', reason: 'timeout', retryAfterMs: null, final: false }

/** Providers that answer as they are told to, by id, and how many requests each had at once. */
function scene(answers: Record<string, () => Promise<Revoked>>) {
  const clock = { now: NOW }
  const store = memoryStore()
  const asked: string[] = []
  const running = new Map<string, number>()
  let most = 0
  const ports = {
    store,
    now: () => clock.now,
    chance: () => 1,
    pause: async () => {},
    process: 'p',
    log: () => {},
    revocationEnded: () => {},
    seal: { load: () => ({ open: () => new Secret('{"also":{},"kept":{}}') }) },
    registry: {
      app: async (_: string, app: string) => ({ provider: app, sealed: {}, createdAt: 0 }),
      provider: async (id: string) => ({ id }),
    },
    modeOf: ({ id }: { id: string }) => ({
      probe: async () => 'unknown',
      async revoke() {
        asked.push(id)
        running.set(id, (running.get(id) ?? 0) + 1)
        most = Math.max(most, running.get(id) ?? 0)
        const said = await answers[id]?.()
        running.set(id, (running.get(id) ?? 0) - 1)
        return said
      },
    }),
  } as unknown as Ports
  const revoking = new Revoking(ports)
  return {
    ...{ clock, store, asked, revoking },
    mostAtOnce: () => most,
    add: (id: string, provider: string, since = NOW): Promise<Connection> =>
      connect(store, { id, app: provider, provider, health: toBeTakenBack(since) }),
    async look() {
      await revoking.look()
      await revoking.stop()
    },
  }
}

const count = (asked: readonly string[], provider: string) => asked.filter((one) => one === provider).length

test('F-50 a provider that is down, with however many connections, is asked rarely and keeps no other from its turn', async () => {
  const { add, look, asked, clock, store } = scene({ down: async () => DOWN, well: async () => ({ outcome: 'confirmed' }) })
  for (let i = 0; i < 200; i++) await add(`down ${i}`, 'down', NOW - 1000)
  await add('well', 'well')
  for (let second = 0; second < 60; second++) {
    await look()
    clock.now += 1000
  }
  assert.equal((await store.connections.find('acme', 'well'))?.sealed, null)
  assert(count(asked, 'down') < 15, `${count(asked, 'down')} requests in a minute`)
  assert(count(asked, 'down') > 4, 'it is looked at now and then')
})

test('F-50 a provider that answers at once and has very many to take back keeps no other from its turn', async () => {
  const { add, look, asked, store } = scene({
    busy: async () => ({ outcome: 'confirmed' }),
    well: async () => ({ outcome: 'confirmed' }),
  })
  for (let i = 0; i < 200; i++) await add(`busy ${i}`, 'busy', NOW - 1000)
  await add('well', 'well')
  await look()
  assert.equal((await store.connections.find('acme', 'well'))?.sealed, null)
  assert.equal(count(asked, 'busy'), 4, 'no more of it at once than before')
})

test('F-50 when it is well again the rest follows, a few at a time', async () => {
  let well = false
  const { add, look, asked, clock, store, mostAtOnce } = scene({
    down: async () => (well ? { outcome: 'confirmed' } : DOWN),
  })
  for (let i = 0; i < 30; i++) await add(`${i}`, 'down')
  for (let second = 0; second < 20; second++, clock.now += 1000) await look()
  well = true
  for (let second = 0; second < 300; second++, clock.now += 1000) await look()
  assert.equal(await store.connections.countToTakeBack(), 0)
  assert.equal(mostAtOnce(), 4)
  assert(asked.length < 60)
})

test('a refusal of one connection is no outage: the others of its provider go on', async () => {
  const refused: Revoked = { outcome: 'failed', reason: 'http_422', retryAfterMs: null, final: false }
  const answers = [refused, refused, refused]
  const { add, look, asked } = scene({ odd: async () => answers.pop() ?? { outcome: 'confirmed' } })
  for (let i = 0; i < 8; i++) await add(`${i}`, 'odd')
  await look()
  await look()
  assert.equal(asked.length, 8)
})

test('what a stopped process had begun is waited for', async () => {
  let answer: (said: Revoked) => void = () => {}
  const { add, revoking, store } = scene({ slow: () => new Promise((resolve) => (answer = resolve)) })
  await add('a', 'slow')
  await revoking.look()
  const stopped = revoking.stop()
  while ((await store.connections.find('acme', 'a'))?.lease === null) await Promise.resolve()
  setImmediate(() => answer({ outcome: 'confirmed' }))
  await stopped
  assert.equal((await store.connections.find('acme', 'a'))?.sealed, null)
})
