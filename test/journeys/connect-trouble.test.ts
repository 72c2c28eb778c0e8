/** Connecting while the store or the key service fails, or while another consent of the same owner is under way: what is told is what is so. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, mock, test } from 'node:test'
import { BrokerError } from '../../src/core/errors.ts'
import { Browser } from '../browser-stand-in.ts'
import { CALLBACK, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld({
    store: 'sqlite',
    further: (sandbox) => {
      const app = { ...sandbox.app(), scopes: ['files.read'], user_binding: 'none', callback_url: CALLBACK }
      return {
        apps: [
          { ...app, key_code_ref: 'one', one_per_owner: true },
          { ...app, key_code_ref: 'one-callback', user_binding: 'callback', one_per_owner: true },
          { ...app, key_code_ref: 'one-complete', user_binding: 'complete', one_per_owner: true },
          { ...app, key_code_ref: 'strict', scopes: ['files.read', 'files.write'], required_scopes: ['files.write'] },
        ],
      }
    },
  })
})
after(() => world[Symbol.asyncDispose]())
beforeEach(() => world.sandbox.control.reset())

const trouble = async (): Promise<never> => {
  throw new Error('a moment of trouble')
}

async function leaving(key_code_ref: string, user_id: string, more: Readonly<Record<string, string>> = {}) {
  const browser = new Browser()
  const { body } = await world.authUrl({ key_code_ref, user_id, ...more })
  return { session: String(body['session_id']), browser, back: await world.consent(String(body['url']), browser) }
}

const errorOf = (response: Response) => new URL(response.headers.get('location')!).searchParams.get('error')

for (const [how, meanwhile] of [
  ['and the provider does not say whose it is', () => world.sandbox.control.script('me', { status: 503, times: 2 })],
  ['and nothing can be listed just then', () => mock.method(world.broker.ports.store.connections, 'list', trouble)],
] as const) {
  test(`F-39 a connection that was written, though the store failed to say so, is told of and not revoked: ${how}`, async () => {
    const { session, back } = await leaving('none', `written-${how.length}`)
    const { attempts } = world.broker.ports.store
    const finish = attempts.finish.bind(attempts)
    mock.method(attempts, 'finish', async (...args: Parameters<typeof finish>) => {
      await finish(...args)
      return trouble()
    })
    meanwhile()
    const response = await new Browser().visit(back)
    mock.restoreAll()
    assert.equal(errorOf(response), null)
    const { status, body } = await world.token(session)
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
  })
}

test('F-39 one of which nobody can say whether it was written is not revoked', async () => {
  const { session, back } = await leaving('none', 'unknown')
  world.sandbox.control.script('me', { status: 503, times: 2 })
  const { attempts } = world.broker.ports.store
  const finish = attempts.finish.bind(attempts)
  mock.method(attempts, 'finish', async (...args: Parameters<typeof finish>) => {
    await finish(...args)
    mock.method(attempts, 'move', trouble)
    return trouble()
  })
  assert.equal((await new Browser().visit(back)).status, 500)
  mock.restoreAll()
  const { body } = await world.token(session)
  assert(world.sandbox.control.alive(String(body['access_token'])))
})

test('S-77 a new consent whose connection another one took the place of meanwhile is not revoked: the grant may be that one’s', async () => {
  const first = await leaving('one', 'overtaken')
  await first.browser.visit(first.back)
  const [again, beside] = [await leaving('one', 'overtaken', { session_id: first.session }), await leaving('one', 'overtaken')]
  const { control } = world.sandbox
  const nth = world.redeemed + 1
  control.script('token', { hold: true })
  const visit = again.browser.visit(again.back)
  await control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
  control.script('token')
  assert.equal(errorOf(await beside.browser.visit(beside.back)), null)
  control.release()
  assert.equal(errorOf(await visit), 'revoked_meanwhile')
  assert.equal(control.count('revoke'), 0)
  assert.equal((await world.token(beside.session)).status, 200)
})

test('S-77 nor is a refused one that may be the grant of what its owner has, where the provider does not say whose it is', async () => {
  const { control } = world.sandbox
  const consenting = async (scope: string) => {
    const { browser, back, session } = await leaving('strict', 'nameless')
    control.script('token', { edit: { set: { scope } } })
    control.script('me', { status: 503, times: 2 })
    return { session, error: errorOf(await browser.visit(back)) }
  }
  const made = await consenting('files.read files.write')
  assert.equal(made.error, null)
  assert.equal((await consenting('files.read')).error, 'scopes_missing')
  assert.equal(control.count('revoke'), 0)
  await world.revoke(made.session)
  const revoked = control.count('revoke')
  assert.equal((await consenting('files.read')).error, 'scopes_missing')
  assert.equal(control.count('revoke'), revoked + 1, 'where there is none, it is')
})

for (const binding of ['callback', 'complete'] as const) {
  test(`a connection that was made is told of, although the earlier ones of its owner could not be ended: ${binding}`, async () => {
    const { browser, back } = await leaving(`one-${binding}`, 'newest')
    const held = binding === 'complete' ? new URL((await browser.visit(back)).headers.get('location')!) : null
    mock.method(world.broker.ports.store.connections, 'list', trouble)
    const completed = held && (await world.complete({ ...Object.fromEntries(held.searchParams), user_id: 'newest' }))
    const arrived = held ? null : new URL((await browser.visit(back)).headers.get('location')!)
    mock.restoreAll()
    const session = completed ? String(completed.body['session_id']) : (arrived?.searchParams.get('session_id') ?? '')
    assert.equal((await world.token(session)).status, 200)
  })
}

test('F-37 what waits to be completed outlasts a key service that is away for a moment', async () => {
  const { browser, back, session } = await leaving('one-complete', 'patient')
  const { searchParams } = new URL((await browser.visit(back)).headers.get('location')!)
  const complete = () => world.complete({ ...Object.fromEntries(searchParams), user_id: 'patient' })
  const { seal } = world.broker.ports
  mock.method(seal, 'load', () => {
    throw new BrokerError('KEY_SERVICE_UNAVAILABLE', 'it is away', { retryAfterMs: 1000 })
  })
  assert.equal((await complete()).status, 503)
  mock.restoreAll()
  assert.equal((await complete()).status, 200)
  assert.equal((await world.token(session)).status, 200)
})

test('an attempt that the broker could not carry on is over for whoever asks, and the browser that comes again is not kept waiting', async () => {
  const { session, browser, back } = await leaving('none', 'no-key')
  mock.method(world.broker.ports.seal, 'create', trouble)
  assert.equal((await browser.visit(back)).status, 500)
  mock.restoreAll()
  assert.equal((await world.token(session)).code, 'CONNECT_FAILED')
  assert.equal((await browser.visit(back)).status, 400)
  assert.equal(world.redeemed, 0)
})
