/** What every store must do with attempts. */

import assert from 'node:assert/strict'
import type { Attempt } from '../core/attempt.ts'
import type { Connection } from '../core/connection.ts'
import type { Check } from './conformance.ts'
import { connect, NOW, ODD_BYTES, ODD_TEXT, sampleAttempt, sampleConnection, sampleFact } from './samples.ts'

export function checkAttempts(check: Check): void {
  check('an attempt comes back exactly as it was added', async ({ attempts }) => {
    const bare = sampleAttempt()
    const full = sampleAttempt({
      id: 'attempt-2',
      session: 'session-2',
      owner: { userId: ODD_TEXT, orgCode: 'acme inc' },
      connection: 'c',
      reconnects: 'r',
      callbackUrl: null,
      scopes: [ODD_TEXT, ''],
      issuer: null,
      issuerRequired: false,
      handleHash: 'h',
      stateHash: 's',
      browserHash: 'b',
      completionHash: 'c',
      sealed: { dataKey: ODD_BYTES, codeVerifier: ODD_BYTES, nonce: new Uint8Array(0), answer: ODD_BYTES, departure: ODD_BYTES },
      accountOf: ODD_TEXT,
      hosts: [ODD_TEXT, ''],
      reason: ODD_TEXT,
      createdAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
    })
    await attempts.add(bare, [])
    await attempts.add(full, [])
    assert.deepEqual(await attempts.find('acme', 'session-1'), bare)
    assert.deepEqual(await attempts.find('acme', 'session-2'), full)
  })

  check('a session is found by its newest attempt, and only in its tenant', async ({ attempts }) => {
    await attempts.add(sampleAttempt({ id: 'second', createdAt: NOW + 1 }), [])
    await attempts.add(sampleAttempt({ id: 'first', createdAt: NOW }), [])
    await attempts.add(sampleAttempt({ id: 'foreign', createdAt: NOW + 9, tenant: 'other' }), [])
    assert.equal((await attempts.find('acme', 'session-1'))?.id, 'second')
    await attempts.add(sampleAttempt({ id: 'later in the same millisecond', createdAt: NOW + 1 }), [])
    assert.equal((await attempts.find('acme', 'session-1'))?.id, 'later in the same millisecond')
    assert.equal((await attempts.find('other', 'session-1'))?.id, 'foreign')
    assert.equal(await attempts.find('third', 'session-1'), null)
    assert.equal(await attempts.find('acme', 'attempt-1'), null)
  })

  check('held attempts of a session are found in any tenant, and only held ones', async ({ attempts }) => {
    await attempts.add(sampleAttempt({ id: 'a', stage: 'held' }), [])
    await attempts.add(sampleAttempt({ id: 'b', stage: 'held', tenant: 'other', createdAt: NOW + 1 }), [])
    await attempts.add(sampleAttempt({ id: 'c', stage: 'away' }), [])
    await attempts.add(sampleAttempt({ id: 'd', stage: 'held', session: 'session-2' }), [])
    assert.deepEqual(ids(await attempts.held('session-1')), ['a', 'b'])
    assert.deepEqual(await attempts.held('session-3'), [])
  })

  check('an attempt is found by the hashes it has now', async ({ attempts }) => {
    const attempt = sampleAttempt({ handleHash: 'h1', stateHash: 's1' })
    await attempts.add(attempt, [])
    await attempts.add(sampleAttempt({ id: 'without hashes', session: 'session-2' }), [])
    await attempts.add(sampleAttempt({ id: 'without hashes too', session: 'session-3' }), [])
    assert.deepEqual(await attempts.findByHandle('h1'), attempt)
    assert.deepEqual(await attempts.findByState('s1'), attempt)
    assert.equal(await attempts.findByHandle('s1'), null)
    assert.equal(await attempts.findByState('h1'), null)

    await attempts.move('begun', { ...attempt, stage: 'away', handleHash: null, stateHash: 's2' }, [])
    assert.equal(await attempts.findByHandle('h1'), null)
    assert.equal(await attempts.findByState('s1'), null)
    assert.equal((await attempts.findByState('s2'))?.stage, 'away')
  })

  check('no two attempts share an id, a handle or a state', async ({ attempts, history }) => {
    await attempts.add(sampleAttempt({ handleHash: 'h', stateHash: 's' }), [])
    const free = sampleAttempt({ id: 'attempt-2', session: 'session-2' })
    for (const clash of [{ id: 'attempt-1', tenant: 'other' }, { handleHash: 'h' }, { stateHash: 's' }]) {
      await assert.rejects(attempts.add({ ...free, ...clash }, [sampleFact()]))
    }
    await attempts.add(free, [])
    await assert.rejects(attempts.move('begun', { ...free, stage: 'away', stateHash: 's' }, [sampleFact()]))
    assert.deepEqual(await attempts.find('acme', 'session-2'), free)
    assert.equal((await attempts.findByState('s'))?.id, 'attempt-1')
    assert.deepEqual(await history(null, { before: null, limit: 9 }), [])
  })

  check('S-13 of 32 moves at once one does it, and one fact tells of it', async ({ attempts, history }) => {
    const attempt = sampleAttempt({ stage: 'away', stateHash: 's' })
    await attempts.add(attempt, [])
    const moves = Array.from({ length: 32 }, (_, i) =>
      attempts.move('away', { ...attempt, stage: 'returned', stateHash: null, reason: `${i}` }, [sampleFact({ reason: `${i}` })]),
    )
    const winners = (await Promise.all(moves)).flatMap((won, i) => (won ? [`${i}`] : []))
    assert.equal(winners.length, 1)
    assert.equal((await attempts.find('acme', 'session-1'))?.reason, winners[0])
    const told = await history('acme', { before: null, limit: 99 })
    assert.deepEqual(
      told.map(({ reason }) => reason),
      winners,
    )
  })

  check('a move from a stage it is not at, of another tenant or of no attempt changes nothing', async ({ attempts, history }) => {
    const attempt = sampleAttempt()
    await attempts.add(attempt, [])
    const next = { ...attempt, stage: 'denied' } as const
    assert.equal(await attempts.move('away', next, [sampleFact()]), false)
    assert.equal(await attempts.move('begun', { ...next, tenant: 'other' }, [sampleFact()]), false)
    assert.equal(await attempts.move('begun', { ...next, id: 'attempt-2' }, [sampleFact()]), false)
    assert.deepEqual(await attempts.find('acme', 'session-1'), attempt)
    assert.deepEqual(await history(null, { before: null, limit: 9 }), [])
  })

  check('finishing makes the connection with the move, once', async ({ attempts, connections, history }) => {
    const attempt = sampleAttempt({ stage: 'returned' })
    await attempts.add(attempt, [])
    const next = { ...attempt, stage: 'connected', connection: 'session-1' } as const
    const done = await Promise.all(
      Array.from({ length: 32 }, (_, i) =>
        attempts.finish('returned', next, sampleConnection({ label: `${i}` }), [sampleFact()]),
      ),
    )
    assert.deepEqual(
      done.filter((won) => won),
      [true],
    )
    assert.deepEqual(await attempts.find('acme', 'session-1'), next)
    assert.deepEqual(await connections.find('acme', 'session-1'), sampleConnection({ label: `${done.indexOf(true)}` }))
    assert.equal((await history('acme', { before: null, limit: 99 })).length, 1)
  })

  check('finishing an attempt that ended otherwise makes no connection', async ({ attempts, connections }) => {
    const attempt = sampleAttempt({ stage: 'denied' })
    await attempts.add(attempt, [])
    assert.equal(await attempts.finish('returned', { ...attempt, stage: 'connected' }, sampleConnection(), []), false)
    assert.equal(await connections.find('acme', 'session-1'), null)
    assert.deepEqual(await attempts.find('acme', 'session-1'), attempt)
  })

  check('finishing over a connection replaces it whole, and nobody who held its lease can write any more', async (store) => {
    const first = await connect(store)
    const claimed = await store.connections.claim(first, { holder: 'p1', now: NOW, until: NOW + 10 })
    assert(claimed)
    const other = {
      app: 'mail',
      provider: 'post',
      owner: { userId: null, orgCode: 'acme inc' },
      createdAt: NOW + 5,
      label: 'new',
    }
    const second = await connect(store, { ...other, version: 77 })
    assert.deepEqual(second, sampleConnection({ ...other, version: 3 }))
    assert.equal(await store.connections.settle(claimed.connection, first, []), false)
    assert.deepEqual(await store.connections.find('acme', 'session-1'), second)
    const again = await store.connections.claim(second, { holder: 'p2', now: NOW, until: NOW + 10 })
    assert.equal(again?.overdue, null)
    assert(again.connection.lease && claimed.connection.lease && again.connection.lease.fence > claimed.connection.lease.fence)
  })

  check(
    'S-77 finishing over a connection that is not as it was seen changes nothing',
    async ({ attempts, connections, history }) => {
      const attempt = sampleAttempt({ stage: 'returned' })
      await attempts.add(attempt, [])
      const next = { ...attempt, stage: 'connected', connection: 'session-1' } as const
      const finish = (seen: Connection) =>
        attempts.finish('returned', next, sampleConnection({ label: 'late' }), [sampleFact()], seen)
      const never = sampleConnection()
      assert.equal(await finish(never), false, 'it is gone')
      assert.equal(await connections.find('acme', 'session-1'), null)
      assert.equal((await connections.addAll([never], () => [])).length, 1)
      const seen = (await connections.find('acme', 'session-1')) ?? assert.fail()
      const revoked = { ...seen, health: { state: 'revoked', upstream: 'unsupported' } } as const
      assert.equal(await connections.save(seen, revoked, []), true)
      assert.equal(await finish(seen), false)
      const current = (await connections.find('acme', 'session-1')) ?? assert.fail()
      assert.deepEqual(current.health, revoked.health)
      assert.deepEqual(await attempts.find('acme', 'session-1'), attempt)
      assert.deepEqual(await history(null, { before: null, limit: 9 }), [])
      assert.equal(await finish(current), true)
      assert.equal((await connections.find('acme', 'session-1'))?.label, 'late')
    },
  )

  check('pending attempts are listed like connections: newest first, narrowed, page by page', async ({ attempts }) => {
    const add = (id: string, changes: Partial<Attempt> = {}) => attempts.add(sampleAttempt({ id, ...changes }), [])
    await add('a', { stage: 'begun' })
    await add('b', { stage: 'away', createdAt: NOW + 1 })
    await add('c', { stage: 'returned', owner: { userId: 'ada', orgCode: 'acme inc' } })
    await add('d', { stage: 'held', app: 'mail', owner: { userId: null, orgCode: 'acme inc' } })
    for (const stage of ['connected', 'denied', 'failed', 'burned'] as const) await add(stage, { stage })
    await add('foreign', { tenant: 'other' })
    await add('expired', { expiresAt: NOW + 5 })
    await add('about to', { expiresAt: NOW + 6, createdAt: NOW - 1 })
    const cases: [Parameters<typeof attempts.pending>[1], string[]][] = [
      [{}, ['b', 'd', 'c', 'a', 'about to']],
      [{ userId: 'ada' }, ['b', 'c', 'a', 'about to']],
      [{ orgCode: 'acme inc' }, ['d', 'c']],
      [{ app: 'mail', orgCode: 'acme inc' }, ['d']],
      [{ app: 'none' }, []],
    ]
    for (const [filter, expected] of cases) {
      assert.deepEqual(ids(await attempts.pending('acme', filter, NOW + 5, { after: null, limit: 9 })), expected)
    }
    assert.deepEqual(ids(await attempts.pending('acme', {}, NOW + 5, { after: { createdAt: NOW, id: 'd' }, limit: 2 })), [
      'c',
      'a',
    ])
    assert.deepEqual(ids(await attempts.pending('third', {}, NOW + 5, { after: null, limit: 9 })), [])
  })

  check('what expired is emptied of all that could be opened or completed, and is still told of', async ({ attempts }) => {
    const bytes = Uint8Array.of(1, 2, 3)
    const full = { dataKey: bytes, codeVerifier: bytes, nonce: bytes, answer: bytes, departure: bytes }
    for (const i of [2, 1, 3]) {
      await attempts.add(
        sampleAttempt({
          id: `a${i}`,
          session: `s${i}`,
          stage: 'held',
          completionHash: `c${i}`,
          sealed: full,
          expiresAt: NOW + i,
        }),
        [],
      )
    }
    assert.equal(await attempts.empty(NOW + 3, 1), 1)
    assert.deepEqual((await attempts.find('acme', 's2'))?.sealed, full, 'the oldest goes first')
    assert.equal(await attempts.empty(NOW + 3, 9), 1)
    for (const i of [1, 2]) {
      const found = (await attempts.find('acme', `s${i}`)) ?? assert.fail()
      assert.deepEqual(found.sealed, { dataKey: bytes, codeVerifier: null, nonce: null, answer: null, departure: null })
      assert.equal(found.completionHash, null)
      assert.equal(found.stage, 'held')
    }
    assert.deepEqual((await attempts.find('acme', 's3'))?.sealed, full)
    assert.equal(await attempts.empty(NOW + 3, 9), 0, 'once is enough')
  })

  check('sweeping deletes what expired before the moment, oldest first, so many at a time', async ({ attempts }) => {
    for (const i of [3, 1, 2, 4, 5]) await attempts.add(sampleAttempt({ id: `a${i}`, session: `s${i}`, expiresAt: NOW + i }), [])
    const left = async () => {
      const found = await Promise.all([1, 2, 3, 4, 5].map((i) => attempts.find('acme', `s${i}`)))
      return ids(found.filter((one) => one !== null))
    }
    assert.equal(await attempts.sweep(NOW + 4, 2), 2)
    assert.deepEqual(await left(), ['a3', 'a4', 'a5'])
    assert.equal(await attempts.sweep(NOW + 4, 2), 1)
    assert.deepEqual(await left(), ['a4', 'a5'])
    assert.equal(await attempts.sweep(NOW + 4, 2), 0)
  })

  check('of attempts that expired in the same millisecond the one added first is swept first', async ({ attempts }) => {
    const added = ['c', 'a', 'b'].map((id) => sampleAttempt({ id, session: id, expiresAt: NOW }))
    for (const attempt of added) await attempts.add({ ...attempt, expiresAt: NOW + 5 }, [])
    // In another order: where a changed row lies in the table says nothing.
    for (const attempt of added.toReversed()) await attempts.move('begun', attempt, [])
    for (const { session } of added) {
      assert.notEqual(await attempts.find('acme', session), null)
      assert.equal(await attempts.sweep(NOW + 1, 1), 1)
      assert.equal(await attempts.find('acme', session), null)
    }
  })
}

function ids(attempts: readonly Attempt[]): string[] {
  return attempts.map(({ id }) => id)
}
