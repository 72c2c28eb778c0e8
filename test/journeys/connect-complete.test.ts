/** Finishing a `user_binding: complete` connection: everything must match, and whatever does not burns the attempt before a code is spent. */

import assert from 'node:assert/strict'
import { after, before, describe, mock, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { type CallerName, HOUR, MINUTE, STORES, startWorld, type World } from '../world.ts'

interface Held {
  readonly session_id: string
  readonly completion_code: string
}

const OWNER = { user_id: 'ada', org_code: 'acme' }

/** The browser is back at the app, and the code of the provider waits with us. */
async function held(world: World): Promise<Held> {
  const { body } = await world.authUrl({ key_code_ref: 'complete', ...OWNER })
  const { searchParams } = await world.arrive(String(body['url']), new Browser())
  assert.deepEqual([...searchParams.keys()].sort(), ['completion_code', 'session_id'])
  return { session_id: searchParams.get('session_id')!, completion_code: searchParams.get('completion_code')! }
}

/** Nothing was spent, nothing is left to open, and who would have been right is too late. */
async function assertBurned(world: World, right: Held, redeemed: number): Promise<void> {
  const late = await world.complete({ ...right, ...OWNER })
  assert.equal(late.status, 404)
  assert.equal(world.redeemed, redeemed, 'no token was ever requested')
  assert.equal((await world.token(right.session_id)).code, 'CONNECT_FAILED')
  const attempt = await world.broker.ports.store.attempts.find('default', right.session_id)
  assert.equal(attempt?.sealed.answer, null)
  assert.equal(attempt?.sealed.codeVerifier, null)
}

describe('completing', () => {
  let world: World
  before(async () => {
    world = await startWorld()
  })
  after(() => world[Symbol.asyncDispose]())

  test('the right code with the right owner makes the connection, once', async () => {
    const redeemed = world.redeemed
    const right = await held(world)
    assert.equal(world.redeemed, redeemed, 'the code is not redeemed before somebody answers for the browser')
    assert.equal((await world.token(right.session_id)).code, 'SESSION_PENDING')
    const done = await world.complete({ ...right, ...OWNER })
    assert.equal(done.status, 200)
    assert.equal(done.body['state'], 'connected')
    assert.equal(done.body['session_id'], right.session_id)
    assert.equal(world.redeemed, redeemed + 1)
    assert.equal((await world.token(right.session_id)).status, 200)
    assert.equal((await world.complete({ ...right, ...OWNER })).status, 404)
    assert.equal((await world.token(right.session_id)).status, 200, 'a second completion harms nothing')
    assert.equal(world.redeemed, redeemed + 1)
  })

  test('S-03 a wrong completion code burns the attempt, and its code is never redeemed', async () => {
    const [right, redeemed] = [await held(world), world.redeemed]
    const answer = await world.complete({ ...right, ...OWNER, completion_code: 'A'.repeat(43) })
    assert.equal(answer.status, 400)
    assert.equal(answer.code, 'INVALID_COMPLETION')
    await assertBurned(world, right, redeemed)
    assert.deepEqual(await world.told(right.session_id), [
      'attempt.begun complete',
      'attempt.binding_mismatch wrong_completion_code',
    ])
  })

  test('S-03 the completion code of another session is a wrong one, and that other session lives on', async () => {
    const [one, other] = [await held(world), await held(world)]
    const redeemed = world.redeemed
    const answer = await world.complete({ ...one, ...OWNER, completion_code: other.completion_code })
    assert.equal(answer.code, 'INVALID_COMPLETION')
    await assertBurned(world, one, redeemed)
    assert.equal((await world.complete({ ...other, ...OWNER })).status, 200)
  })

  const STRANGERS: readonly Readonly<Record<string, string>>[] = [
    { user_id: 'mallory', org_code: 'acme' },
    { user_id: 'ada', org_code: 'evil' },
    { user_id: 'ada' },
    { org_code: 'acme' },
    { user_id: 'acme', org_code: 'ada' },
    { user_id: 'Ada', org_code: 'acme' },
    { user_id: 'ada ', org_code: 'acme' },
    { user_id: 'ada\u0000', org_code: 'acme' },
  ]
  for (const owner of STRANGERS) {
    test(`S-04 the right code for somebody else burns the attempt: ${JSON.stringify(owner)}`, async () => {
      const [right, redeemed] = [await held(world), world.redeemed]
      const answer = await world.complete({ ...right, ...owner })
      assert.equal(answer.status, 400)
      assert.equal(answer.code, 'INVALID_COMPLETION')
      await assertBurned(world, right, redeemed)
      assert.deepEqual((await world.told(right.session_id)).at(-1), 'attempt.binding_mismatch wrong_user')
    })
  }

  for (const [who, as] of [
    ['another tenant', 'stranger'],
    ['another client id of the same tenant', 'sibling'],
  ] as const satisfies readonly (readonly [string, CallerName])[]) {
    for (const code of ['right', 'wrong'] as const) {
      test(`S-05 ${who} with the ${code} completion code gets 404, learns nothing and burns the attempt`, async () => {
        const [right, redeemed] = [await held(world), world.redeemed]
        const tried = code === 'right' ? right : { ...right, completion_code: 'A'.repeat(43) }
        const answer = await world.complete({ ...tried, ...OWNER }, as)
        assert.equal(answer.status, 404)
        const nowhere = await world.complete({ ...tried, ...OWNER, session_id: 'never-was-one' }, as)
        assert.equal(answer.text, nowhere.text, 'the answer is the one for a session that never was')
        await assertBurned(world, right, redeemed)
      })
    }
  }

  test('a caller without the scope, a body that names nobody, and a body that cannot be read burn nothing', async () => {
    const right = await held(world)
    assert.equal((await world.complete({ ...right, ...OWNER }, 'reader')).code, 'INSUFFICIENT_SCOPE')
    assert.equal((await world.complete(right)).code, 'MISSING_OWNER')
    assert.equal((await world.complete({ ...right, user_id: 7 })).code, 'INVALID_REQUEST')
    assert.equal((await world.complete({ ...right, ...OWNER, completion_code: '' })).code, 'INVALID_REQUEST')
    assert.equal((await world.complete({ ...right, ...OWNER })).status, 200)
  })

  for (const [preset, told] of [
    ['invalid_grant', /invalid_grant: Token has been expired or revoked\.\); start again with auth_url/],
    ['invalid_client', /invalid_client: The client secret is wrong\.\): .* an operator must correct/],
    ['outage', /exchange_uncertain: answered 503 with text\/plain\); start again with auth_url/],
  ] as const) {
    test(`what the provider says to the code is what the caller is told, and who can help: ${preset}`, async () => {
      const right = await held(world)
      world.sandbox.control.script('token', preset)
      const answer = await world.complete({ ...right, ...OWNER })
      assert.equal(answer.code, 'CONNECT_FAILED')
      assert.match(answer.text, told)
      assert.equal((await world.token(right.session_id)).code, 'CONNECT_FAILED')
    })
  }

  test('a held session that is revoked before it is completed stays without a token', async () => {
    const [right, redeemed] = [await held(world), world.redeemed]
    assert.equal((await world.revoke(right.session_id)).status, 200)
    await assertBurned(world, right, redeemed)
  })

  test('who completes too late is told so, and is no suspect, also when what was held has been emptied', async () => {
    const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'ada' })
    const { searchParams } = await world.arrive(String(body['url']))
    world.pass(11 * MINUTE)
    await world.broker.ports.store.attempts.empty(world.now(), 1000)
    const answer = await world.complete({ ...Object.fromEntries(searchParams), user_id: 'ada' })
    assert.equal(answer.code, 'SESSION_EXPIRED')
    assert.deepEqual(await world.told(String(body['session_id'])), ['attempt.begun complete', 'attempt.burned expired'])
    assert.equal((await world.token(String(body['session_id']))).code, 'SESSION_EXPIRED')
  })

  test('S-06 ten minutes after the start a held code is never redeemed', async () => {
    const [right, redeemed] = [await held(world), world.redeemed]
    world.pass(10 * MINUTE)
    assert.equal((await world.token(right.session_id)).code, 'SESSION_EXPIRED')
    const answer = await world.complete({ ...right, ...OWNER })
    assert.equal(answer.status, 400)
    assert.equal(answer.code, 'SESSION_EXPIRED')
    assert.equal((await world.complete({ ...right, ...OWNER })).status, 404)
    assert.equal(world.redeemed, redeemed)
    const attempt = await world.broker.ports.store.attempts.find('default', right.session_id)
    assert.equal(attempt?.sealed.answer, null)
    assert.deepEqual(await world.told(right.session_id), ['attempt.begun complete', 'attempt.burned expired'])
  })
})

