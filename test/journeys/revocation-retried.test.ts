/** Revocations that do not reach the provider at once, or that it only claims: tried again by the clock, proved where that is possible. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mock, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { ConnectionItem } from '../../sdk/src/sdk.ts'
import { deleteConnection } from '../../src/core/browse.ts'
import { revokeUnused } from '../../src/core/dormant.ts'
import { endHere } from '../../src/core/revoke.ts'
import { noteUsage } from '../../src/core/usage.ts'
import { Revoking } from '../../src/jobs/revoking.ts'
import { type Broker, openBroker } from '../../src/main.ts'
import { untilDone } from '../until-done.ts'
import { HOUR, MINUTE, SECOND, STORES, startWorld, type World } from '../world.ts'

const DAY = 24 * HOUR

const revocations = (world: World) => world.sandbox.control.count('revoke')
const tokenOf = async (world: World, session: string) => String((await world.token(session)).body['access_token'])
const stored = (world: World, session: string) => world.broker.ports.store.connections.find('default', session)

async function shown(world: World, session: string): Promise<NonNullable<ConnectionItem['revocation']>> {
  const { revocation } = (await world.connection(session)).body as unknown as ConnectionItem
  return revocation ?? assert.fail('it is not revoked')
}

async function until(fact: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await fact())) {
    assert(Date.now() < deadline, what)
    await pause(20)
  }
}

const confirmed = (world: World, session: string) =>
  until(async () => (await shown(world, session)).upstream === 'confirmed', 'it was never taken back')

/** One look by the clock, of this process and for itself, and all that comes of it. */
async function look({ ports }: Broker): Promise<void> {
  const revoking = new Revoking(ports)
  await revoking.look()
  await revoking.stop()
}

for (const store of STORES) {
  test(`F-50 what did not reach the provider is tried again by the clock until it did, and proved; on ${store}`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const session = await world.connect()
    const token = await tokenOf(world, session)
    world.sandbox.control.script('revoke', 'outage', 'reset')
    assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
    const first = await shown(world, session)
    assert.deepEqual([first.upstream, first.attempts, first.reason, first.proved_at], ['failed', 1, 'http_503', null])
    assert(first.retry_at !== null && Date.parse(first.retry_at) <= world.now() + 10 * SECOND)
    assert.notEqual((await stored(world, session))?.sealed, null, 'without it nothing could be tried again')
    assert.match((await world.ask('GET', '/metrics')).text, /latchstring_revocations_waiting 1/)

    world.pass(10 * SECOND)
    await until(async () => (await shown(world, session)).attempts === 2, 'it was not tried again')
    assert.equal((await shown(world, session)).reason, 'reset')
    world.pass(20 * SECOND)
    await confirmed(world, session)
    const last = await shown(world, session)
    assert.deepEqual([last.attempts, last.reason, last.retry_at], [3, null, null])
    assert(last.proved_at !== null)
    assert(!world.sandbox.control.alive(token))
    assert.equal((await stored(world, session))?.sealed, null)
    assert.equal(revocations(world), 3)
    const told = (await world.told(session)).slice(2)
    assert.deepEqual(told, ['connection.revoked', 'connection.revocation_ended proved'], 'and nothing of what was in between')
    const metrics = (await world.ask('GET', '/metrics')).text
    assert.match(metrics, /latchstring_revocations_waiting 0/)
    assert.match(metrics, /latchstring_revocations_ended_total\{outcome="proved"\} 1/)
  })
}

test('F-50 a provider that asks to be left alone is left alone for as long', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  world.sandbox.control.script('revoke', { status: 503, headers: { 'retry-after': '300' } })
  await world.revoke(session)
  world.pass(4 * MINUTE)
  await look(world.broker)
  assert.equal(revocations(world), 1)
  world.pass(MINUTE)
  await confirmed(world, session)
  assert.equal(revocations(world), 2)
})

