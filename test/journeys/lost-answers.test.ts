/** Renewals that were begun and whose end nobody saw: a process that died, an answer that was lost, another process that was faster. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { Connection } from '../../src/core/connection.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import { LookingAfter } from '../../src/core/look-after.ts'
import { reseal } from '../../src/core/master-keys.ts'
import type { Ports } from '../../src/core/ports.ts'
import { renew } from '../../src/core/renew.ts'
import { Secret } from '../../src/core/secret.ts'
import { settleJournal, settleStranded } from '../../src/core/settle.ts'
import { token } from '../../src/core/token.ts'
import { openCredentials } from '../../src/core/vault.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { openBroker } from '../../src/main.ts'
import { HOUR, MINUTE, SECOND, STORES, startWorld, type World, type WorldOptions } from '../world.ts'

async function opened(t: TestContext, options: WorldOptions): Promise<World> {
  const world = await startWorld(options)
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const CALLER = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }
const gone = async (): Promise<never> => {
  throw new BrokerError('STORE_UNAVAILABLE', 'the server is gone')
}

const renewals = (world: World) => world.sandbox.control.count('refresh')
const facts = async (world: World, session: string) => (await world.told(session)).slice(2)

async function stored(world: World, session: string): Promise<Connection> {
  return (await world.broker.ports.store.connections.find('default', session)) ?? assert.fail(`no connection ${session}`)
}

/** A process took the lease and died: before it asked the provider, or after the provider answered. */
async function crash(world: World, session: string, asked: 'before asking' | 'after the answer'): Promise<void> {
  const { ports } = world.broker
  const seen = await stored(world, session)
  const now = world.now()
  assert(await ports.store.connections.claim(seen, { holder: 'a process that died', now, until: now + 30 * SECOND }))
  if (asked === 'before asking') return
  const { refreshToken } = (await openCredentials(ports, seen)).credentials
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken!.reveal() })
  const authorization = `Basic ${btoa('sandbox-app:sandbox-secret')}`
  const spent = await fetch(`${world.sandbox.url}/token`, { method: 'POST', body: form, headers: { authorization } })
  assert.equal(spent.status, 200)
}

for (const store of STORES) {
  test(`F-08 a lost answer is asked for again while the provider gives it again, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 120 } })
    const session = await world.connect()
    world.pass(HOUR)
    await crash(world, session, 'after the answer')
    world.pass(31 * SECOND)
    const { status, body } = await world.token(session)
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
    assert.equal(renewals(world), 2)

    world.pass(HOUR)
    assert.equal((await world.token(session)).status, 200, 'and it goes on from there')
    assert.deepEqual(await facts(world, session), [])
  })

  test(`F-08 past that time nothing is asked, and the user is told what happened, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 120 } })
    const session = await world.connect()
    world.pass(HOUR)
    await crash(world, session, 'after the answer')
    world.pass(121 * SECOND)
    for (let time = 0; time < 3; time++) {
      const refused = await world.token(session)
      assert.deepEqual([refused.status, refused.code], [400, 'RECONNECT_REQUIRED'])
      assert.match(refused.text, /rotation_response_lost/)
    }
    assert.equal(renewals(world), 1)
    assert.deepEqual(await facts(world, session), ['connection.broken rotation_response_lost'])
  })

  test(`F-04 whoever comes while a lease is held waits for its end, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 120 } })
    const session = await world.connect()
    world.pass(HOUR)
    await crash(world, session, 'before asking')
    const late = world.token(session)
    const early = await Promise.race([late, world.token('nothing')])
    assert.equal(early.code, 'INVALID_SESSION', 'the other question is answered first')
    assert.equal(renewals(world), 0)
    world.pass(31 * SECOND)
    assert.equal((await late).status, 200)
    assert.equal(renewals(world), 1)
  })
}

test('F-08 where a spent token never gets its successor again, a lost answer is not asked for again', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  await crash(world, session, 'before asking')
  world.pass(31 * SECOND)
  const refused = await world.token(session)
  assert.equal(refused.code, 'RECONNECT_REQUIRED')
  assert.match(refused.text, /rotation_response_lost/)
  assert.equal(renewals(world), 0)
})

for (const store of ['sqlite', 'postgres'] as const) {
  test(`F-39 a lease that the store gave without saying so is no lost answer: nothing was sent under it, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 'none' } })
    const session = await world.connect()
    world.pass(HOUR)
    const { ports } = world.broker
    const { connections } = ports.store
    const claim: typeof connections.claim = async (...lease) => {
      assert(await connections.claim(...lease))
      throw new BrokerError('STORE_UNAVAILABLE', 'the server is gone')
    }
    const failing = { ...ports, store: { ...ports.store, connections: { ...connections, claim } } }
    await assert.rejects(async () => token(failing, CALLER, session), { code: 'STORE_UNAVAILABLE' })
    assert((await stored(world, session)).lease)

    world.pass(31 * SECOND)
    assert.equal((await world.token(session)).status, 200)
    assert.equal(renewals(world), 1)
    assert.deepEqual(await facts(world, session), [])

    world.pass(HOUR)
    await crash(world, session, 'after the answer')
    world.pass(31 * SECOND)
    assert.match((await world.token(session)).text, /rotation_response_lost/, 'another process’s lease is one')
  })
}

