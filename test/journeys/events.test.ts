/** What applications read of what happened: each change once, noise never, and of others nothing. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { EventItem } from '../../sdk/src/wire.ts'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { type CallerName, HOUR, MINUTE, startWorld, type World } from '../world.ts'

for (const store of ['memory', 'sqlite'] as const) {
  describe(`events, on ${store}`, () => {
    let world: World
    before(async () => {
      world = await startWorld({ store })
    })
    after(() => world[Symbol.asyncDispose]())
    beforeEach(() => world.sandbox.control.reset())

    const list = async (query: Record<string, string | undefined> = {}, as: CallerName = 'backend') => {
      const { status, body, text } = await world.ask('GET', '/api/v1/events', { query, as })
      assert.equal(status, 200, text)
      return body as unknown as { events: EventItem[]; next_token: string | null }
    }
    const typesOf = async (session_id: string) => (await list({ session_id })).events.map(({ type }) => type)

    test('F-47 connected, failing, recovered, broken and connected again: each is told once, whole and in order', async () => {
      const session = await world.connect('none', 'ada', { org_code: 'org_1' })
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { preset: 'outage', times: 3 }, 'invalid_grant')
      for (let time = 0; time < 3; time++) {
        await Promise.all([world.token(session), world.token(session)])
        world.pass(MINUTE)
      }
      world.sandbox.control.script('refresh')
      assert.equal((await world.token(session)).status, 200)
      world.pass(HOUR)
      world.sandbox.control.script('refresh', 'invalid_grant')
      for (let time = 0; time < 3; time++) assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
      const again = await world.authUrl({ key_code_ref: 'none', user_id: 'ada', org_code: 'org_1', session_id: session })
      await world.arrive(String(again.body['url']))
      await world.revoke(session)
      await world.revoke(session)

      const { events, next_token } = await list({ session_id: session })
      assert.equal(next_token, null)
      assert.deepEqual(
        events.map(({ type, data }) => [type, data.reason]),
        [
          ['connection.connected', null],
          ['connection.renewal_failing', 'http_503'],
          ['connection.recovered', null],
          ['connection.broken', 'invalid_grant'],
          ['connection.connected', 'reconnected'],
          ['connection.revoked', null],
        ],
      )
      for (const { id, timestamp, data } of events) {
        const { reason: _, ...about } = data
        const wanted = { session_id: session, key_code_ref: 'none', provider: 'sandbox', user_id: 'ada', org_code: 'org_1' }
        assert.deepEqual(about, wanted)
        assert.match(id, /^evt_\d+$/)
        assert(Math.abs(Date.parse(timestamp) - world.now()) < 3 * HOUR, timestamp)
      }
      assert.equal(new Set(events.map(({ id }) => id)).size, events.length)
    })

    test('F-47 one bad answer, an ordinary renewal, a label and a user who says no are no events', async () => {
      const session = await world.connect()
      world.pass(HOUR - 4000)
      world.sandbox.control.script('refresh', 'outage')
      await world.token(session)
      await world.broker.ports.flights.landed()
      world.pass(MINUTE)
      await world.token(session)
      await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'work' } })
      assert.deepEqual(await typesOf(session), ['connection.connected'])

      const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'bob' })
      await world.arrive(String(body['url']), new Browser(), { decision: 'deny' })
      assert.deepEqual(await typesOf(String(body['session_id'])), [])
    })

    test('under the binding callback the event has the session that works, not the one that never does', async () => {
      const session = await world.connect('callback')
      assert.deepEqual(await typesOf(session), ['connection.connected'])
    })

    test('what is deleted was revoked first, and its events still say whose it was', async () => {
      const session = await world.connect('none', 'carol')
      await world.ask('DELETE', `/api/v1/connections/${session}`)
      const { events } = await list({ session_id: session })
      assert.deepEqual(
        events.map(({ type, data }) => [type, data.user_id, data.provider]),
        [
          ['connection.connected', 'carol', 'sandbox'],
          ['connection.revoked', 'carol', 'sandbox'],
        ],
      )
    })

    test('page after page, and after the last that was seen, nothing is missed and nothing comes twice', async () => {
      const start = (await all()).at(-1)?.id
      const sessions = []
      for (let user = 0; user < 5; user++) sessions.push(await world.connect('none', `paged-${user}`))
      const seen: string[] = []
      let next: string | null = null
      do {
        const page = await list({ after: start, page_size: '2', next_token: next ?? undefined })
        assert(page.events.length <= 2)
        seen.push(...page.events.map(({ data }) => data.session_id))
        next = page.next_token
      } while (next !== null)
      assert.deepEqual(seen, sessions)

      const last = (await all()).at(-1)!
      assert.deepEqual((await list({ after: last.id })).events, [])
      await world.revoke(sessions[0]!)
      const [fresh, ...more] = (await list({ after: last.id })).events
      assert.deepEqual([fresh?.type, fresh?.data.session_id, more], ['connection.revoked', sessions[0], []])
    })

    test('they can be asked for by type, and from a moment on', async () => {
      const early = await world.connect()
      world.pass(MINUTE)
      const moment = new Date(world.now()).toISOString()
      const late = await world.connect()
      await world.revoke(late)
      await world.revoke(early)
      const since = (await list({ after: moment })).events.map(({ type, data }) => [type, data.session_id])
      assert.deepEqual(since, [
        ['connection.connected', late],
        ['connection.revoked', late],
        ['connection.revoked', early],
      ])
      const revoked = (await list({ after: moment, type: 'connection.revoked' })).events
      assert.deepEqual(
        revoked.map(({ data }) => data.session_id),
        [late, early],
      )
    })

    test('another tenant sees none of it, and what cannot be read is refused', async () => {
      const session = await world.connect()
      assert.deepEqual((await list({}, 'stranger')).events, [])
      assert.deepEqual((await list({ session_id: session }, 'stranger')).events, [])
      for (const query of [
        { after: 'yesterday' },
        { after: 'evt_x' },
        { after: '2026-01-31T12:00:00' },
        { after: '2026-02-31' },
        { next_token: 'x' },
        { next_token: '2026-01-31' },
        { type: 'connection.deleted' },
        { page_size: '0' },
      ]) {
        const { status, code } = await world.ask('GET', '/api/v1/events', { query })
        assert.deepEqual([status, code], [400, 'INVALID_REQUEST'], JSON.stringify(query))
      }
      const most = await world.ask('GET', '/api/v1/events', { query: { page_size: '100000' } })
      assert.equal(most.status, 200, 'more than a page may have is as much as it may have')
    })

    async function all(): Promise<EventItem[]> {
      const found: EventItem[] = []
      for (let next_token: string | undefined; ; ) {
        const page = await list({ page_size: '500', next_token })
        found.push(...page.events)
        if (page.next_token === null) return found
        next_token = page.next_token
      }
    }
  })
}

for (const store of ['memory', 'sqlite'] as const)
  test(`${store}: a filter that fits few of very many events looks at some for each page, and pages lead to the end all the same`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const list = async (query: Record<string, string>) =>
      (await world.ask('GET', '/api/v1/events', { query })).body as unknown as { events: EventItem[]; next_token: string | null }
    const about = { app: 'none', provider: 'sandbox', owner: { userId: 'ada', orgCode: null } }
    const told = { tenant: 'default', at: world.now(), actor: 'browser', subject: 'many', reason: null, about }
    const many = Array.from({ length: 12_000 }, () => ({ ...told, action: 'connection.connected' }) as const)
    await world.broker.ports.store.record([...many, { ...told, action: 'connection.broken' }])
    const pages: number[] = []
    for (let next_token: string | null = 'evt_0'; next_token !== null; ) {
      const page = await list({ type: 'connection.broken', next_token })
      pages.push(page.events.length)
      next_token = page.next_token
    }
    assert.deepEqual(pages, [0, 0, 1])
    assert.equal((await list({ session_id: 'many', type: 'connection.broken' })).events.length, 1, 'of one connection at once')
  })