test('F-50 of several processes that look at the same moment one asks the provider', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite' }))
  const others = await Promise.all(
    [1, 2, 3].map(() => openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })),
  )
  t.after(() => Promise.all(others.map((other) => other.close())))
  const sessions = [await world.connect('none', 'ada'), await world.connect('none', 'grace')]
  world.sandbox.control.script('revoke', { preset: 'outage', times: 2 })
  for (const session of sessions) await world.revoke(session)
  world.sandbox.control.script('revoke', { delay: 50, times: 2 })
  world.pass(MINUTE)
  await Promise.all([...others, ...others].map(look))
  for (const session of sessions) await confirmed(world, session)
  assert.equal(revocations(world), 4)
})

/** Revokes the session that it is sent. */
const REVOKER = `
  import { openBroker } from '${import.meta.dirname}/../../src/main.ts'
  import { readConfig } from '${import.meta.dirname}/../../src/config.ts'
  import { revoke } from '${import.meta.dirname}/../../src/core/revoke.ts'
  const { ports } = await openBroker(readConfig({}, JSON.parse(process.argv[1])), { logTo: { write: () => {} } })
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['create:connected_apps']) }
  process.on('message', (session) => void revoke(ports, caller, session))
  process.send('ready')`

test('F-50 a process that is killed while it asks leaves nothing undone: another one takes over at the end of its lease', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite' }))
  const session = await world.connect()
  const token = await tokenOf(world, session)
  const victim = await started(t, JSON.stringify(world.config.environment))
  world.sandbox.control.script('revoke', { hang: true })
  victim.send(session)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'revoke')
  const gone = once(victim, 'exit')
  victim.kill('SIGKILL')
  await gone
  assert.deepEqual([(await shown(world, session)).upstream, (await world.token(session)).code], ['pending', 'INVALID_SESSION'])
  await look(world.broker)
  assert.equal(revocations(world), 1, 'while its lease lasts it may be at it')
  world.pass(61 * SECOND)
  await confirmed(world, session)
  assert(!world.sandbox.control.alive(token))
  assert.equal(revocations(world), 2)
})

async function started(t: TestContext, given: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', REVOKER, given], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'message')
  return child
}

test('F-50 after a week it has failed for good: nothing is kept, the application is told once, and nobody is asked any more', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  world.sandbox.control.script('revoke', { preset: 'outage', times: 'forever' })
  await world.revoke(session)
  world.pass(7 * DAY)
  await until(async () => (await shown(world, session)).retry_at === null, 'it was never given up')
  assert.deepEqual(await shown(world, session), {
    ...{ upstream: 'failed', proved_at: null, attempts: 2, reason: 'http_503', retry_at: null },
  })
  assert.equal((await stored(world, session))?.sealed, null)
  const asked = revocations(world)
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
  world.pass(DAY)
  await look(world.broker)
  assert.equal(revocations(world), asked)
  const { body } = await world.ask('GET', '/api/v1/events', {
    query: { session_id: session, type: 'connection.revocation_failed' },
  })
  assert.deepEqual(
    (body['events'] as { data: { reason: string } }[]).map(({ data }) => data.reason),
    ['http_503'],
  )
})

test('S-76 a provider that says it revoked and did not is not believed, and asked again', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  const token = await tokenOf(world, session)
  world.sandbox.control.script('revoke', { status: 200, body: '' })
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
  assert(world.sandbox.control.alive(token))
  const first = await shown(world, session)
  assert.deepEqual([first.upstream, first.reason, first.proved_at], ['failed', 'alive_after_revoke', null])
  world.pass(10 * SECOND)
  await confirmed(world, session)
  assert((await shown(world, session)).proved_at !== null)
  assert(!world.sandbox.control.alive(token))
})

