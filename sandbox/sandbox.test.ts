/** Starting and stopping sandboxes, several at once, in process and on their own. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask, connected, opened, probe } from './practice-app.ts'
import { startSandbox } from './sandbox.ts'
import { serve } from './serve.ts'

test('sandboxes in one process share nothing', async (t) => {
  const [one, two] = [await opened(t), await opened(t)]
  one.control.set({ rotation: 'never' })
  one.control.script('token', 'outage')
  const { access } = await connected(two)
  assert.deepEqual([one.control.count('token'), two.control.count('token')], [0, 1])
  assert.equal(two.control.switches.rotation, 'always')
  assert.equal(await probe(one, access), 401)
  assert.equal(await probe(two, access), 200)
})

test('a closed sandbox answers no more, and closing twice is fine', async () => {
  const sandbox = await startSandbox()
  await sandbox.close()
  await sandbox.close()
  await assert.rejects(ask(sandbox, '/'))
})

test('a sandbox can be disposed of, for `await using`', async () => {
  const sandbox = await startSandbox()
  await sandbox[Symbol.asyncDispose]()
  await assert.rejects(ask(sandbox, '/'))
})

test('a port that is taken and an option that does not exist are said at the start', async (t) => {
  const { url } = await opened(t)
  await assert.rejects(startSandbox({ port: Number(new URL(url).port) }), { code: 'EADDRINUSE' })
  await assert.rejects(startSandbox({ rotate: 'never' } as object), /no switch 'rotate'/)
})

test('what goes into latchstring.yaml is in step with the switches', async (t) => {
  const sandbox = await opened(t)
  const { url } = sandbox
  assert.deepEqual(sandbox.provider(), {
    id: 'sandbox',
    name: 'Sandbox',
    mode: 'oauth2',
    issuer: url,
    authorize_url: `${url}/authorize`,
    token_url: `${url}/token`,
    revoke_url: `${url}/revoke`,
    jwks_url: `${url}/jwks`,
    allow_private_network: true,
    rotation: { window: 'none' },
    identity: { url: `${url}/api/me`, id: 'id', label: 'name' },
    probe: { url: `${url}/api/me`, dead: [401] },
  })
  sandbox.control.set({
    replay_window: 30,
    iss: 'on',
    require_par: true,
    pkce: 'refused',
    scope_separator: ',',
    refresh_tokens: 'offline',
    token_body: 'json',
  })
  const { rotation, iss, par_url, require_par, pkce, scopes, token_body, id } = sandbox.provider({ id: 'mine' })
  assert.deepEqual(
    { rotation, iss, par_url, require_par, pkce, scopes, token_body, id },
    {
      rotation: { window: '30s' },
      iss: 'required',
      par_url: `${url}/par`,
      require_par: true,
      pkce: false,
      scopes: { separator: ',', offline: ['offline_access'] },
      token_body: 'json',
      id: 'mine',
    },
  )
  sandbox.control.set({ rotation: 'never' })
  assert.equal(sandbox.provider().rotation, undefined)
  assert.deepEqual(sandbox.app({ scopes: ['a'] }), {
    key_code_ref: 'sandbox',
    provider: 'sandbox',
    name: 'Sandbox app',
    client_id: 'sandbox-app',
    client_secret: 'sandbox-secret',
    scopes: ['a'],
  })
})

test('its own address says what it is, and other addresses that there is nothing', async (t) => {
  const sandbox = await opened(t)
  assert.match((await ask(sandbox, '/')).text, /This is a test provider/)
  assert.equal((await ask(sandbox, '/nothing')).status, 404)
  assert.equal((await ask(sandbox, '/constructor')).status, 404)
})

test('serve takes the app and the switches from its arguments', async (t) => {
  const lines: string[] = []
  const args = ['--port', '0', '--client-id', 'my-client', '--client-secret', 's', '--redirect-uri', 'http://127.0.0.1:9/cb']
  const sandbox = await serve([...args, '--set', 'replay_window=30', '--set', 'auto_approve=true', '--set', 'iss=on'], (line) =>
    lines.push(line),
  )
  assert.ok(sandbox)
  t.after(() => sandbox.close())
  assert.deepEqual(lines, [`sandbox listening on ${sandbox.url}`])
  const { replay_window, auto_approve, iss } = sandbox.control.switches
  assert.deepEqual([replay_window, auto_approve, iss], [30, true, 'on'])
  assert.equal(sandbox.app().client_id, 'my-client')
  const refused = await ask(
    sandbox,
    '/authorize?client_id=my-client&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fother&response_type=code',
  )
  assert.equal(refused.status, 400)
})

test('serve explains itself, and what is wrong with its arguments', async () => {
  const lines: string[] = []
  assert.equal(await serve(['--help'], (line) => lines.push(line)), null)
  assert.match(lines.join(), /replay_window .*'until_next_use'/)
  const quiet = () => {}
  await assert.rejects(serve(['--port', 'many'], quiet), /--port must be a number/)
  await assert.rejects(serve(['--set', 'rotation'], quiet), /--set rotation/)
  await assert.rejects(serve(['--set', 'rotation=maybe', '--port', '0'], quiet), /rotation must be/)
  await assert.rejects(serve(['--nonsense'], quiet), /--nonsense/)
})

test('on its own it prints one line, serves, and stops when told to', async (t) => {
  const launcher = join(import.meta.dirname, '..', 'scripts', 'run.mjs')
  const child = spawn(process.execPath, [launcher, join(import.meta.dirname, 'serve.ts'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [line = ''] = (await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), once(child, 'exit')])) as [string?]
  const [, url] = /^sandbox listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line) ?? []
  assert.ok(url, line)
  assert.equal((await fetch(`${url}/.well-known/openid-configuration`)).status, 200)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})
