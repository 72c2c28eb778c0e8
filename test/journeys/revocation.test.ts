/** Ending a connection: what the caller, the user and the provider see of it, in whatever moment it comes. */

import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { HOUR, STORES, startWorld, type World } from '../world.ts'

for (const store of STORES) {
  describe(`revocation, on ${store}`, () => {
    let world: World
    before(async () => {
      world = await startWorld({ store })
    })
    after(() => world[Symbol.asyncDispose]())
    beforeEach(() => world.sandbox.control.reset())

    const revocations = () => world.sandbox.control.count('revoke')
    const tokenOf = async (session: string) => String((await world.token(session)).body['access_token'])
    const stored = (session: string) => world.broker.ports.store.connections.find('default', session)

    test('S-76 the provider takes the whole grant back, refresh token first, and the answer says so', async () => {
      const session = await world.connect()
      const accessToken = await tokenOf(session)
      const grants = world.sandbox.control.grants
      const { status, body } = await world.revoke(session)
      assert.deepEqual(
        [status, body['result'], body['message'], body['code']],
        [200, 'revoked; upstream: confirmed', 'Success', 'OK'],
      )
      assert.equal(revocations(), 1)
      assert(!world.sandbox.control.alive(accessToken))
      assert.equal(world.sandbox.control.grants, grants - 1, 'an access token alone would have left the grant')
      assert.equal((await stored(session))?.sealed, null, 'nothing is left to open')
      assert.deepEqual([(await world.token(session)).status, (await world.token(session)).code], [400, 'INVALID_SESSION'])
      const { state, reason, access_token_expiry } = (await world.connection(session)).body
      assert.deepEqual(
        { state, reason, access_token_expiry },
        { state: 'revoked', reason: 'upstream: confirmed', access_token_expiry: null },
      )
    })

    test('S-76 a second revocation is as good as the first, and the provider hears of one', async () => {
      const session = await world.connect()
      const answers = [await world.revoke(session), await world.revoke(session)]
      assert.deepEqual(
        answers.map(({ status, text }) => `${status} ${text}`),
        [`200 ${answers[0]!.text}`, `200 ${answers[0]!.text}`],
      )
      assert.equal(revocations(), 1)
      assert.equal((await world.told(session)).filter((fact) => fact.startsWith('connection.revoked')).length, 1)
    })

    test('S-76 it ends here at once, although the provider is slow', async () => {
      const session = await world.connect()
      world.sandbox.control.script('revoke', { hold: true })
      const revoking = world.revoke(session)
      await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'revoke')
      assert.equal((await world.token(session)).code, 'INVALID_SESSION')
      assert.equal((await world.connection(session)).body['reason'], 'upstream: pending')
      world.sandbox.control.release()
      assert.equal((await revoking).body['result'], 'revoked; upstream: confirmed')
    })

    test('F-50 a provider that is down keeps nobody from revoking, and revoking again asks it again', async () => {
      const session = await world.connect()
      const accessToken = await tokenOf(session)
      world.sandbox.control.script('revoke', 'outage', 'reset')
      for (let time = 0; time < 2; time++) {
        const { status, body } = await world.revoke(session)
        assert.deepEqual([status, body['result']], [200, 'revoked; upstream: failed'])
        assert.equal((await world.token(session)).code, 'INVALID_SESSION')
        assert.equal((await world.connection(session)).body['reason'], 'upstream: failed')
      }
      assert(world.sandbox.control.alive(accessToken))
      assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: confirmed')
      assert(!world.sandbox.control.alive(accessToken))
      assert.equal((await stored(session))?.sealed, null)
      assert.equal(revocations(), 3)
    })

    test('S-77 a renewal in flight resurrects nothing: what it brings is taken back too', async () => {
      const session = await world.connect()
      const grants = world.sandbox.control.grants
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { hold: true })
      // The refresh token is spent, so only the new one, which nobody has seen yet, can end the grant.
      world.sandbox.control.script('revoke', 'outage')
      const waiting = world.token(session)
      await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
      assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
      world.sandbox.control.release()
      const refused = await waiting
      assert.deepEqual([refused.status, refused.code], [400, 'INVALID_SESSION'])
      assert.equal(world.sandbox.control.grants, grants - 1)
      assert.equal(revocations(), 2)
      assert.equal((await world.connection(session)).body['state'], 'revoked')
    })

    test('S-77 deleting while a renewal is in flight leaves nothing behind, here or there', async () => {
      const session = await world.connect()
      const grants = world.sandbox.control.grants
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { hold: true })
      world.sandbox.control.script('revoke', 'outage')
      const waiting = world.token(session)
      await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
      assert.equal((await world.ask('DELETE', `/api/v1/connections/${session}`)).status, 200)
      world.sandbox.control.release()
      assert.equal((await waiting).code, 'INVALID_SESSION')
      assert.equal(world.sandbox.control.grants, grants - 1)
      assert.equal(await stored(session), null)
    })

    test('deleting revokes first, then nothing is known of it but that it was', async () => {
      const session = await world.connect()
      const accessToken = await tokenOf(session)
      const { status, body } = await world.ask('DELETE', `/api/v1/connections/${session}`)
      assert.deepEqual([status, body['result'], body['code']], [200, 'deleted', 'OK'])
      assert(!world.sandbox.control.alive(accessToken))
      assert.equal((await world.connection(session)).status, 404)
      assert.equal((await world.token(session)).code, 'INVALID_SESSION')
      assert.equal((await world.revoke(session)).code, 'INVALID_SESSION')
      assert.equal((await world.ask('DELETE', `/api/v1/connections/${session}`)).status, 404)
      assert.deepEqual((await world.told(session)).slice(2), [
        'connection.revoked',
        'connection.revocation_ended proved',
        'connection.deleted confirmed',
      ])
    })

    test('deleting what the provider did not take back asks it once more', async () => {
      const session = await world.connect()
      world.sandbox.control.script('revoke', 'outage')
      await world.revoke(session)
      await world.ask('DELETE', `/api/v1/connections/${session}`)
      assert.equal(revocations(), 2)
      assert.deepEqual((await world.told(session)).slice(2), [
        'connection.revoked',
        'connection.revocation_ended proved',
        'connection.deleted confirmed',
      ])
    })

    test('a broken connection can be revoked, and stays revoked', async () => {
      const session = await world.connect()
      world.pass(HOUR)
      world.sandbox.control.script('refresh', 'invalid_grant')
      assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
      assert.equal((await world.revoke(session)).status, 200)
      assert.equal((await world.token(session)).code, 'INVALID_SESSION')
    })

    test('revoking before the user has finished makes the link lead nowhere', async () => {
      for (const binding of ['none', 'confirm', 'callback', 'complete'] as const) {
        const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'early' })
        const session = String(body['session_id'])
        assert.equal((await world.revoke(session)).status, 200)
        assert.equal((await world.revoke(session)).status, 200, 'again')
        assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
        await assert.rejects(world.arrive(String(body['url'])))
      }
      assert.equal(world.redeemed, 0)
    })

    test('S-77 revoking while the code is being redeemed leaves no connection, and what was granted is given back', async () => {
      const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'racing' })
      const session = String(body['session_id'])
      const grants = world.sandbox.control.grants
      const browser = new Browser()
      const back = await world.consent(String(body['url']), browser)
      world.sandbox.control.script('token', { hold: true })
      const returning = browser.visit(back)
      await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'token')
      assert.equal((await world.revoke(session)).status, 200)
      world.sandbox.control.release()
      assert(!(await returning).headers.get('location')?.includes('completion_code'))
      assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
      assert.equal(world.sandbox.control.grants, grants)
    })

    test('the id that auth_url gave in callback binding revokes nothing, and does not pretend to', async () => {
      const { body } = await world.authUrl({ key_code_ref: 'callback', user_id: 'u' })
      const arrived = await world.arrive(String(body['url']))
      const refused = await world.revoke(String(body['session_id']))
      assert.deepEqual([refused.status, refused.code], [400, 'INVALID_SESSION'])
      assert.equal((await world.token(arrived.searchParams.get('session_id')!)).status, 200)
    })

    test('S-76 whoever revokes at the same time is told the same end', async () => {
      const session = await world.connect()
      const accessToken = await tokenOf(session)
      const answers = await Promise.all(Array.from({ length: 8 }, () => world.revoke(session)))
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
      assert.deepEqual([...new Set(answers.map(({ body }) => body['result']))], ['revoked; upstream: confirmed'])
      assert(!world.sandbox.control.alive(accessToken))
      assert.equal((await world.connection(session)).body['reason'], 'upstream: confirmed')
    })
  })
}

