/** Renewals as callers see them: when there is one, who waits for it, and what is kept of what the provider answers. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Connection } from '../../src/core/connection.ts'
import { HOUR, SECOND, STORES, startWorld, type World } from '../world.ts'

for (const store of STORES) {
  describe(`renewal, on ${store}`, () => {
    let world: World
    before(async () => {
      // Of a provider of whose rotation nothing is known, a lost answer is asked for again.
      world = await startWorld({ store, provider: { rotation: undefined } })
    })
    after(() => world[Symbol.asyncDispose]())
    beforeEach(() => world.sandbox.control.reset())

    const renewals = () => world.sandbox.control.count('refresh')
    const tokenOf = async (session: string) => String((await world.token(session)).body['access_token'])
    const landed = () => world.broker.ports.flights.landed()
    const stored = async (session: string): Promise<Connection> => {
      const found = await world.broker.ports.store.connections.find('default', session)
      return found ?? assert.fail(`no connection ${session}`)
    }

    test('the same token comes back while it lasts, and the provider is left alone', async () => {
      const session = await world.connect()
      const first = await world.token(session)
      world.pass(HOUR - 90 * SECOND)
      const last = await world.token(session)
      await landed()
      assert.equal(last.text, first.text)
      assert.equal(renewals(), 0)
    })

    test('F-01 64 callers that meet an expired token cause one renewal, and all get the new token', async () => {
      const session = await world.connect()
      const old = await tokenOf(session)
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { delay: 50 })
      await world.bearer()
      const answers = await Promise.all(Array.from({ length: 64 }, () => world.token(session)))
      assert.equal(renewals(), 1)
      const tokens = [...new Set(answers.map(({ body }) => String(body['access_token'])))]
      assert.equal(tokens.length, 1)
      assert.notEqual(tokens[0], old)
      assert(world.sandbox.control.alive(tokens[0]!), 'it is the one that works')
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    })

    test('an ageing token is handed out at once, and the next caller finds the new one', async () => {
      const session = await world.connect()
      const old = await tokenOf(session)
      world.pass(HOUR - 30 * SECOND)
      world.sandbox.control.script('refresh', { hold: true })
      assert.equal(await tokenOf(session), old)
      const { answered } = await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
      assert.equal(answered, null, 'not waited for')
      world.sandbox.control.release()
      await landed()
      assert.notEqual(await tokenOf(session), old)
      assert.equal(renewals(), 1)
    })

    for (const [what, left] of [
      ['about to expire', 3 * SECOND],
      ['expired', 0],
    ] as const) {
      test(`a token that is ${what} is renewed before anything is handed out`, async () => {
        const session = await world.connect()
        const old = await tokenOf(session)
        world.pass(HOUR - left)
        const { status, body } = await world.token(session)
        assert.equal(status, 200)
        assert.notEqual(body['access_token'], old)
        assert(new Date(String(body['access_token_expiry'])).getTime() > world.now() + HOUR - 10 * SECOND)
        const { state, last_renewed_at } = (await world.connection(session)).body
        assert.equal(state, 'connected')
        assert(Math.abs(new Date(String(last_renewed_at)).getTime() - world.now()) < 10 * SECOND)
      })
    }

    test('a token of two seconds is not born stale', async () => {
      world.sandbox.control.set({ access_token_lifetime: 2 })
      const session = await world.connect()
      assert.equal((await world.token(session)).status, 200)
      await landed()
      assert.equal(renewals(), 0)
    })

    test('a token of which no expiry is known is never renewed, and the field is left out', async () => {
      world.sandbox.control.script('token', 'no_expires_in')
      const session = await world.connect()
      const first = await world.token(session)
      assert.deepEqual(Object.keys(first.body), ['access_token'])
      world.pass(400 * 24 * HOUR)
      assert.deepEqual((await world.token(session)).body, first.body)
      await landed()
      assert.equal(renewals(), 0)
    })

    test('F-22 a renewed token of which no expiry is said lives as long as the one before, and so does the next', async () => {
      const session = await world.connect()
      for (let turn = 1; turn <= 3; turn++) {
        world.pass(HOUR)
        world.sandbox.control.script('refresh', { edit: { remove: ['expires_in'] } })
        const { body } = await world.token(session)
        assert(world.sandbox.control.alive(String(body['access_token'])))
        const { issuedAt, expiresAt } = await stored(session)
        assert(Math.abs(expiresAt! - issuedAt - HOUR) < SECOND)
        assert.equal(renewals(), turn)
      }
    })

    test('thirty renewals in a row survive a provider that kills a grant when a refresh token comes twice', async () => {
      const session = await world.connect()
      const seen = new Set([await tokenOf(session)])
      for (let turn = 0; turn < 30; turn++) {
        world.pass(HOUR)
        seen.add(await tokenOf(session))
      }
      assert.equal(seen.size, 31)
      assert.equal(renewals(), 30)
      assert(world.sandbox.control.alive([...seen].at(-1)!))
      assert.deepEqual((await world.told(session)).slice(1), ['connection.connected none'])
    })

    test('F-28 a refresh token of odd characters goes back to the provider as it came', async () => {
      world.sandbox.control.set({ token_suffix: '+/=%25&?#"\\ é' })
      const session = await world.connect()
      for (let turn = 0; turn < 3; turn++) {
        world.pass(HOUR)
        const { status, body } = await world.token(session)
        assert.equal(status, 200)
        assert(String(body['access_token']).endsWith('+/=%25&?#"\\ é'))
      }
    })

    for (const preset of ['no_refresh_token', 'refresh_token_null', 'refresh_token_empty'] as const) {
      test(`F-23 the old refresh token stays when the answer has none: ${preset}`, async () => {
        world.sandbox.control.set({ rotation: 'never' })
        const session = await world.connect()
        const before = (await stored(session)).sealed
        world.pass(HOUR)
        world.sandbox.control.script('refresh', preset)
        const second = await tokenOf(session)
        const between = (await stored(session)).sealed
        assert.deepEqual(between?.refreshToken, before?.refreshToken)
        assert.notDeepEqual(between?.accessToken, before?.accessToken)

        world.pass(HOUR)
        assert.notEqual(await tokenOf(session), second)
        assert.equal(renewals(), 2)
      })
    }

    for (const preset of ['html_200', 'empty_200', 'empty_object', 'json_null', 'json_array', 'truncated'] as const) {
      test(`F-20 an answer that is none leaves what is stored as it was, to the byte: ${preset}`, async () => {
        world.sandbox.control.set({ rotation: 'never' })
        const session = await world.connect()
        const old = await tokenOf(session)
        const before = (await stored(session)).sealed
        world.pass(HOUR - 4 * SECOND)
        world.sandbox.control.script('refresh', preset)
        assert.equal(await tokenOf(session), old, 'it still works, so it is handed out')
        assert.deepEqual((await stored(session)).sealed, before)
        assert.equal((await world.connection(session)).body['state'], 'connected')

        world.pass(2 * SECOND)
        assert.notEqual(await tokenOf(session), old)
      })
    }

    test('F-24 a connection without a refresh token works until its token expires, and then says why it cannot go on', async () => {
      world.sandbox.control.set({ refresh_tokens: 'never' })
      const session = await world.connect()
      const first = await tokenOf(session)
      world.pass(HOUR - 2 * SECOND)
      assert.equal(await tokenOf(session), first)
      world.pass(2 * SECOND)
      for (let time = 0; time < 3; time++) {
        const refused = await world.token(session)
        assert.deepEqual([refused.status, refused.code], [400, 'RECONNECT_REQUIRED'])
        assert.match(refused.text, /no_refresh_token/)
      }
      assert.equal(renewals(), 0)
      assert.deepEqual((await world.told(session)).slice(2), ['connection.broken no_refresh_token'])
    })

    test('what a renewal grants less than before shows as missing', async () => {
      const session = await world.connect()
      assert.deepEqual((await world.connection(session)).body['missing_scopes'], [])
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { edit: { set: { scope: 'profile' } } })
      assert.equal((await world.token(session)).status, 200)
      const { granted_scopes, missing_scopes } = (await world.connection(session)).body
      assert.deepEqual({ granted_scopes, missing_scopes }, { granted_scopes: ['profile'], missing_scopes: ['files.read'] })
    })
  })
}
