/** Providers that fail: what still works meanwhile, who is told, how often they are asked, and how it ends. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Scripted } from '../../sandbox/script.ts'
import type { Trouble } from '../../src/core/connection.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import type { ConnectionStore, Ports } from '../../src/core/ports.ts'
import { renew } from '../../src/core/renew.ts'
import { token } from '../../src/core/token.ts'
import { HOUR, MINUTE, SECOND, STORES, startWorld, type World } from '../world.ts'

/** What a provider does that takes no refresh token, and for how long to leave it alone then. */
const UNWELL = {
  server_error: 2 * SECOND,
  // Nobody knows what was behind these: not before the access token is over.
  bad_gateway: 5 * SECOND,
  reset: 5 * SECOND,
  outage: 2 * SECOND,
  rate_limited: 30 * SECOND,
} as const

/** Nobody is at home there, or there is no such place. */
const UNREACHABLE = {
  'a closed port': 'http://127.0.0.1:9/token',
  'a name that does not exist': 'https://nowhere.invalid/token',
} as const

for (const store of STORES) {
  describe(`providers that fail, on ${store}`, () => {
    let world: World
    before(async () => {
      world = await startWorld({ store })
    })
    after(() => world[Symbol.asyncDispose]())
    beforeEach(() => world.sandbox.control.reset())

    const renewals = () => world.sandbox.control.count('refresh')
    const tokenOf = async (session: string) => String((await world.token(session)).body['access_token'])
    const stateOf = async (session: string) => (await world.connection(session)).body['state']
    const toldSince = async (session: string) => (await world.told(session)).slice(2)

    for (const [preset, wait] of Object.entries(UNWELL) as [keyof typeof UNWELL, number][]) {
      test(`F-12 F-16 a token with life in it is handed out through an outage, and nobody is alarmed: ${preset}`, async () => {
        const session = await world.connect()
        const old = await tokenOf(session)
        world.pass(HOUR - 4 * SECOND)
        world.sandbox.control.script('refresh', preset)
        assert.equal(await tokenOf(session), old)
        const answers = await Promise.all(Array.from({ length: 9 }, () => world.token(session)))
        for (const { status, body } of answers)
          assert.deepEqual([status, body['access_token'], body['warning']], [200, old, 'refresh_failed'])
        assert.equal(renewals(), 1, 'asked once, then left in peace')
        assert.equal(await stateOf(session), 'connected')
        assert.deepEqual(await toldSince(session), [])

        world.pass(wait)
        assert.notEqual(await tokenOf(session), old)
        assert.equal('warning' in (await world.token(session)).body, false)
        assert.equal(renewals(), 2)
        assert.deepEqual(await toldSince(session), [])
      })
    }

    test('F-17 F-47 an expired token is never handed out in an outage: 503 with Retry-After, and all is well again by itself', async () => {
      const session = await world.connect()
      const old = await tokenOf(session)
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
      for (let minute = 0; minute < 30; minute++) {
        const refused = await world.token(session)
        assert.deepEqual([refused.status, refused.code], [503, 'PROVIDER_UNAVAILABLE'])
        assert(!refused.text.includes(old))
        const wait = Number(refused.headers.get('retry-after'))
        assert(Number.isInteger(wait) && wait >= 1 && wait <= 300, `Retry-After ${wait}`)
        world.pass(MINUTE)
      }
      assert(renewals() >= 6 && renewals() <= 16, `${renewals()} requests in half an hour`)
      assert.equal(await stateOf(session), 'failing')
      assert.deepEqual(await toldSince(session), ['connection.renewal_failing http_503'])

      world.sandbox.control.script('refresh')
      world.pass(5 * MINUTE)
      const { status, body } = await world.token(session)
      assert.equal(status, 200)
      assert.notEqual(body['access_token'], old)
      assert.equal(await stateOf(session), 'connected')
      assert.deepEqual(await toldSince(session), ['connection.renewal_failing http_503', 'connection.recovered'])
    })

    test('F-47 an outage that ends in a no is told as that: failing once, broken once', async () => {
      const session = await world.connect()
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { preset: 'server_error', times: 2 }, 'outage', 'invalid_grant')
      for (let time = 0; time < 8; time++) {
        await world.token(session)
        world.pass(10 * SECOND)
      }
      assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
      assert.equal(renewals(), 4)
      assert.deepEqual(await toldSince(session), ['connection.renewal_failing http_500', 'connection.broken invalid_grant'])
    })

    test('three failures in a row make it failing, although its token still works', async () => {
      world.sandbox.control.set({ access_token_lifetime: 24 * 3600 })
      const session = await world.connect()
      const old = await tokenOf(session)
      world.pass(24 * HOUR - 50 * SECOND)
      world.sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
      const states = []
      for (let time = 0; time < 4; time++) {
        assert.equal(await tokenOf(session), old)
        await world.broker.ports.flights.landed()
        states.push(await stateOf(session))
        world.pass(10 * SECOND)
      }
      assert.deepEqual(states, ['connected', 'connected', 'failing', 'failing'])
      assert.deepEqual(await toldSince(session), ['connection.renewal_failing http_503'])
    })

    test('F-12 each wait is twice the one before, up to five minutes, and up to half of it is left to chance', async () => {
      const waits = async (chance: number): Promise<number[]> => {
        const session = await world.connect()
        world.pass(HOUR)
        world.sandbox.control.script('refresh', { preset: 'server_error', times: 'forever' })
        const { ports } = world.broker
        const seconds = []
        for (let time = 0; time < 11; time++) {
          const seen = await ports.store.connections.find('default', session)
          const now = world.now()
          const { health } = await renew({ ...ports, chance: () => chance, now: () => now }, seen!)
          const trouble = health.state === 'failing' ? health.trouble : assert.fail(health.state)
          seconds.push((trouble.retryAt - now) / 1000)
          world.pass(trouble.retryAt - now)
        }
        return seconds
      }
      assert.deepEqual(await waits(1), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
      assert.deepEqual(await waits(0), [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 150, 150])
    })

    for (const [asked, waited] of [
      ['90', 90 * SECOND],
      ['315360000', HOUR],
    ] as const) {
      test(`F-13 a provider that says Retry-After: ${asked} is left alone for ${waited / SECOND} seconds, and callers are told`, async () => {
        const session = await world.connect()
        world.pass(HOUR)
        world.sandbox.control.script('refresh', { preset: 'rate_limited', headers: { 'retry-after': asked } })
        const refused = await world.token(session)
        assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, String(waited / SECOND)])
        world.pass(waited - 10 * SECOND)
        assert.equal((await world.token(session)).status, 503)
        assert.equal(renewals(), 1)
        world.pass(10 * SECOND)
        assert.equal((await world.token(session)).status, 200)
      })
    }

    test('F-13 a Retry-After that is a date is honoured too', async () => {
      const session = await world.connect()
      world.pass(HOUR)
      const headers = { 'retry-after': new Date(world.now() + 120 * SECOND).toUTCString() }
      world.sandbox.control.script('refresh', { preset: 'rate_limited', headers })
      const wait = Number((await world.token(session)).headers.get('retry-after'))
      assert(wait > 110 && wait <= 120, `${wait} seconds`)
    })

    test('F-10 invalid_grant ends it: the reason in the message, one fact, and no more requests', async () => {
      const session = await world.connect()
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { preset: 'invalid_grant', times: 'forever' })
      for (let time = 0; time < 5; time++) {
        const refused = await world.token(session)
        assert.deepEqual([refused.status, refused.code], [400, 'RECONNECT_REQUIRED'])
        assert.match(refused.text, /invalid_grant \(Token has been expired or revoked\.\)/)
        world.pass(HOUR)
      }
      assert.equal(renewals(), 1)
      const { state, reason } = (await world.connection(session)).body
      assert.deepEqual({ state, reason }, { state: 'broken', reason: 'invalid_grant' })
      assert.deepEqual(await toldSince(session), ['connection.broken invalid_grant'])
    })

    test('F-10 a token that still works is not handed out any more once the provider said no', async () => {
      const session = await world.connect()
      world.pass(HOUR - 3 * SECOND)
      world.sandbox.control.script('refresh', 'invalid_grant')
      assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
    })

    test('F-10 connecting again under the same session id makes it whole', async () => {
      const session = await world.connect()
      world.pass(HOUR)
      world.sandbox.control.script('refresh', 'invalid_grant')
      assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
      assert.equal(await world.connect('none', 'user-1', { session_id: session }), session)
      assert(world.sandbox.control.alive(await tokenOf(session)))
      world.pass(HOUR)
      assert.equal((await world.token(session)).status, 200)
    })

    for (const order of ['unknown_error', 'empty_400'] as const) {
      test(`F-11 a no that we do not understand becomes final when it keeps coming for hours, and not before: ${order}`, async () => {
        const session = await world.connect()
        world.pass(HOUR)
        world.sandbox.control.script('refresh', { preset: order, times: 'forever' })
        for (let time = 0; time < 20; time++) {
          assert.equal((await world.token(session)).status, 503)
          world.pass(MINUTE)
        }
        world.pass(5.5 * HOUR)
        assert.equal((await world.token(session)).status, 503, 'not yet six hours')
        world.pass(HOUR)
        assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
        const reason = order === 'unknown_error' ? 'something_else' : 'http_400'
        assert.deepEqual(await toldSince(session), [`connection.renewal_failing ${reason}`, `connection.broken ${reason}`])
      })
    }

    test('F-13 one connection that is told to wait makes all of its app wait, and no other app', async () => {
      const first = await world.connect('none', 'ada')
      const second = await world.connect('none', 'grace')
      const elsewhere = await world.connect('confirm', 'ada')
      world.pass(HOUR)
      world.sandbox.control.script('refresh', { preset: 'rate_limited', headers: { 'retry-after': '90' } })
      assert.equal((await world.token(first)).headers.get('retry-after'), '90')
      world.pass(30 * SECOND)
      const refused = await world.token(second)
      assert.deepEqual([refused.status, refused.code], [503, 'PROVIDER_UNAVAILABLE'])
      const wait = Number(refused.headers.get('retry-after'))
      assert(wait > 50 && wait <= 60, `${wait} seconds`)
      assert.equal(renewals(), 1)
      assert.equal(await stateOf(second), 'connected')
      assert.deepEqual(await toldSince(second), [])
      assert.equal((await world.token(elsewhere)).status, 200)
      world.pass(60 * SECOND)
      assert.equal((await world.token(second)).status, 200)
      assert.equal((await world.token(first)).status, 200)
    })

    /** What the history tells of the app, from here on. */
    const appFacts = async () => (await world.told('none')).filter((told) => /^app\.(refused|accepted)/.test(told))

    test('F-14 a client secret that the provider refuses is the operator’s to mend: no connection is marked, and the new one works at once', async () => {
      const users = Array.from({ length: 40 }, (_, i) => `user-${i}`)
      const sessions = await Promise.all(users.map((user) => world.connect('none', user)))
      const before = (await appFacts()).length
      world.pass(HOUR)
      await world.bearer()
      world.sandbox.control.register({ client_id: 'sandbox-app', client_secret: 'another-secret' })
      for (const session of sessions) {
        const refused = await world.token(session)
        assert.deepEqual([refused.status, refused.code], [503, 'APP_CREDENTIALS_REJECTED'])
        assert(Number(refused.headers.get('retry-after')) >= 1)
        assert.equal(await stateOf(session), 'connected')
      }
      const asked = renewals()
      assert(asked < 5, `${asked} found out for all`)
      assert.deepEqual((await appFacts()).slice(before), ['app.refused invalid_client'])

      world.pass(5 * MINUTE)
      const refused = await Promise.all(sessions.map((session) => world.token(session)))
      assert.deepEqual([...new Set(refused.map(({ code }) => code))], ['APP_CREDENTIALS_REJECTED'])
      const looked = renewals() - asked
      assert(looked >= 1 && looked <= 2, `one at a time looks whether it is over, not ${looked}`)
      assert.deepEqual((await appFacts()).slice(before), ['app.refused invalid_client'])

      const { setupFile } = world.config
      const setup = await readFile(setupFile!, 'utf8')
      await writeFile(setupFile!, setup.replaceAll('sandbox-secret', 'another-secret'))
      await world.broker.applySetup()
      try {
        for (const session of sessions) {
          assert.equal((await world.token(session)).status, 200)
          assert.deepEqual(await toldSince(session), [])
        }
        assert.deepEqual((await appFacts()).slice(before), ['app.refused invalid_client', 'app.accepted'])
      } finally {
        await writeFile(setupFile!, setup)
        await world.broker.applySetup()
        world.sandbox.control.register({ client_id: 'sandbox-app', client_secret: 'sandbox-secret' })
      }
    })

    test('F-14 a dead grant that its provider calls an unauthorized client keeps no other connection of the app from being renewed', async () => {
      const dead = await world.connect('none', 'dead')
      const alive = await Promise.all(['ada', 'grace', 'eve'].map((user) => world.connect('none', user)))
      const before = (await appFacts()).length
      const answer = { error: 'unauthorized_client', error_description: 'refresh_token is invalid' }
      for (let hour = 0; hour < 8; hour++) {
        world.pass(HOUR)
        world.sandbox.control.script('refresh', { status: 403, body: answer })
        const { code } = await world.token(dead)
        if (hour < 4) assert.equal(code, 'PROVIDER_UNAVAILABLE')
        world.sandbox.control.reset()
        for (const session of alive) assert.equal((await world.token(session)).status, 200)
      }
      assert.equal((await world.token(dead)).code, 'RECONNECT_REQUIRED')
      assert.deepEqual(await toldSince(dead), [
        'connection.renewal_failing unauthorized_client',
        'connection.broken unauthorized_client',
      ])
      assert.equal((await appFacts()).length, before)
    })

    test('F-14 what the provider’s file says to be about one connection is never the app’s, however many are told', async () => {
      await using tenants = await startWorld({ store, provider: { errors: { unclear: ['unauthorized_client'] } } })
      const removed = await Promise.all(['dead', 'dead too'].map((user) => tenants.connect('none', user)))
      const alive = await tenants.connect('none', 'ada')
      for (let hour = 0; hour < 8; hour++) {
        tenants.pass(HOUR)
        tenants.sandbox.control.script('refresh', { status: 400, body: { error: 'unauthorized_client' }, times: 'forever' })
        for (const session of removed) {
          const { code } = await tenants.token(session)
          if (hour < 4) assert.equal(code, 'PROVIDER_UNAVAILABLE')
        }
        tenants.sandbox.control.reset()
        assert.equal((await tenants.token(alive)).status, 200)
      }
      for (const session of removed) assert.equal((await tenants.token(session)).code, 'RECONNECT_REQUIRED')
    })

    test('F-14 of many that ask at once only those under way ask a provider that refuses the app', async () => {
      const users = Array.from({ length: 40 }, (_, i) => `crowd-${i}`)
      const sessions = await Promise.all(users.map((user) => world.connect('none', user)))
      world.pass(HOUR)
      await world.bearer()
      world.sandbox.control.script('refresh', { preset: 'invalid_client', times: 'forever' })
      await Promise.all(sessions.map((session) => world.token(session)))
      assert(renewals() >= 1 && renewals() <= 16, `${renewals()} requests`)
      world.sandbox.control.script('refresh')
      world.pass(10 * MINUTE)
      for (const session of sessions) assert.equal((await world.token(session)).status, 200)
    })

    test('F-15 a provider that is back after an outage is asked for some at a time, and every connection recovers', async () => {
      const users = Array.from({ length: 60 }, (_, i) => `herd-${i}`)
      const sessions = await Promise.all(users.map((user) => world.connect('none', user)))
      world.pass(HOUR)
      await world.bearer()
      const { control } = world.sandbox
      control.script('refresh', { delay: 30, times: 'forever' })
      let most = 0
      const underway = () => control.requests.filter(({ endpoint, answered }) => endpoint === 'refresh' && answered === null)
      const watching = setInterval(() => (most = Math.max(most, underway().length)), 3)
      const answers = await Promise.all(sessions.map((session) => world.token(session)))
      clearInterval(watching)
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
      assert.equal(renewals(), 60)
      assert(most > 4 && most <= 16, `${most} at once`)
    })
  })
}

