/** A broker whose master key is in a key service, when the service is there and when it is not. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { masterKeyUse, reseal, rowsUnder } from '../../src/core/master-keys.ts'
import { Secret } from '../../src/core/secret.ts'
import { openBroker } from '../../src/main.ts'
import { Browser } from '../browser-stand-in.ts'
import { type Fake, transitFake } from '../key-services/fake.ts'
import { HOUR, MINUTE, startWorld, type World } from '../world.ts'

async function withService(t: TestContext, masterKeys: (reference: string) => string): Promise<{ world: World; fake: Fake }> {
  const fake = await transitFake()
  t.after(() => fake[Symbol.asyncDispose]())
  const world = await startWorld({ store: 'sqlite', masterKeys: masterKeys(fake.reference), environment: fake.environment })
  t.after(() => world[Symbol.asyncDispose]())
  return { world, fake }
}

test('S-54 F-42 while the key service is away nothing past its time is opened, no refresh token is spent, and it goes on without a restart', async (t) => {
  const { world, fake } = await withService(t, (reference) => reference)
  const session = await world.connect()
  fake.order = 'off'
  assert.equal((await world.token(session)).status, 200, 'what was unwrapped just now is used for a while')
  world.pass(6 * MINUTE)
  const away = await world.token(session)
  assert.deepEqual([away.status, away.code], [503, 'KEY_SERVICE_UNAVAILABLE'])
  assert.equal(away.headers.get('retry-after'), '5')
  assert.equal(away.headers.get('cache-control'), 'no-store')
  assert(world.log.some((line) => line.includes('KEY_SERVICE_UNAVAILABLE') && line.includes('"level":"error"')))

  for (const order of ['off', 'disabled', 'broken'] as const) {
    fake.order = order
    world.pass(HOUR)
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.token(session)))
    assert.deepEqual(new Set(answers.map(({ code }) => code)), new Set(['KEY_SERVICE_UNAVAILABLE']))
    const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'other' })
    assert.equal(body['url'], undefined, 'nothing is begun that could not be finished')
  }
  assert.equal(world.sandbox.control.count('refresh'), 0, 'the seal is had before the refresh token is spent')
  assert.equal((await world.connection(session)).body['state'], 'connected')

  fake.order = 'well'
  const back = await world.token(session)
  assert.equal(back.status, 200, back.text)
  assert(world.sandbox.control.alive(String(back.body['access_token'])))
  assert.equal(world.sandbox.control.count('refresh'), 1)
})

test('a key service that is away for a moment keeps nobody from connecting', async (t) => {
  const { world, fake } = await withService(t, (reference) => reference)
  await world.connect()
  fake.order = 'off'
  const session = await world.connect('none', 'another')
  assert.equal((await world.token(session)).status, 200)
})

test('S-54 a start without the key service is told in words that help, and leaves everything as it was', async (t) => {
  const { world, fake } = await withService(t, (reference) => reference)
  await world.stop()
  fake.order = 'broken'
  await assert.rejects(openBroker(world.config, { logTo: { write: () => {} } }), {
    code: 'KEY_SERVICE_UNAVAILABLE',
    message: `the key service ${fake.reference} cannot be used at the moment: http_503`,
  })
  fake.order = 'well'
  await world.start()
  assert.equal((await world.authUrl({ key_code_ref: 'none', user_id: 'u' })).status, 200)
})

test('S-53 from a key of our own to one in a key service and back, while tokens are handed out', async (t) => {
  const local = randomBytes(32).toString('base64')
  const { world, fake } = await withService(t, (reference) => `${local} staged:${reference}`)
  const sessions = await Promise.all([1, 2, 3].map((i) => world.connect('none', `user-${i}`)))
  for (const masterKeys of [`${fake.reference} ${local}`, `${local} ${fake.reference}`]) {
    await world.restart({ masterKeys: new Secret(masterKeys) })
    world.pass(HOUR)
    const { left, damaged } = await reseal(world.broker.ports, { actor: 'operator', rowsPerSecond: 10_000, progress: () => {} })
    assert.deepEqual({ left, damaged }, { left: 0, damaged: [] })
    const [primary, other] = await masterKeyUse(world.broker.ports)
    assert(primary && other && rowsUnder(primary) > 3 && rowsUnder(other) === 0)
    for (const session of sessions) assert.equal((await world.token(session)).status, 200)
  }
  fake.order = 'off'
  await world.restart({ masterKeys: new Secret(local) })
  for (const session of sessions) assert.equal((await world.token(session)).status, 200, 'the service is needed no more')
})

test('F-37 S-54 what waits to be completed outlasts a key service that is away for a moment: no code is used up for nothing', async (t) => {
  const { world, fake } = await withService(t, (reference) => reference)
  const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'patient' })
  fake.order = 'off'
  world.pass(4.75 * MINUTE)
  const arrived = await world.arrive(String(body['url']), new Browser())
  const complete = () => world.complete({ ...Object.fromEntries(arrived.searchParams), user_id: 'patient' })
  world.pass(MINUTE / 2)
  assert.deepEqual([(await complete()).status, world.redeemed], [503, 0])
  fake.order = 'well'
  const again = await complete()
  assert.equal(again.status, 200, again.text)
})
