/** What every store must do with sealed rows that are put under another key, and with keys that are replaced. */

import assert from 'node:assert/strict'
import { SEALED_TABLES, type SealedRow, type Store } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import {
  connect,
  NOW,
  ODD_BYTES,
  sampleApp,
  sampleAttempt,
  sampleCaller,
  sampleFact,
  sampleKey,
  sampleWebhook,
} from './samples.ts'

const NEW = Uint8Array.of(9)

/** One row in each table, with every sealed column filled. */
async function filled(store: Store): Promise<void> {
  const signing = { dataKey: Uint8Array.of(1), secret: Uint8Array.of(2), previous: { secret: Uint8Array.of(3), until: 9 } }
  const sealed = {
    ...{ dataKey: Uint8Array.of(1), codeVerifier: Uint8Array.of(2), nonce: Uint8Array.of(3), answer: ODD_BYTES },
    departure: Uint8Array.of(4),
  }
  await store.attempts.add(sampleAttempt({ sealed }), [])
  await store.records.change([{ put: 'app', app: sampleApp() }], [])
  await store.records.addKey(sampleKey())
  await store.webhooks.add(sampleWebhook({ sealed: signing }), [])
  // Makes an attempt of its own.
  await connect(store, { id: 'connection-1' })
}

async function only({ sealed }: Store, table: SealedRow['row']['table'], id: string): Promise<SealedRow> {
  const found = await sealed.find({ tenant: table === 'broker_keys' ? '*' : 'acme', table, id })
  return found ?? assert.fail(`no ${table} ${id}`)
}

/** The same row under another key, each field one byte longer. */
function anew({ fields }: SealedRow): Pick<SealedRow, 'dataKey' | 'fields'> {
  const next = Object.entries(fields).map(([field, bytes]) => [field, bytes && Uint8Array.of(...bytes, 7)])
  return { dataKey: NEW, fields: Object.fromEntries(next) as SealedRow['fields'] }
}

const IDS = {
  connections: 'connection-1',
  attempts: 'attempt-1',
  apps: 'crm',
  webhooks: 'webhook-1',
  broker_keys: 'key-1',
} as const