describe('a store that fails', () => {
  let world: World
  before(async () => {
    world = await startWorld({ store: 'sqlite' })
  })
  after(() => world[Symbol.asyncDispose]())

  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }

  /** The broker's ports, with some of what the store does with connections done otherwise. */
  function portsWith(otherwise: Partial<ConnectionStore>): Ports {
    const { ports } = world.broker
    const store = { ...ports.store, connections: { ...ports.store.connections, ...otherwise } }
    return { ...ports, store, flights: new Flights(), pause: async () => {} }
  }

  const full = async (): Promise<never> => {
    throw new BrokerError('STORE_UNAVAILABLE', 'the disk is full')
  }

  test('F-40 keeps no token that still works from its caller, and spends nothing that it could not store', async () => {
    const session = await world.connect()
    const { body } = await world.token(session)
    world.pass(HOUR - 4 * SECOND)
    const handed = await token(portsWith({ claim: full }), caller, session)
    assert.equal(handed.accessToken.reveal(), body['access_token'])
    world.pass(4 * SECOND)
    await assert.rejects(async () => token(portsWith({ claim: full }), caller, session), /disk is full/)
    assert.equal(world.sandbox.control.count('refresh'), 0)
    assert.equal((await world.token(session)).status, 200, 'and all is well when it can be written again')
  })

  test('F-06 for a moment, when the answer is there, costs no grant: it is written on a later try', async () => {
    const session = await world.connect()
    world.pass(HOUR)
    world.sandbox.control.reset()
    const { settle } = world.broker.ports.store.connections
    let failures = 3
    const flaky = portsWith({ settle: (...write) => (failures-- > 0 ? full() : settle(...write)) })
    const { accessToken } = await token(flaky, caller, session)
    assert.equal(failures, -1)
    assert(world.sandbox.control.alive(accessToken.reveal()))
    assert.equal((await world.token(session)).body['access_token'], accessToken.reveal())
    assert.equal(world.sandbox.control.count('refresh'), 1)
  })

  test('a connection that is made between two looks is found', async () => {
    const session = await world.connect()
    const { accessToken } = await token(portsWith({ glance: async () => null }), caller, session)
    assert.equal(accessToken.reveal(), (await world.token(session)).body['access_token'])
  })
})

