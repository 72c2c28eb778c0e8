/** What every store must do with revocations that are due, with walking over all connections, and with noting which were used. */

import assert from 'node:assert/strict'
import type { Connection, Revocation } from '../core/connection.ts'
import type { Store } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import { connect, NOW, sampleConnection, sampleFact } from './samples.ts'

const DAY = 86_400_000

function revoked(revocation: Partial<Revocation> = {}): Connection['health'] {
  const whole = { attempts: 1, since: NOW, retryAt: NOW, reason: 'http_503', accepted: false, provedAt: null, ...revocation }
  return { state: 'revoked', upstream: 'failed', revocation: whole }
}

const due = async (store: Store, now = NOW, limit = 9, except: string[] = []) =>
  (await store.connections.toTakeBack(now, limit, except)).map(({ id }) => id).join('')

export function checkRevocations(check: Check): void {
  check('F-50 revocations that are due are found, longest due first, in every tenant, and no others', async (store) => {
    await connect(store, { id: 'a', health: revoked({ retryAt: NOW + 2 }) })
    await connect(store, { id: 'b', health: revoked({ retryAt: NOW + 1 }), tenant: 'other' })
    await connect(store, { id: 'c', health: revoked({ retryAt: NOW + 3 }), provider: 'post' })
    await connect(store, { id: 'd', health: revoked({ retryAt: null }) })
    await connect(store, { id: 'e', health: { state: 'revoked', upstream: 'superseded' }, sealed: null })
    await connect(store, { id: 'f', health: revoked(), sealed: null })
    await connect(store, { id: 'g' })
    assert.equal(await due(store, NOW), '')
    assert.equal(await due(store, NOW + 1), 'b')
    assert.equal(await due(store, NOW + 3), 'bac')
    assert.equal(await due(store, NOW + 3, 2), 'ba')
    assert.equal(await due(store, NOW + 3, 9, ['sales']), 'c')
    assert.equal(await due(store, NOW + 3, 9, ['sales', 'post']), '')
    assert.equal(await due(store, NOW + 3, 9, ['none']), 'bac')
    assert.equal(await store.connections.countToTakeBack(), 3)
    const [found] = await store.connections.toTakeBack(NOW + 1, 1, [])
    assert.deepEqual(found, await store.connections.find('other', 'b'))
  })

  check('F-50 one that somebody is at is left to them until their lease is over', async (store) => {
    const seen = await connect(store, { id: 'a', health: revoked() })
    const claim = await store.connections.claim(seen, { holder: 'p1', now: NOW, until: NOW + 10 })
    assert(claim)
    assert.equal(await due(store, NOW + 9), '')
    assert.equal(await store.connections.countToTakeBack(), 1)
    assert.equal(await due(store, NOW + 10), 'a', 'whoever was at it may have died')
    const done = { ...claim.connection, sealed: null, health: revoked({ retryAt: null }) }
    assert.equal(await store.connections.settle(claim.connection, done, []), true)
    assert.equal(await due(store, NOW + 99), '')
    assert.equal(await store.connections.countToTakeBack(), 0)
  })

  check('F-50 of any number that take one that is due at once, one gets it', async (store) => {
    await connect(store, { id: 'a', health: revoked() })
    const claims = await Promise.all(
      Array.from({ length: 16 }, async (_, i) => {
        const [found] = await store.connections.toTakeBack(NOW, 1, [])
        return found && store.connections.claim(found, { holder: `p${i}`, now: NOW, until: NOW + 10 })
      }),
    )
    assert.equal(claims.filter((claim) => claim).length, 1)
  })

  check('a walk meets every connection of every tenant once', async (store) => {
    const expected: string[] = []
    for (const tenant of ['acme', 'beta', 'zeta'])
      for (let i = 0; i < 7; i++) {
        await connect(store, { tenant, id: `c${i}`, createdAt: NOW - i, health: i === 3 ? revoked() : sampleConnection().health })
        expected.push(`${tenant} c${i}`)
      }
    for (const limit of [1, 4, 7, 99]) {
      const seen: string[] = []
      for (let after: Connection | null = null; ; ) {
        const page: Connection[] = await store.connections.walk(after, limit)
        seen.push(...page.map(({ tenant, id }) => `${tenant} ${id}`))
        after = page.at(-1) ?? null
        if (page.length < limit) break
      }
      assert.deepEqual(seen, expected)
    }
    assert.deepEqual(await store.connections.walk({ tenant: 'zeta', id: 'c6' }, 9), [])
  })

  check(
    'S-81 the day of the last use is noted beside everything else: no version is counted and no lease is lost',
    async (store) => {
      const { connections } = store
      const seen = await connect(store, { id: 'a' })
      await connect(store, { id: 'b' })
      await connect(store, { id: 'a', tenant: 'other' })
      const claim = await connections.claim(seen, { holder: 'p', now: NOW, until: NOW + 10 })
      assert(claim)
      const used = [
        { tenant: 'acme', id: 'a' },
        { tenant: 'other', id: 'a' },
        { tenant: 'acme', id: 'nothing' },
      ]
      await connections.noteUsed(used, 2 * DAY)
      await connections.noteUsed(used, DAY)
      await connections.noteUsed([], 9 * DAY)
      assert.deepEqual(await connections.find('acme', 'a'), { ...claim.connection, usedAt: 2 * DAY })
      assert.equal((await connections.find('other', 'a'))?.usedAt, 2 * DAY)
      assert.equal((await connections.find('acme', 'b'))?.usedAt, null)
      assert.equal(await connections.settle(claim.connection, { ...claim.connection, label: 'renewed', usedAt: null }, []), true)
      await connections.noteUsed(used, 3 * DAY)
      const settled = (await connections.find('acme', 'a')) as Connection
      assert.deepEqual([settled.label, settled.usedAt, settled.version], ['renewed', 3 * DAY, seen.version + 2])
      assert.equal(await connections.save(settled, { ...settled, usedAt: 0 }, [sampleFact()]), true)
      assert.equal((await connections.find('acme', 'a'))?.usedAt, 3 * DAY, 'and whoever writes anything else leaves it')
    },
  )
}
