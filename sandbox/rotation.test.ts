/** What happens to a refresh token that is presented, once and again. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeFor, connected, opened, probe, redeem, renew, tokensIn } from './practice-app.ts'
import { present } from './rotation.ts'

test('each renewal hands out a new access token and a new refresh token, and the old access token lives on', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  assert.notEqual(second.refresh, first.refresh)
  assert.notEqual(second.access, first.access)
  assert.deepEqual([await probe(sandbox, first.access), await probe(sandbox, second.access)], [200, 200])
  assert.equal((await renew(sandbox, second.refresh)).status, 200)
})

test('a spent refresh token that comes back kills the whole family', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  assert.equal((await renew(sandbox, first.refresh)).json['error'], 'invalid_grant')
  assert.equal((await renew(sandbox, second.refresh)).json['error'], 'invalid_grant')
  assert.equal(await probe(sandbox, second.access), 401)
})

test('a token spent fifty rotations ago is still recognised', async (t) => {
  const sandbox = await opened(t)
  const first = await connected(sandbox)
  let { refresh } = first
  for (let round = 0; round < 50; round++) ({ refresh } = tokensIn(await renew(sandbox, refresh)))
  assert.equal(sandbox.control.alive(refresh), true)
  await renew(sandbox, first.refresh)
  assert.equal(sandbox.control.alive(refresh), false)
})

test('64 renewals at once with one token: one succeeds, and then the family is dead', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  const replies = await Promise.all(Array.from({ length: 64 }, () => renew(sandbox, refresh)))
  const winners = replies.filter(({ status }) => status === 200)
  assert.equal(winners.length, 1)
  assert.equal(sandbox.control.alive(tokensIn(winners[0]!).refresh), false)
})

test('without reuse detection a spent token is refused and nothing else happens', async (t) => {
  const sandbox = await opened(t, { reuse_detection: false })
  const first = await connected(sandbox)
  const second = tokensIn(await renew(sandbox, first.refresh))
  assert.equal((await renew(sandbox, first.refresh)).json['error'], 'invalid_grant')
  assert.equal((await renew(sandbox, second.refresh)).status, 200)
})

test('within a replay window of seconds a spent token gets the same successor again, and not after', async (t) => {
  const sandbox = await opened(t, { replay_window: 30 })
  const { refresh } = await connected(sandbox)
  const lost = tokensIn(await renew(sandbox, refresh))
  sandbox.control.advance(29)
  const again = tokensIn(await renew(sandbox, refresh))
  assert.equal(again.refresh, lost.refresh)
  assert.equal(await probe(sandbox, again.access), 200)
  sandbox.control.advance(2)
  assert.equal((await renew(sandbox, refresh)).json['error'], 'invalid_grant')
  assert.equal(sandbox.control.alive(again.refresh), false)
})

test('until_next_use repeats for as long as the successor is unused, and no longer', async (t) => {
  const sandbox = await opened(t, { replay_window: 'until_next_use' })
  const { refresh } = await connected(sandbox)
  const lost = tokensIn(await renew(sandbox, refresh))
  sandbox.control.advance(86_400)
  assert.equal(tokensIn(await renew(sandbox, refresh)).refresh, lost.refresh)
  await renew(sandbox, lost.refresh)
  assert.equal((await renew(sandbox, refresh)).json['error'], 'invalid_grant')
})

test('rotation: never keeps one refresh token for good', async (t) => {
  const sandbox = await opened(t, { rotation: 'never' })
  const { refresh } = await connected(sandbox)
  for (let round = 0; round < 3; round++) assert.equal(tokensIn(await renew(sandbox, refresh)).refresh, refresh)
})

test('omit_refresh_token renews without one, and the old one stays good', async (t) => {
  const sandbox = await opened(t, { omit_refresh_token: true })
  const { json } = await redeem(sandbox, await codeFor(sandbox))
  const refresh = String(json['refresh_token'])
  for (let round = 0; round < 2; round++) {
    const reply = await renew(sandbox, refresh)
    assert.equal(reply.status, 200)
    assert.equal('refresh_token' in reply.json, false)
  }
})

test('refresh tokens end after refresh_token_lifetime, counted from the consent', async (t) => {
  const sandbox = await opened(t, { refresh_token_lifetime: 100 })
  const { refresh } = await connected(sandbox)
  sandbox.control.advance(60)
  const second = tokensIn(await renew(sandbox, refresh))
  sandbox.control.advance(60)
  assert.equal((await renew(sandbox, second.refresh)).json['error'], 'invalid_grant')
  assert.equal(sandbox.control.alive(second.refresh), false)
})

test('a renewal may ask for less than was granted, for that token only, and never for more', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox, { scope: 'read write' })
  assert.equal((await renew(sandbox, refresh, { scope: 'read admin' })).json['error'], 'invalid_scope')
  const narrow = await renew(sandbox, refresh, { scope: 'read' })
  assert.equal(narrow.json['scope'], 'read')
  assert.equal((await renew(sandbox, tokensIn(narrow).refresh)).json['scope'], 'read write')
})

test('a refresh token of one client is nothing in the hands of another, and survives the attempt', async (t) => {
  const clients = [
    { client_id: 'sandbox-app', client_secret: 'sandbox-secret' },
    { client_id: 'thief', client_secret: 'thief-secret' },
  ] as const
  const sandbox = await opened(t, { clients })
  const { refresh } = await connected(sandbox)
  const stolen = await fetch(`${sandbox.url}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refresh,
      client_id: 'thief',
      client_secret: 'thief-secret',
    }),
  })
  assert.equal(stolen.status, 400)
  assert.equal((await renew(sandbox, refresh)).status, 200)
})

test('the decision, case by case', () => {
  const grant = { generation: 5, rotatedAt: 1000 }
  const rules = { rotation: 'always', omit_refresh_token: false, replay_window: 'none' } as const
  const cases = [
    [5, {}, 1000, 'rotate'],
    [5, { rotation: 'never' }, 1000, 'keep'],
    [5, { omit_refresh_token: true }, 1000, 'keep'],
    [4, {}, 1000, 'reuse'],
    [4, { replay_window: 10 }, 11_000, 'repeat'],
    [4, { replay_window: 10 }, 11_001, 'reuse'],
    [3, { replay_window: 10 }, 1000, 'reuse'],
    [4, { replay_window: 'until_next_use' }, 9e9, 'repeat'],
    [3, { replay_window: 'until_next_use' }, 1000, 'reuse'],
  ] as const
  for (const [generation, changes, now, expected] of cases) {
    assert.equal(
      present(grant, generation, { ...rules, ...changes }, now),
      expected,
      `${generation} ${JSON.stringify(changes)} ${now}`,
    )
  }
})