describe('providers that the file tells of', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      provider: { errors: { permanent: ['AADSTS700082', 'token_gone'], app: ['bad_app'], transient: ['try_later'] } },
    })
  })
  after(() => world[Symbol.asyncDispose]())

  for (const [name, body, code, reason] of [
    ['its own code', { error: 'token_gone' }, 'RECONNECT_REQUIRED', 'token_gone'],
    ['a number in the text', { error: 'oops', error_description: 'AADSTS700082: expired' }, 'RECONNECT_REQUIRED', 'oops'],
    ['to pass', { error: 'try_later' }, 'PROVIDER_UNAVAILABLE', 'try_later'],
    ['the app’s fault', { error: 'bad_app' }, 'APP_CREDENTIALS_REJECTED', null],
  ] as const) {
    test(`F-11 what a provider calls it is understood: ${name}`, async () => {
      const session = await world.connect()
      world.pass(HOUR)
      const order: Scripted = { status: 400, body }
      world.sandbox.control.script('refresh', order)
      assert.equal((await world.token(session)).code, code)
      assert.equal((await world.connection(session)).body['reason'], reason)
    })
  }
})

for (const [where, refresh_url] of Object.entries(UNREACHABLE)) {
  test(`F-12 a provider at ${where} is an outage like any other`, async (t) => {
    const world = await startWorld({ provider: { refresh_url } })
    t.after(() => world[Symbol.asyncDispose]())
    const session = await world.connect()
    const { body } = await world.token(session)
    world.pass(HOUR - 3 * SECOND)
    assert.deepEqual((await world.token(session)).body, { ...body, warning: 'refresh_failed' })
    world.pass(10 * SECOND)
    assert.deepEqual(
      [(await world.token(session)).code, (await world.connection(session)).body['state']],
      ['PROVIDER_UNAVAILABLE', 'failing'],
    )
    const kept = await world.broker.ports.store.connections.find('default', session)
    const { reason, attempts } = (kept!.health as { trouble: Trouble }).trouble
    assert.deepEqual([reason, attempts], ['provider_unreachable', 2])
    assert.deepEqual((await world.told(session)).slice(2), ['connection.renewal_failing provider_unreachable'])
  })
}
