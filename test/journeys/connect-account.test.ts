/** Whose account at the provider it is: known, shown, the same when it is connected again, and no grant of another connection ended by the way. */

import assert from 'node:assert/strict'
import { after, before, describe, mock, test } from 'node:test'
import { askLater } from '../../src/core/account.ts'
import type { Registration } from '../../src/core/app.ts'
import { registrationOf } from '../../src/core/registration.ts'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { BINDINGS, CALLBACK, HOUR, startWorld, type World } from '../world.ts'

let world: World

const works = async (session: string): Promise<boolean> => (await world.token(session)).status === 200
const accountOf = async (session: string) => (await world.connection(session)).body['account']

/** One whole connection as somebody at the provider. Resolves to what the app's callback, or `complete`, says at the end. */
async function connected(app: string, user: string, as: string, more: Readonly<Record<string, string>> = {}) {
  const { body } = await world.authUrl({ key_code_ref: app, user_id: user, ...more })
  const arrived = (await world.arrive(String(body['url']), new Browser(), { as })).searchParams
  const completion = { session_id: arrived.get('session_id'), completion_code: arrived.get('completion_code'), user_id: user }
  const completed = arrived.has('completion_code') ? await world.complete(completion) : null
  return { session: String(arrived.get('session_id')), error: completed ? completed.code : arrived.get('error') }
}