export function checkSealed(check: Check): void {
  check('every sealed column is found under the name that it was sealed for', async (store) => {
    await filled(store)
    const fields = async (table: (typeof SEALED_TABLES)[number]) => (await only(store, table, IDS[table])).fields
    assert.deepEqual(await fields('connections'), {
      access_token: Uint8Array.of(2),
      refresh_token: Uint8Array.of(3),
      extra: null,
    })
    assert.deepEqual(await fields('attempts'), {
      ...{ code_verifier: Uint8Array.of(2), nonce: Uint8Array.of(3), answer: ODD_BYTES },
      departure: Uint8Array.of(4),
    })
    assert.deepEqual(await fields('apps'), { client_secret: Uint8Array.of(2), private_key: null })
    assert.deepEqual(await fields('webhooks'), { secret: Uint8Array.of(2), previous_secret: Uint8Array.of(3) })
    assert.deepEqual(await fields('broker_keys'), { sign: Uint8Array.of(2) })
    assert.equal(await store.sealed.find({ tenant: 'other', table: 'apps', id: 'crm' }), null)
  })

  for (const table of SEALED_TABLES) {
    check(`S-53 a row of ${table} is written under another key once, and not when it is another than was seen`, async (store) => {
      await filled(store)
      const seen = await only(store, table, IDS[table])
      const next = anew(seen)
      assert.equal(await store.sealed.replace(seen, next), true)
      const current = await only(store, table, IDS[table])
      assert.deepEqual({ dataKey: current.dataKey, fields: current.fields }, next)
      assert.equal(await store.sealed.replace(seen, { ...next, dataKey: Uint8Array.of(8) }), false)
      assert.deepEqual(await only(store, table, IDS[table]), current)
      assert.equal(await store.sealed.replace({ ...current, row: { ...current.row, id: 'nobody' } }, next), false)
      const [page] = await store.sealed.page(table, { after: null, limit: 1 })
      assert(page)
    })
  }

  check('what else stands in the row stays as it was', async (store) => {
    await filled(store)
    const before = [
      await store.connections.find('acme', 'connection-1'),
      await store.records.app('acme', 'crm'),
      await store.webhooks.find('acme', 'webhook-1'),
      await store.attempts.find('acme', 'session-1'),
    ]
    for (const table of SEALED_TABLES) {
      const seen = await only(store, table, IDS[table])
      await store.sealed.replace(seen, { dataKey: NEW, fields: seen.fields })
    }
    const after = [
      await store.connections.find('acme', 'connection-1'),
      await store.records.app('acme', 'crm'),
      await store.webhooks.find('acme', 'webhook-1'),
      await store.attempts.find('acme', 'session-1'),
    ]
    const expected = before.map((one) => one && { ...one, sealed: { ...one.sealed, dataKey: NEW } })
    const [connection, ...others] = expected
    assert.deepEqual(after, [connection && { ...connection, version: 2 }, ...others])
  })

  check('F-42 a renewal under way keeps its lease and its fence, and what it writes stands', async (store) => {
    const seen = await connect(store)
    const claim = await store.connections.claim(seen, { holder: 'p', now: NOW, until: NOW + 30 })
    assert(claim)
    const row = await only(store, 'connections', 'session-1')
    assert.equal(row.leaseUntil, NOW + 30)
    assert.equal(await store.sealed.replace(row, anew(row)), true)
    const sealed = { dataKey: Uint8Array.of(5), accessToken: Uint8Array.of(6), refreshToken: Uint8Array.of(7), extra: null }
    assert.equal(await store.connections.settle(claim.connection, { ...seen, sealed }, []), true)
    assert.deepEqual((await store.connections.find('acme', 'session-1'))?.sealed, sealed)
    assert.equal((await only(store, 'connections', 'session-1')).leaseUntil, null)
  })

  check('F-42 what a renewal brought under the same data key is never written over', async (store) => {
    const before = await connect(store)
    const row = await only(store, 'connections', 'session-1')
    const claim = await store.connections.claim(before, { holder: 'p', now: NOW, until: NOW + 30 })
    assert(claim)
    assert.equal(await store.sealed.replace(row, anew(row)), false, 'nor while it is under way')
    const sealed = { dataKey: row.dataKey, accessToken: Uint8Array.of(6), refreshToken: Uint8Array.of(7), extra: null }
    assert.equal(await store.connections.settle(claim.connection, { ...before, sealed }, []), true)
    assert.equal(await store.sealed.replace(row, anew(row)), false)
    assert.deepEqual((await store.connections.find('acme', 'session-1'))?.sealed, sealed)
  })

  check('what anybody sealed meanwhile under the same data key is never written over', async (store) => {
    await filled(store)
    const tables = ['attempts', 'apps', 'webhooks'] as const
    const rows = await Promise.all(tables.map((table) => only(store, table, IDS[table])))
    const attempt = await store.attempts.find('acme', 'session-1')
    const webhook = await store.webhooks.find('acme', 'webhook-1')
    assert(attempt && webhook)
    const answer = Uint8Array.of(6)
    assert(await store.attempts.move('begun', { ...attempt, stage: 'held', sealed: { ...attempt.sealed, answer } }, []))
    const app = sampleApp({ sealed: { dataKey: Uint8Array.of(1), clientSecret: answer, privateKey: null } })
    await store.records.change([{ put: 'app', app }], [])
    assert(await store.webhooks.reseal(webhook, { ...webhook.sealed, secret: answer }, []))
    for (const row of rows) {
      assert.equal(await store.sealed.replace(row, anew(row)), false, row.row.table)
      const current = await only(store, row.row.table, row.row.id)
      assert(Object.values(current.fields).some((bytes) => bytes && Buffer.compare(bytes, answer) === 0))
    }
  })

  check('F-42 whoever read the row before it was put under another key neither renews nor writes over it', async (store) => {
    const seen = await connect(store)
    const row = await only(store, 'connections', 'session-1')
    assert.equal(await store.sealed.replace(row, anew(row)), true)
    assert.equal(await store.connections.claim(seen, { holder: 'p', now: NOW, until: NOW + 30 }), null)
    assert.equal(await store.connections.save(seen, seen, []), false)
    const current = await store.connections.find('acme', 'session-1')
    assert(current && (await store.connections.claim(current, { holder: 'p', now: NOW, until: NOW + 30 })))
    assert.equal(await store.sealed.replace(await only(store, 'connections', 'session-1'), anew(row)), true)
    assert.equal(await store.sealed.replace({ ...row, version: current.version }, anew(row)), false)
  })

  check('pages go through every row once, in the order of the keys, and pass over what holds nothing', async (store) => {
    for (const tenant of ['b', 'a']) for (const id of ['3', '1', '2']) await connect(store, { tenant, id })
    const revoked = { state: 'revoked', upstream: 'confirmed' } as const
    await connect(store, { tenant: 'a', id: '0', sealed: null, health: revoked })
    const seen: string[] = []
    for (let after: { tenant: string; id: string } | null = null; ; ) {
      const page = await store.sealed.page('connections', { after, limit: 2 })
      seen.push(...page.map(({ row }) => row.tenant + row.id))
      const last = page.at(-1)
      if (!last) break
      after = last.row
    }
    assert.deepEqual(seen, ['a1', 'a2', 'a3', 'b1', 'b2', 'b3'])
    assert.equal(await store.sealed.find({ tenant: 'a', table: 'connections', id: '0' }), null)
    const ids = await Promise.all([store.attempts.find('a', '1'), store.attempts.find('b', '1')])
    const sorted = ids.map((attempt) => attempt?.id ?? '').sort()
    const attempts = await store.sealed.page('attempts', { after: null, limit: 99 })
    assert.deepEqual(
      attempts.map(({ row }) => row.id).filter((id) => sorted.includes(id)),
      sorted,
    )
    const rest = await store.sealed.page('attempts', { after: { tenant: 'zzz', id: sorted[0]! }, limit: 99 })
    assert.equal(rest.length, attempts.length - attempts.findIndex(({ row }) => row.id === sorted[0]) - 1)
  })

  check('other processes are told of apps and keys that were put under another key, and of nothing else', async (store) => {
    await filled(store)
    for (const table of SEALED_TABLES) {
      const version = await store.records.version()
      const seen = await only(store, table, IDS[table])
      await store.sealed.replace(seen, anew(seen))
      assert.equal((await store.records.version()) > version, table === 'apps' || table === 'broker_keys', table)
    }
  })

  check('a key is added beside those of its purpose, and those that are over go', async ({ records, history }) => {
    await records.addKey(sampleKey({ purpose: 'hash', id: 'key-h' }))
    await records.addKey(sampleKey({ id: 'z' }))
    await records.change([{ put: 'caller', caller: sampleCaller() }], [])
    const version = await records.version()
    const told = sampleFact({ tenant: '*' })
    await records.rotateKey(sampleKey({ id: 'b', createdAt: NOW + 1 }), [], [told])
    assert((await records.version()) > version)
    const ids = async () => (await records.keys()).map(({ id }) => id)
    assert.deepEqual(await ids(), ['key-h', 'z', 'b'])
    assert.equal((await records.addKey(sampleKey({ id: 'c' }))).id, 'b', 'the newest stands')
    await records.rotateKey(sampleKey({ id: 'a', createdAt: NOW + 2 }), ['z', 'key-h', 'nobody'], [])
    assert.deepEqual(await ids(), ['key-h', 'b', 'a'], 'of its own purpose only')
    await assert.rejects(records.rotateKey(sampleKey({ id: 'a' }), ['b'], [told]))
    assert.deepEqual(await ids(), ['key-h', 'b', 'a'])
    assert.equal((await history(null, { before: null, limit: 9 })).length, 1)
  })
}
