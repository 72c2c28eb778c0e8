/** What every store must do with connections, leases aside. */

import assert from 'node:assert/strict'
import { type Connection, type Health, scopesOf } from '../core/connection.ts'
import type { ConnectionFilter, ConnectionStore, Cursor } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import { brokenFact, connect, NOW, ODD_BYTES, ODD_TEXT, sampleConnection, sampleFact } from './samples.ts'

const TROUBLE = { attempts: 3, since: NOW, retryAt: NOW + 9, reason: ODD_TEXT, unclear: true }
const REVOCATION = { attempts: 3, since: NOW, retryAt: NOW + 9, reason: ODD_TEXT, accepted: true, provedAt: null }
const HEALTHS: readonly Health[] = [
  { state: 'connected', trouble: null },
  { state: 'connected', trouble: TROUBLE },
  { state: 'failing', trouble: { ...TROUBLE, unclear: false } },
  { state: 'broken', reason: 'invalid_grant', detail: null },
  { state: 'broken', reason: '', detail: ODD_TEXT },
  { state: 'revoked', upstream: 'pending' },
  { state: 'revoked', upstream: 'failed', revocation: REVOCATION },
  { state: 'revoked', upstream: 'confirmed', revocation: { ...REVOCATION, retryAt: null, reason: null, provedAt: NOW } },
]