/** The broker's ports, but that it is not heard what the store says of a lease that it gives. */
function unheard({ broker: { ports } }: World): Ports {
  const { connections } = ports.store
  const claim: typeof connections.claim = async (...lease) => {
    assert(await connections.claim(...lease))
    throw new BrokerError('STORE_UNAVAILABLE', 'the server is gone')
  }
  return { ...ports, store: { ...ports.store, connections: { ...connections, claim } }, flights: new Flights() }
}

for (const store of ['sqlite', 'postgres'] as const) {
  test(`F-39 and it is given back before another process can take it for one, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 'none' } })
    const session = await world.connect()
    world.pass(HOUR)
    await assert.rejects(renew(unheard(world), await stored(world, session)), { code: 'STORE_UNAVAILABLE' })
    while ((await stored(world, session)).lease) await world.broker.ports.pause(10)
    const other = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
    t.after(() => other.close())
    assert.equal((await renew(other.ports, await stored(world, session))).health.state, 'connected')
    assert.equal(renewals(world), 1)
  })

  test(`F-39 F-08 and an answer that was lost before it stays lost, on ${store}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window: 'none' } })
    const session = await world.connect()
    world.pass(HOUR)
    await crash(world, session, 'after the answer')
    world.pass(31 * SECOND)
    await assert.rejects(renew(unheard(world), await stored(world, session)), { code: 'STORE_UNAVAILABLE' })
    world.pass(31 * SECOND)
    assert.match((await world.token(session)).text, /rotation_response_lost/)
    assert.equal(renewals(world), 1, 'the spent token is not sent again')
  })
}

test('F-03 a process that stands still between its lease and its request sends nothing when it goes on', async (t) => {
  const world = await opened(t, { store: 'sqlite', provider: { rotation: undefined } })
  const session = await world.connect()
  world.pass(HOUR)
  const { ports } = world.broker
  const { connections } = ports.store
  let other = ''
  const claim: typeof connections.claim = async (...lease) => {
    const claimed = await connections.claim(...lease)
    world.pass(31 * SECOND)
    other = String((await world.token(session)).body['access_token'])
    return claimed
  }
  const stopped = { ...ports, store: { ...ports.store, connections: { ...connections, claim } }, flights: new Flights() }
  await assert.rejects(renew(stopped, await stored(world, session)), { code: 'STORE_UNAVAILABLE' })
  assert.equal(renewals(world), 1)
  assert(world.sandbox.control.alive(other), 'the provider, which ends a grant whose token comes twice, still honours it')
})

test('F-03 a lease that came too late is no lost answer', async (t) => {
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  const { ports } = world.broker
  const { connections } = ports.store
  const claim: typeof connections.claim = async (...lease) => {
    const claimed = await connections.claim(...lease)
    world.pass(21 * SECOND)
    return claimed
  }
  const slow: Ports = { ...ports, store: { ...ports.store, connections: { ...connections, claim } }, flights: new Flights() }
  await assert.rejects(renew(slow, await stored(world, session)), { code: 'STORE_UNAVAILABLE' })
  assert.equal(renewals(world), 0, 'its answer could come when the lease is over')
  assert.equal((await stored(world, session)).lease, null, 'others would take it for the lease of one that died')
  assert.equal((await world.token(session)).status, 200)
})

