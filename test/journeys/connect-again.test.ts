/** Connecting what was connected before: a second connection, the same one again, or one instead of the other; and what fails takes nothing away. */

import assert from 'node:assert/strict'
import { after, before, describe, mock, test } from 'node:test'
import { keepNewest } from '../../src/core/newest.ts'
import { Browser } from '../browser-stand-in.ts'
import { CALLBACK, type CallerName, HOUR, MINUTE, startWorld, type World } from '../world.ts'

const ONE_PER_OWNER = { onePerOwner: true, onePerAccount: false }

let world: World

async function accessToken(session: string): Promise<string> {
  const { status, body, text } = await world.token(session)
  assert.equal(status, 200, text)
  return String(body['access_token'])
}

/** The provider takes the grant back, and the token runs out. */
async function broken(session: string): Promise<void> {
  world.sandbox.control.revokeEverything()
  world.pass(2 * HOUR)
  assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
}

/** Says only yes or no, so that tests can ask about it. */
const works = async (session: string): Promise<boolean> => (await world.token(session)).status === 200

describe('connecting again', () => {
  before(async () => {
    world = await startWorld({
      further: (sandbox) => ({
        apps: (['none', 'complete'] as const).map((user_binding) => ({
          ...sandbox.app(),
          key_code_ref: `only-one-${user_binding}`,
          user_binding,
          callback_url: CALLBACK,
          one_per_owner: true,
        })),
      }),
    })
  })
  after(() => world[Symbol.asyncDispose]())

  test('auth_url for a user who is connected makes a second session, and the first goes on working', async () => {
    const first = await world.connect('none', 'ada')
    const second = await world.connect('none', 'ada')
    assert.notEqual(first, second)
    assert.notEqual(await accessToken(first), await accessToken(second))
  })

  for (const binding of ['none', 'confirm', 'complete'] as const) {
    test(`F-35 ${binding}: a broken connection that is connected again keeps its id and its label`, async () => {
      const session = await world.connect(binding, 'again')
      await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'work' } })
      const { body: before } = await world.connection(session)
      await broken(session)
      assert.equal(await world.connect(binding, 'again', { session_id: session }), session)
      await accessToken(session)
      const { body } = await world.connection(session)
      assert.deepEqual([body['state'], body['label'], body['created_at']], ['connected', 'work', before['created_at']])
      assert.equal((await world.told(session)).at(-1), 'connection.connected reconnected')
    })
  }

  test('F-35 callback: connecting again gives an id that nobody knew, and the old one stays as it was', async () => {
    const session = await world.connect('callback', 'again')
    const token = await accessToken(session)
    const renewed = await world.connect('callback', 'again', { session_id: session })
    assert.notEqual(renewed, session)
    assert.notEqual(await accessToken(renewed), token)
    assert.equal(await accessToken(session), token)
  })

  describe('F-35 a reconnect that fails midway leaves the working tokens active', () => {
    /** Each ends somewhere between the link and the connection. */
    const MIDWAYS: Readonly<Record<string, (url: string, session: string) => Promise<unknown>>> = {
      'nobody follows the link': async () => {},
      'the user says no': (url) => world.arrive(url, new Browser(), { decision: 'deny' }),
      'the user presses Cancel': (url) => new Browser().press(url, { name: 'decision', value: 'cancel' }),
      'the user never comes back': (url) => world.consent(url, new Browser()),
      'another browser comes back': async (url) => new Browser().visit(await world.consent(url, new Browser())),
      'the provider refuses the code': async (url) => {
        world.sandbox.control.script('token', 'invalid_grant')
        assert.equal((await world.arrive(url)).searchParams.get('error'), 'invalid_grant')
      },
      'the provider answers nonsense': async (url) => {
        world.sandbox.control.script('token', 'html_200')
        assert.ok((await world.arrive(url)).searchParams.has('error'))
      },
      'the answer of the provider is lost': async (url) => {
        world.sandbox.control.script('token', 'lost_answer')
        assert.equal((await world.arrive(url)).searchParams.get('error'), 'exchange_uncertain')
      },
    }
    for (const [midway, happens] of Object.entries(MIDWAYS)) {
      test(midway, async () => {
        const session = await world.connect('confirm', 'midway')
        const token = await accessToken(session)
        const { body } = await world.authUrl({ key_code_ref: 'confirm', user_id: 'midway', session_id: session })
        assert.equal(body['session_id'], session)
        await happens(String(body['url']), session)
        assert.equal(await accessToken(session), token)
        assert.ok(world.sandbox.control.alive(token), 'and it still opens the door')
        assert.equal((await world.connection(session)).body['state'], 'connected')
      })
    }

    test('the wrong user completes it', async () => {
      const session = await world.connect('complete', 'midway')
      const token = await accessToken(session)
      const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'midway', session_id: session })
      const { searchParams } = await world.arrive(String(body['url']))
      const answer = await world.complete({ ...Object.fromEntries(searchParams), user_id: 'mallory' })
      assert.equal(answer.code, 'INVALID_COMPLETION')
      assert.equal(await accessToken(session), token)
    })
  })

  test('a connection that is revoked while it is connected again stays revoked, and the new code is not spent', async () => {
    const session = await world.connect('none', 'ada')
    const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada', session_id: session })
    const back = await world.consent(String(body['url']), new Browser())
    const redeemed = world.redeemed
    await world.revoke(session)
    const arrived = new URL((await new Browser().visit(back)).headers.get('location')!)
    assert.equal(arrived.searchParams.get('error'), 'revoked_meanwhile')
    assert.equal((await world.token(session)).code, 'INVALID_SESSION')
    assert.equal(world.redeemed, redeemed)
  })

  for (const reconnecting of [false, true]) {
    test(`S-77 a session that is revoked while its code is with the provider stays revoked (${reconnecting ? 'again' : 'new'})`, async () => {
      const earlier = reconnecting ? await world.connect('none', 'ada') : undefined
      const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada', session_id: earlier })
      const session = String(body['session_id'])
      const back = await world.consent(String(body['url']), new Browser())
      const [nth, grants] = [world.redeemed + 1, world.sandbox.control.grants]
      world.sandbox.control.script('token', { hold: true })
      const visit = new Browser().visit(back)
      await world.sandbox.control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
      assert.equal((await world.revoke(session)).status, 200)
      world.sandbox.control.release()
      const arrived = new URL((await visit).headers.get('location')!)
      assert.equal(arrived.searchParams.get('error'), 'revoked_meanwhile')
      assert.notEqual((await world.token(session)).status, 200)
      assert.equal(world.sandbox.control.grants, grants - (reconnecting ? 2 : 1), 'what the provider granted was taken back')
    })
  }

  /** What happens when the new consent is about to be written, once. */
  function beforeItIsWritten(happens: () => Promise<unknown>) {
    const { attempts } = world.broker.ports.store
    const finish = attempts.finish.bind(attempts)
    const mocked = mock.method(attempts, 'finish', async (...args: Parameters<typeof finish>) => {
      mocked.mock.restore()
      await happens()
      return finish(...args)
    })
  }

  const leaving = async (session: string, user: string): Promise<URL> => {
    const { body } = await world.authUrl({ key_code_ref: 'none', user_id: user, session_id: session })
    return world.consent(String(body['url']), new Browser())
  }

  for (const [how, end] of [
    ['revoked', (session: string) => world.revoke(session)],
    ['deleted', (session: string) => world.ask('DELETE', `/api/v1/connections/${session}`)],
  ] as const) {
    test(`S-77 a session that is ${how} at the last moment before a new consent is written stays so`, async () => {
      const session = await world.connect('none', 'last-moment')
      const { grants } = world.sandbox.control
      const back = await leaving(session, 'last-moment')
      beforeItIsWritten(async () => assert.equal((await end(session)).status, 200))
      const arrived = new URL((await new Browser().visit(back)).headers.get('location')!)
      assert.equal(arrived.searchParams.get('error'), 'revoked_meanwhile')
      assert.notEqual((await world.token(session)).status, 200)
      assert.equal(world.sandbox.control.grants, grants - 1, 'what was granted in vain was taken back')
    })
  }

  test('F-01 a renewal at the last moment before a new consent is written loses no refresh token', async () => {
    const session = await world.connect('none', 'racing')
    world.pass(MINUTE)
    const back = await leaving(session, 'racing')
    const query = { session_id: session, force_refresh: 'true' }
    beforeItIsWritten(() => world.ask('GET', '/api/v1/connected_apps/token', { query }))
    // So that the refresh token that is there goes on.
    world.sandbox.control.script('token', { edit: { remove: ['refresh_token'] } })
    assert.equal(new URL((await new Browser().visit(back)).headers.get('location')!).searchParams.get('error'), null)
    world.pass(2 * HOUR)
    await accessToken(session)
  })

  /** The user consents again, and the provider gives no refresh token with it: the one that is there lives on. */
  async function consentsOnceMore(back: URL): Promise<void> {
    world.sandbox.control.script('token', 'no_refresh_token')
    assert.equal(new URL((await new Browser().visit(back)).headers.get('location')!).searchParams.get('error'), null)
  }

  test('F-01 a renewal that is under way when a new consent comes loses no refresh token', async () => {
    const session = await world.connect('none', 'under-way')
    world.pass(MINUTE)
    const back = await leaving(session, 'under-way')
    const nth = world.sandbox.control.count('refresh') + 1
    world.sandbox.control.script('refresh', { delay: 300 })
    const renewing = world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session, force_refresh: 'true' } })
    await world.sandbox.control.waitFor((request) => request.endpoint === 'refresh' && request.nth === nth)
    await consentsOnceMore(back)
    assert.equal((await renewing).status, 200)
    world.pass(2 * HOUR)
    await accessToken(session)
  })

  test('F-05 a refresh token that was spent, its successor lost, is not sent again after a new consent', async () => {
    const session = await world.connect('none', 'spent')
    world.pass(MINUTE)
    world.sandbox.control.script('refresh', 'truncated')
    await world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session, force_refresh: 'true' } })
    const spent = world.sandbox.control.count('refresh')
    await consentsOnceMore(await leaving(session, 'spent'))
    await accessToken(session)
    world.pass(2 * HOUR)
    const answer = await world.token(session)
    assert.equal(answer.code, 'RECONNECT_REQUIRED')
    assert.match(answer.text, /rotation_response_lost/)
    assert.equal(world.sandbox.control.count('refresh'), spent, 'it was not sent a second time')
  })

  const REFUSED: readonly (readonly [string, Readonly<Record<string, string>>, CallerName])[] = [
    ['of another user', { key_code_ref: 'confirm', user_id: 'mallory', org_code: 'acme' }, 'backend'],
    ['of another organisation', { key_code_ref: 'confirm', user_id: 'ada', org_code: 'evil' }, 'backend'],
    ['without its organisation', { key_code_ref: 'confirm', user_id: 'ada' }, 'backend'],
    ['as the organisation alone', { key_code_ref: 'confirm', org_code: 'acme' }, 'backend'],
    ['with another app', { key_code_ref: 'none', user_id: 'ada', org_code: 'acme' }, 'backend'],
    ['with an app that hands out new ids', { key_code_ref: 'callback', user_id: 'ada', org_code: 'acme' }, 'backend'],
    ['from another tenant', { key_code_ref: 'confirm', user_id: 'ada', org_code: 'acme' }, 'stranger'],
  ]
  for (const [how, query, as] of REFUSED) {
    test(`nobody connects a session again ${how}`, async () => {
      const session = await world.connect('confirm', 'ada', { org_code: 'acme' })
      const answer = await world.authUrl({ ...query, session_id: session }, as)
      assert.equal(answer.status, 400)
      assert.equal(answer.code, 'INVALID_SESSION')
      const never = await world.authUrl({ ...query, session_id: 'never-was-one' }, as)
      assert.equal(answer.text, never.text, 'the answer is the one for a session that never was')
      await accessToken(session)
    })
  }

  test('a session that is revoked, or pending, is none that could be connected again', async () => {
    const session = await world.connect('confirm', 'ada')
    await world.revoke(session)
    const pending = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })
    for (const session_id of [session, String(pending.body['session_id'])]) {
      const answer = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada', session_id })
      assert.equal(answer.code, 'INVALID_SESSION')
    }
  })

  test('F-33 two flows of one user at once make two connections', async () => {
    const sessions = await Promise.all([world.connect('none', 'double'), world.connect('none', 'double')])
    assert.notEqual(sessions[0], sessions[1])
    for (const session of sessions) await accessToken(session)
  })

  for (const binding of ['none', 'complete'] as const) {
    test(`F-33 ${binding}: one per owner means that the newest stays, and those of others are left alone`, async () => {
      const app = `only-one-${binding}`
      const connect = async (owner: Record<string, string>) => {
        const { body } = await world.authUrl({ key_code_ref: app, ...owner })
        const { searchParams } = await world.arrive(String(body['url']))
        if (binding === 'complete') await world.complete({ ...Object.fromEntries(searchParams), ...owner })
        return String(body['session_id'])
      }
      const others = [
        await connect({ user_id: 'grace' }),
        await connect({ user_id: 'ada', org_code: 'acme' }),
        await connect({ org_code: 'acme' }),
        await world.connect('none', 'ada'),
      ]
      const first = await connect({ user_id: 'ada' })
      assert.ok(await works(first))
      const second = await connect({ user_id: 'ada' })
      assert.equal((await world.token(first)).code, 'INVALID_SESSION')
      assert.equal((await world.connection(first)).body['state'], 'revoked')
      assert.equal((await world.told(first)).at(-1), 'connection.revoked superseded')
      for (const session of [second, ...others]) assert.ok(await works(session))
    })
  }

  test('F-33 of two made at once that both look before either is ended, the same one stays', async () => {
    const { store } = world.broker.ports
    const made: string[] = []
    for (const key_code_ref of ['none', 'none']) made.push(await world.connect(key_code_ref as 'none', 'twins'))
    const [first, second] = await Promise.all(
      made.map(async (id) => (await store.connections.find('default', id)) ?? assert.fail()),
    )
    let looking = 2
    let bothLooked = (): void => {}
    const barrier = new Promise<void>((resolve) => (bothLooked = resolve))
    const list: typeof store.connections.list = async (...args) => {
      const found = await store.connections.list(...args)
      if (--looking === 0) bothLooked()
      await barrier
      return found
    }
    const connections = new Proxy(store.connections, {
      get: (target, name) => {
        const own: unknown = Reflect.get(target, name)
        return name === 'list' ? list : typeof own === 'function' ? own.bind(target) : own
      },
    })
    const ports = { ...world.broker.ports, store: { ...store, connections } }
    await Promise.all([first, second].map((each) => keepNewest(ports, ONE_PER_OWNER, each ?? assert.fail())))
    assert.deepEqual(await Promise.all(made.map((id) => works(id))), [false, true])
  })

  test('F-33 one that is connected again while another takes its place is the newest, and stays', async () => {
    const { ports } = world.broker
    const first = await world.connect('none', 'overtaking')
    world.pass(MINUTE)
    const second = await world.connect('none', 'overtaking')
    world.pass(MINUTE)
    const { connections } = ports.store
    const list = connections.list.bind(connections)
    const mocked = mock.method(connections, 'list', async (...args: Parameters<typeof list>) => {
      mocked.mock.restore()
      const found = await list(...args)
      await world.connect('none', 'overtaking', { session_id: first })
      return found
    })
    await keepNewest(ports, ONE_PER_OWNER, (await connections.find('default', second)) ?? assert.fail())
    assert.deepEqual([await works(first), await works(second)], [true, false])
  })

  test('F-33 a failed second attempt takes nothing from an app with one connection per owner', async () => {
    const { body } = await world.authUrl({ key_code_ref: 'only-one-none', user_id: 'careful' })
    await world.arrive(String(body['url']))
    const second = await world.authUrl({ key_code_ref: 'only-one-none', user_id: 'careful' })
    await world.arrive(String(second.body['url']), new Browser(), { decision: 'deny' })
    assert.ok(await works(String(body['session_id'])))
  })

  test('F-33 eight flows of one user that come back to one process together leave one connection, where the app wants one', async () => {
    const backs = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { body } = await world.authUrl({ key_code_ref: 'only-one-none', user_id: 'eager' })
        return { session: String(body['session_id']), back: await world.consent(String(body['url']), new Browser()) }
      }),
    )
    await Promise.all(backs.map(({ back }) => new Browser().visit(back)))
    const alive = await Promise.all(backs.map(({ session }) => works(session)))
    assert.equal(alive.filter(Boolean).length, 1)
  })
})
