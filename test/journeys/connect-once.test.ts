/** Whatever comes at once, and whenever the process ends: a code is sent once, and what was begun can be finished. On every store. */

import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { BINDINGS, STORES, startWorld, type World } from '../world.ts'

const N = 32

/** Whoever looks goes on only when all N have looked, as between processes: nobody's look comes after somebody's act. */
function lookTogether(world: World, look: 'findByState' | 'held'): void {
  const { attempts } = world.broker.ports.store
  const real = attempts[look].bind(attempts) as (key: string) => Promise<never>
  const all = Promise.withResolvers<void>()
  let looked = 0
  mock.method(attempts, look, async (key: string) => {
    const found = await real(key)
    if (++looked === N) all.resolve()
    await all.promise
    return found
  })
}

for (const store of STORES) {
  for (const binding of BINDINGS) {
    test(`S-13 ${N} callbacks with one state cause one token request at most (${binding}, ${store})`, async (t) => {
      const world = await untilDone(t, startWorld({ store }))
      const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'ada' })
      const browser = new Browser()
      const back = await world.consent(String(body['url']), browser)
      lookTogether(world, 'findByState')
      const answers = await Promise.all(Array.from({ length: N }, () => browser.visit(back)))

      const won = answers.filter(({ status }) => status === 303)
      assert.equal(won.length, 1)
      for (const { status, headers } of answers.filter((answer) => !won.includes(answer))) {
        assert.ok(status === 400 || status === 200, `${status}`)
        assert.equal(headers.get('location'), null)
      }
      assert.equal(world.redeemed, binding === 'complete' ? 0 : 1)
      const arrived = new URL(won[0]!.headers.get('location')!).searchParams
      assert.equal(arrived.get('error'), null)
      const session = arrived.get('session_id')!
      if (binding === 'complete') {
        const completion = { session_id: session, completion_code: arrived.get('completion_code'), user_id: 'ada' }
        assert.equal((await world.complete(completion)).status, 200)
      }
      assert.equal((await world.token(session)).status, 200)
      const { body: list } = await world.ask('GET', '/api/v1/connections', { query: { user_id: 'ada' } })
      assert.equal((list['connections'] as unknown[]).length, 1)
    })
  }

  test(`S-13 ${N} completions at once cause one token request (${store})`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'ada' })
    const { searchParams } = await world.arrive(String(body['url']))
    const completion = { ...Object.fromEntries(searchParams), user_id: 'ada' }
    lookTogether(world, 'held')
    const answers = await Promise.all(Array.from({ length: N }, () => world.complete(completion)))
    assert.equal(answers.filter(({ status }) => status === 200).length, 1)
    for (const { code } of answers.filter(({ status }) => status !== 200)) assert.equal(code, 'INVALID_COMPLETION')
    assert.equal(world.redeemed, 1)
    assert.equal((await world.token(String(body['session_id']))).status, 200)
  })

  test(`S-13 of ${N} completions at once, right and wrong in turn, one token request comes at most (${store})`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'ada' })
    const { searchParams } = await world.arrive(String(body['url']))
    const right = { ...Object.fromEntries(searchParams), user_id: 'ada' }
    lookTogether(world, 'held')
    const answers = await Promise.all(
      Array.from({ length: N }, (_, n) => world.complete(n % 2 ? right : { ...right, user_id: 'mallory' })),
    )
    const won = answers.filter(({ status }) => status === 200).length
    assert.equal(world.redeemed, won)
    assert.ok(won <= 1)
    assert.equal((await world.token(String(body['session_id']))).status, won === 1 ? 200 : 400)
  })
}

for (const binding of BINDINGS) {
  test(`F-37 a restart while the user is at the provider does not lose the flow (${binding}, sqlite)`, async (t) => {
    const world = await untilDone(t, startWorld({ store: 'sqlite' }))
    const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'ada' })
    const browser = new Browser()
    await world.restart()
    const departed = await world.departure(String(body['url']), browser)
    await world.restart()
    const back = await world.sandbox.walk(departed)
    const arrived = new URL((await browser.visit(back)).headers.get('location')!).searchParams
    const session = arrived.get('session_id')!
    if (binding === 'complete') {
      await world.restart()
      const completion = { session_id: session, completion_code: arrived.get('completion_code'), user_id: 'ada' }
      assert.equal((await world.complete(completion)).status, 200)
    }
    await world.restart()
    assert.equal((await world.token(session)).status, 200)
    assert.equal((await browser.visit(back)).status, 200, 'a reload is still answered with success')
    assert.equal(world.redeemed, 1)
  })
}

test('F-37 a restart forgets what was only in memory: the browser is told to start again, and nothing is redeemed', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'memory' }))
  const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada' })
  const back = await world.consent(String(body['url']), new Browser())
  await world.restart()
  const answer = await new Browser().visit(back)
  assert.equal(answer.status, 400)
  assert.match(await answer.text(), /start again/)
  assert.equal(world.redeemed, 0)
})

test('S-12 a state that was spent before a restart is spent after it (sqlite)', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite' }))
  const { body } = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada' })
  const browser = new Browser()
  const back = await world.consent(String(body['url']), browser)
  world.sandbox.control.script('token', 'invalid_grant')
  await browser.visit(back)
  await world.restart()
  assert.equal((await browser.visit(back)).status, 400)
  assert.equal(world.redeemed, 1)
})