test('F-08 where nothing is known of rotation, it is tried', async (t) => {
  const world = await opened(t, { sandbox: { rotation: 'never' } })
  const session = await world.connect()
  world.pass(HOUR)
  await crash(world, session, 'after the answer')
  world.pass(10 * MINUTE)
  assert.equal((await world.token(session)).status, 200)
  assert.equal(renewals(world), 2)
})

test('F-08 where nothing is known of rotation and the token was spent after all, the reason is the lost answer', async (t) => {
  const world = await opened(t, { provider: { rotation: undefined } })
  const session = await world.connect()
  world.pass(HOUR)
  await crash(world, session, 'after the answer')
  world.pass(31 * SECOND)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
  assert.equal(renewals(world), 2)
  assert.deepEqual(await facts(world, session), ['connection.broken rotation_response_lost'])
})

test('F-08 an outage in between does not make the lost answer forgotten', async (t) => {
  const world = await opened(t, { provider: { rotation: undefined } })
  const session = await world.connect()
  world.pass(HOUR)
  await crash(world, session, 'after the answer')
  world.pass(31 * SECOND)
  world.sandbox.control.script('refresh', 'outage', 'invalid_client')
  assert.equal((await world.token(session)).code, 'PROVIDER_UNAVAILABLE')
  world.pass(MINUTE)
  assert.equal((await world.token(session)).code, 'APP_CREDENTIALS_REJECTED')
  world.pass(MINUTE)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
})

test('F-08 an outage of the provider’s metadata does not make the lost answer forgotten', async (t) => {
  const world = await opened(t, { provider: { rotation: undefined, token_url: undefined } })
  const session = await world.connect()
  world.pass(25 * HOUR)
  await crash(world, session, 'after the answer')
  world.pass(31 * SECOND)
  world.sandbox.control.script('discovery', 'outage')
  assert.equal((await world.token(session)).code, 'PROVIDER_UNAVAILABLE')
  assert.equal(renewals(world), 1, 'the provider’s own address was not known')
  world.pass(MINUTE)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
})

for (const preset of ['lost_answer', 'gateway_timeout_after_processing', 'truncated'] as const) {
  test(`F-08 an answer that is lost on its way is asked for again: ${preset}`, async (t) => {
    const world = await opened(t, { sandbox: { replay_window: 30 } })
    const session = await world.connect()
    world.pass(HOUR)
    world.sandbox.control.script('refresh', preset)
    assert.equal((await world.token(session)).status, 503)
    world.pass(2 * SECOND)
    assert.equal((await world.token(session)).status, 200)
  })

  test(`F-08 an answer that is lost for good has a reason of its own, not the provider’s: ${preset}`, async (t) => {
    const world = await opened(t, { provider: { rotation: undefined } })
    const session = await world.connect()
    world.pass(HOUR)
    world.sandbox.control.script('refresh', preset, 'server_error')
    assert.equal((await world.token(session)).status, 503)
    world.pass(2 * SECOND)
    assert.equal((await world.token(session)).status, 503)
    world.pass(4 * SECOND)
    assert.match((await world.token(session)).text, /rotation_response_lost/)
  })

  test(`F-08 F-16 a token that still works is handed out to its end, and the spent one is not sent meanwhile: ${preset}`, async (t) => {
    const world = await opened(t, { sandbox: { replay_window: 'none' } })
    const session = await world.connect()
    const { access_token } = (await world.token(session)).body
    world.pass(HOUR - 30 * SECOND)
    world.sandbox.control.script('refresh', preset)
    for (let time = 0; time < 5; time++) {
      assert.equal((await world.token(session)).body['access_token'], access_token)
      await world.broker.ports.flights.landed()
      world.pass(5 * SECOND)
    }
    world.pass(5 * SECOND)
    assert.match((await world.token(session)).text, /rotation_response_lost/)
    assert.equal(renewals(world), preset === 'truncated' ? 1 : 2)
  })
}

test('F-08 tokens that were cut off on their way are spent: where they are not given again, nothing is asked again', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', 'truncated')
  for (let time = 0; time < 3; time++) {
    const refused = await world.token(session)
    assert.equal(refused.code, 'RECONNECT_REQUIRED')
    assert.match(refused.text, /rotation_response_lost/)
    world.pass(MINUTE)
  }
  assert.equal(renewals(world), 1)
  assert.deepEqual(await facts(world, session), ['connection.broken rotation_response_lost'])
})

