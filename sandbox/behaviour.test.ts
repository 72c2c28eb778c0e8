/** How a connection can end: reset, lost, late, slow, never, too much. */

import assert from 'node:assert/strict'
import { get } from 'node:http'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ask, connected, opened, renew, tokensIn } from './practice-app.ts'
import { PRESETS } from './presets.ts'

test('drop before: the connection breaks and nothing was processed', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'reset')
  await assert.rejects(renew(sandbox, refresh))
  assert.equal(sandbox.control.requests.at(-1)?.answered, 'dropped')
  assert.equal((await renew(sandbox, refresh)).status, 200)
})

test('drop after: the refresh token is spent and the answer is lost', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'lost_answer')
  await assert.rejects(renew(sandbox, refresh))
  assert.equal(sandbox.control.alive(refresh), false)
  assert.equal((await renew(sandbox, refresh)).json['error'], 'invalid_grant')
})

test('a lost answer is forgiven inside the replay window', async (t) => {
  const sandbox = await opened(t, { replay_window: 30 })
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'gateway_timeout_after_processing')
  assert.equal((await renew(sandbox, refresh)).status, 504)
  assert.equal(sandbox.control.alive(refresh), false)
  assert.equal(sandbox.control.alive(tokensIn(await renew(sandbox, refresh)).refresh), true)
})

test('truncated: processed, and the answer ends in the middle', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'truncated')
  const { status, text } = await renew(sandbox, refresh)
  assert.equal(status, 200)
  assert.throws(() => JSON.parse(text))
  assert.equal(sandbox.control.alive(refresh), false)
})

test('hang: the request arrives and no answer comes, until the sandbox closes', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', 'hang')
  const hanging = assert.rejects(renew(sandbox, refresh))
  const seen = await sandbox.control.waitFor(({ answered }) => answered === 'hanging')
  assert.equal(seen.endpoint, 'refresh')
  assert.equal(sandbox.control.alive(refresh), true)
  await sandbox.close()
  await hanging
})

test('delay: processed at once, answered later, and a closing sandbox does not wait for it', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', { delay: 60_000 })
  const lost = assert.rejects(renew(sandbox, refresh))
  await sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  while (sandbox.control.alive(refresh)) await new Promise(setImmediate)
  await sandbox.close()
  await lost
})

test('hold: processed at once, answered when it is let go, also by whoever saw no more than the request', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = await connected(sandbox)
  sandbox.control.script('refresh', { hold: true })
  const held = renew(sandbox, refresh)
  await sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  assert.equal(sandbox.control.held, 1)
  assert.equal(sandbox.control.release(), 1)
  assert.equal(sandbox.control.alive(tokensIn(await held).refresh), true)
  assert.deepEqual([sandbox.control.held, sandbox.control.release()], [0, 0])
})

test('hold: what is held is not answered by itself, and neither a reset nor a closing sandbox leaves it waiting', async (t) => {
  const sandbox = await opened(t)
  const arrived = (nth: number) => sandbox.control.waitFor((one) => one.endpoint === 'me' && one.nth === nth)
  sandbox.control.script('me', { hold: true, status: 418, times: 2 })
  const first = ask(sandbox, '/api/me')
  await arrived(1)
  await ask(sandbox, '/jwks')
  assert.equal(sandbox.control.requests.find(({ endpoint }) => endpoint === 'me')?.answered, null)
  sandbox.control.reset()
  assert.equal((await first).status, 418)
  sandbox.control.script('me', { hold: true })
  const second = assert.rejects(ask(sandbox, '/api/me'))
  await arrived(1)
  await sandbox.close()
  await second
})

test('a delayed answer arrives whole', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('me', { delay: 20, status: 418, body: 'late' })
  const began = performance.now()
  const { status, text } = await ask(sandbox, '/api/me')
  assert.deepEqual([status, text], [418, 'late'])
  assert.ok(performance.now() - began >= 18)
})

test('drip: the body comes byte by byte', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('me', { status: 200, body: 'slow', drip: 1 })
  const chunks = await new Promise<string[]>((resolve, reject) => {
    const seen: string[] = []
    get(`${sandbox.url}/api/me`, (response) => {
      response.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
      response.on('end', () => resolve(seen))
    }).on('error', reject)
  })
  assert.equal(chunks.join(''), 'slow')
  assert.ok(chunks.length > 1)
  assert.ok('drip' in PRESETS.slow_drip)
})

test('oversized is over a mebibyte; the gzip bomb is small outside and large inside', async (t) => {
  const sandbox = await opened(t)
  sandbox.control.script('me', 'oversized')
  assert.ok((await ask(sandbox, '/api/me')).text.length > 1024 * 1024)
  const { body, headers } = PRESETS.gzip_bomb
  assert.equal(headers['content-encoding'], 'gzip')
  assert.ok(body.length < 64 * 1024)
  assert.ok(gunzipSync(body).length > 16 * 1024 * 1024)
})
