/** Time that passes in odd ways: clocks that jump, and outages that last. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { untilDone } from '../until-done.ts'
import { HOUR, MINUTE, startWorld } from '../world.ts'

for (const store of ['memory', 'sqlite'] as const) {
  test(`F-41 a clock that jumps ten minutes to and fro causes no renewal before its time, on ${store}`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const session = await world.connect()
    const { body } = await world.token(session)
    for (const jump of [10, -10, -10, 10]) {
      world.pass(jump * MINUTE)
      assert.deepEqual((await world.token(session)).body, body)
    }
    assert.equal(world.sandbox.control.count('refresh'), 0)

    world.pass(HOUR)
    assert.equal((await world.token(session)).status, 200)
    assert.equal(world.sandbox.control.count('refresh'), 1)
    world.pass(-10 * MINUTE)
    assert.equal((await world.token(session)).status, 200, 'what was renewed in the future is good now')
    assert.equal(world.sandbox.control.count('refresh'), 1)
  })

  test(`F-41 what was written while the clock was hours ahead lasts no hours longer than it should, on ${store}`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const { control } = world.sandbox
    const [renewed, failed] = [await world.connect('none', 'ada'), await world.connect('none', 'grace')]
    world.pass(HOUR)
    // As of a machine whose clock is set right some seconds after its start.
    world.pass(5 * HOUR)
    const ahead = (await world.token(renewed)).body
    control.script('refresh', 'outage')
    assert.equal((await world.token(failed)).status, 503)
    world.pass(-5 * HOUR)

    const { status, body } = await world.token(renewed)
    assert.equal(status, 200)
    assert.notEqual(body['access_token'], ahead['access_token'], 'nobody knows when that one ends')
    assert.deepEqual((await world.token(renewed)).body, body)
    assert.equal((await world.token(failed)).status, 200, 'it is not left alone for five hours')
    assert.equal(control.count('refresh'), 4)
  })

  test(`F-15 after an outage of a day every connection works again by itself, each with one request, on ${store}`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const sessions = await Promise.all(Array.from({ length: 12 }, (_, i) => world.connect('none', `user-${i}`)))
    const all = () => Promise.all(sessions.map((session) => world.token(session)))
    world.sandbox.control.script('refresh', { preset: 'outage', times: 'forever' })
    for (let hour = 0; hour < 24; hour++) {
      world.pass(HOUR)
      for (const { code } of await all()) assert.equal(code, 'PROVIDER_UNAVAILABLE')
    }
    assert.equal(world.sandbox.control.count('refresh'), 24 * sessions.length, 'asked once by each, each time')

    world.sandbox.control.script('refresh')
    // The longest wait after a failure.
    world.pass(5 * MINUTE)
    for (const { status, body } of await all()) {
      assert.equal(status, 200)
      assert.ok(world.sandbox.control.alive(String(body['access_token'])))
    }
    assert.equal(world.sandbox.control.count('refresh'), 25 * sessions.length)
  })
}
