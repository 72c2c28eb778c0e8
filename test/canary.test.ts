/** Secrets stay where they belong: a real broker in a process of its own, every way to succeed and to fail, and a search through all that it gave away. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { setTimeout as passed } from 'node:timers/promises'
import { type Shell, shell } from '../cli/shell.ts'
import { startSandbox } from '../sandbox/sandbox.ts'
import type { WebhookAnswer } from '../sdk/src/wire.ts'
import { assertNone, Given, Secrets, WatchedBrowser } from './given-away.ts'
import { untilDone } from './until-done.ts'
import { startWebhookReceiver } from './webhook-receiver.ts'
import { type Asked, startWiretap, type Wiretap } from './wiretap.ts'

const CALLBACK = 'http://127.0.0.1:9/app/callback'

const OPERATOR = [
  'read:connected_apps',
  'create:connected_apps',
  'read:connections',
  'write:connections',
  'read:apps',
  'write:apps',
]

async function scene(t: TestContext) {
  const secrets = new Secrets()
  const clientSecret = secrets.plant('client secret')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  secrets.add('private key', ...pem.split('\n').filter((line) => line !== '' && !line.startsWith('-')))
  secrets.add('private key', privateKey.export({ format: 'jwk' }).d)
  const sandbox = await startSandbox({
    access_token_lifetime: 1,
    clients: [
      { client_id: 'sandbox-app', client_secret: clientSecret },
      { client_id: 'key-app', jwk: { ...publicKey.export({ format: 'jwk' }), alg: 'ES256' }, auth: ['private_key_jwt'] },
    ],
  })
  t.after(() => sandbox.close())
  const tap = await startWiretap(sandbox.url)
  t.after(() => tap[Symbol.asyncDispose]())

  const callerSecret = secrets.plant('caller secret')
  const here = shell(t, { LATCHSTRING_MASTER_KEY: secrets.plant('master key', 'base64'), LATCHSTRING_LOG_LEVEL: 'debug' })
  const provider = {
    ...sandbox.provider(),
    // With a window known to be none, a lost answer would end the connection, and nothing more would be said of it.
    rotation: undefined,
    token_url: `${tap.url}/token`,
    revoke_url: `${tap.url}/revoke`,
    identity: { url: `${tap.url}/api/me`, id: 'id', label: 'name' },
  }
  const app = { ...sandbox.app(), callback_url: CALLBACK }
  // JSON is YAML.
  const setup = here.write(
    'latchstring.yaml',
    JSON.stringify({
      providers: [provider, { ...provider, id: 'key-sandbox', client_auth: 'private_key_jwt' }],
      apps: [
        ...['none', 'confirm', 'complete'].map((binding) => ({ ...app, key_code_ref: binding, user_binding: binding })),
        {
          ...{ key_code_ref: 'key', provider: 'key-sandbox', client_id: 'key-app', private_key: pem },
          ...{ scopes: ['files.read'], callback_url: CALLBACK, user_binding: 'none' },
        },
      ],
      callers: [{ client_id: 'backend', client_secret: callerSecret, scopes: OPERATOR, owner: 'ops', expires: '2100-01-01' }],
    }),
  )
  const given = new Given(secrets)
  const server = here.start('serve', '--config', setup)
  const [, url = ''] = await server.waitFor(/public URL (http:\/\/localhost:\d+)/)
  return { secrets, given, sandbox, tap, here, server, url, callerSecret }
}

type Scene = Awaited<ReturnType<typeof scene>>

/** The broker as a caller and a browser use it, all watched. */
function visitor({ secrets, given, sandbox, url, callerSecret }: Scene) {
  const ask = async (
    method: string,
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; body: Record<string, string> }> => {
    const response = await fetch(url + path, { method, ...init })
    await given.add(`${method} ${path}`, response)
    const text = await response.text()
    const json = response.headers.get('content-type') === 'application/json'
    return { status: response.status, body: json ? (JSON.parse(text) as Record<string, string>) : {} }
  }
  const signIn = (secret = callerSecret) =>
    ask('POST', '/oauth2/token', {
      body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'backend', client_secret: secret }),
    })
  let bearer = ''
  const api = async (method: string, path: string, json?: unknown) => {
    if (bearer === '') bearer = (await signIn()).body['access_token'] ?? ''
    const body = json === undefined ? {} : { body: JSON.stringify(json) }
    return ask(method, path, {
      headers: { authorization: `Bearer ${bearer}`, ...(json !== undefined && { 'content-type': 'application/json' }) },
      ...body,
    })
  }
  const token = (session: string) => api('GET', `/api/v1/connected_apps/token?session_id=${session}`)
  const revoke = (session: string) => api('POST', `/api/v1/connected_apps/revoke?session_id=${session}`)

  /** To where the provider sends the browser back, which is not visited yet. */
  const away = async (app: string, browser = new WatchedBrowser(given), decision: 'allow' | 'deny' = 'allow') => {
    const { body } = await api('GET', `/api/v1/connected_apps/auth_url?key_code_ref=${app}&user_id=ada`)
    const session = body['session_id'] ?? ''
    given.sessions.push(session)
    const link = body['url'] ?? ''
    const departure = link.startsWith(url) ? ((await browser.press(link)).headers.get('location') ?? '') : link
    const back = await sandbox.walk(departure, { decision })
    secrets.add('state', back.searchParams.get('state'))
    secrets.add('code', back.searchParams.get('code'))
    return { session, back, browser }
  }
  /** To the app's callback. */
  const home = async ({ back, browser }: Awaited<ReturnType<typeof away>>) => {
    const location = (await browser.visit(back)).headers.get('location')
    const arrived = location === null ? new URLSearchParams() : new URL(location).searchParams
    secrets.add('completion code', arrived.get('completion_code'))
    return arrived
  }
  const connect = async (app: string): Promise<string> => {
    const left = await away(app)
    const arrived = await home(left)
    assert(!arrived.has('error'), String(arrived))
    if (app === 'complete') {
      const completion = { session_id: left.session, completion_code: arrived.get('completion_code'), user_id: 'ada' }
      assert.equal((await api('POST', '/api/v1/connected_apps/complete', completion)).status, 200)
    }
    return left.session
  }
  return { ask, api, signIn, token, revoke, away, home, connect }
}

