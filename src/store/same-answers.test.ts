/** Whatever is done in whatever order, every store answers as the memory store does. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { inDatabase, postgres } from '../../test/postgres.ts'
import type { Connection, Health } from '../core/connection.ts'
import { type OwnerFilter, SEALED_TABLES, type Store } from '../core/ports.ts'
import type { Delivery, Settled, Webhook } from '../core/webhook.ts'
import { memoryStore } from './memory.ts'
import { openPostgresStore } from './postgres.ts'
import {
  NOW,
  sampleApp,
  sampleAttempt,
  sampleCaller,
  sampleCheckpoint,
  sampleConnection,
  sampleFact,
  sampleKey,
  sampleWebhook,
} from './samples.ts'
import { openSqliteStore } from './sqlite.ts'

/** What was read before: old readings are what races are made of. */
interface Seen {
  readonly connections: Map<string, Connection>
  readonly webhooks: Map<string, Webhook>
  readonly taken: Delivery[]
}

type Step = (store: Store, seen: Seen) => Promise<unknown>

// Few names and moments, so that steps meet.
const tenant = fc.constantFrom('acme', 'other')
const id = fc.constantFrom('a', 'b', 'c')
const user = fc.constantFrom('ada', 'bob', null)
const org = fc.constantFrom('acme inc', 'other inc')
const moment = fc.integer({ min: 0, max: 5 }).map((ms) => NOW + ms)
const text = fc.option(fc.string({ unit: 'binary', maxLength: 20 }).filter((some) => !some.includes('\u0000')))
const bytes = fc.uint8Array({ maxLength: 40 })
const stage = fc.constantFrom('begun', 'away', 'held', 'returned', 'connected', 'denied')
const facts = fc.array(
  text.map((reason) => sampleFact({ reason })),
  { maxLength: 2 },
)
const trouble = fc.record({ attempts: fc.nat(), since: moment, retryAt: moment, reason: fc.string(), unclear: fc.boolean() })
const revocation = fc.record({
  attempts: fc.nat(),
  since: moment,
  retryAt: fc.option(moment),
  reason: text,
  accepted: fc.boolean(),
  provedAt: fc.option(moment),
})
const health: fc.Arbitrary<Health> = fc.oneof(
  fc.record({ state: fc.constant('connected' as const), trouble: fc.option(trouble) }),
  fc.record({ state: fc.constant('failing' as const), trouble }),
  fc.record({ state: fc.constant('broken' as const), reason: fc.string(), detail: text }),
  fc.record({ state: fc.constant('revoked' as const), upstream: fc.constantFrom('pending', 'failed') }),
  fc.record({ state: fc.constant('revoked' as const), upstream: fc.constant('failed' as const), revocation }),
)
const owner = fc.record({ userId: user, orgCode: org })
const connection = fc
  .record({
    tenant,
    id,
    owner,
    label: text,
    health,
    createdAt: moment,
    expiresAt: fc.option(fc.maxSafeNat()),
    dueAt: fc.option(moment),
    accessToken: bytes,
  })
  .map(({ accessToken, ...changes }) =>
    sampleConnection({ ...changes, sealed: { dataKey: accessToken, accessToken, refreshToken: null, extra: null } }),
  )
const attempt = fc
  .record({
    id,
    session: id,
    tenant,
    stage,
    owner,
    stateHash: fc.option(id),
    handleHash: fc.option(id),
    createdAt: moment,
    expiresAt: moment,
  })
  .map(sampleAttempt)
const filter = fc.record(
  {
    userId: fc.constantFrom('ada', 'bob'),
    orgCode: org,
    state: fc.constantFrom('connected', 'broken'),
    apps: fc.subarray(['crm', 'mail']),
  },
  { requiredKeys: [] },
)
const page = fc.record({ after: fc.option(fc.record({ createdAt: moment, id })), limit: fc.integer({ min: 1, max: 4 }) })