test('S-76 an access token that lives out its time after the provider said yes is nobody’s when that is over', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  // As providers do that end the refresh token alone: asked once more, they know of nothing.
  world.sandbox.control.script('revoke', { status: 200, body: '' }, { status: 404, times: 'forever' })
  await world.revoke(session)
  world.pass(10 * SECOND)
  await until(async () => (await shown(world, session)).attempts === 2, 'it was not looked at again')
  assert.equal((await shown(world, session)).reason, 'alive_after_revoke')
  world.pass(HOUR)
  await confirmed(world, session)
  assert.equal((await shown(world, session)).proved_at, null, 'it was over anyway, which proves nothing')
})

test('S-76 a proof is a token that had life in it: without one, or without a probe, there is the provider’s word', async (t) => {
  const world = await untilDone(t, startWorld())
  const expired = await world.connect()
  world.pass(HOUR)
  assert.equal((await world.revoke(expired)).body['result'], 'revoked; upstream: confirmed')
  assert.equal((await shown(world, expired)).proved_at, null)
  assert.deepEqual((await world.told(expired)).slice(2), ['connection.revoked', 'connection.revocation_ended confirmed'])

  const blind = await world.connect('none', 'blind')
  world.sandbox.control.script('me', { status: 503, times: 'forever' })
  assert.equal((await world.revoke(blind)).body['result'], 'revoked; upstream: confirmed')
  assert.equal((await shown(world, blind)).proved_at, null)

  // To a probe that the token has no right to, it is dead while it lives.
  const barred = await world.connect('none', 'barred')
  world.sandbox.control.script('me', { status: 401, times: 'forever' })
  await world.revoke(barred)
  assert.equal((await shown(world, barred)).proved_at, null)

  const without = await untilDone(t, startWorld({ provider: { probe: undefined } }))
  const session = await without.connect()
  assert.equal((await without.revoke(session)).body['result'], 'revoked; upstream: confirmed')
  assert.equal((await shown(without, session)).proved_at, null)
})

test('F-50 where there is nobody to ask nothing is tried again, and nothing is kept', async (t) => {
  const world = await untilDone(t, startWorld({ provider: { revoke_url: undefined, issuer: undefined } }))
  const session = await world.connect()
  await world.revoke(session)
  const { upstream, retry_at } = await shown(world, session)
  assert.deepEqual([upstream, retry_at, (await stored(world, session))?.sealed], ['unsupported', null, null])
})

test('S-77 F-50 what a late renewal brought is taken back by the clock, too, when the provider did not do it at once', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  const grants = world.sandbox.control.grants
  world.pass(HOUR)
  world.sandbox.control.script('refresh', { hold: true })
  // The provider says yes to the spent token, which ends nothing, and is down when the new one comes.
  world.sandbox.control.script('revoke', { status: 200, body: '' }, 'outage')
  const waiting = world.token(session)
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: confirmed')
  world.sandbox.control.release()
  assert.equal((await waiting).code, 'INVALID_SESSION')
  assert.equal(world.sandbox.control.grants, grants)
  assert.equal((await shown(world, session)).upstream, 'failed', 'and it is known by then')
  world.pass(10 * SECOND)
  await confirmed(world, session)
  assert.equal(world.sandbox.control.grants, grants - 1)
})

test('S-77 what a late renewal brought is taken back though its connection is deleted at that moment', async (t) => {
  const world = await untilDone(t, startWorld())
  const { control } = world.sandbox
  const { connections } = world.broker.ports.store
  const session = await world.connect()
  world.pass(HOUR)
  control.script('refresh', { hold: true })
  control.script('revoke', { status: 200, body: '' })
  const waiting = world.token(session)
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')
  await world.revoke(session)
  const save = connections.save.bind(connections)
  const mocked = mock.method(connections, 'save', async (...args: Parameters<typeof save>) => {
    mocked.mock.restore()
    const isSaved = await save(...args)
    await connections.remove('default', session, [])
    return isSaved
  })
  control.release()
  assert.equal((await waiting).code, 'INVALID_SESSION')
  assert.equal(control.grants, 0)
})