test('F-08 past the time in which they are given again, tokens that were cut off are not asked for any more', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 30 } })
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', 'truncated', 'outage')
  assert.equal((await world.token(session)).status, 503)
  world.pass(10 * SECOND)
  assert.equal((await world.token(session)).status, 503)
  world.pass(20 * SECOND)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
  assert.equal(renewals(world), 2)
})

for (const replay_window of ['none', 30] as const) {
  for (const preset of ['lost_answer', 'gateway_timeout_after_processing'] as const) {
    test(`F-08 F-12 silence breaks nothing at once; a no to asking again does, by its own reason: ${preset}, window ${replay_window}`, async (t) => {
      const world = await opened(t, { sandbox: { replay_window } })
      const session = await world.connect()
      world.pass(HOUR)
      world.sandbox.control.script('refresh', preset)
      assert.deepEqual([(await world.token(session)).code, renewals(world)], ['PROVIDER_UNAVAILABLE', 1])
      world.pass(MINUTE)
      for (let time = 0; time < 3; time++) {
        assert.match((await world.token(session)).text, /rotation_response_lost/)
        world.pass(HOUR)
      }
      assert.equal(renewals(world), 2)
      assert.deepEqual((await facts(world, session)).at(-1), 'connection.broken rotation_response_lost')
    })
  }
}

for (const [how, lost] of [
  [
    'by silence',
    async (world: World, session: string) => {
      world.sandbox.control.script('refresh', 'lost_answer')
      assert.equal((await world.token(session)).status, 503)
    },
  ],
  [
    'with the process that had it',
    async (world: World, session: string) => {
      await crash(world, session, 'after the answer')
      world.pass(31 * SECOND)
    },
  ],
  [
    'for good',
    async (world: World, session: string) => {
      await crash(world, session, 'after the answer')
      world.pass(31 * SECOND)
      assert.match((await world.token(session)).text, /rotation_response_lost/)
    },
  ],
] as const) {
  test(`F-08 F-50 where an answer was lost ${how}, a refusal does not mean that the provider has nothing left to take back`, async (t) => {
    const sandbox = { replay_window: 'none', reuse_detection: false } as const
    const world = await opened(t, { store: 'sqlite', sandbox, provider: { revoke: { token: 'access' } } })
    const session = await world.connect()
    world.pass(HOUR)
    await lost(world, session)
    const { grants } = world.sandbox.control
    assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
    assert.equal(world.sandbox.control.grants, grants, 'its successor lives on')
    const { health } = await stored(world, session)
    assert.partialDeepStrictEqual(health, { upstream: 'failed', revocation: { reason: 'invalid_grant', retryAt: null } })
    assert.equal((await facts(world, session)).at(-1), 'connection.revocation_failed invalid_grant')
  })
}

test('F-12 what never reached the provider is asked again, also where a spent token never gets its successor', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  const { modeOf } = world.broker.ports
  const unreachable: Ports['modeOf'] = (provider) => ({
    ...modeOf(provider),
    prepareRenewal: async () => async () => ({
      ...{ outcome: 'unavailable', reason: 'provider_unreachable', detail: null, retryAfterMs: null, unclear: false },
      fate: 'kept' as const,
    }),
  })
  const seen = await stored(world, session)
  const { health } = await renew({ ...world.broker.ports, modeOf: unreachable }, seen)
  assert.equal(health.state, 'failing')
  world.pass(2 * SECOND)
  assert.equal((await world.token(session)).status, 200)
})

test('F-09 what one process cannot prepare does not take the lease of another that is asking', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { delay: 250 })
  const handed = world.token(session)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  const { ports } = world.broker
  const unprepared: Ports['modeOf'] = (provider) => ({
    ...ports.modeOf(provider),
    prepareRenewal: () => Promise.reject(new BrokerError('PROVIDER_UNAVAILABLE', 'no metadata')),
  })
  const other = await renew({ ...ports, flights: new Flights(), modeOf: unprepared }, await stored(world, session))
  assert.equal((await handed).status, 200)
  assert.equal(other.health.state, 'connected')
  assert.equal((await world.token(session)).text, (await handed).text)
})

test('F-02 two processes that meet an expired token at one file cause one renewal, and both hand out what it brought', async (t) => {
  const world = await opened(t, { store: 'sqlite' })
  const other = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
  t.after(() => other.close())
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { delay: 100 })
  const handed = await Promise.all(
    [world.broker, other, world.broker, other].map(async ({ ports }) => token(ports, CALLER, session)),
  )
  assert.equal(renewals(world), 1)
  assert.equal(new Set(handed.map(({ accessToken }) => accessToken.digest())).size, 1)
  assert(world.sandbox.control.alive(handed[0]!.accessToken.reveal()))
})