/** Providers that quote what they were sent. */
const QUOTING: Readonly<Record<string, (asked: Asked) => Response>> = {
  'a page that quotes the request': ({ body, authorization, url }) =>
    new Response(`<html><h1>Bad request</h1><pre>${url} ${authorization} ${body} ${decodeURIComponent(body)}</pre></html>`, {
      headers: { 'content-type': 'text/html' },
    }),
  'an error that describes the token': ({ body }) => {
    const form = new URLSearchParams(body)
    const token = form.get('refresh_token') ?? form.get('code') ?? form.get('token')
    return Response.json({ error: 'invalid_grant', error_description: `Token ${token} (${body}) is unknown` }, { status: 400 })
  },
  'an error whose code is the token': ({ body }) => {
    const form = new URLSearchParams(body)
    return Response.json(
      { error: form.get('refresh_token') ?? form.get('code') ?? form.get('token'), message: body },
      { status: 400 },
    )
  },
  'JSON that breaks off in a token': ({ body }) =>
    new Response(`{"access_token":"sbx_at_broken.off-${randomBytes(16).toString('hex')}","for":"${body}`, {
      headers: { 'content-type': 'application/json' },
    }),
  'a success that calls itself an error': () =>
    Response.json({
      error: 'invalid_scope',
      access_token: `sbx_at_beside.error-${randomBytes(16).toString('hex')}`,
      refresh_token: `sbx_rt_beside.error-${randomBytes(16).toString('hex')}`,
    }),
  'an outage that quotes the credentials': ({ authorization, body }) =>
    Response.json({ message: `no backend for ${authorization} ${atob(authorization.slice(6))} ${body}` }, { status: 502 }),
}