test('S-77 F-50 a late renewal of what was consented to before does not push a new consent out of its revocation', async (t) => {
  const world = await untilDone(t, startWorld())
  const { control } = world.sandbox
  const session = await world.connect('none', 'ada')
  world.pass(MINUTE)
  control.script('refresh', { hold: true })
  const renewing = world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session, force_refresh: 'true' } })
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')
  const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada', session_id: session })
  await world.arrive(String(body['url']))
  assert.equal(control.grants, 2)
  control.script('revoke', 'outage')
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
  control.release()
  assert.equal((await renewing).code, 'INVALID_SESSION')
  assert.equal(control.grants, 1, 'what came late is taken back at once')
  world.pass(MINUTE)
  await confirmed(world, session)
  assert.equal(control.grants, 0)
})

test('S-76 what a process had begun to take back when it died is taken back before it is deleted', async (t) => {
  const world = await untilDone(t, startWorld())
  const { ports } = world.broker
  const session = await world.connect()
  assert(await endHere(ports, 'backend', (await stored(world, session))!, null))
  const now = world.now()
  assert(await ports.store.connections.claim((await stored(world, session))!, { holder: 'died', now, until: now + MINUTE }))
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['write:connections'] as const) }
  const waiting = { ...ports, pause: async () => world.pass(SECOND) }
  assert.equal(await deleteConnection(waiting, caller, session), 'confirmed')
  assert.equal(world.sandbox.control.grants, 0)
})

test('S-81 what nobody was handed a token of for as long as its app says is revoked, here and at the provider', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite', app: { revoke_when_unused: '30d' } }))
  const { ports } = world.broker
  const [idle, used] = [await world.connect('none', 'idle'), await world.connect('none', 'used')]
  const token = await tokenOf(world, idle)
  world.pass(20 * DAY)
  await world.token(used)
  await noteUsage(ports, ports.usage)
  world.pass(11 * DAY)
  const late = await world.connect('none', 'late')
  assert.equal((await world.connection(used)).body['last_used_on'], new Date(world.now() - 11 * DAY).toISOString().slice(0, 10))
  await revokeUnused(ports, new AbortController().signal)
  await until(async () => (await shown(world, idle)).upstream !== 'pending', 'the provider was not asked')
  assert(!world.sandbox.control.alive(token))
  assert.equal((await world.token(idle)).code, 'INVALID_SESSION')
  for (const session of [used, late]) assert.equal((await world.token(session)).status, 200)
  assert((await world.told(idle)).includes('connection.revoked unused'))
})

test('S-81 unless an app says so, nothing is revoked for not being used', async (t) => {
  const world = await untilDone(t, startWorld())
  const session = await world.connect()
  world.pass(3000 * DAY)
  await revokeUnused(world.broker.ports, new AbortController().signal)
  assert.equal((await stored(world, session))?.health.state, 'connected')
})

test('F-51 what breaks beside a newer connection of the same owner, or the same account, says that it may have been superseded', async (t) => {
  const world = await untilDone(t, startWorld())
  const [older, other] = [await world.connect('none', 'ada'), await world.connect('none', 'grace')]
  world.pass(MINUTE)
  const newer = await world.connect('none', 'ada')
  world.pass(HOUR)
  const broken = async (session: string) => {
    world.sandbox.control.script('refresh', 'invalid_grant')
    assert.match((await world.token(session)).text, /RECONNECT_REQUIRED/)
    const { reason, detail } = (await world.connection(session)).body
    return { reason, detail: String(detail) }
  }
  const hinted = await broken(older)
  assert.equal(hinted.reason, 'invalid_grant')
  assert.match(hinted.detail, /^Token has been expired or revoked\. \[superseded_by_reconnect\]$/)
  assert.match((await broken(other)).detail, /superseded_by_reconnect/, 'everybody is Ada at the sandbox')
  assert.doesNotMatch((await broken(newer)).detail, /superseded/)
})

const BY_ACCESS_TOKEN = { revoke: { token: 'access' } }
const renewals = (world: World) => world.sandbox.control.count('refresh')

