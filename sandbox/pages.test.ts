/** The login and consent pages as a person and a browser meet them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask, authorizeUrl, opened, redeem } from './practice-app.ts'
import type { Sandbox } from './sandbox.ts'

const path = (sandbox: Sandbox, changes = {}): string => authorizeUrl(sandbox, changes).slice(sandbox.url.length)

async function signedIn(sandbox: Sandbox, name = 'ada'): Promise<string> {
  const { headers } = await ask(sandbox, '/login', { method: 'POST', body: new URLSearchParams({ name, query: '' }) })
  return headers.getSetCookie()[0]!.split(';')[0]!
}

test('a newcomer is offered the accounts and a field for any name, and told that this is a test provider', async (t) => {
  const sandbox = await opened(t)
  const { status, text } = await ask(sandbox, path(sandbox))
  assert.equal(status, 200)
  for (const words of ['Ada Lovelace', 'Grace Hopper', 'Or be anybody you like', 'This is a test provider', 'Sandbox app']) {
    assert.ok(text.includes(words), words)
  }
})

test('the consent page names the app, the account, the scopes and where it leads', async (t) => {
  const sandbox = await opened(t)
  const { text } = await ask(sandbox, path(sandbox, { scope: 'files.read offline_access' }), {
    headers: { cookie: await signedIn(sandbox) },
  })
  for (const words of [
    'Sandbox app',
    'Ada Lovelace',
    'files.read',
    'Keep access while you are away',
    '127.0.0.1:9',
    'Allow',
    'Deny',
  ]) {
    assert.ok(text.includes(words), words)
  }
})

test('a second connection finds the user signed in; prompt=login asks again, once', async (t) => {
  const sandbox = await opened(t)
  const cookies = new Map<string, string>()
  await sandbox.walk(authorizeUrl(sandbox), { as: 'grace', cookies })
  await sandbox.walk(authorizeUrl(sandbox), { cookies })
  assert.equal(sandbox.control.count('login'), 1)
  assert.equal(sandbox.control.count('consent'), 2)
  await sandbox.walk(authorizeUrl(sandbox, { prompt: 'login' }), { cookies })
  assert.equal(sandbox.control.count('login'), 2)
})

test('anybody can be typed in, in any script', async (t) => {
  const sandbox = await opened(t)
  const me = async (as: string): Promise<Record<string, unknown>> => {
    const code = (await sandbox.walk(authorizeUrl(sandbox), { as })).searchParams.get('code')!
    const { json } = await redeem(sandbox, code)
    return (await ask(sandbox, '/api/me', { headers: { authorization: `Bearer ${String(json['access_token'])}` } })).json
  }
  assert.equal((await me('Emmy Noether'))['id'], 'emmy-noether')
  assert.equal((await me('Ada Lovelace'))['id'], 'ada')
  const first = await me('华罗庚')
  assert.equal(first['name'], '华罗庚')
  assert.match(String(first['id']), /^user-[\da-f]{8}$/)
  assert.equal((await me('华罗庚'))['id'], first['id'])
})

test('what an app or a person says is shown as text, never as markup', async (t) => {
  const evil = '"><script>alert(1)</script>'
  const sandbox = await opened(t, { clients: [{ client_id: 'sandbox-app', client_secret: 'x', name: evil }] })
  const login = await ask(sandbox, path(sandbox, { login_hint: evil }))
  const consent = await ask(sandbox, path(sandbox, { scope: evil, state: evil }), {
    headers: { cookie: await signedIn(sandbox, evil) },
  })
  const front = await ask(sandbox, '/')
  for (const { text } of [login, consent, front]) assert.ok(!text.includes('<script'), text)
  assert.match(consent.text, /&lt;script&gt;/)
})

test('pages run no script, cannot be framed and are not stored', async (t) => {
  const sandbox = await opened(t)
  const { headers } = await ask(sandbox, path(sandbox))
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  // Browsers apply form-action to all redirects after the form, which lead to addresses that nobody can list.
  assert.doesNotMatch(headers.get('content-security-policy') ?? '', /form-action/)
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
})

test('the session cookie is HttpOnly and Lax, and named by port so that two sandboxes do not mix', async (t) => {
  const [one, two] = [await opened(t), await opened(t)]
  const { headers } = await ask(one, '/login', { method: 'POST', body: new URLSearchParams({ name: 'ada', query: '' }) })
  const cookie = headers.getSetCookie()[0]!
  assert.match(cookie, /; HttpOnly; SameSite=Lax/)
  assert.ok(cookie.startsWith(`sandbox_${new URL(one.url).port}=`))
  assert.notEqual((await signedIn(two)).split('=')[0], cookie.split('=')[0])
})

test('consent cannot be given by a form of another site, nor with a forged cookie', async (t) => {
  const sandbox = await opened(t)
  const cookie = await signedIn(sandbox)
  const query = path(sandbox).slice('/authorize?'.length)
  const consent = (fields: Record<string, string>, withCookie: string) =>
    ask(sandbox, '/consent', {
      method: 'POST',
      headers: { cookie: withCookie },
      body: new URLSearchParams({ query, decision: 'allow', ...fields }),
    })
  assert.equal((await consent({}, cookie)).status, 400)
  assert.equal((await consent({ form_key: 'guess' }, cookie)).status, 400)
  const [, form_key] =
    /name="form_key" value="([^"]+)"/.exec((await ask(sandbox, path(sandbox), { headers: { cookie } })).text) ?? []
  assert.equal((await consent({ form_key: form_key! }, `${cookie}x`)).status, 400)
  assert.equal((await consent({ form_key: form_key! }, await signedIn(sandbox, 'grace'))).status, 400)
  assert.equal((await consent({ form_key: form_key! }, cookie)).status, 303)
})

test('signing in without a name says so', async (t) => {
  const { status, text } = await ask(await opened(t), '/login', {
    method: 'POST',
    body: new URLSearchParams({ name: '  ', query: '' }),
  })
  assert.equal(status, 400)
  assert.match(text, /type a name/)
})

test('the login form leads back to the sandbox and nowhere else', async (t) => {
  const query = '//evil.example/?a=b'
  const { headers } = await ask(await opened(t), '/login', { method: 'POST', body: new URLSearchParams({ name: 'ada', query }) })
  assert.match(headers.get('location') ?? '', /^\/authorize\?/)
})