describe('the account that is connected', () => {
  before(async () => {
    world = await startWorld({
      further: (sandbox) => {
        const app = { ...sandbox.app(), scopes: ['files.read'], user_binding: 'none', callback_url: CALLBACK }
        const { callback_url: _, ...pageOnly } = { ...app, user_binding: 'confirm' }
        return {
          apps: [
            { ...pageOnly, key_code_ref: 'page-only', name: 'Page only' },
            { ...app, key_code_ref: 'lenient', allow_account_change: true },
            { ...app, key_code_ref: 'one-per-account', one_per_account: true },
            { ...app, key_code_ref: 'strict-scopes', scopes: ['files.read', 'files.write'], required_scopes: ['files.write'] },
          ],
        }
      },
    })
  })
  after(() => world[Symbol.asyncDispose]())

  test('it is in the listing and on the last page, and never in the log', async () => {
    const { body } = await world.authUrl({ key_code_ref: 'page-only', user_id: 'reader' })
    const browser = new Browser()
    const back = await world.consent(String(body['url']), browser, { as: 'grace' })
    for (const visit of ['first', 'reload']) {
      const page = await (await browser.visit(back)).text()
      assert.match(page, /account <bdi>Grace Hopper<\/bdi> is connected|Grace Hopper/, visit)
    }
    assert.doesNotMatch(await (await new Browser().visit(back)).text(), /Grace/, 'another browser is told nothing')
    assert.deepEqual(await accountOf(String(body['session_id'])), { id: 'grace', label: 'Grace Hopper' })
    assert.doesNotMatch(world.log.join('\n'), /grace/i)
    await world.revoke(String(body['session_id']))
  })

  for (const binding of BINDINGS) {
    test(`S-24 ${binding}: connecting again as somebody else is refused, and the old connection stays as it was`, async () => {
      const { session } = await connected(binding, 'owner', 'ada')
      const { grants } = world.sandbox.control
      const token = (await world.token(session)).text
      const { error } = await connected(binding, 'owner', 'grace', { session_id: session })
      assert.equal(error, binding === 'complete' ? 'ACCOUNT_MISMATCH' : 'account_mismatch')
      assert.equal((await world.token(session)).text, token)
      assert.deepEqual(await accountOf(session), { id: 'ada', label: 'Ada Lovelace' })
      assert.equal(world.sandbox.control.grants, grants, 'what was granted in vain was taken back')
      assert.equal((await connected(binding, 'owner', 'ada', { session_id: session })).error, null, 'and the right one may')
    })
  }

  test('S-24 a page says so where the app has no callback', async () => {
    const first = await world.authUrl({ key_code_ref: 'page-only', user_id: 'pager' })
    const browser = new Browser()
    await browser.visit(await world.consent(String(first.body['url']), browser))
    const query = { key_code_ref: 'page-only', user_id: 'pager', session_id: String(first.body['session_id']) }
    const { body } = await world.authUrl(query)
    const answer = await browser.visit(await world.consent(String(body['url']), browser, { as: 'grace' }))
    const page = await answer.text()
    assert.equal(answer.status, 400)
    assert.match(page, /with another account than the one that is connected/)
    assert.doesNotMatch(page, /<blockquote/, 'in our words, not as if the provider had said them')
    assert.doesNotMatch(page, /Ada|Grace/, 'whose it was and whose it is stays with those who know')
    assert.ok(await works(query.session_id))
  })

  test('S-24 what was granted in vain is let go where another connection of that account may live from the same grant', async () => {
    const { session } = await connected('none', 'both', 'ada')
    const other = await connected('none', 'colleague', 'grace')
    const { grants } = world.sandbox.control
    assert.equal((await connected('none', 'both', 'grace', { session_id: session })).error, 'account_mismatch')
    assert.equal(world.sandbox.control.grants, grants + 1)
    assert.ok(await works(other.session))
    await world.revoke(other.session)
  })

  test('S-24 nor is it taken back where that other connection is of another app with the same registration', async () => {
    const { session } = await connected('none', 'both', 'ada')
    const other = await connected('lenient', 'colleague', 'grace')
    const { grants } = world.sandbox.control
    assert.equal((await connected('none', 'both', 'grace', { session_id: session })).error, 'account_mismatch')
    assert.equal(world.sandbox.control.grants, grants + 1)
    await world.revoke(other.session)
  })

  test('S-24 the application, or the app for good, may allow another account', async () => {
    const { session } = await connected('none', 'changing', 'ada')
    const allowed = await connected('none', 'changing', 'grace', { session_id: session, allow_account_change: 'true' })
    assert.deepEqual([allowed.session, allowed.error], [session, null])
    assert.deepEqual(await accountOf(session), { id: 'grace', label: 'Grace Hopper' })
    const lenient = await connected('lenient', 'changing', 'ada')
    assert.equal((await connected('lenient', 'changing', 'grace', { session_id: lenient.session })).error, null)
    assert.deepEqual(await accountOf(lenient.session), { id: 'grace', label: 'Grace Hopper' })
    for (const used of [session, lenient.session]) await world.revoke(used)
  })

  test('S-24 where the provider does not say who it is, nothing is taken on trust: the old connection stays, and so does its grant', async () => {
    const { session } = await connected('none', 'silent', 'ada')
    world.sandbox.control.script('me', { status: 503, times: 2 })
    const { grants } = world.sandbox.control
    assert.equal((await connected('none', 'silent', 'ada', { session_id: session })).error, 'account_unknown')
    assert.equal(world.sandbox.control.grants, grants + 1, 'it may be the very grant that the old connection lives from')
    assert.ok(await works(session))
    world.sandbox.control.script('me', { status: 503 })
    assert.equal((await connected('none', 'silent', 'ada', { session_id: session })).error, null, 'it is asked twice')
  })

  test('S-24 a new grant that proves to be nobody’s is not taken back where it may be the one that the old connection lives from', async (t) => {
    const openid = await untilDone(t, startWorld({ app: { scopes: ['openid', 'files.read'] } }))
    const { control } = openid.sandbox
    const session = await openid.connect('none', 'proven')
    control.set({ id_token: 'wrong_nonce' })
    const again = async (as: string, more: Record<string, string> = {}) => {
      const { body } = await openid.authUrl({ key_code_ref: 'none', user_id: 'proven', ...more })
      return (await openid.arrive(String(body['url']), new Browser(), { as })).searchParams.get('error')
    }
    assert.equal(await again('ada', { session_id: session }), 'id_token_invalid')
    assert.equal(control.grants, 2)
    assert.equal(await again('ada'), 'id_token_invalid')
    assert.equal(control.grants, 3, 'nor beside it, where it says that it is the same account')
    assert.equal(await again('grace'), 'id_token_invalid')
    assert.equal(control.grants, 3, 'what nobody else lives from is taken back')
    assert.equal((await openid.token(session)).status, 200)
  })

  for (const reconnecting of [false, true]) {
    test(`what was granted is in nobody’s hands when the store fails after it came (${reconnecting ? 'again' : 'new'})`, async () => {
      const earlier = reconnecting ? (await connected('lenient', 'unlucky', 'ada')).session : undefined
      const { body } = await world.authUrl({ key_code_ref: 'lenient', user_id: 'unlucky', session_id: earlier })
      const browser = new Browser()
      const back = await world.consent(String(body['url']), browser, { as: 'grace' })
      const [{ grants }, redeemed] = [world.sandbox.control, world.redeemed]
      const { connections } = world.broker.ports.store
      const failing = (['find', 'list'] as const).map((name) => {
        const works = connections[name].bind(connections) as (...args: unknown[]) => Promise<never>
        return mock.method(connections, name, async (...args: unknown[]) => {
          if (world.redeemed > redeemed) throw new Error('the disk is gone')
          return works(...args)
        })
      })
      const finish = mock.method(world.broker.ports.store.attempts, 'finish', async () => {
        throw new Error('the disk is gone')
      })
      assert.equal((await browser.visit(back)).status, 500)
      for (const each of [...failing, finish]) each.mock.restore()
      // Which may be the very grant that the old connection lives from.
      assert.equal(world.sandbox.control.grants, reconnecting ? grants : grants - 1)
      if (earlier) assert.ok(await works(earlier))
    })
  }

  /** The provider does not say whose account it is: what is done about it a little later. */
  async function connectedNameless(app: string, user: string) {
    const later = mock.method(world.broker.ports, 'later', () => {})
    world.sandbox.control.script('me', { status: 503 })
    const { session, error } = await connected(app, user, 'ada')
    assert.equal(error, null)
    assert.ok(await works(session))
    assert.equal(await accountOf(session), null)
    assert.equal(later.mock.callCount(), 1)
    const call = later.mock.calls[0] ?? assert.fail()
    const [ms, work] = call.arguments as unknown as [number, () => Promise<void>]
    later.mock.restore()
    assert.ok(ms >= 1000)
    return { session, work }
  }

  test('a connection whose account could not be read works without it, and is asked about once more', async () => {
    const { session, work } = await connectedNameless('none', 'nameless')
    const lease = { holder: 'somebody', now: world.now(), until: world.now() + HOUR }
    const { connections } = world.broker.ports.store
    const seen = (await connections.find('default', session)) ?? assert.fail()
    const claimed = (await connections.claim(seen, lease)) ?? assert.fail()
    await work()
    assert.equal(await accountOf(session), null, 'not while somebody renews it')
    await connections.settle(claimed.connection, { ...claimed.connection, lease: null }, [])
    await work()
    assert.deepEqual(await accountOf(session), { id: 'ada', label: 'Ada Lovelace' })
  })

  test('nobody is asked about an account that is known, or by a provider that has no way to tell', async () => {
    const { session } = await connected('none', 'known', 'ada')
    const known = (await world.broker.ports.store.connections.find('default', session)) ?? assert.fail()
    const { app, registration } = await registrationOf(world.broker.ports, 'default', 'none')
    const { identity: _, ...mute } = registration.provider
    const silent: Registration = { ...registration, provider: mute }
    const ports = { ...world.broker.ports, later: () => assert.fail('asked') }
    askLater(ports, { app, registration }, known)
    askLater(ports, { app, registration: silent }, { ...known, account: null })
  })

  test('F-33 one per account: the same account connected again takes the place of the earlier one, another one stands beside it', async () => {
    const [first, other] = [
      await connected('one-per-account', 'twice', 'ada'),
      await connected('one-per-account', 'twice', 'grace'),
    ]
    const others = await connected('one-per-account', 'somebody-else', 'ada')
    const second = await connected('one-per-account', 'twice', 'ada')
    assert.deepEqual(await Promise.all([first, other, others, second].map(({ session }) => works(session))), [
      false,
      true,
      true,
      true,
    ])
    assert.equal((await world.told(first.session)).at(-1), 'connection.revoked superseded')
  })

  test('F-33 and so it is where the provider says only a little later which account it is', async () => {
    const { session: first } = await connected('one-per-account', 'hidden', 'ada')
    const { session: second, work } = await connectedNameless('one-per-account', 'hidden')
    assert.ok(await works(first))
    await work()
    assert.deepEqual([await works(first), await works(second)], [false, true])
    assert.equal((await world.told(first)).at(-1), 'connection.revoked superseded')
  })

  test('F-25 a grant without a required scope is refused, and one that only lacks others is told as it is', async () => {
    const granting = (scope: string) => world.sandbox.control.script('token', { edit: { set: { scope } } })
    granting('files.read')
    const { grants } = world.sandbox.control
    assert.equal((await connected('strict-scopes', 'narrow', 'somebody who is connected nowhere else')).error, 'scopes_missing')
    assert.equal(world.sandbox.control.grants, grants)
    granting('files.write')
    const { session, error } = await connected('strict-scopes', 'narrow', 'somebody who is connected nowhere else')
    assert.equal(error, null)
    const { body } = await world.connection(session)
    assert.deepEqual([body['granted_scopes'], body['missing_scopes']], [['files.write'], ['files.read']])
    granting('files.read')
    assert.equal(
      (await connected('strict-scopes', 'narrow', 'somebody who is connected nowhere else', { session_id: session })).error,
      'scopes_missing',
    )
    assert.ok(await works(session), 'F-36 the old grant is still there')
    assert.deepEqual((await world.connection(session)).body['granted_scopes'], ['files.write'])
  })
})