/** Asks the provider, and stands still with its answer until the lease is over and another process was asked for the token. */
async function standsStill(
  world: World,
  session: string,
  meanwhile: () => Promise<unknown> = async () => {},
  { stillFor = 31 * SECOND, ...parts }: Partial<Ports> & { readonly stillFor?: number } = {},
): Promise<Connection> {
  const ports = { ...world.broker.ports, ...parts }
  const { connections } = ports.store
  const settle: typeof connections.settle = async (...write) => {
    world.pass(stillFor)
    assert.match((await world.token(session)).text, /rotation_response_lost/)
    await meanwhile()
    return connections.settle(...write)
  }
  const stopped = { ...ports, store: { ...ports.store, connections: { ...connections, settle } }, flights: new Flights() }
  return renew(stopped, await stored(world, session))
}

for (const [store, replay_window, stillFor] of [
  ['sqlite', 'none', 31 * SECOND],
  ['postgres', 'none', 31 * SECOND],
  ['sqlite', 120, 121 * SECOND],
] as const) {
  const title = 'F-03 an answer that another process gave up, and could not ask for again, is welcome when it comes after all'
  test(`${title}, on ${store}, given again: ${replay_window}`, async (t) => {
    const world = await opened(t, { store, sandbox: { replay_window } })
    const session = await world.connect()
    world.pass(HOUR)
    const labelled = async () => {
      const { status } = await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'named meanwhile' } })
      assert.equal(status, 200)
    }
    assert.equal((await standsStill(world, session, labelled, { stillFor })).health.state, 'connected')
    assert.equal((await stored(world, session)).label, 'named meanwhile')
    const { status, body } = await world.token(session)
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
    assert.deepEqual(await facts(world, session), [
      'connection.broken rotation_response_lost',
      'connection.relabelled',
      'connection.recovered',
    ])
    world.pass(HOUR)
    assert.equal((await world.token(session)).status, 200, 'and it goes on from there')
    assert.equal(renewals(world), 2)
  })
}

/** A broker whose rows are under a master key that is not the primary any more. */
async function underOlderKey(t: TestContext) {
  const [older, newer] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' }, masterKeys: `${older} staged:${newer}` })
  const session = await world.connect()
  await world.restart({ masterKeys: new Secret(`${newer} ${older}`) })
  world.pass(HOUR)
  const resealed = async () => {
    const { left, damaged } = await reseal(world.broker.ports, { actor: 'operator', rowsPerSecond: 10_000, progress: () => {} })
    assert.deepEqual([left, damaged], [0, []])
  }
  return { world, session, resealed }
}

test('F-42 S-53 it is as welcome where the row was put under another master key by then', async (t) => {
  const { world, session, resealed } = await underOlderKey(t)
  assert.equal((await standsStill(world, session, resealed)).health.state, 'connected')
  const { status, body } = await world.token(session)
  assert.equal(status, 200)
  assert(world.sandbox.control.alive(String(body['access_token'])))
  world.pass(HOUR)
  assert.equal((await world.token(session)).status, 200, 'and it goes on from there')
})

test('F-42 S-54 while the key service is away, and nobody can tell whether it is, it waits in the journal', async (t) => {
  const { world, session, resealed } = await underOlderKey(t)
  const { ports } = world.broker
  let away = false
  const load: Ports['seal']['load'] = (row, dataKey) => {
    if (away) throw new BrokerError('KEY_SERVICE_UNAVAILABLE', 'it is away')
    return ports.seal.load(row, dataKey)
  }
  const parts = { seal: { ...ports.seal, load }, pause: async () => {} }
  const meanwhile = async () => {
    if (!away) await resealed()
    away = true
  }
  await assert.rejects(standsStill(world, session, meanwhile, parts), { code: 'KEY_SERVICE_UNAVAILABLE' })
  await assert.rejects(settleJournal({ ...ports, ...parts }), { code: 'KEY_SERVICE_UNAVAILABLE' })
  assert.equal((await ports.journal.entries()).length, 1)
  away = false
  await settleJournal({ ...ports, ...parts })
  assert.equal((await ports.journal.entries()).length, 0)
  const { status, body } = await world.token(session)
  assert.equal(status, 200)
  assert(world.sandbox.control.alive(String(body['access_token'])))
})

