/** What every store must do with leases: one renewal at a time, and none that writes after its turn. */

import assert from 'node:assert/strict'
import type { Connection } from '../core/connection.ts'
import type { Store } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import { connect, NOW, sampleConnection, sampleFact } from './samples.ts'

const LEASE = { holder: 'p1', now: NOW, until: NOW + 1000 }
const RENEWED = sampleConnection({
  sealed: { dataKey: Uint8Array.of(9), accessToken: Uint8Array.of(8), refreshToken: Uint8Array.of(7), extra: Uint8Array.of(6) },
  expiresAt: NOW + 7_200_000,
  renewedAt: NOW,
})

export function checkLeases(check: Check): void {
  check('claiming takes the lease where everybody can see it', async (store) => {
    const seen = await connect(store)
    const claimed = await store.connections.claim(seen, LEASE)
    assert.equal(claimed?.overdue, null)
    const { lease } = claimed.connection
    assert.deepEqual(claimed.connection, {
      ...seen,
      version: seen.version + 1,
      lease: { holder: 'p1', fence: lease?.fence, startedAt: NOW, until: NOW + 1000 },
    })
    assert.deepEqual(await find(store), claimed.connection)
  })

  check('of 32 claims at once one gets the lease', async (store) => {
    const seen = await connect(store)
    const claims = await Promise.all(
      Array.from({ length: 32 }, (_, i) => store.connections.claim(seen, { ...LEASE, holder: `p${i}` })),
    )
    const won = claims.filter((claimed) => claimed !== null)
    assert.equal(won.length, 1)
    assert.deepEqual(await find(store), won[0]?.connection)
  })

  check('a lease that is alive is not given again, at its end it is, and the earlier one is told of', async (store) => {
    const first = await claim(store, await connect(store))
    assert.equal(await store.connections.claim(first, { holder: 'p2', now: NOW + 999, until: NOW + 5000 }), null)
    assert.deepEqual(await find(store), first)
    const second = await store.connections.claim(first, { holder: 'p2', now: NOW + 1000, until: NOW + 5000 })
    assert.deepEqual(second?.overdue, first.lease)
    assert.equal(second.connection.lease?.holder, 'p2')
    assert(second.connection.lease.fence > (first.lease?.fence ?? Infinity))
  })

  check('a claim says when the connection is due, or leaves that as it was', async (store) => {
    const seen = await connect(store, { dueAt: NOW + 7 })
    const kept = await store.connections.claim(seen, LEASE)
    assert.equal(kept?.connection.dueAt, NOW + 7)
    const moved = await store.connections.claim(kept.connection, {
      ...LEASE,
      now: NOW + 1000,
      until: NOW + 2000,
      dueAt: NOW + 2000,
    })
    assert.equal(moved?.connection.dueAt, NOW + 2000)
    assert.deepEqual(await find(store), moved.connection)
  })

  check('claiming what changed since it was seen gives nothing and changes nothing', async (store) => {
    const seen = await connect(store)
    await store.connections.save(seen, { ...seen, label: 'new' }, [])
    const current = await find(store)
    assert.equal(await store.connections.claim(seen, LEASE), null)
    assert.equal(await store.connections.claim({ ...seen, id: 'none' }, LEASE), null)
    assert.deepEqual(await find(store), current)
  })

  check('settling writes what the renewal brought and gives the lease back', async (store) => {
    const seen = await connect(store)
    const claimed = await claim(store, seen)
    const fact = sampleFact({ action: 'connection.recovered' })
    assert.equal(await store.connections.settle(claimed, { ...RENEWED, version: 99, lease: claimed.lease }, [fact]), true)
    assert.deepEqual(await find(store), { ...RENEWED, version: claimed.version + 1, lease: null })
    assert.equal((await store.history('acme', { before: null, limit: 9 }))[0]?.action, 'connection.recovered')
  })

  check('what a connection is and whose is not changed by settling', async (store) => {
    const seen = await connect(store)
    const fixed = { id: 'x', app: 'x', provider: 'x', owner: { userId: 'x', orgCode: 'x' }, createdAt: 0 }
    assert.equal(await store.connections.settle(await claim(store, seen), { ...RENEWED, ...fixed }, []), true)
    assert.deepEqual(await find(store), { ...RENEWED, version: 3 })
  })

  check('fences only rise, also over leases that were given back', async (store) => {
    let fence = -1
    let connection = await connect(store)
    for (let i = 0; i < 5; i++) {
      const claimed = await claim(store, connection)
      assert(claimed.lease && claimed.lease.fence > fence)
      fence = claimed.lease.fence
      if (i % 2) await store.connections.settle(claimed, claimed, [])
      else await store.connections.save(claimed, claimed, [])
      connection = await find(store)
    }
  })

  check('whoever writes past a lease raises the fence, and so does the next lease', async (store) => {
    let fence = (await claim(store, await connect(store))).lease?.fence ?? 0
    const pastIt = {
      save: async () => store.connections.save(await find(store), RENEWED, []),
      finish: () => connect(store),
    }
    for (const [name, write] of Object.entries(pastIt)) {
      await write()
      const next = (await claim(store, await find(store))).lease?.fence ?? 0
      assert.equal(next, fence + 2, name)
      fence = next
    }
  })

  check('F-03 who settles after the lease went to another writes nothing', async (store) => {
    const late = await claim(store, await connect(store))
    const taken = await store.connections.claim(late, { holder: 'p2', now: NOW + 1000, until: NOW + 5000 })
    assert(taken)
    await settlesNothing(store, late)
    assert.equal(await store.connections.settle(taken.connection, RENEWED, []), true)
    await settlesNothing(store, late)
    await settlesNothing(store, taken.connection)
  })

  check('S-77 who settles after something else was saved writes nothing', async (store) => {
    const renewing = await claim(store, await connect(store))
    const revoked = { ...renewing, sealed: null, health: { state: 'revoked', upstream: 'pending' } } as const
    assert.equal(await store.connections.save(renewing, revoked, []), true)
    assert.deepEqual(await find(store), { ...revoked, version: renewing.version + 1, lease: null })
    await settlesNothing(store, renewing)
  })

  check('settling what was never claimed writes nothing', async (store) => {
    const seen = await connect(store)
    await settlesNothing(store, seen)
    await settlesNothing(store, { ...seen, lease: { holder: 'p1', fence: 0, startedAt: NOW, until: NOW + 1 } })
    await settlesNothing(store, { ...seen, lease: { holder: 'p1', fence: 1, startedAt: NOW, until: NOW + 1 } })
  })

  check('who settles what was removed meanwhile brings it not back, nor writes over a new one of its id', async (store) => {
    const claimed = await claim(store, await connect(store))
    await store.connections.remove('acme', 'session-1', [])
    assert.equal(await store.connections.settle(claimed, RENEWED, []), false)
    assert.equal(await store.connections.find('acme', 'session-1'), null)
    await connect(store, { label: 'anew' })
    await settlesNothing(store, claimed)
    await claim(store, await find(store))
    await settlesNothing(store, claimed)
  })

  check('a claim, a settlement and a save at once end as one of them after the other', async (store) => {
    for (let round = 0; round < 20; round++) {
      const claimed = await claim(store, await connect(store, { id: `c${round}` }))
      const { connections } = store
      const outcomes = await Promise.all([
        connections.settle(claimed, { ...RENEWED, label: 'settled' }, []),
        connections.save(claimed, { ...claimed, label: 'saved' }, []),
        connections.claim(claimed, { holder: 'p2', now: NOW + 1000, until: NOW + 2000 }),
      ])
      assert.equal(outcomes.filter((outcome) => outcome).length, 1)
      assert.equal((await connections.find('acme', `c${round}`))?.version, claimed.version + 1)
    }
  })
}

async function claim(store: Store, seen: Connection): Promise<Connection> {
  const claimed = await store.connections.claim(seen, LEASE)
  assert(claimed)
  return claimed.connection
}

async function find(store: Store): Promise<Connection> {
  const found = await store.connections.find('acme', 'session-1')
  assert(found)
  return found
}

async function settlesNothing(store: Store, claimed: Connection): Promise<void> {
  const before = await find(store)
  assert.equal(
    await store.connections.settle(claimed, { ...RENEWED, label: 'too late' }, [sampleFact({ reason: 'too late' })]),
    false,
  )
  assert.deepEqual(await find(store), before)
  const told = await store.history(null, { before: null, limit: 99 })
  assert(!told.some(({ reason }) => reason === 'too late'))
}
