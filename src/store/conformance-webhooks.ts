/** What every store must do with webhooks and deliveries: give each event to each webhook once, in turn, to one process at a time. */

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { Store } from '../core/ports.ts'
import type { Delivery, Webhook } from '../core/webhook.ts'
import type { Check } from './conformance.ts'
import { brokenFact, NOW, ODD_BYTES, sampleFact, sampleWebhook } from './samples.ts'

const ALL = { after: 0, limit: 99 }
const LATER = NOW + 1000
const DELIVERED = { state: 'delivered' } as const

export function checkWebhooks(check: Check): void {
  check('webhooks come back as they were put, each tenant its own', async (store) => {
    const odd = sampleWebhook({
      id: 'b',
      types: ['connection.broken'],
      allowPrivateNetwork: true,
      sealed: { dataKey: ODD_BYTES, secret: ODD_BYTES, previous: { secret: ODD_BYTES, until: LATER } },
    })
    const [plain, foreign] = [sampleWebhook({ id: 'a' }), sampleWebhook({ id: 'a', tenant: 'other' })]
    for (const webhook of [odd, foreign, plain]) await store.webhooks.add(webhook, [sampleFact()])
    assert.deepEqual(await store.webhooks.list('acme'), [plain, odd])
    assert.deepEqual(await store.webhooks.list(null), [plain, odd, foreign])
    assert.deepEqual(await store.webhooks.find('acme', 'b'), odd)
    assert.equal(await store.webhooks.find('other', 'b'), null)
    assert.equal((await store.history('acme', { before: null, limit: 9 })).length, 3)
  })

  check('of two that change a secret at once one does', async (store) => {
    const seen = sampleWebhook()
    await store.webhooks.add(seen, [])
    const sealed = (byte: number) => ({
      ...seen.sealed,
      secret: Uint8Array.of(byte),
      previous: { secret: seen.sealed.secret, until: LATER },
    })
    assert.equal(await store.webhooks.reseal(seen, sealed(7), [sampleFact()]), true)
    assert.equal(await store.webhooks.reseal(seen, sealed(8), [sampleFact()]), false)
    assert.deepEqual(await store.webhooks.find('acme', seen.id), { ...seen, sealed: sealed(7) })
    assert.equal((await store.history('acme', { before: null, limit: 9 })).length, 1)
    assert.equal(await store.webhooks.reseal({ ...seen, id: 'none' }, sealed(8), []), false)
  })

  check('a webhook is given what happens after it was made, once, of its types and its tenant', async (store) => {
    await store.record([sampleFact({ subject: 'before' })])
    const all = await added(store, { id: 'all' })
    const some = await added(store, { id: 'some', types: ['connection.broken', 'connection.revoked'] })
    await store.record([
      sampleFact({ subject: 'one' }),
      sampleFact({ subject: 'two', action: 'connection.broken' }),
      sampleFact({ subject: 'three', tenant: 'other' }),
      { tenant: 'acme', at: NOW, actor: 'backend', action: 'connection.deleted', subject: 'one', reason: null },
      sampleFact({ subject: 'one', action: 'connection.revoked' }),
    ])
    let rounds = 0
    while ((await store.webhooks.spread(LATER, 2)) > 0) rounds++
    assert(rounds > 1)
    await Promise.all([store.webhooks.spread(LATER, 99), store.webhooks.spread(LATER, 99)])
    assert.deepEqual(subjects(await store.webhooks.deliveries(all, 'waiting', ALL)), ['one', 'two', 'one'])
    const waiting = await store.webhooks.deliveries(some, 'waiting', ALL)
    assert.deepEqual(subjects(waiting), ['two', 'one'])
    const { event, fence: _, ...rest } = waiting[0]!
    assert.deepEqual(rest, {
      ...{ tenant: 'acme', webhook: 'some', state: 'waiting', attempts: 0, retryAt: LATER, reason: null, createdAt: LATER },
    })
    assert.deepEqual(event, (await store.events('acme', { type: 'connection.broken' }, ALL))[0])
    assert.deepEqual(await store.webhooks.deliveries(all, 'waiting', { after: event.seq, limit: 1 }), [
      (await store.webhooks.deliveries(all, 'waiting', ALL))[2],
    ])
  })

  check(
    'of 32 that take at once each delivery goes to one, and the later of a connection waits for the earlier',
    async (store) => {
      const webhook = await added(store)
      for (const subject of ['one', 'two', 'one', 'two', 'three']) await store.record([sampleFact({ subject })])
      await store.webhooks.spread(NOW, 99)
      const lease = { holder: 'p', now: NOW, until: NOW + 60 }
      const taken = (await Promise.all(Array.from({ length: 32 }, () => store.webhooks.claim(webhook, lease, 2)))).flat()
      assert.deepEqual(subjects(taken).sort(), ['one', 'three', 'two'])
      assert.deepEqual(await store.webhooks.claim(webhook, { ...lease, now: NOW + 59 }, 9), [])

      for (const delivery of taken.filter(({ event }) => event.subject === 'one'))
        assert.equal(await store.webhooks.settle(delivery, { state: 'delivered' }), true)
      assert.deepEqual(subjects(await store.webhooks.claim(webhook, { ...lease, now: NOW + 59 }, 9)), ['one'])
      const again = await store.webhooks.claim(webhook, { holder: 'q', now: NOW + 60, until: NOW + 120 }, 9)
      assert.deepEqual(subjects(again), ['two', 'one', 'three'], 'at its end a lease is given again')
    },
  )

  check(
    'of many that send at once each event is delivered by one, in turn for its connection, and none is left',
    async (store) => {
      const webhook = await added(store)
      const sessions = ['one', 'two', 'three', 'four', 'five']
      for (let nth = 0; nth < 8; nth++) for (const subject of sessions) await store.record([sampleFact({ subject })])
      // Many make deliveries of them at once as well.
      const spreading = async () => {
        while ((await store.webhooks.spread(NOW, 7)) > 0);
      }
      await Promise.all([spreading(), spreading(), spreading()])
      const delivered: Delivery[] = []
      const beingSent = new Set<string>()
      const send = async (holder: string, now: number, all: number): Promise<void> => {
        for (let rounds = 0; delivered.length < all; rounds++) {
          // One that fails must not leave the others at it for ever.
          assert(rounds < 2000, 'what is due is given to nobody')
          await turn()
          const taken = await store.webhooks.claim(webhook, { holder, now, until: now + 60 }, 3)
          for (const { event } of taken) {
            assert(!beingSent.has(event.subject), `two events of ${event.subject} are sent at once`)
            beingSent.add(event.subject)
          }
          for (const delivery of taken) {
            await turn()
            const { event, attempts } = delivery
            beingSent.delete(event.subject)
            const fails = event.seq % 3 === 0 && attempts === 0
            if (!fails) delivered.push(delivery)
            const settled = fails ? ({ state: 'waiting', retryAt: now, reason: 'timeout' } as const) : DELIVERED
            assert.equal(await store.webhooks.settle(delivery, settled), true)
          }
        }
      }
      const many = ['p', 'q', 'r', 's', 't', 'u']
      const [dead] = await store.webhooks.claim(webhook, { holder: 'killed', now: NOW, until: NOW + 60 }, 1)
      assert(dead)
      await Promise.all(many.map((holder) => send(holder, NOW, 32)))
      assert(!subjects(delivered).includes(dead.event.subject), 'what is held is in nobody else’s hands, nor what comes after it')
      await Promise.all(many.map((holder) => send(holder, NOW + 60, 40)))

      const events = await store.events('acme', {}, ALL)
      for (const subject of sessions) {
        assert.deepEqual(
          delivered.filter(({ event }) => event.subject === subject).map(({ event }) => event),
          events.filter((event) => event.subject === subject),
        )
      }
      assert.deepEqual(await store.webhooks.deliveries(webhook, 'waiting', ALL), [])
      assert.equal(await store.webhooks.settle(dead, DELIVERED), false)
    },
  )

  check('who was too slow writes nothing over who took it after', async (store) => {
    const webhook = await added(store)
    await store.record([sampleFact()])
    await store.webhooks.spread(NOW, 99)
    const [slow] = await store.webhooks.claim(webhook, { holder: 'p', now: NOW, until: NOW + 1 }, 1)
    const [next] = await store.webhooks.claim(webhook, { holder: 'q', now: NOW + 1, until: NOW + 2 }, 1)
    assert(slow && next)
    assert.equal(await store.webhooks.settle(slow, { state: 'delivered' }), false)
    assert.equal(await store.webhooks.settle(next, { state: 'waiting', retryAt: NOW + 9, reason: 'http_500' }), true)
    assert.equal(await store.webhooks.settle(next, { state: 'delivered' }), false, 'it was given back')
    const [waiting] = await store.webhooks.deliveries(webhook, 'waiting', ALL)
    assert.deepEqual([waiting?.attempts, waiting?.retryAt, waiting?.reason], [1, NOW + 9, 'http_500'])
    const lease = { holder: 'p', now: NOW + 8, until: NOW + 60 }
    assert.deepEqual(await store.webhooks.claim(webhook, lease, 9), [], 'not before its time')
    assert.equal((await store.webhooks.claim(webhook, { ...lease, now: NOW + 9 }, 9)).length, 1)
  })

  check('what is dead is in nobody’s way, and comes back with all the others when it is asked for', async (store) => {
    const webhook = await added(store)
    await store.record([sampleFact({ at: NOW }), sampleFact({ at: NOW + 5, action: 'connection.broken' })])
    await store.webhooks.spread(NOW, 99)
    const lease = { holder: 'p', now: NOW, until: NOW + 60 }
    const [first] = await store.webhooks.claim(webhook, lease, 9)
    await store.webhooks.settle(first!, { state: 'dead', reason: 'timeout' })
    assert.deepEqual(
      (await store.webhooks.deliveries(webhook, 'dead', ALL)).map(({ reason }) => reason),
      ['timeout'],
    )
    const [second] = await store.webhooks.claim(webhook, lease, 9)
    assert.equal(second?.event.action, 'connection.broken')
    await store.webhooks.settle(second, { state: 'delivered' })
    assert.deepEqual(await store.webhooks.claim(webhook, lease, 9), [])

    assert.equal(await store.webhooks.replay(webhook, { after: 0, since: NOW + 5 }, LATER, []), 1)
    assert.equal(await store.webhooks.replay(webhook, { after: 0 }, LATER, [sampleFact()]), 1, 'those that wait go on waiting')
    assert.deepEqual(await store.webhooks.deliveries(webhook, 'dead', ALL), [])
    const [revived] = await store.webhooks.claim(webhook, { ...lease, now: LATER, until: LATER + 1 }, 9)
    assert.deepEqual([revived?.event.seq, revived?.attempts, revived?.reason], [first!.event.seq, 0, null])
    assert.equal(await store.webhooks.settle(second, { state: 'delivered' }), false, 'an earlier lease means nothing')
    assert.equal((await store.webhooks.deliveries(webhook, 'waiting', ALL)).length, 2)
  })

  check(
    'what waits behind a failed event of its connection is due when that is, so that nobody goes over it meanwhile',
    async (store) => {
      const webhook = await added(store)
      const record = (subject: string) => store.record([sampleFact({ subject })])
      for (const subject of ['one', 'one', 'two']) await record(subject)
      await store.webhooks.spread(NOW, 99)
      const lease = { holder: 'p', now: NOW, until: NOW + 60 }
      const [first] = await store.webhooks.claim(webhook, lease, 1)
      const failed = { state: 'waiting', retryAt: NOW + 500, reason: 'http_500' } as const
      assert.equal(await store.webhooks.settle(first!, failed), true)
      assert.equal(await store.webhooks.settle(first!, { ...failed, retryAt: NOW + 900 }), false, 'it was given back')
      for (const subject of ['one', 'two']) await record(subject)
      await store.webhooks.spread(NOW + 1, 99)
      const waiting = async () =>
        (await store.webhooks.deliveries(webhook, 'waiting', ALL)).map(({ event, retryAt }) => [event.subject, retryAt - NOW])
      assert.deepEqual(await waiting(), [
        ['one', 500],
        ['one', 500],
        ['two', 0],
        ['one', 500],
        ['two', 1],
      ])
      const [again] = await store.webhooks
        .claim(webhook, { ...lease, now: NOW + 500, until: NOW + 560 }, 9)
        .then((claimed) => claimed.filter(({ event }) => event.subject === 'one'))
      await store.webhooks.settle(again!, DELIVERED)
      const next = await store.webhooks.claim(webhook, { ...lease, now: NOW + 500, until: NOW + 560 }, 9)
      assert.deepEqual(subjects(next), ['one'], 'then it is its turn at once')
    },
  )

  check('removing takes what waits along, and changes nothing of others', async (store) => {
    const [mine, other] = [await added(store, { id: 'a' }), await added(store, { id: 'b' })]
    await store.record([sampleFact()])
    await store.webhooks.spread(NOW, 99)
    assert.equal(await store.webhooks.remove('other', 'a', [sampleFact()]), false)
    assert.equal(await store.webhooks.remove('acme', 'a', []), true)
    assert.equal(await store.webhooks.remove('acme', 'a', [sampleFact()]), false)
    assert.deepEqual(await store.webhooks.deliveries(mine, 'waiting', ALL), [])
    assert.equal((await store.webhooks.deliveries(other, 'waiting', ALL)).length, 1)
    assert.equal((await store.history('acme', { before: null, limit: 9 })).length, 1)
  })

  check('a webhook whose facts cannot be written is not changed', async (store) => {
    const webhook = await added(store)
    const facts = [sampleFact(), brokenFact()]
    const sealed = { ...webhook.sealed, secret: Uint8Array.of(9) }
    await assert.rejects(store.webhooks.add(sampleWebhook({ id: 'new' }), facts))
    await assert.rejects(store.webhooks.reseal(webhook, sealed, facts))
    await assert.rejects(store.webhooks.remove('acme', webhook.id, facts))
    assert.deepEqual(await store.webhooks.list(null), [webhook])
    assert.deepEqual(await store.history(null, { before: null, limit: 9 }), [])
  })
}

async function added(store: Store, changes: Partial<Webhook> = {}): Promise<Webhook> {
  const webhook = sampleWebhook(changes)
  await store.webhooks.add(webhook, [])
  return webhook
}

function subjects(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ event }) => event.subject)
}
