/** What every store must do with the history as what is proved, and with the checkpoints over it. */

import assert from 'node:assert/strict'
import type { Check } from './conformance.ts'
import {
  brokenFact,
  NOW,
  ODD_TEXT,
  sampleAttempt,
  sampleCheckpoint,
  sampleFact,
  sampleHandOut,
  sampleWebhook,
} from './samples.ts'

const ALL = { after: Number.NEGATIVE_INFINITY, upTo: Number.POSITIVE_INFINITY, limit: 99 }

export function checkAudit(check: Check): void {
  check(
    'the history comes back as it was written, oldest first, of all tenants, by any part of it',
    async ({ record, audit }) => {
      const event = sampleFact({ reason: ODD_TEXT })
      const { about: _, ...plain } = sampleFact({ tenant: 'other' })
      await record([event, { ...plain, action: 'access.refused' }, sampleHandOut()])
      const rows = await audit.rows(ALL)
      const nothing = { about: null, handedOut: null }
      const told = (fact: object) => ({ ...nothing, ...fact })
      assert.deepEqual(
        rows.map(({ seq: _seq, ...row }) => row),
        [
          told({ ...event, about: JSON.stringify(event.about) }),
          told({ ...plain, action: 'access.refused' }),
          told({ ...sampleHandOut(), handedOut: JSON.stringify(sampleHandOut().handedOut) }),
        ],
      )
      const [first, second, third] = rows.map(({ seq }) => seq) as [number, number, number]
      assert.deepEqual(await audit.rows({ after: first, upTo: second, limit: 9 }), [rows[1]])
      assert.deepEqual(await audit.rows({ after: first, upTo: third, limit: 1 }), [rows[1]])
      assert.deepEqual(await audit.rows({ ...ALL, after: third }), [])
    },
  )

  check('tokens that were handed out are facts like all others', async ({ record, history, events }) => {
    await record([sampleHandOut()])
    const [fact] = await history('acme', { before: null, limit: 9 })
    assert.deepEqual(fact, { ...sampleHandOut(), seq: fact?.seq })
    assert.deepEqual(await events('acme', {}, { after: 0, limit: 9 }), [])
  })

  check('of 32 checkpoints with one number at once one is added, and all come back as they were, in order', async ({ audit }) => {
    assert.equal(await audit.head(), null)
    const number = (hash: string) => sampleCheckpoint({ number: 1, hash })
    const added = await Promise.all(Array.from({ length: 32 }, (_, i) => audit.append(number(`${i}`))))
    assert.equal(added.filter(Boolean).length, 1)
    const first = number(`${added.indexOf(true)}`)
    assert.deepEqual(await audit.head(), first)
    const second = sampleCheckpoint({ number: 2, late: [3, 5], missing: [{ from: 7, to: 9, since: NOW }] })
    const third = sampleCheckpoint({ number: 3, digests: new Uint8Array() })
    assert.deepEqual([await audit.append(third), await audit.append(second), await audit.append(second)], [true, true, false])
    assert.deepEqual(await audit.head(), third)
    for (const after of [Number.NEGATIVE_INFINITY, 0])
      assert.deepEqual(await audit.checkpoints({ after, limit: 9 }), [first, second, third])
    assert.deepEqual(await audit.checkpoints({ after: 1, limit: 1 }), [second])
    assert.deepEqual(await audit.checkpoints({ after: 3, limit: 9 }), [])
  })

  check('whom an event is about can be told otherwise, wherever it is read, and nothing else of it', async (store) => {
    const { audit, webhooks } = store
    await webhooks.add(sampleWebhook(), [])
    await store.record([sampleFact(), sampleFact({ subject: 'session-2' }), sampleHandOut()])
    await webhooks.spread(NOW, 9)
    const [first, second] = await store.events('acme', {}, { after: 0, limit: 9 })
    assert(first && second)
    const owner = { userId: null, orgCode: null, pseudonym: ODD_TEXT }
    const retold = { ...first, about: { ...first.about, owner } }
    const seqs = (await audit.rows(ALL)).map(({ seq }) => seq)
    const erased = { tenant: 'acme', at: NOW, actor: 'operator', action: 'owner.erased', subject: 'x', reason: null } as const
    await audit.retell('other', [retold], [])
    await audit.retell('acme', [{ seq: seqs[2]!, about: retold.about }], [])
    assert.deepEqual(await store.events('acme', {}, { after: 0, limit: 9 }), [first, second])
    await assert.rejects(audit.retell('acme', [retold], [brokenFact()]), /this fact cannot be read/)
    assert.deepEqual(await store.events('acme', {}, { after: 0, limit: 9 }), [first, second])
    await audit.retell('acme', [retold], [erased])
    assert.deepEqual(await store.events('acme', {}, { after: 0, limit: 9 }), [retold, second])
    const waiting = await webhooks.deliveries(sampleWebhook(), 'waiting', { after: 0, limit: 9 })
    assert.deepEqual(
      waiting.map(({ event }) => event),
      [retold, second],
    )
    assert.equal((await store.history('acme', { before: null, limit: 1 }))[0]?.action, 'owner.erased')
    assert.equal(await audit.shred(), true)
    assert.deepEqual(await store.events('acme', {}, { after: 0, limit: 9 }), [retold, second])
  })

  check('what is on its way of a connection is forgotten, and of no other', async ({ record, webhooks }) => {
    await webhooks.add(sampleWebhook(), [])
    await record([sampleFact(), sampleFact({ subject: 'session-2' }), sampleFact()])
    await webhooks.spread(NOW, 9)
    assert.equal(await webhooks.forget('other', 'session-1'), 0)
    assert.equal(await webhooks.forget('acme', 'session-1'), 2)
    const left = await webhooks.deliveries(sampleWebhook(), 'waiting', { after: 0, limit: 9 })
    assert.deepEqual(
      left.map(({ event }) => event.subject),
      ['session-2'],
    )
  })

  check('attempts of an owner are found and forgotten at any stage, and nobody’s are not everybody’s', async ({ attempts }) => {
    const make = (id: string, userId: string | null, orgCode: string | null, more = {}) =>
      sampleAttempt({ id, session: id, owner: { userId, orgCode }, createdAt: NOW + id.length, ...more })
    const mine = make('a', 'ada', null)
    const inOrg = make('bb', 'ada', 'acme inc', { stage: 'denied' })
    const others = [
      make('ccc', 'bob', 'acme inc'),
      make('dddd', null, 'acme inc'),
      make('eeeee', 'ada', null, { tenant: 'other' }),
    ]
    for (const one of [mine, inOrg, ...others]) await attempts.add(one, [])
    assert.deepEqual(await attempts.ofOwner('acme', { userId: 'ada' }), [inOrg, mine])
    assert.deepEqual(await attempts.ofOwner('acme', { userId: 'ada', orgCode: 'acme inc' }), [inOrg])
    assert.deepEqual(await attempts.ofOwner('acme', { orgCode: 'acme inc' }), [others[1], others[0], inOrg])
    assert.deepEqual(await attempts.ofOwner('acme', {}), [])
    assert.equal(await attempts.forget('acme', {}), 0)
    assert.equal(await attempts.forget('acme', { userId: 'ada' }), 2)
    assert.equal(await attempts.forget('acme', { userId: 'ada' }), 0)
    assert.deepEqual(
      await Promise.all(['a', 'bb', 'ccc', 'dddd'].map(async (session) => (await attempts.find('acme', session)) !== null)),
      [false, false, true, true],
    )
    assert.deepEqual(await attempts.ofOwner('other', { userId: 'ada' }), [others[2]])
  })
}