const steps: fc.Arbitrary<Step>[] = [
  fc.tuple(tenant, id).map(([t, i]) => async (store, seen) => {
    const found = await store.connections.find(t, i)
    if (found) seen.connections.set(i, found)
    return found
  }),
  fc.tuple(attempt, facts).map(
    ([one, told]) =>
      (store) =>
        store.attempts.add(one, told),
  ),
  fc.tuple(attempt, stage, facts).map(
    ([one, from, told]) =>
      (store) =>
        store.attempts.move(from, one, told),
  ),
  fc.tuple(attempt, stage, connection, facts).map(
    ([one, from, made, told]) =>
      (store) =>
        store.attempts.finish(from, one, made, told),
  ),
  fc.tuple(attempt, stage, connection, facts).map(
    ([one, from, made, told]) =>
      async (store, { connections }) =>
        connections.has(made.id) && store.attempts.finish(from, one, made, told, connections.get(made.id)),
  ),
  fc.tuple(tenant, id).map(
    ([t, session]) =>
      (store) =>
        store.attempts.find(t, session),
  ),
  id.map((session) => (store) => store.attempts.held(session)),
  id.map((hash) => async (store) => [await store.attempts.findByState(hash), await store.attempts.findByHandle(hash)]),
  fc.tuple(tenant, filter, moment, page).map(
    ([t, { state: _, ...asked }, now, at]) =>
      (store) =>
        store.attempts.pending(t, asked, now, at),
  ),
  fc.tuple(moment, fc.nat(2)).map(
    ([before, limit]) =>
      (store) =>
        store.attempts.sweep(before, limit),
  ),
  fc.tuple(moment, fc.nat(2)).map(
    ([before, limit]) =>
      (store) =>
        store.attempts.empty(before, limit),
  ),
  fc.tuple(id, moment, moment, fc.option(moment, { nil: undefined })).map(([i, now, until, dueAt]) => async (store, seen) => {
    const found = seen.connections.get(i)
    const claimed = found ? await store.connections.claim(found, { holder: 'p', now, until, dueAt }) : null
    if (claimed) seen.connections.set(i, claimed.connection)
    return claimed
  }),
  fc.tuple(id, connection, facts).map(
    ([i, next, told]) =>
      async (store, { connections }) =>
        connections.has(i) && store.connections.settle(connections.get(i) as Connection, next, told),
  ),
  fc.tuple(id, connection, facts).map(
    ([i, next, told]) =>
      async (store, { connections }) =>
        connections.has(i) && store.connections.save(connections.get(i) as Connection, next, told),
  ),
  fc.tuple(moment, moment, fc.nat(2)).map(([now, until, limit]) => async (store) => {
    const taken = await store.connections.due(now, until, limit)
    return taken.toSorted((a, b) => (a.tenant + a.id < b.tenant + b.id ? -1 : 1))
  }),
  fc.tuple(tenant, id, facts).map(
    ([t, i, told]) =>
      (store) =>
        store.connections.remove(t, i, told),
  ),
  fc.tuple(fc.array(connection, { maxLength: 3 }), facts).map(
    ([many, told]) =>
      (store) =>
        store.connections.addAll(many, () => told),
  ),
  fc.tuple(tenant, filter, page).map(
    ([t, asked, at]) =>
      (store) =>
        store.connections.list(t, asked, at),
  ),
  fc
    .tuple(moment, fc.integer({ min: 1, max: 4 }), fc.constantFrom([], ['sales'], ['post']))
    .map(([now, limit, except]) => async ({ connections }) => [
      await connections.toTakeBack(now, limit, except),
      await connections.countToTakeBack(),
    ]),
  fc.tuple(fc.option(fc.record({ tenant, id })), fc.integer({ min: 1, max: 4 })).map(
    ([after, limit]) =>
      (store) =>
        store.connections.walk(after, limit),
  ),
  fc.tuple(fc.array(fc.record({ tenant, id }), { maxLength: 3 }), moment).map(
    ([used, day]) =>
      (store) =>
        store.connections.noteUsed(used, day),
  ),
  fc
    .record({ tenant, provider: fc.constant('sales') }, { requiredKeys: [] })
    .map((asked) => (store) => store.connections.count(asked)),
  fc.tuple(fc.option(tenant), fc.option(fc.nat(20)), fc.nat(5)).map(
    ([t, before, limit]) =>
      (store) =>
        store.history(t, { before, limit }),
  ),
  fc.tuple(tenant, fc.constantFrom({}, { session: 'session-1' }, { since: NOW }), fc.nat(20), fc.nat(5)).map(
    ([t, asked, after, limit]) =>
      (store) =>
        store.events(t, asked, { after, limit }),
  ),
  fc.tuple(tenant, filter).map(([t, { state: _, ...owner }]) => async (store) => [
    await store.attempts.ofOwner(t, ownerOf(owner)),
    await store.attempts.forget(t, ownerOf(owner)),
  ]),
  fc.tuple(fc.nat(20), fc.nat(20), fc.nat(5)).map(
    ([after, upTo, limit]) =>
      (store) =>
        store.audit.rows({ after, upTo, limit }),
  ),
  fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(), { maxLength: 3 }), bytes, fc.nat(4))
    .map(([number, late, digests, after]) => async ({ audit }) => [
      await audit.append(sampleCheckpoint({ number, late, digests })),
      await audit.head(),
      await audit.checkpoints({ after, limit: 2 }),
    ]),
  fc.tuple(tenant, fc.nat(9), text, facts).map(
    ([t, seq, userId, told]) =>
      ({ audit }) =>
        audit.retell(t, [{ seq, about: { app: 'crm', provider: 'sales', owner: { userId, orgCode: null } } }], told),
  ),
  fc.tuple(tenant, id).map(
    ([t, session]) =>
      (store) =>
        store.webhooks.forget(t, session),
  ),
  fc.tuple(tenant, id, facts).map(
    ([t, clientId, told]) =>
      (store) =>
        store.records.change(
          [
            { put: 'app', app: sampleApp({ tenant: t, keyCodeRef: clientId }) },
            { put: 'caller', caller: sampleCaller({ tenant: t, clientId }) },
          ],
          told,
        ),
  ),
  id.map((clientId) => (store) => store.records.change([{ remove: 'caller', clientId }], [])),
  fc.tuple(id, fc.nat(1)).map(
    ([clientId, late]) =>
      async ({ records }) =>
        records.change([{ remove: 'caller', clientId }], [], (await records.version()) - late),
  ),
  id.map((key) => (store) => store.records.addKey(sampleKey({ id: key }))),
  fc.tuple(id, moment, fc.subarray(['a', 'b', 'c'])).map(
    ([key, createdAt, over]) =>
      (store) =>
        store.records.rotateKey(sampleKey({ id: key, createdAt }), over, []),
  ),
  fc.tuple(tenant, id, fc.constantFrom(...SEALED_TABLES), bytes).map(([t, i, table, dataKey]) => async ({ sealed }) => {
    const row = await sealed.find({ tenant: table === 'broker_keys' ? '*' : t, table, id: i })
    return row && { row, replaced: await sealed.replace(row, { dataKey, fields: row.fields }) }
  }),
  fc
    .tuple(tenant, id, fc.constantFrom(...SEALED_TABLES), fc.integer({ min: 1, max: 3 }))
    .map(([t, i, table, limit]) => async ({ sealed }) => [
      await sealed.page(table, { after: null, limit }),
      await sealed.page(table, { after: { tenant: t, id: i }, limit }),
    ]),
  fc.constant(async ({ records }) => [
    await records.version(),
    await records.apps(null),
    await records.callers('acme'),
    await records.keys(),
  ]),
]