test('S-76 a provider without a way to revoke is told of as that', async (t) => {
  const world = await startWorld({ provider: { revoke_url: undefined, issuer: undefined } })
  t.after(() => world[Symbol.asyncDispose]())
  const session = await world.connect()
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: unsupported')
  assert.equal((await world.token(session)).code, 'INVALID_SESSION')
})

test('what cannot be opened any more can still be revoked, and the answer does not claim that the provider knows', async (t) => {
  const world = await startWorld({ store: 'sqlite' })
  t.after(() => world[Symbol.asyncDispose]())
  const session = await world.connect()
  const db = new DatabaseSync(`${world.folder}/latchstring.db`)
  db.prepare('update connections set refresh_token = zeroblob(60) where id = ?').run(session)
  db.close()
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
  assert.equal((await world.token(session)).code, 'INVALID_SESSION')
})

describe('one connection per owner', () => {
  let world: World
  before(async () => {
    world = await startWorld({ app: { one_per_owner: true } })
  })
  after(() => world[Symbol.asyncDispose]())

  test('the new one takes the place of the owner’s earlier one, and of nobody else’s', async () => {
    const first = await world.connect('none', 'ada')
    const others = [await world.connect('none', 'grace'), await world.connect('confirm', 'ada')]
    others.push(await world.connect('none', 'ada', { org_code: 'acme' }))
    const second = await world.connect('none', 'ada')
    assert.equal((await world.token(first)).code, 'INVALID_SESSION')
    assert.equal((await world.connection(first)).body['reason'], 'upstream: superseded')
    for (const session of [second, ...others]) assert.equal((await world.token(session)).status, 200)
    assert.equal(world.sandbox.control.count('revoke'), 0, 'at many providers that would have ended the new one too')
    assert.deepEqual((await world.told(first)).slice(2), ['connection.revoked superseded'])
  })

  test('the earlier one stays until the new one is there', async () => {
    const first = await world.connect('none', 'mary')
    const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'mary' })
    await world.arrive(String(body['url']), new Browser(), { decision: 'deny' })
    assert.equal((await world.token(first)).status, 200)
  })

  test('a renewal of the earlier one that is in flight neither brings it back nor ends the new one', async () => {
    world.sandbox.control.reset()
    const first = await world.connect('none', 'joan')
    world.pass(HOUR)
    world.sandbox.control.script('refresh', { hold: true })
    const waiting = world.token(first)
    await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
    const second = await world.connect('none', 'joan')
    world.sandbox.control.release()
    assert.equal((await waiting).code, 'INVALID_SESSION')
    assert.equal((await world.token(second)).status, 200)
    assert.equal(world.sandbox.control.count('revoke'), 0)
  })

  test('S-77 nor where the earlier one was deleted by then', async () => {
    world.sandbox.control.reset()
    const { control } = world.sandbox
    const first = await world.connect('none', 'joan')
    world.pass(HOUR)
    control.script('refresh', { hold: true })
    const waiting = world.token(first)
    await control.waitFor(({ endpoint }) => endpoint === 'refresh')
    const second = await world.connect('none', 'joan')
    const deleted = await world.ask('DELETE', `/api/v1/connections/${first}`)
    assert(deleted.status < 300, deleted.text)
    assert.equal(control.count('revoke'), 0)
    control.release()
    assert.equal((await waiting).code, 'INVALID_SESSION')
    assert.equal((await world.token(second)).status, 200)
    assert.equal(control.count('revoke'), 0, 'at many providers that would have ended the new one too')
  })

  test('S-77 nor where it was being connected again, and deleted by then', async () => {
    world.sandbox.control.reset()
    const { control } = world.sandbox
    const first = await world.connect('none', 'joan')
    const browser = new Browser()
    const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'joan', session_id: first })
    const back = await world.consent(String(body['url']), browser)
    const nth = world.redeemed + 1
    control.script('token', { hold: true })
    const visit = browser.visit(back)
    await control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
    control.script('token')
    const second = await world.connect('none', 'joan')
    const deleted = await world.ask('DELETE', `/api/v1/connections/${first}`)
    assert(deleted.status < 300, deleted.text)
    control.release()
    const response = await visit
    assert.equal(new URL(response.headers.get('location')!).searchParams.get('error'), 'revoked_meanwhile')
    assert.equal((await world.token(second)).status, 200)
    assert.equal(control.count('revoke'), 0, 'at many providers that would have ended the new one too')
  })
})