export function checkConnections(check: Check): void {
  check('a connection comes back exactly as it was made, whatever its health', async (store) => {
    for (const [i, health] of HEALTHS.entries()) {
      const made = sampleConnection({ id: `c${i}`, health })
      assert.deepEqual(await connect(store, made), made)
    }
    const odd = sampleConnection({
      id: ODD_TEXT,
      tenant: ODD_TEXT,
      owner: { userId: ODD_TEXT, orgCode: ODD_TEXT },
      label: ODD_TEXT,
      account: { id: '', label: null },
      requestedScopes: [],
      grantedScopes: [ODD_TEXT],
      sealed: { dataKey: ODD_BYTES, accessToken: new Uint8Array(0), refreshToken: ODD_BYTES, extra: ODD_BYTES },
      issuedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      createdAt: Number.MAX_SAFE_INTEGER,
      renewedAt: 1,
      dueAt: 2,
    })
    assert.deepEqual(await connect(store, odd), odd)
    const bare = sampleConnection({ id: 'bare', account: null, grantedScopes: null, sealed: null, expiresAt: null })
    assert.deepEqual(await connect(store, bare), bare)
  })

  check('a glance shows what find does of the token, in whatever health, and nothing of another tenant', async (store) => {
    for (const [i, health] of HEALTHS.entries()) {
      const made = await connect(
        store,
        sampleConnection({ id: `c${i}`, health, ...(health.state === 'revoked' && { sealed: null }) }),
      )
      const { tenant, id, app, issuedAt, expiresAt, usedAt, sealed } = made
      const token = sealed && { dataKey: sealed.dataKey, accessToken: sealed.accessToken }
      const seen = { tenant, id, app, issuedAt, expiresAt, usedAt, scopes: scopesOf(made) }
      assert.deepEqual(await store.connections.glance('acme', id), { ...seen, health: { state: health.state }, sealed: token })
      assert.equal(await store.connections.glance('other', id), null)
    }
    assert.equal(await store.connections.glance('acme', 'nothing'), null)
  })

  check('many at once are as if each had been made, and those that are there stay as they are', async (store) => {
    const { connections } = store
    const there = await connect(store, { id: 'there', label: 'mine' })
    const told: (readonly Connection[])[] = []
    const facts = (fresh: readonly Connection[]) => {
      told.push(fresh)
      return fresh.map(({ tenant, id }) => sampleFact({ tenant, subject: id }))
    }
    const many = [
      sampleConnection({ id: 'there', label: 'theirs' }),
      ...HEALTHS.map((health, i) => sampleConnection({ id: `c${i}`, health, label: ODD_TEXT, renewedAt: i })),
      sampleConnection({ id: 'bare', account: null, grantedScopes: null, sealed: null, expiresAt: null, usedAt: 86_400_000 }),
      sampleConnection({ id: 'c0', label: 'the second of its id' }),
      sampleConnection({ id: 'there', tenant: 'other', sealed: { ...there.sealed!, accessToken: ODD_BYTES, extra: ODD_BYTES } }),
    ]
    const fresh = [...many.slice(1, -2), ...many.slice(-1)]
    assert.deepEqual(await connections.addAll(many, facts), fresh)
    assert.deepEqual(told, [fresh])
    assert.deepEqual(await connections.find('acme', 'there'), there)
    for (const one of fresh) assert.deepEqual(await connections.find(one.tenant, one.id), one)
    const history = () => store.history('acme', { before: null, limit: 99 })
    assert.equal((await history()).length, fresh.length - 1, 'the other is of another tenant')

    assert.deepEqual(await connections.addAll(many, facts), [])
    assert.deepEqual(await connections.addAll([], facts), [])
    assert.equal((await history()).length, fresh.length - 1, 'nothing new is nothing to tell')
  })

  check('of many at once that cannot all be written none is, and an id that was used before counts on', async (store) => {
    const { connections } = store
    await assert.rejects(
      connections.addAll([sampleConnection()], () => [brokenFact()]),
      /cannot be read/,
    )
    assert.equal(await connections.find('acme', 'session-1'), null)
    const earlier = await connect(store)
    await connections.save(earlier, earlier, [])
    await connections.remove('acme', 'session-1', [])
    assert.equal((await connections.addAll([sampleConnection()], () => [])).length, 1)
    const found = await connections.find('acme', 'session-1')
    assert.equal(found?.version, 3)
    assert.equal(await connections.save(earlier, { ...earlier, label: 'late' }, []), false)
  })

  check('no text is cut off at a character that databases cannot hold', async (store) => {
    const cut = 'ada\u0000 and more'
    const made = await connect(store, {
      owner: { userId: cut, orgCode: null },
      label: cut,
      requestedScopes: [cut],
      tokenType: cut,
    })
    const kept = [cut, cut.replace('\u0000', '\ufffd')]
    for (const text of [made.owner.userId, made.label, made.tokenType, ...made.requestedScopes])
      assert(kept.includes(text ?? ''), JSON.stringify(text))
    await store.connections.save(made, { ...made, label: `${cut}!` }, [sampleFact({ reason: cut })])
    assert((await store.connections.find('acme', 'session-1'))?.label?.endsWith(' and more!'))
    assert((await store.history('acme', { before: null, limit: 1 }))[0]?.reason?.endsWith(' and more'))
    assert.equal((await store.connections.list('acme', { userId: cut, apps: ['crm', cut] }, { after: null, limit: 9 })).length, 1)
    for (const [userId, stored] of [
      [cut, cut.replace('\u0000', '\ufffd')],
      ['half \ud83d', 'half \ufffd'],
    ] as const) {
      const about = { app: 'crm', provider: 'sales', owner: { userId, orgCode: null } }
      await store.record([sampleFact({ subject: userId, about })])
      const told = (await store.events('acme', { apps: ['crm', userId] }, { after: 0, limit: 9 })).at(-1)?.about.owner.userId
      assert(told === userId || told === stored, JSON.stringify(told))
    }
  })

  check('what comes out of the store can be changed without changing what is in it', async (store) => {
    const made = await connect(store)
    made.sealed?.accessToken.fill(0)
    assert.deepEqual(await store.connections.find('acme', 'session-1'), sampleConnection())
  })

  check('tenants never see or touch each other’s connections, even of the same id', async (store) => {
    const { connections } = store
    const ours = await connect(store)
    const theirs = await connect(store, { tenant: 'other', label: 'theirs' })
    const nobodys = { ...ours, tenant: 'third' }
    assert.deepEqual(await connections.find('acme', 'session-1'), ours)
    assert.equal(await connections.find('third', 'session-1'), null)
    assert.deepEqual(await connections.list('acme', {}, { after: null, limit: 9 }), [ours])
    assert.deepEqual(await connections.list('third', {}, { after: null, limit: 9 }), [])
    assert.equal((await connections.count({ tenant: 'third' })).connected, 0)
    assert.equal(await connections.claim(nobodys, { holder: 'p', now: NOW, until: NOW + 1 }), null)
    assert.equal(await connections.save(nobodys, nobodys, [sampleFact()]), false)
    assert.equal(await connections.remove('third', 'session-1', [sampleFact()]), false)

    const claimed = await connections.claim(ours, { holder: 'p', now: NOW, until: NOW + 1 })
    assert(claimed)
    const foreign = { ...claimed.connection, tenant: 'other' }
    assert.equal(await connections.settle(foreign, foreign, [sampleFact()]), false)
    assert.equal(await connections.settle(claimed.connection, { ...ours, tenant: 'other', label: 'ours' }, []), true)
    assert.deepEqual(await connections.find('other', 'session-1'), theirs)
    assert.equal(await connections.remove('acme', 'session-1', []), true)
    assert.deepEqual(await connections.find('other', 'session-1'), theirs)
    assert.deepEqual(await store.history(null, { before: null, limit: 9 }), [])
  })

  check('listing shows the newest first and narrows by what is asked', async (store) => {
    await connect(store, { id: 'a', createdAt: NOW })
    await connect(store, { id: 'b', createdAt: NOW + 2, owner: { userId: 'ada', orgCode: 'acme inc' }, label: 'work' })
    await connect(store, { id: 'c', createdAt: NOW + 1, owner: { userId: null, orgCode: 'acme inc' }, app: 'mail' })
    await connect(store, { id: 'd', createdAt: NOW + 1, health: { state: 'revoked', upstream: 'confirmed' }, sealed: null })
    const cases: [ConnectionFilter, string][] = [
      [{}, 'bdca'],
      [{ userId: 'ada' }, 'bda'],
      [{ orgCode: 'acme inc' }, 'bc'],
      [{ userId: 'ada', orgCode: 'acme inc' }, 'b'],
      [{ userId: 'acme inc' }, ''],
      [{ app: 'crm' }, 'bda'],
      [{ app: 'mail', orgCode: 'acme inc' }, 'c'],
      [{ state: 'connected' }, 'bca'],
      [{ state: 'revoked', userId: 'ada' }, 'd'],
      [{ state: 'broken' }, ''],
      [{ label: 'work' }, 'b'],
      [{ label: 'work', userId: 'ada', app: 'crm', state: 'connected' }, 'b'],
      [{ label: '' }, ''],
      [{ apps: ['mail', 'none'] }, 'c'],
      [{ apps: ['mail', 'crm'], userId: 'ada' }, 'bda'],
      [{ apps: ['mail'], app: 'crm' }, ''],
      [{ apps: [] }, ''],
    ]
    for (const [filter, expected] of cases) {
      const found = await store.connections.list('acme', filter, { after: null, limit: 9 })
      assert.equal(found.map(({ id }) => id).join(''), expected, JSON.stringify(filter))
    }
    assert.equal((await store.connections.list('acme', {}, { after: null, limit: 2 })).map(({ id }) => id).join(''), 'bd')
  })

  check('paging shows every connection once, also those of one millisecond, and none that came later', async (store) => {
    const expected: string[] = []
    for (let i = 0; i < 25; i++) {
      const id = `c${String(i).padStart(2, '0')}`
      expected.unshift(id)
      await connect(store, { id, createdAt: NOW + Math.floor(i / 5) })
    }
    for (const limit of [1, 4, 25, 99]) {
      const seen: string[] = []
      for await (const page of pages(store.connections, limit)) {
        seen.push(...page.map(({ id }) => id))
        await connect(store, { id: `new ${limit} ${seen.length}`, createdAt: NOW + 1000 })
        if (seen.length === limit) await store.connections.remove('acme', `new ${limit} ${seen.length}`, [])
      }
      assert.deepEqual(
        seen.filter((id) => !id.startsWith('new')),
        expected,
      )
      for (const one of await store.connections.list('acme', {}, { after: null, limit: 999 })) {
        if (one.id.startsWith('new')) await store.connections.remove('acme', one.id, [])
      }
    }
  })

  check('paging over several apps shows every connection of theirs once, in order, and no other', async (store) => {
    const expected: string[] = []
    for (let i = 0; i < 20; i++) {
      const [id, app] = [`c${String(i).padStart(2, '0')}`, ['crm', 'mail', 'chat'][i % 3]!]
      if (app !== 'crm') expected.unshift(id)
      await connect(store, { id, app, createdAt: NOW + Math.floor(i / 5) })
    }
    for (const limit of [1, 3, 99]) {
      const seen: string[] = []
      for await (const page of pages(store.connections, limit, { apps: ['mail', 'chat', 'none', 'mail'] }))
        seen.push(...page.map(({ id }) => id))
      assert.deepEqual(seen, expected)
    }
  })

  check('a save wins only over the version it saw, and counts one more', async (store) => {
    const { connections } = store
    const seen = await connect(store)
    const saves = Array.from({ length: 32 }, (_, i) =>
      connections.save(seen, { ...seen, label: `${i}` }, [sampleFact({ reason: `${i}` })]),
    )
    const winners = (await Promise.all(saves)).flatMap((won, i) => (won ? [`${i}`] : []))
    assert.equal(winners.length, 1)
    assert.deepEqual(await connections.find('acme', 'session-1'), { ...seen, label: winners[0], version: 2 })
    const told = await store.history('acme', { before: null, limit: 99 })
    assert.deepEqual(
      told.map(({ reason }) => reason),
      winners,
    )
  })

  check('what a connection is, whose, and how often it was written is not changed by saving', async (store) => {
    const seen = await connect(store)
    const lease = { holder: 'p', fence: 99, startedAt: NOW, until: NOW + 9 }
    const fixed = {
      id: 'x',
      tenant: 'x',
      app: 'x',
      provider: 'x',
      owner: { userId: 'x', orgCode: 'x' },
      createdAt: 0,
      version: 99,
      lease,
    }
    const next: Connection = { ...sampleConnection({ ...fixed, label: 'new', connectedAt: NOW + 1 }) }
    assert.equal(await store.connections.save(seen, next, []), true)
    assert.deepEqual(await store.connections.find('acme', 'session-1'), {
      ...seen,
      label: 'new',
      connectedAt: NOW + 1,
      version: 2,
    })
    assert.equal(await store.connections.find('x', 'x'), null)
  })

  check('removing does it once and tells of it once', async (store) => {
    await connect(store)
    const removals = await Promise.all(
      Array.from({ length: 8 }, () => store.connections.remove('acme', 'session-1', [sampleFact()])),
    )
    assert.equal(removals.filter((did) => did).length, 1)
    assert.equal(await store.connections.find('acme', 'session-1'), null)
    assert.equal((await store.history('acme', { before: null, limit: 9 })).length, 1)
  })

  check('who saw a connection that was removed cannot write over a new one of its id', async (store) => {
    let seen = await connect(store)
    await store.connections.save(seen, seen, [])
    seen = (await store.connections.find('acme', 'session-1')) as Connection
    await store.connections.remove('acme', 'session-1', [])
    let anew = await connect(store, { label: 'anew' })
    for (let i = 0; i < 3; i++) {
      assert.equal(await store.connections.save(seen, seen, []), false)
      assert.equal(await store.connections.claim(seen, { holder: 'p', now: NOW, until: NOW + 1 }), null)
      await store.connections.save(anew, anew, [])
      anew = (await store.connections.find('acme', 'session-1')) as Connection
    }
    assert.equal(anew.label, 'anew')
  })

  check('counting sorts by state and narrows by tenant, app and provider', async (store) => {
    await connect(store, { id: 'a' })
    await connect(store, { id: 'b', app: 'mail', provider: 'post' })
    await connect(store, { id: 'c', tenant: 'other' })
    await connect(store, { id: 'd', health: { state: 'broken', reason: 'r', detail: null } })
    const none = { connected: 0, failing: 0, broken: 0, revoked: 0 }
    const { connections } = store
    assert.deepEqual(await connections.count({}), { ...none, connected: 3, broken: 1 })
    assert.deepEqual(await connections.count({ tenant: 'acme' }), { ...none, connected: 2, broken: 1 })
    assert.deepEqual(await connections.count({ tenant: 'acme', app: 'crm' }), { ...none, connected: 1, broken: 1 })
    assert.deepEqual(await connections.count({ provider: 'post' }), { ...none, connected: 1 })
    assert.deepEqual(await connections.count({ app: 'none' }), none)
  })

  check('what is due is taken, the longest overdue first, and is due again if nothing comes of it', async (store) => {
    const due = async (now: number, until: number, limit: number) =>
      (await store.connections.due(now, until, limit)).map(({ id, dueAt }) => `${id} ${dueAt! - NOW}`).sort()
    for (const [id, dueAt] of [
      ['a', 3],
      ['b', 1],
      ['c', 2],
      ['d', 9],
    ] as const)
      await connect(store, { id, dueAt: NOW + dueAt })
    await connect(store, { id: 'never', dueAt: null })
    await connect(store, { id: 'foreign', tenant: 'other', dueAt: NOW + 4 })
    assert.deepEqual(await due(NOW, NOW + 50, 9), [])
    assert.deepEqual(await due(NOW + 5, NOW + 50, 2), ['b 50', 'c 50'])
    assert.deepEqual(await due(NOW + 5, NOW + 50, 9), ['a 50', 'foreign 50'])
    assert.deepEqual(await due(NOW + 5, NOW + 50, 9), [])
    assert.deepEqual(await due(NOW + 50, NOW + 99, 9), ['a 99', 'b 99', 'c 99', 'd 99', 'foreign 99'])
  })

  check('taking what is due changes nothing else: whoever saw the connection before can still write', async (store) => {
    const seen = await connect(store, { dueAt: NOW })
    const [taken] = await store.connections.due(NOW, NOW + 50, 9)
    assert.deepEqual(taken, { ...seen, dueAt: NOW + 50 })
    assert.deepEqual(await store.connections.find('acme', 'session-1'), taken)
    assert.equal(await store.connections.save(seen, { ...seen, dueAt: null }, []), true)
    assert.deepEqual(await store.connections.due(NOW + 99, NOW + 100, 9), [])
  })

  check('of 32 that look at once one takes each that is due', async (store) => {
    for (let i = 0; i < 20; i++) await connect(store, { id: `c${i}`, dueAt: NOW })
    const taken = await Promise.all(Array.from({ length: 32 }, () => store.connections.due(NOW, NOW + 50, 3)))
    const ids = taken.flat().map(({ id }) => id)
    assert.equal(new Set(ids).size, ids.length)
    const rest = await store.connections.due(NOW, NOW + 50, 99)
    assert.equal(ids.length + rest.length, 20)
  })
}

async function* pages(connections: ConnectionStore, limit: number, filter: ConnectionFilter = {}): AsyncGenerator<Connection[]> {
  let after: Cursor | null = null
  for (;;) {
    const page: Connection[] = await connections.list('acme', filter, { after, limit })
    yield page
    const last = page.at(-1)
    if (!last || page.length < limit) return
    after = { createdAt: last.createdAt, id: last.id }
  }
}
