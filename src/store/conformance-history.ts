/** What every store must do with facts: keep them in order, and never apart from the change they tell of. */

import assert from 'node:assert/strict'
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
