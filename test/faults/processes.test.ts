/** Several processes on one store: what one begins another ends, what one renewed another does not ask for, and keys that change meanwhile. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../cli/port.ts'
import type { Config } from '../../src/config.ts'
import { renew } from '../../src/core/renew.ts'
import { Secret } from '../../src/core/secret.ts'
import { token } from '../../src/core/token.ts'
import { type Broker, openBroker, serve } from '../../src/main.ts'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { BINDINGS, HOUR, type StoreKind, startWorld, type World } from '../world.ts'

const CALLER = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }

/** Where several processes meet. */
const SHARED = ['sqlite', 'postgres'] as const

async function on(t: TestContext, store: StoreKind): Promise<World> {
  return untilDone(t, startWorld({ store }))
}

/** A process beside the world's own, on the same store. */
async function another(t: TestContext, world: World, config: Config = world.config): Promise<Broker> {
  const broker = await openBroker(config, { now: () => world.now(), logTo: { write: () => {} } })
  t.after(() => broker.close())
  return broker
}

for (const store of SHARED) {
  for (const binding of BINDINGS) {
    test(`F-38 ${binding}: a user who comes back to another process than the one they left from is connected, on ${store}`, async (t) => {
      const world = await on(t, store)
      const config = { ...world.config, port: await freePort('127.0.0.1') }
      const other = await serve(await openBroker(config, { now: () => world.now(), logTo: { write: () => {} } }), config)
      t.after(() => other.stop())
      const browser = new Browser()
      const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'ada' })
      const back = await world.consent(String(body['url']), browser)
      // To a real browser all ports are one place; behind a proxy they are.
      const cookie = `latchstring=${browser.cookie(world.url, 'latchstring') ?? ''}`
      const answer = await browser.visit(new URL(back.pathname + back.search, other.address), undefined, { cookie })
      const { searchParams } = new URL(answer.headers.get('location') ?? assert.fail(`it led nowhere: ${answer.status}`))
      assert.equal(searchParams.get('error'), null)
      const session = searchParams.get('session_id') ?? assert.fail('no session')
      if (binding === 'complete') {
        await world.complete({ session_id: session, completion_code: searchParams.get('completion_code'), user_id: 'ada' })
      }
      assert.equal((await world.token(session)).status, 200)
      assert.equal(world.redeemed, 1)
    })
  }

  test(`F-09 a process that looked before another one renewed asks for nothing and uses what is there now, on ${store}`, async (t) => {
    const world = await on(t, store)
    const other = await another(t, world)
    const session = await world.connect()
    world.pass(HOUR)
    const seen = (await other.ports.store.connections.find('default', session)) ?? assert.fail('no connection')
    const { body } = await world.token(session)
    const current = await renew(other.ports, seen)
    assert.equal(current.health.state, 'connected')
    assert.equal(world.sandbox.control.count('refresh'), 1)
    const handed = await token(other.ports, CALLER, session)
    assert.equal(handed.accessToken.reveal(), body['access_token'])
  })

  test(`F-42 processes with the old master key and with a new one in front of it renew in turn, and no refresh token is lost, on ${store}`, async (t) => {
    const world = await on(t, store)
    const masterKeys = new Secret(`${randomBytes(32).toString('base64')} ${world.config.masterKeys.reveal()}`)
    const newer = await another(t, world, { ...world.config, masterKeys })
    const sessions = await Promise.all([1, 2, 3].map((i) => world.connect('none', `user-${i}`)))
    for (let turn = 0; turn < 4; turn++) {
      world.pass(HOUR)
      const { ports } = turn % 2 === 0 ? newer : world.broker
      for (const session of sessions) {
        const { accessToken } = await token(ports, CALLER, session)
        assert.ok(world.sandbox.control.alive(accessToken.reveal()))
      }
    }
    assert.equal(world.sandbox.control.count('refresh'), 12)
  })
}
