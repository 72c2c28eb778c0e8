/** Who did what, as an application's auditor reads it: every token that was handed out, every change, every refusal, and nothing secret. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { AuditItem, AuditListAnswer } from '../../sdk/src/wire.ts'
import { sealHistory } from '../../src/core/checkpoint.ts'
import { stretchesOf } from '../../src/core/evidence.ts'
import { HandOuts, handOut } from '../../src/core/hand-outs.ts'
import type { Ports, Store } from '../../src/core/ports.ts'
import { verifyHistory } from '../../src/core/verify.ts'
import { untilDone } from '../until-done.ts'
import { type CallerName, HOUR, STORES, startWorld, type World } from '../world.ts'

for (const store of STORES) {
  describe(`the audit, on ${store}`, () => {
    let world: World
    before(async () => {
      world = await startWorld({ store })
    })
    after(() => world[Symbol.asyncDispose]())

    const list = async (query: Record<string, string | undefined> = {}, as: CallerName = 'backend') => {
      const { status, body, text } = await world.ask('GET', '/api/v1/audit', { query, as })
      assert.equal(status, 200, text)
      return body as unknown as AuditListAnswer
    }
    const ofSession = async (subject: string, as: CallerName = 'backend') =>
      (await list({ subject, page_size: '500' }, as)).entries
    const handedOut = async (session: string, count: number) => {
      let entries: AuditItem[] = []
      await until(async () => {
        entries = (await list({ subject: session, action: 'token.handed_out', page_size: '500' })).entries.slice()
        return entries.length >= count
      })
      return entries
    }
    const token = (session_id: string, purpose?: string, as: CallerName = 'backend') =>
      world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id, purpose }, as })

    test('S-80 every token that is handed out is there within a second, with caller, connection, app, scopes and purpose', async () => {
      const session = await world.connect('none', 'ada')
      const begin = world.now()
      assert.equal((await token(session, 'nightly sync')).status, 200)
      assert.equal((await token(session, undefined, 'reader')).status, 200)
      world.pass(HOUR)
      assert.equal((await token(session, 'after a renewal')).status, 200)
      const entries = await handedOut(session, 3)
      assert.deepEqual(
        entries.map(({ actor, action, subject, key_code_ref, scopes, purpose }) => [
          actor,
          action,
          subject,
          key_code_ref,
          scopes,
          purpose,
        ]),
        [
          ['backend', 'token.handed_out', session, 'none', ['files.read'], 'after a renewal'],
          ['reader', 'token.handed_out', session, 'none', ['files.read'], null],
          ['backend', 'token.handed_out', session, 'none', ['files.read'], 'nightly sync'],
        ].sort((a, b) => order(entries, a) - order(entries, b)),
      )
      for (const { timestamp } of entries) assert(Date.parse(timestamp) >= begin && Date.parse(timestamp) <= world.now())
    })

    test('S-80 a call that hands out nothing is no hand-out', async () => {
      const session = await world.connect('none', 'bob')
      await world.revoke(session)
      assert.equal((await token(session)).status, 400)
      assert.equal((await token('no-such-session')).status, 400)
      const other = await world.connect('none', 'bob')
      await token(other)
      await handedOut(other, 1)
      assert.deepEqual(
        (await ofSession(session)).filter(({ action }) => action === 'token.handed_out'),
        [],
      )
    })

    test('a purpose that is too long, empty or holds control characters is refused before anything is handed out', async () => {
      const session = await world.connect('none', 'cy')
      for (const purpose of ['', 'x'.repeat(201), 'two\nlines', 'a\u0000b']) {
        const { status, code } = await token(session, purpose)
        assert.deepEqual([status, code], [400, 'INVALID_REQUEST'], JSON.stringify(purpose))
      }
      assert.equal((await token(session, 'ünï 名 \u{1f511}')).status, 200)
      assert.deepEqual(
        (await handedOut(session, 1)).map(({ purpose }) => purpose),
        ['ünï 名 \u{1f511}'],
      )
    })

    test('S-80 changes and refusals stand beside them, newest first, page by page, each once', async () => {
      const session = await world.connect('confirm', 'dee', { org_code: 'org_1' })
      await Promise.all(Array.from({ length: 7 }, () => token(session)))
      await handedOut(session, 7)
      await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'work' } })
      assert.equal((await world.ask('DELETE', `/api/v1/connections/${session}`, { as: 'reader' })).status, 403)
      await world.revoke(session)
      const whole = await ofSession(session)
      const others = whole.filter(({ action }) => action !== 'token.handed_out')
      assert.deepEqual(
        others.map(({ actor, action, reason, user_id, org_code }) => [actor, action, reason, user_id, org_code]),
        [
          ['broker', 'connection.revocation_ended', 'proved', null, null],
          ['backend', 'connection.revoked', null, 'dee', 'org_1'],
          ['reader', 'access.refused', 'write:connections', null, null],
          ['backend', 'connection.relabelled', null, null, null],
          ['browser', 'connection.connected', 'confirm', 'dee', 'org_1'],
          ['backend', 'attempt.begun', 'confirm', null, null],
        ],
      )
      assert.equal(whole.length, others.length + 7)
      assert.equal(new Set(whole.map(({ id }) => id)).size, whole.length)
      const paged: AuditItem[] = []
      for (let next_token: string | undefined; ; ) {
        const page = await list({ subject: session, page_size: '2', next_token })
        assert(page.entries.length <= 2)
        paged.push(...page.entries)
        if (page.next_token === null) break
        next_token = page.next_token
      }
      assert.deepEqual(paged, whole)
    })

    test('S-57 of another tenant nothing is told, whatever is asked for', async () => {
      const session = await world.connect('none', 'eve')
      await token(session)
      await handedOut(session, 1)
      assert.deepEqual(await ofSession(session, 'stranger'), [])
      const { entries } = await list({ page_size: '500' }, 'stranger')
      for (const { subject, user_id } of entries) assert(subject !== session && user_id !== 'eve')
    })

    test('what cannot be asked for is refused', async () => {
      for (const query of [
        { action: 'token.stolen' },
        { next_token: 'evt_1' },
        { next_token: 'aud_x' },
        { tenant: 'elsewhere' },
      ]) {
        const { status, code } = await world.ask('GET', '/api/v1/audit', { query })
        assert.deepEqual([status, code], [400, 'INVALID_REQUEST'], JSON.stringify(query))
      }
    })

    test('S-61 S-69 S-79 no token is in it, a broker seals it within seconds, and its head is an anchor', async () => {
      const session = await world.connect('none', 'fay')
      const { body } = await token(session)
      const secrets = [String(body['access_token']), 'sbx_']
      await handedOut(session, 1)
      let answer = await list()
      const { audit } = world.broker.ports.store
      await until(async () => {
        answer = await list({ page_size: '500' })
        const { problem, unsealed } = await verified(world.broker.ports)
        assert.equal(problem, null)
        return unsealed === 0 && answer.head !== null
      })
      const anchored = await verifyHistory(stretchesOf(world.broker.ports), world.broker.ports.notary, { anchor: answer.head! })
      assert.equal(anchored.problem, null)
      const texts = [
        answer,
        await audit.rows({ after: 0, upTo: 1e9, limit: 1e4 }),
        await audit.checkpoints({ after: 0, limit: 1e4 }),
      ]
      assert.match(secrets[0]!, /^sbx_/)
      for (const text of texts.map((each) => JSON.stringify(each)))
        for (const secret of secrets) assert(!text.includes(secret), 'a token stands in the audit')
    })

    test('what was handed out last is there when the broker was stopped', async () => {
      const session = await world.connect('none', 'gil')
      const many = 700
      for (let i = 0; i < many; i += 50) await Promise.all(Array.from({ length: 50 }, () => token(session)))
      if (store === 'memory') return
      await world.restart()
      const entries: AuditItem[] = []
      for (let next_token: string | undefined; ; ) {
        const page = await list({ subject: session, action: 'token.handed_out', page_size: '500', next_token })
        entries.push(...page.entries)
        if (page.next_token === null) break
        next_token = page.next_token
      }
      assert.equal(entries.length, many)
      const { problem, unsealed } = await verified(world.broker.ports)
      assert.deepEqual({ problem, unsealed }, { problem: null, unsealed: 0 })
    })
  })
}

test('what the store does not take waits in memory, up to a bound, past which nothing more is handed out, and then all of it is written', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  const handOuts = new HandOuts({ waitingMax: 3 })
  const { store, ...rest } = world.broker.ports
  let works = false
  const shaky: Store = {
    ...store,
    record: async (facts) => (works ? store.record(facts) : Promise.reject(new Error('disk full'))),
  }
  const ports = { ...rest, store: shaky, handOuts }
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }
  for (let i = 0; i < 3; i++) await handOut(ports, caller, session, {}, `${i}`)
  await assert.rejects(async () => handOut(ports, caller, session, {}, 'one too many'), { code: 'STORE_UNAVAILABLE' })
  await assert.rejects(handOuts.write(ports), /disk full/)
  assert.equal(handOuts.size, 3)
  await assert.rejects(async () => handOut(ports, caller, session, {}, 'one too many'), { code: 'STORE_UNAVAILABLE' })
  works = true
  await handOuts.write(ports)
  assert.equal(handOuts.size, 0)
  await handOut(ports, caller, session, {}, 'at last')
  await handOuts.write(ports)
  const told = (await store.history('default', { before: null, limit: 99 })).flatMap((fact) =>
    'handedOut' in fact ? fact.handedOut.tokens.map(([, , purpose]) => purpose) : [],
  )
  assert.deepEqual(told, ['at last', '0', '1', '2'])
})

async function verified(ports: Ports) {
  await sealHistory(ports)
  return verifyHistory(stretchesOf(ports), ports.notary)
}

/** Two callers' tokens of one moment may be written either way round. */
function order(entries: readonly AuditItem[], row: readonly unknown[]): number {
  return entries.findIndex(({ actor, purpose }) => actor === row[0] && purpose === row[5])
}

async function until(fact: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await fact())) {
    assert(Date.now() < deadline, 'it did not come about')
    await pause(20)
  }
}