test('S-46 S-69 S-70 no secret leaves by any door but its own, whatever goes wrong', async (t) => {
  const set = await scene(t)
  const { secrets, given, tap, here, server } = set
  const { ask, api, signIn, token, revoke, away, home, connect } = visitor(set)
  const receiver = await untilDone(t, startWebhookReceiver())
  const webhook = await here.json<WebhookAnswer>('webhooks', 'create', receiver.url, '--allow-private-network')
  secrets.add('webhook secret', webhook.secret)

  // What works. Their tokens last for a second, so that all of them are renewed below.
  const quoted = Object.keys(QUOTING)
  const renewing = [await connect('none'), await connect('confirm'), await connect('complete'), await connect('key')]
  const failing = await Promise.all(quoted.map(() => connect('none')))
  const [tampered, revoked] = [await connect('none'), await connect('none')]
  for (const session of renewing) assert.equal((await token(session)).status, 200)

  // What fails before there is a connection.
  await home(await away('none', undefined, 'deny'))
  await home(await away('confirm', undefined, 'deny'))
  const stolen = await away('confirm')
  await home({ ...stolen, browser: new WatchedBrowser(given) })
  const used = await away('none')
  await home(used)
  await home(used)
  for (const name of ['state', 'code', 'iss']) {
    const changed = await away('none')
    changed.back.searchParams.set(name, secrets.plant(`wrong ${name}`))
    await home(changed)
  }
  const both = await away('none')
  both.back.searchParams.set('error', 'server_error')
  await home(both)
  for (const what of quoted) {
    const left = await away('none')
    tap.answerNext('/token', QUOTING[what]!)
    assert((await home(left)).has('error'), what)
    assert.equal((await token(left.session)).status, 400, what)
  }
  tap.answerNext('/api/me', QUOTING['a page that quotes the request']!)
  await home(await away('none'))
  const held = await away('complete')
  const completion = { session_id: held.session, completion_code: (await home(held)).get('completion_code') }
  assert.equal((await api('POST', '/api/v1/connected_apps/complete', { ...completion, user_id: 'eve' })).status, 400)
  assert.equal((await api('POST', '/api/v1/connected_apps/complete', { ...completion, user_id: 'ada' })).status, 404)
  const again = await away('complete')
  await home(again)
  const wrong = { session_id: again.session, completion_code: secrets.plant('wrong completion code'), user_id: 'ada' }
  assert.equal((await api('POST', '/api/v1/connected_apps/complete', wrong)).status, 400)

  // What fails later: the second is over.
  await passed(1100) // on purpose: the tokens last for a second, by the clock of another process
  for (const session of renewing) assert.equal((await token(session)).status, 200)
  for (const [index, what] of quoted.entries()) {
    tap.answerNext('/token', QUOTING[what]!)
    assert((await token(failing[index]!)).status >= 400, what)
    await api('GET', `/api/v1/connections/${failing[index]!}`)
  }
  for (const what of quoted) {
    tap.answerNext('/revoke', QUOTING[what]!)
    await revoke(revoked)
  }
  assert.equal((await revoke(renewing[0]!)).status, 200)
  const db = new DatabaseSync(join(here.folder, 'data/latchstring.db'), { timeout: 5000 })
  db.prepare('update connections set access_token = refresh_token, refresh_token = access_token where id = ?').run(tampered)
  assert.equal((await token(tampered)).status, 500)

  // Requests that carry what they should not, or where they should not.
  const wrongBearer = secrets.plant('wrong bearer')
  const headers = { authorization: `Bearer ${wrongBearer}` }
  await ask('GET', '/api/v1/apps', { headers })
  await signIn(secrets.plant('wrong caller secret').slice(0, 44))
  await ask('GET', `/connect/${secrets.plant('wrong handle')}`)
  await ask('PUT', '/api/v1/apps', { headers })
  await ask('GET', '/api/v1/nothing', { headers })
  await ask('GET', '/%zz', { headers })
  const planted = secrets.plant('a secret in the wrong body')
  for (const json of [
    { client_secret: planted },
    { [planted]: 1 },
    { key_code_ref: 'x', provider: 'sandbox', client_id: 'x', scopes: planted },
  ])
    assert.equal((await api('POST', '/api/v1/apps', json)).status, 400)
  await ask('POST', '/api/v1/apps', {
    body: `{"client_secret":"${planted}`,
    headers: { ...headers, 'content-type': 'application/json' },
  })
  await api('POST', '/api/v1/apps', { client_secret: planted.repeat(2000) })
  for (const path of [
    '/api/v1/connections',
    '/api/v1/connections?state=broken',
    '/api/v1/apps',
    '/api/v1/apps/key',
    '/api/v1/providers',
  ])
    assert.equal((await api('GET', path)).status, 200)
  for (const path of ['/metrics', '/healthz', '/readyz', '/.well-known/jwks.json', '/.well-known/openid-configuration'])
    await ask('GET', path)

  const history = db.prepare('select * from history').all()
  db.close()
  const files = () => filesOf(here)
  const open = files()
  await receiver.until(({ received }) =>
    ['connected', 'broken', 'revoked'].every((end) => received.some(({ type }) => type.endsWith(end))),
  )
  given.texts.push(
    ...receiver.received.map(({ body, headers }) => ({ where: 'webhook', text: `${JSON.stringify(headers)} ${body}` })),
  )
  server.signal('SIGTERM')
  const { code, stdout, stderr } = await server.ended
  assert.equal(code, 0)

  // What passed between the broker and the provider is known from there.
  overheard(tap, secrets)
  given.urls.push(...tap.heard.map(({ url }) => url))
  assertCaught(secrets)
  assert(given.texts.length > 100 && given.urls.length > 50, `${given.texts.length} answers, ${given.urls.length} URLs`)
  assert(stderr.split('\n').length > 10, 'the log told of what failed')
  const actions = new Set(history.map(({ action }) => String(action)))
  for (const action of [
    'attempt.denied',
    'attempt.failed',
    'attempt.binding_mismatch',
    'connection.broken',
    'connection.integrity_failure',
  ])
    assert(actions.has(action), `${action} happened`)

  const spoken = [
    { where: 'stdout', text: stdout },
    { where: 'stderr', text: stderr },
  ]
  const texts = [...given.texts, ...spoken, { where: 'history', text: JSON.stringify(history) }]
  for (const { where, text } of texts) assertNone(secrets, where, Buffer.from(text))
  for (const { name, bytes } of [...open, ...files()]) assertNone(secrets, name, bytes)
  const inNoUrl = new Secrets(secrets.of().filter(([kind]) => !TRAVELS_IN_URLS.includes(kind)))
  for (const url of given.urls) assertNone(inNoUrl, url, Buffer.from(decodeURIComponent(url)))
  // In callback binding an id is as good as a key, and a log is read by many.
  const metrics = given.texts.filter(({ where }) => where === 'GET /metrics')
  for (const session of given.sessions)
    for (const { where, text } of [...spoken, ...metrics])
      assert(!text.includes(session), `the session id ${session} in ${where}`)
})