/** A filter may say null of an owner's part, which is none to erase by. */
function ownerOf({ userId, orgCode }: { userId?: string; orgCode?: string | null }): OwnerFilter {
  return { ...(userId !== undefined && { userId }), ...(typeof orgCode === 'string' && { orgCode }) }
}

// Mostly of one.
const acme = fc.constantFrom('acme', 'acme', 'acme', 'other')
const hook = fc.constantFrom('a', 'a', 'a', 'b')
const types = fc.constantFrom(null, ['connection.connected' as const], ['connection.broken' as const])
const sealed = fc.tuple(bytes, fc.option(bytes), moment).map(([secret, before, until]) => ({
  dataKey: Uint8Array.of(1),
  secret,
  previous: before && { secret: before, until },
}))
const webhook = fc
  .record({ tenant: acme, id: hook, types, allowPrivateNetwork: fc.boolean(), sealed, createdAt: moment })
  .map(sampleWebhook)
const outcome: fc.Arbitrary<Settled> = fc.oneof(
  fc.constant({ state: 'delivered' as const }),
  fc.record({ state: fc.constant('waiting' as const), retryAt: moment, reason: fc.string() }),
  fc.record({ state: fc.constant('dead' as const), reason: fc.string() }),
)
const events = fc.array(
  fc
    .record({ tenant: acme, subject: id, at: moment, action: fc.constantFrom('connection.connected', 'connection.broken') })
    .map(sampleFact),
  { minLength: 1, maxLength: 4 },
)
/** With a webhook that was read before; false: none was. */
const withWebhook = (t: string, i: string, work: (store: Store, webhook: Webhook, seen: Seen) => Promise<unknown>): Step => {
  return async (store, seen) => {
    const found = seen.webhooks.get(`${t} ${i}`)
    return found !== undefined && work(store, found, seen)
  }
}

