/** What every store must do with facts: keep them in order, and never apart from the change they tell of. */

import assert from 'node:assert/strict'
import type { EventFilter } from '../core/event.ts'
import type { Store } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import { brokenFact, connect, NOW, ODD_TEXT, sampleApp, sampleAttempt, sampleConnection, sampleFact } from './samples.ts'

export function checkHistory(check: Check): void {
  check('facts come back as they were, newest first, page by page, each tenant its own', async (store) => {
    const facts = Array.from({ length: 7 }, (_, i) =>
      sampleFact({ tenant: i === 3 ? 'other' : 'acme', subject: `${i}`, reason: i === 5 ? ODD_TEXT : null, at: NOW - i }),
    )
    await store.record(facts.slice(0, 4))
    await store.record(facts.slice(4))
    await store.record([])
    const all = await store.history(null, { before: null, limit: 99 })
    assert.deepEqual(
      all.map(({ seq: _, ...fact }) => fact),
      facts.toReversed(),
    )
    assert.deepEqual(
      await store.history('acme', { before: null, limit: 99 }),
      all.filter(({ tenant }) => tenant === 'acme'),
    )
    assert.deepEqual(await store.history('other', { before: null, limit: 99 }), [all[3]])
    assert.deepEqual(await store.history('third', { before: null, limit: 99 }), [])

    for (const tenant of ['acme', null]) {
      const paged = []
      for (let before: number | null = null; ; ) {
        const page = await store.history(tenant, { before, limit: 2 })
        paged.push(...page)
        await store.record([sampleFact({ subject: 'later' })])
        if (page.length < 2) break
        before = page.at(-1)?.seq ?? null
      }
      assert.deepEqual(
        paged.filter(({ subject }) => subject !== 'later'),
        all.filter((fact) => tenant === null || fact.tenant === tenant),
      )
    }
  })

  check('events are the facts that say whom they are about, oldest first, from wherever one asks', async (store) => {
    const about = { app: 'crm', provider: 'sales', owner: { userId: ODD_TEXT, orgCode: null } }
    const told = [
      sampleFact({ subject: 'one', at: NOW }),
      sampleFact({ subject: 'two', at: NOW + 5, about }),
      sampleFact({ subject: 'one', at: NOW + 3, action: 'connection.broken', reason: 'invalid_grant' }),
      sampleFact({ subject: 'one', at: NOW + 9, tenant: 'other' }),
      sampleFact({ subject: 'one', at: NOW + 7 }),
    ]
    const noise = {
      tenant: 'acme',
      at: NOW,
      actor: 'backend',
      action: 'connection.relabelled',
      subject: 'one',
      reason: null,
    } as const
    for (const fact of told) await store.record([fact, noise])

    const ask = async (filter: EventFilter, after = 0, limit = 99) => store.events('acme', filter, { after, limit })
    const all = await ask({})
    assert.deepEqual(
      all.map(({ seq: _, ...fact }) => fact),
      told.filter(({ tenant }) => tenant === 'acme'),
    )
    assert.deepEqual(await ask({ session: 'one' }), [all[0], all[2], all[3]])
    assert.deepEqual(await ask({ type: 'connection.broken' }), [all[2]])
    assert.deepEqual(await ask({ apps: ['crm', 'other'] }), all)
    assert.deepEqual(await ask({ apps: ['other'] }), [])
    assert.deepEqual(await ask({ apps: ['crm'], session: 'one', type: 'connection.broken' }), [all[2]])
    assert.deepEqual(await ask({ since: NOW + 5 }), [all[1], all[3]])
    assert.deepEqual(await ask({ session: 'one', type: 'connection.connected', since: NOW + 1 }), [all[3]])
    assert.deepEqual(await ask({}, all[1]!.seq), all.slice(2))
    assert.deepEqual(await ask({}, all[0]!.seq, 2), all.slice(1, 3))
    assert.deepEqual(await ask({}, all[3]!.seq), [])
    assert.deepEqual(await store.events('third', {}, { after: 0, limit: 99 }), [])
    const far = async (after: number, count: number) => store.eventAfter('acme', after, count)
    const [one, , three, four] = all.map(({ seq }) => seq) as [number, number, number, number]
    assert.deepEqual([await far(0, 1), await far(one, 2), await far(0, 4)], [one, three, four])
    assert.deepEqual([await far(0, 5), await far(four, 1), await store.eventAfter('third', 0, 1)], [null, null, null])
    const upTo = await store.events('acme', { since: NOW }, { after: one, upTo: three, limit: 99 })
    assert.deepEqual(upTo, all.slice(1, 3))
  })

  check('sequence numbers only rise', async (store) => {
    for (let i = 0; i < 3; i++) await store.record([sampleFact(), sampleFact()])
    const seqs = (await store.history(null, { before: null, limit: 9 })).map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => b - a),
    )
    assert.equal(new Set(seqs).size, 6)
  })

  check('a change whose facts cannot be written does not happen', async (store) => {
    const attempt = sampleAttempt({ session: 'session-2', stage: 'returned' })
    await store.attempts.add(attempt, [])
    const claimed = await store.connections.claim(await connect(store), { holder: 'p', now: NOW, until: NOW + 1 })
    assert(claimed)
    const { connection } = claimed
    const changed = { ...connection, label: 'changed' }
    const facts = [sampleFact(), brokenFact()]
    const writes: Record<string, () => Promise<unknown>> = {
      record: () => store.record(facts),
      add: () => store.attempts.add(sampleAttempt({ id: 'attempt-3', session: 'session-3' }), facts),
      move: () => store.attempts.move('returned', { ...attempt, stage: 'failed' }, facts),
      finish: () =>
        store.attempts.finish('returned', { ...attempt, stage: 'connected' }, sampleConnection({ id: 'session-2' }), facts),
      settle: () => store.connections.settle(connection, changed, facts),
      save: () => store.connections.save(connection, changed, facts),
      remove: () => store.connections.remove('acme', 'session-1', facts),
      change: () => store.records.change([{ put: 'app', app: sampleApp() }], facts),
    }
    const before = await everything(store)
    for (const [name, write] of Object.entries(writes)) {
      await assert.rejects(write(), /this fact cannot be read/, name)
      assert.deepEqual(await everything(store), before, name)
    }
    assert.equal(await store.connections.save(connection, changed, [sampleFact()]), true, 'and the store goes on working')
  })

  check('a store that works says so', async (store) => {
    await store.ping()
  })
}

async function everything(store: Store): Promise<unknown> {
  return {
    attempts: await Promise.all(['session-1', 'session-2', 'session-3'].map((session) => store.attempts.find('acme', session))),
    connections: await store.connections.list('acme', {}, { after: null, limit: 99 }),
    apps: await store.records.apps(null),
    version: await store.records.version(),
    history: await store.history(null, { before: null, limit: 99 }),
  }
}
