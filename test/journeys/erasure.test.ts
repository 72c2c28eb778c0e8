/** An owner who asks what is known of them, and then to be forgotten. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { SCOPES } from '../../src/core/caller.ts'
import { sealHistory } from '../../src/core/checkpoint.ts'
import { stretchesOf } from '../../src/core/evidence.ts'
import { eraseOwner, erasureOf, exportOwner } from '../../src/core/owner.ts'
import { verifyHistory } from '../../src/core/verify.ts'
import { Browser } from '../browser-stand-in.ts'
import { inDatabase } from '../postgres.ts'
import { untilDone } from '../until-done.ts'
import { HOUR, STORES, type StoreKind, startWorld, type World } from '../world.ts'

const operator = { name: 'operator', tenant: 'default', scopes: new Set(SCOPES) }

for (const store of STORES) {
  describe(`erasing, on ${store}`, () => {
    test('S-84 of an owner who is erased nothing is left but a pseudonym, at the provider neither, and nobody else loses anything', async (t) => {
      const world = await untilDone(t, startWorld({ store }))
      const user = `canary-user-${randomBytes(8).toString('hex')}`
      const org = `canary-org-${randomBytes(8).toString('hex')}`
      const { ports } = world.broker
      await world.ask('POST', '/api/v1/webhooks', { json: { url: 'https://10.0.0.1/unreachable' } })
      const kept = [
        await world.connect('none', 'somebody-else'),
        await world.connect('none', `${user}-not`, { org_code: 'other' }),
      ]
      const alone = await world.connect('confirm', user)
      const inOrg = await world.connect('none', user, { org_code: org })
      const deleted = await world.connect('none', user)
      const tokens = []
      for (const session of [...kept, alone, inOrg]) tokens.push(String((await world.token(session)).body['access_token']))
      await world.ask('DELETE', `/api/v1/connections/${deleted}`)
      await world.ask('PATCH', `/api/v1/connections/${alone}`, { json: { label: `${user}'s own` } })
      world.pass(HOUR)
      await world.token(inOrg)
      const pending = await world.authUrl({ key_code_ref: 'confirm', user_id: user })
      const held = await world.authUrl({ key_code_ref: 'complete', user_id: user })
      const arrived = (await world.arrive(String(held.body['url']), new Browser())).searchParams
      await until(async () => (await deliveriesAbout(world, [alone, inOrg, deleted])) > 0)
      await ports.handOuts.write(ports)
      await sealHistory(ports)
      assert((await places(world, store, user)).length > 0, 'what is searched is what was written')

      const dry = await erasureOf(ports, operator, { userId: user })
      assert.deepEqual([dry.connections, dry.pseudonyms.length], [2, 2])
      assert.equal((await world.token(inOrg)).status, 200, 'a dry run changes nothing')
      const erasure = await eraseOwner(ports, operator, { userId: user })
      assert.deepEqual(
        [erasure.connections, erasure.unconfirmed, erasure.pseudonyms.toSorted()],
        [2, [], dry.pseudonyms.toSorted()],
      )
      assert(erasure.attempts >= 4 && erasure.deliveries > 0 && erasure.events >= 6)
      const { shred } = ports.store.audit
      assert.equal(await shred(), true)

      for (const session of [alone, inOrg, deleted]) {
        assert.equal((await world.token(session)).code, 'INVALID_SESSION')
        assert.equal((await world.connection(session)).code, 'NOT_FOUND')
      }
      const completion = { session_id: arrived.get('session_id'), completion_code: arrived.get('completion_code'), user_id: user }
      assert.equal((await world.complete(completion)).code, 'NOT_FOUND')
      assert.equal((await new Browser().visit(String(pending.body['url']))).status, 410)
      assert.deepEqual(
        tokens.map((token) => world.sandbox.control.alive(token)).slice(2),
        [false, false],
        'revoked at the provider',
      )
      assert.equal(await deliveriesAbout(world, [alone, inOrg, deleted]), 0)
      for (const session of kept) assert.equal((await world.token(session)).status, 200)

      const { entries } = (await world.ask('GET', '/api/v1/audit', { query: { page_size: '500' } })).body as unknown as {
        entries: { action: string; subject: string; user_id: string | null }[]
      }
      const connected = entries.filter(({ action, subject }) => action === 'connection.connected' && subject === alone)
      assert.deepEqual(
        connected.map(({ user_id }) => user_id),
        [null],
        'that it happened stays',
      )
      assert.deepEqual(
        entries
          .filter(({ action }) => action === 'owner.erased')
          .map(({ subject }) => subject)
          .toSorted(),
        dry.pseudonyms.toSorted(),
      )
      await ports.handOuts.write(ports)
      await sealHistory(ports)
      const { problem, unsealed } = await verifyHistory(stretchesOf(ports), ports.notary)
      assert.deepEqual({ problem, unsealed }, { problem: null, unsealed: 0 })
      const again = await eraseOwner(ports, operator, { userId: user })
      assert.deepEqual([again.connections, again.attempts, again.events, again.pseudonyms], [0, 0, 0, []])
      // Somebody whose name begins alike is somebody else.
      assert.deepEqual(await places(world, store, user, `${user}-not`), [])
      assert.deepEqual(await places(world, store, org), [])
      await world.restart()
      assert.deepEqual(await places(world, store, user, `${user}-not`), [])
    })

    test('S-61 S-84 an owner’s record has all that there is of them, of deleted connections too, no token, and stands in the audit', async (t) => {
      const world = await untilDone(t, startWorld({ store }))
      const { ports } = world.broker
      const other = await world.connect('none', 'bob')
      const session = await world.connect('none', 'ada', { org_code: 'org_1' })
      const deleted = await world.connect('none', 'ada')
      const secrets = [session, deleted].map(async (each) => String((await world.token(each)).body['access_token']))
      const tokens = [...(await Promise.all(secrets)), 'sbx_']
      await world.token(other)
      await world.ask('DELETE', `/api/v1/connections/${deleted}`)
      await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })
      await ports.handOuts.write(ports)

      const record = await exportOwner(ports, operator, { userId: 'ada' })
      assert.deepEqual(
        record.connections.map(({ id }) => id),
        [session],
      )
      assert.equal(record.attempts.length, 3)
      assert.deepEqual(
        record.events.map(({ subject, action }) => [subject, action]),
        [
          [session, 'connection.connected'],
          [deleted, 'connection.connected'],
          [deleted, 'connection.revoked'],
        ],
      )
      const handedOut = record.audit.filter(({ action }) => action === 'token.handed_out')
      assert.deepEqual(handedOut.map(({ subject }) => subject).toSorted(), [session, deleted].toSorted())
      assert(record.audit.every(({ subject }) => subject !== other))
      const text = JSON.stringify(record)
      for (const token of tokens) assert(!text.includes(token))
      assert.equal((await world.toldLast())?.action, 'owner.exported')
      assert.deepEqual(
        (await exportOwner(ports, operator, { orgCode: 'org_1' })).connections.map(({ id }) => id),
        [session],
      )
      assert.deepEqual((await exportOwner(ports, operator, { userId: 'nobody' })).audit, [])
      for (const nobody of [{}, { userId: '' }, { userId: '', orgCode: 'org_1' }, { userId: 'ada', orgCode: '' }]) {
        await assert.rejects(exportOwner(ports, operator, nobody), { code: 'MISSING_OWNER' })
        await assert.rejects(eraseOwner(ports, operator, nobody), { code: 'MISSING_OWNER' })
      }
      assert.equal((await world.token(session)).status, 200)
      const caller = { ...operator, scopes: new Set(['read:connections'] as const) }
      await assert.rejects(exportOwner(ports, caller, { userId: 'ada' }), { code: 'INSUFFICIENT_SCOPE' })
      await assert.rejects(eraseOwner(ports, caller, { userId: 'ada' }), { code: 'INSUFFICIENT_SCOPE' })
    })

    test('S-84 a provider that is down keeps nobody from being forgotten here, and the operator is told', async (t) => {
      const world = await untilDone(t, startWorld({ store }))
      const session = await world.connect('none', 'ada')
      world.sandbox.control.script('revoke', { preset: 'outage', times: 99 })
      const { unconfirmed, connections } = await eraseOwner(world.broker.ports, operator, { userId: 'ada' })
      assert.deepEqual({ unconfirmed, connections }, { unconfirmed: [{ session, upstream: 'failed' }], connections: 1 })
      assert.equal((await world.connection(session)).code, 'NOT_FOUND')
    })
  })
}

/** Where a text stands in what the store keeps: files, or tables. `but`: a longer one that is allowed. */
async function places(world: World, store: StoreKind, text: string, but = '\u0000'): Promise<string[]> {
  const has = (where: string) => where.replaceAll(but, '').includes(text)
  if (store === 'memory') {
    const { attempts, connections, history } = world.broker.ports.store
    const rows = [
      await connections.list('default', {}, { after: null, limit: 999 }),
      await attempts.ofOwner('default', { userId: text }),
      await history(null, { before: null, limit: 999 }),
    ]
    return rows.map((each) => JSON.stringify(each)).filter(has)
  }
  if (store === 'sqlite') {
    const files = readdirSync(world.folder, { recursive: true, encoding: 'utf8' }).map((name) => join(world.folder, name))
    return files.filter((file) => statSync(file).isFile() && has(readFileSync(file, 'latin1')))
  }
  const { database } = world.config
  assert(database.kind === 'postgres')
  const found: string[] = []
  await inDatabase(database.url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'public'`,
    )
    for (const { name } of rows) {
      const { rows: lines } = await client.query<{ line: string }>(`select t::text as line from ${name} t`)
      if (lines.some(({ line }) => has(line))) found.push(name)
    }
  })
  return found
}

async function deliveriesAbout(world: World, sessions: readonly string[]): Promise<number> {
  const { webhooks } = world.broker.ports.store
  let count = 0
  for (const webhook of await webhooks.list('default'))
    for (const state of ['waiting', 'dead'] as const) {
      const deliveries = await webhooks.deliveries(webhook, state, { after: 0, limit: 999 })
      count += deliveries.filter(({ event }) => sessions.includes(event.subject)).length
    }
  return count
}

async function until(fact: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await fact())) {
    assert(Date.now() < deadline, 'it did not come about')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