for (const store of STORES) {
  test(`S-06 an attempt that nobody finished is swept away, with the code it held (${store})`, async (t) => {
    mock.timers.enable({ apis: ['setInterval'] })
    try {
      const world = await untilDone(t, startWorld({ store }))
      const { session_id } = await held(world)
      const { attempts } = world.broker.ports.store
      const codeOf = async () => (await attempts.find('default', session_id))?.sealed.answer
      world.pass(10 * MINUTE + 1)
      assert.notEqual(await codeOf(), null)
      mock.timers.tick(MINUTE)
      for (let tries = 0; tries < 100 && (await codeOf()); tries++) await pause(10)
      assert.equal(await codeOf(), null, 'within a minute the code is gone, and what became of it is still known')
      assert.equal((await world.token(session_id)).code, 'SESSION_EXPIRED')
      world.pass(HOUR)
      for (let tries = 0; tries < 100 && (await attempts.find('default', session_id)); tries++) {
        // The run before may not be over yet, and there is one at a time.
        mock.timers.tick(MINUTE)
        await pause(10)
      }
      assert.equal(await attempts.find('default', session_id), null)
      assert.deepEqual(await attempts.held(session_id), [])
      assert.equal((await world.token(session_id)).code, 'INVALID_SESSION')
      assert.equal(world.redeemed, 0)
    } finally {
      mock.timers.reset()
    }
  })
}