test('F-50 where a grant is taken back by a living access token only, one that has ended is renewed for it', async (t) => {
  const world = await untilDone(t, startWorld({ provider: BY_ACCESS_TOKEN }))
  const session = await world.connect()
  world.pass(2 * HOUR)
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: confirmed')
  assert.deepEqual([renewals(world), revocations(world)], [1, 1])
  assert((await shown(world, session)).proved_at !== null, 'a token that was alive was seen to be dead')

  // One that has life left is not renewed, and neither is one whose provider takes refresh tokens.
  const alive = await world.connect()
  await world.revoke(alive)
  assert.deepEqual([renewals(world), revocations(world)], [1, 2])
})

test('F-50 so it is where the provider’s metadata, and not its file, says where to revoke', async (t) => {
  const discovered = { ...BY_ACCESS_TOKEN, revoke_url: undefined }
  const world = await untilDone(t, startWorld({ provider: discovered }))
  const session = await world.connect()
  world.pass(2 * HOUR)
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: confirmed')
  assert.deepEqual([renewals(world), revocations(world)], [1, 1], 'with a token that had ended, the refresh token would live on')
  assert((await shown(world, session)).proved_at !== null)
})

test('F-50 what a renewal before a revocation brought is what the next attempt goes on with', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite', provider: BY_ACCESS_TOKEN }))
  const session = await world.connect()
  world.pass(2 * HOUR)
  world.sandbox.control.script('revoke', 'outage')
  assert.equal((await world.revoke(session)).body['result'], 'revoked; upstream: failed')
  assert.equal((await shown(world, session)).reason, 'http_503')
  world.pass(MINUTE)
  await look(world.broker)
  await confirmed(world, session)
  assert.deepEqual([renewals(world), revocations(world)], [1, 2])
  assert((await shown(world, session)).proved_at !== null)
})

test('F-22 F-50 one that came without an expiry is taken to live as long as the one before, and renewed once more when that is over', async (t) => {
  const world = await untilDone(t, startWorld({ provider: BY_ACCESS_TOKEN }))
  const session = await world.connect()
  world.pass(2 * HOUR)
  world.sandbox.control.script('refresh', { edit: { remove: ['expires_in'] } })
  world.sandbox.control.script('revoke', 'outage')
  await world.revoke(session)
  world.pass(2 * HOUR)
  await world.revoke(session)
  await confirmed(world, session)
  assert.equal(renewals(world), 2)
})

test('F-50 a provider that cannot renew just now is asked again, and one that has nothing left has nothing to take back', async (t) => {
  const world = await untilDone(t, startWorld({ provider: BY_ACCESS_TOKEN }))
  const sessions = [await world.connect('none', 'ada'), await world.connect('none', 'grace')] as const
  world.pass(2 * HOUR)
  world.sandbox.control.script('refresh', 'outage', 'invalid_grant')
  await world.revoke(sessions[0])
  assert.equal((await shown(world, sessions[0])).reason, 'http_503')
  await world.revoke(sessions[1])
  const { upstream, proved_at } = await shown(world, sessions[1])
  assert.deepEqual([upstream, proved_at, revocations(world)], ['confirmed', null, 0])

  world.pass(MINUTE)
  await look(world.broker)
  await confirmed(world, sessions[0])
})

test('F-50 a refresh token that is refused after an attempt that failed proves nothing: its successor may live', async (t) => {
  const world = await untilDone(t, startWorld({ provider: BY_ACCESS_TOKEN }))
  const session = await world.connect()
  world.pass(2 * HOUR)
  world.sandbox.control.script('refresh', 'lost_answer')
  await world.revoke(session)
  assert.equal((await shown(world, session)).reason, 'answer_lost')
  world.pass(MINUTE)
  await look(world.broker)
  await until(async () => (await shown(world, session)).attempts === 2, 'it was not tried again')
  const { upstream, reason, retry_at } = await shown(world, session)
  assert.deepEqual([upstream, reason, retry_at], ['failed', 'invalid_grant', null])
})