test('F-42 S-53 an answer that no master key opens any more waits for its key, and keeps nobody else from anything', async (t) => {
  const [older, newer] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' }, masterKeys: `${older} staged:${newer}` })
  const session = await world.connect()
  await world.restart({ masterKeys: new Secret(`${newer} ${older}`) })
  world.pass(HOUR)
  const before = world.broker.ports
  const settle = async (): Promise<never> => {
    throw new Error('the disk is full')
  }
  const store = { ...before.store, connections: { ...before.store.connections, settle } }
  await renew({ ...before, store, flights: new Flights(), pause: async () => {} }, await stored(world, session))
  const [entry = assert.fail('it is not in the journal')] = await before.journal.entries()
  // The machine that has it is off, until the rows are under the newer key and the older one is given up.
  await before.journal.remove(entry.claimed)
  world.pass(HOUR)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
  const quietly = { actor: 'operator', rowsPerSecond: 10_000, progress: () => {} }
  assert.equal((await reseal(before, quietly)).left, 0)
  await before.journal.add(entry)
  await world.restart({ masterKeys: new Secret(newer) })
  const { ports } = world.broker
  await settleJournal(ports)
  assert.equal((await ports.journal.entries()).length, 1)
  await reseal(ports, quietly)
  await world.restart({ masterKeys: new Secret(`${newer} ${older}`) })
  await settleJournal(world.broker.ports)
  assert.equal((await world.token(session)).status, 200, 'it is given back')
})

test('F-03 S-77 a renewal whose connection was made anew and revoked meanwhile hands out nothing, whatever cannot be opened then', async (t) => {
  const world = await opened(t, { store: 'sqlite' })
  const session = await world.connect('none', 'ada')
  world.pass(HOUR)
  const { ports } = world.broker
  const known = (await stored(world, session)).sealed?.dataKey ?? assert.fail()
  let away = false
  // What was opened before is remembered; what another process has made since is not.
  const load: Ports['seal']['load'] = (row, dataKey) => {
    if (away && row.table === 'connections' && Buffer.compare(dataKey, known) !== 0)
      throw new BrokerError('KEY_SERVICE_UNAVAILABLE', 'it is away')
    return ports.seal.load(row, dataKey)
  }
  const { control } = world.sandbox
  control.script('refresh', { hold: true })
  const parts = { ...ports, flights: new Flights(), pause: async () => {}, seal: { ...ports.seal, load } }
  const refused = assert.rejects(async () => token(parts, CALLER, session), { code: 'KEY_SERVICE_UNAVAILABLE' })
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')
  await world.connect('none', 'ada', { session_id: session })
  control.script('revoke', { preset: 'outage', times: 'forever' })
  await world.revoke(session)
  away = true
  control.release()
  await refused
  assert.equal((await ports.journal.entries()).length, 1, 'it is taken back when it can be')
})

test('F-03 but not where the user has connected again by then', async (t) => {
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(HOUR)
  let body: unknown
  await standsStill(world, session, async () => {
    assert.equal(await world.connect('none', 'user-1', { session_id: session }), session)
    body = (await world.token(session)).body
  })
  assert.deepEqual((await world.token(session)).body, body)
})

/** The provider gives no refresh token with it: the one that is there lives on. */
async function consentsOnceMore(world: World, session: string): Promise<void> {
  world.sandbox.control.script('token', 'no_refresh_token')
  assert.equal(await world.connect('none', 'user-1', { session_id: session }), session)
}

const renewsAtOnce = (world: World, session: string) =>
  world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session, force_refresh: 'true' } })

test('F-03 but where the new consent brought no refresh token, it lives on the one that comes after all', async (t) => {
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' } })
  const { control } = world.sandbox
  const session = await world.connect()
  world.pass(MINUTE)
  control.script('refresh', { hold: true })
  const renewing = renewsAtOnce(world, session)
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')
  world.pass(31 * SECOND)
  await consentsOnceMore(world, session)
  const { body } = await world.token(session)
  control.release()
  await renewing
  assert.equal((await world.token(session)).body['access_token'], body['access_token'], 'the newer one')
  world.pass(HOUR)
  assert.equal((await world.token(session)).status, 200)
  assert.equal(renewals(world), 2)
  assert.equal((await facts(world, session)).at(-1), 'connection.connected reconnected')
})