const webhookSteps: fc.Arbitrary<Step>[] = [
  fc.tuple(webhook, facts).map(([one, told]) => async ({ webhooks }, seen) => {
    await webhooks.add(one, told)
    seen.webhooks.set(`${one.tenant} ${one.id}`, one)
  }),
  fc.tuple(acme, hook).map(([t, i]) => async ({ webhooks }, seen) => {
    const found = await webhooks.find(t, i)
    if (found) seen.webhooks.set(`${t} ${i}`, found)
    return found
  }),
  fc.option(acme).map(
    (t) =>
      ({ webhooks }) =>
        webhooks.list(t),
  ),
  fc
    .tuple(acme, hook, sealed, facts)
    .map(([t, i, next, told]) => withWebhook(t, i, ({ webhooks }, found) => webhooks.reseal(found, next, told))),
  fc.tuple(acme, hook, facts).map(
    ([t, i, told]) =>
      ({ webhooks }) =>
        webhooks.remove(t, i, told),
  ),
  events.map((told) => (store) => store.record(told)),
  fc.tuple(moment, fc.integer({ min: 1, max: 5 })).map(
    ([now, limit]) =>
      ({ webhooks }) =>
        webhooks.spread(now, limit),
  ),
  fc.tuple(acme, hook, moment, moment, fc.integer({ min: 1, max: 3 })).map(([t, i, now, until, limit]) =>
    withWebhook(t, i, async ({ webhooks }, found, { taken }) => {
      const claimed = await webhooks.claim(found, { holder: 'p', now, until }, limit)
      taken.push(...claimed)
      return claimed
    }),
  ),
  fc.tuple(fc.nat(), outcome).map(([nth, settled]) => async ({ webhooks }, { taken }) => {
    const delivery = taken[nth % taken.length]
    return delivery !== undefined && webhooks.settle(delivery, settled)
  }),
  fc
    .tuple(acme, hook, fc.constantFrom('waiting' as const, 'dead' as const), fc.nat(20), fc.integer({ min: 1, max: 5 }))
    .map(([t, i, state, after, limit]) =>
      withWebhook(t, i, ({ webhooks }, found) => webhooks.deliveries(found, state, { after, limit })),
    ),
  fc
    .tuple(acme, hook, fc.nat(20), fc.record({ since: moment }, { requiredKeys: [] }), moment, facts)
    .map(([t, i, after, since, now, told]) =>
      withWebhook(t, i, ({ webhooks }, found) => webhooks.replay(found, { after, ...since }, now, told)),
    ),
]

/** Of webhooks alone, too: beside everything else they would meet too seldom. */
const sequences = fc.oneof(
  fc.array(fc.oneof(...steps, ...webhookSteps), { minLength: 20, maxLength: 80 }),
  fc.array(fc.oneof(...webhookSteps), { minLength: 20, maxLength: 80 }),
)

/** `empty` opens a store with nothing in it. */
async function assertSameAnswers(numRuns: number, empty: () => Promise<Store>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(sequences, async (sequence) => {
      const [expected, actual] = [memoryStore(), await empty()]
      const [seenThere, seenHere] = [nothingSeen(), nothingSeen()]
      try {
        for (const step of sequence) {
          const answer = await settled(step(expected, seenThere))
          assert.deepEqual(await settled(step(actual, seenHere)), answer)
        }
      } finally {
        await actual.close()
      }
    }),
    { numRuns },
  )
}

test('a random sequence of steps gets the same answers from SQLite as from memory', () =>
  assertSameAnswers(150, () => openSqliteStore(':memory:')))

test('a random sequence of steps gets the same answers from PostgreSQL as from memory', async () => {
  const url = await (await postgres()).fresh()
  await (await openPostgresStore(url)).close()
  const wipe = `truncate connections, attempts, providers, trusted_issuers, apps, callers, broker_keys, history, webhooks, deliveries, checkpoints restart identity; update counters set value = 0`
  await assertSameAnswers(60, async () => {
    await inDatabase(url, (client) => client.query(wipe))
    return openPostgresStore(url)
  })
})

function nothingSeen(): Seen {
  return { connections: new Map(), webhooks: new Map(), taken: [] }
}

/** That both refuse matters, not in which words. */
async function settled(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    (value) => ({ value }),
    () => 'refused',
  )
}