/** What the protocol itself hands around by way of the browser: each is good once, or only where it belongs. */
const TRAVELS_IN_URLS = ['state', 'code', 'handle', 'completion code', 'wrong state', 'wrong code', 'wrong iss', 'wrong handle']

/** Codes, verifiers and tokens, from what the provider was sent and what it answered. */
function overheard(tap: Wiretap, secrets: Secrets): void {
  for (const { body, answer } of tap.heard) {
    const form = new URLSearchParams(body)
    secrets.add('verifier', form.get('code_verifier'))
    secrets.add('client assertion', form.get('client_assertion'))
    for (const [token, kind] of `${decodeURIComponent(body)} ${answer}`.matchAll(/sbx_(at|rt|code)_[\w.-]+/g))
      secrets.add({ at: 'access token', rt: 'refresh token', code: 'code' }[kind as 'at' | 'rt' | 'code'], token)
  }
}

/** A search for nothing finds nothing. */
function assertCaught(secrets: Secrets): void {
  const counts = secrets.counts()
  const several = [
    'access token',
    'browser cookie',
    'client assertion',
    'code',
    'completion code',
    'handle',
    'private key',
    'refresh token',
    'state',
    'verifier',
  ]
  for (const kind of several) assert((counts[kind] ?? 0) >= 2, `${kind}: ${counts[kind] ?? 0}`)
  for (const kind of [
    'caller secret',
    'caller token',
    'client secret',
    'master key',
    'webhook secret',
    'wrong bearer',
    'wrong handle',
  ])
    assert.equal(counts[kind], 1, kind)
  for (const [kind, value] of secrets.of()) assert(value.length >= 20, `${kind} is too short to be told from chance: ${value}`)
}

function filesOf({ folder }: Shell): { name: string; bytes: Buffer }[] {
  const data = join(folder, 'data')
  const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.map(({ name, parentPath }) => ({ name, bytes: readFileSync(join(parentPath, name)) }))
}

test('S-47 without a key, or with one that is none, it does not start, makes no file and does not repeat the key', async (t) => {
  const bad = {
    none: '',
    short: randomBytes(16).toString('base64'),
    long: randomBytes(48).toString('base64'),
    word: 'correct-horse-battery-staple',
  }
  await Promise.all(
    Object.entries(bad).map(async ([what, key]) => {
      const here = shell(t, { LATCHSTRING_MASTER_KEY: key })
      const { code, stdout, stderr } = await here.run('serve')
      assert.notEqual(code, 0, what)
      assert.match(stderr, /master.key/i)
      assert.equal(stdout, '')
      if (key !== '') assert(!stderr.includes(key), what)
      assert(!existsSync(join(here.folder, 'data')), what)
    }),
  )
})

test('S-47 with another key than the file was made with it does not start', async (t) => {
  const first = shell(t)
  const server = first.start('serve')
  await server.waitFor(/listening on/)
  server.signal('SIGTERM')
  assert.equal((await server.ended).code, 0)
  const second = shell(t, { LATCHSTRING_DATABASE_URL: `sqlite:${join(first.folder, 'data/latchstring.db')}` })
  const { code, stdout, stderr } = await second.run('serve')
  assert.notEqual(code, 0)
  assert.equal(stdout, '')
  assert.match(stderr, /master key/i)
})