test('F-08 a new consent does not make the lost answer forgotten', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 120 } })
  const session = await world.connect()
  world.pass(MINUTE)
  await crash(world, session, 'after the answer')
  world.pass(31 * SECOND)
  await consentsOnceMore(world, session)
  world.pass(HOUR)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
  assert.equal(renewals(world), 1, 'it was not sent a second time')
})

test('F-08 F-12 after silence a new consent lives on what was there, and that is asked again in need', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'none' } })
  const session = await world.connect()
  world.pass(MINUTE)
  world.sandbox.control.script('refresh', 'reset')
  await renewsAtOnce(world, session)
  await consentsOnceMore(world, session)
  world.pass(HOUR)
  assert.equal((await world.token(session)).status, 200)
  assert.equal(renewals(world), 2)
})

test('F-03 nor where the other process has asked again, and the provider may have ended the grant for it', async (t) => {
  const world = await opened(t, { store: 'sqlite', provider: { rotation: undefined } })
  const session = await world.connect()
  world.pass(HOUR)
  assert.equal((await standsStill(world, session)).health.state, 'broken')
  assert.equal((await world.token(session)).code, 'RECONNECT_REQUIRED')
  assert.equal(renewals(world), 2)
})

test('F-03 nor where it was refused to the other process while it was to be given again', async (t) => {
  const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 120 } })
  const session = await world.connect()
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { delay: 0 }, { status: 400, body: { error: 'invalid_grant' } })
  const meanwhile = async () => world.pass(100 * SECOND)
  const { health } = await standsStill(world, session, meanwhile, { stillFor: 61 * SECOND })
  assert.deepEqual(health, { state: 'broken', reason: 'rotation_response_lost', detail: 'invalid_grant' })
  assert.equal(renewals(world), 2)
})

test('F-03 a process that wakes up after its lease writes over nothing', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 'until_next_use' } })
  const session = await world.connect()
  world.pass(HOUR)
  const { ports } = world.broker
  const seen = await stored(world, session)
  const now = world.now()
  const asleep = await ports.store.connections.claim(seen, { holder: 'asleep', now, until: now + 30 * SECOND })
  world.pass(31 * SECOND)
  const { text } = await world.token(session)
  const { connection } = asleep ?? assert.fail('no lease')
  assert.equal(await ports.store.connections.settle(connection, { ...connection, label: 'overwritten' }, []), false)
  assert.equal((await world.token(session)).text, text)
  assert.equal((await stored(world, session)).label, null)
})

test('a label waits for a renewal that is under way, and not for one that never ends', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 120 } })
  const session = await world.connect()
  world.pass(HOUR)
  await crash(world, session, 'before asking')
  world.pass(31 * SECOND)
  const labelled = () => world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'work' } })
  const waiting = labelled()
  world.pass(3 * SECOND)
  assert.equal((await waiting).code, 'CONFLICT')
  assert.notEqual((await stored(world, session)).lease, null, 'the mark of what may be lost is still there')
  assert.equal((await world.token(session)).status, 200)
  assert.equal((await labelled()).status, 200)
})

test('F-39 S-77 a renewal whose session was revoked hands out nothing, although the store that said so is away after that', async (t) => {
  const world = await opened(t, { store: 'sqlite' })
  const session = await world.connect('none', 'ada')
  world.pass(HOUR)
  const { ports } = world.broker
  const { connections } = ports.store
  let away = false
  const settle: typeof connections.settle = async (...write) => {
    if (away) return gone()
    const written = await connections.settle(...write)
    away = true // the store answered that once, and goes away
    return written
  }
  const find: typeof connections.find = async (...row) => (away ? gone() : connections.find(...row))
  const parts = {
    ...ports,
    flights: new Flights(),
    pause: async () => {},
    store: { ...ports.store, connections: { ...connections, settle, find } },
  }
  const { control } = world.sandbox
  control.script('refresh', { hold: true })
  const refused = assert.rejects(async () => token(parts, CALLER, session), { code: 'STORE_UNAVAILABLE' })
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')
  control.script('revoke', { preset: 'outage', times: 'forever' })
  assert.equal((await world.revoke(session)).status, 200)
  control.release()
  await refused
})

for (const what of ['store', 'key service'] as const)
  test(`F-39 S-77 nor the one before it, where a new one was asked for and the ${what} is away then`, async (t) => {
    const world = await opened(t, { store: 'sqlite' })
    const session = await world.connect('none', 'ada')
    world.pass(MINUTE)
    const { ports } = world.broker
    const known = (await stored(world, session)).sealed?.dataKey ?? assert.fail()
    const { connections } = ports.store
    let away = false
    const find: typeof connections.find = async (...row) => (away && what === 'store' ? gone() : connections.find(...row))
    const load: Ports['seal']['load'] = (row, dataKey) => {
      if (away && what !== 'store' && row.table === 'connections' && Buffer.compare(dataKey, known) !== 0)
        throw new BrokerError('KEY_SERVICE_UNAVAILABLE', 'it is away')
      return ports.seal.load(row, dataKey)
    }
    const parts = {
      ...ports,
      flights: new Flights(),
      pause: async () => {},
      seal: { ...ports.seal, load },
      store: { ...ports.store, connections: { ...connections, find } },
    }
    const { control } = world.sandbox
    control.script('refresh', { hold: true })
    const handed = Promise.resolve(token(parts, CALLER, session, { anyway: true })).then(
      () => 'handed out',
      ({ code }: BrokerError) => code,
    )
    await control.waitFor(({ endpoint }) => endpoint === 'refresh')
    if (what !== 'store') await world.connect('none', 'ada', { session_id: session })
    control.script('revoke', { preset: 'outage', times: 'forever' })
    assert.equal((await world.revoke(session)).status, 200)
    away = true
    control.release()
    assert.match(await handed, /^(STORE_UNAVAILABLE|INVALID_SESSION)$/)
  })

for (const how of ['settle fails', 'moved on'] as const)
  test(`F-07 what was written nowhere is put into the journal at the end, when there is room again (${how})`, async (t) => {
    const world = await opened(t, { store: 'sqlite', sandbox: { replay_window: 'none' } })
    const session = await world.connect()
    world.pass(HOUR)
    const { ports } = world.broker
    const { connections } = ports.store
    const full = async (): Promise<never> => {
      throw new Error('the disk is full')
    }
    const other = { ...ports, flights: new Flights(), pause: async () => {}, stranded: memoryJournal() }
    const bad = {
      ...other,
      journal: { ...ports.journal, add: full },
      store: { ...ports.store, connections: { ...connections, settle: full } },
    }
    await assert.rejects(renew(bad, await stored(world, session)))
    assert.equal((await other.stranded.entries()).length, 1)
    world.pass(MINUTE)
    assert.match((await world.token(session)).text, /rotation_response_lost/, 'another process gave it up')
    const store = { ...ports.store, connections: { ...connections, ...(how === 'moved on' ? { find: gone } : { settle: gone }) } }
    await settleStranded({ ...other, store }, true)
    assert(!world.log.some((line) => line.includes('is lost')))
    assert.equal((await ports.journal.entries()).length, 1, 'the only copy of a refresh token')
    await settleJournal(ports)
    assert.equal((await world.token(session)).status, 200)
  })

for (const consents of [false, true])
  test(`F-08 a lost answer is asked for in its window, ${consents ? 'also by a new consent that lives on it' : 'though nobody asks'}`, async (t) => {
    const world = await opened(t, { sandbox: { replay_window: 60 } })
    const session = await world.connect()
    world.pass(MINUTE)
    const { ports } = world.broker
    const seen = await stored(world, session)
    const now = world.now()
    assert(await ports.store.connections.claim(seen, { holder: 'died', now, until: now + 30 * SECOND, dueAt: now + 30 * SECOND }))
    const { refreshToken } = (await openCredentials(ports, seen)).credentials
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken!.reveal() })
    const authorization = `Basic ${btoa('sandbox-app:sandbox-secret')}`
    assert.equal(
      (await fetch(`${world.sandbox.url}/token`, { method: 'POST', body: form, headers: { authorization } })).status,
      200,
    )
    world.pass(30 * SECOND)
    if (consents) {
      world.sandbox.control.script('token', 'no_refresh_token')
      assert.equal(await world.connect('none', 'user-1', { session_id: session }), session)
    }
    for (let second = 0; second < 90; second++) {
      const looking = new LookingAfter(ports)
      await looking.look()
      await looking.done()
      world.pass(SECOND)
    }
    world.pass(HOUR)
    const { status, text } = await world.token(session)
    assert.equal(status, 200, text)
  })
