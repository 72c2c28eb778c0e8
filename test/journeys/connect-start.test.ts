/** What may be asked of `auth_url` and of every write: whose connection it is, where its browser may end, and no field that is not known. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ROUTES } from '../../src/http/routes.ts'
import { Browser } from '../browser-stand-in.ts'
import { CALLBACK, OTHER_CALLBACK, startWorld, type World } from '../world.ts'

const THIRD_CALLBACK = 'http://127.0.0.1:9/third/callback'
const WRITES = ROUTES.filter(({ method }) => method !== 'GET')

let world: World

async function begun(): Promise<number> {
  const history = await world.broker.ports.store.history(null, { before: null, limit: 1000 })
  return history.filter(({ action }) => action === 'attempt.begun').length
}

describe('starting', () => {
  before(async () => {
    world = await startWorld({
      further: (sandbox) => ({
        apps: [{ ...sandbox.app(), key_code_ref: 'third', user_binding: 'none', callback_url: THIRD_CALLBACK }],
      }),
    })
  })
  after(() => world[Symbol.asyncDispose]())

  const EVIL_CALLBACKS = [
    '',
    'https://evil.example/',
    'https://evil.example/app/callback',
    'http://127.0.0.1:9@evil.example/app/callback',
    'https://good@evil.example/app/callback',
    'http://user:pass@127.0.0.1:9/app/callback',
    'http://127.0.0.1.evil.example:9/app/callback',
    'http://evil.example#http://127.0.0.1:9/app/callback',
    'http://127.0.0.1:90/app/callback',
    'http://127.0.0.1/app/callback',
    'https://127.0.0.1:9/app/callback',
    'HTTP://127.0.0.1:9/app/callback',
    'http://localhost:9/app/callback',
    'http://2130706433:9/app/callback',
    'http://0x7f.0.0.1:9/app/callback',
    'http://127.1:9/app/callback',
    '//127.0.0.1:9/app/callback',
    '//evil.example/app/callback',
    '\\\\evil.example/app/callback',
    'http:\\\\127.0.0.1:9\\app\\callback',
    'http:/127.0.0.1:9/app/callback',
    '/app/callback',
    'javascript:alert(1)',
    'JaVaScRiPt://127.0.0.1:9/app/callback%0aalert(1)',
    'data:text/html,<script>alert(1)</script>',
    `${CALLBACK}/`,
    `${CALLBACK}/..`,
    `${CALLBACK}/../../evil`,
    `${CALLBACK}?next=https://evil.example`,
    `${CALLBACK}#fragment`,
    `${CALLBACK}%2e`,
    `${CALLBACK}\u0000`,
    `${CALLBACK}\n`,
    `${CALLBACK}\r\nlocation: https://evil.example`,
    ` ${CALLBACK}`,
    `${CALLBACK} `,
    CALLBACK.toUpperCase(),
    CALLBACK.replace('callback', '%63allback'),
    CALLBACK.replace('/app', '//app'),
    encodeURIComponent(CALLBACK),
    `${CALLBACK},https://evil.example`,
    THIRD_CALLBACK, // listed, but by another app
    '*',
    'null',
  ]
  for (const binding of ['none', 'confirm']) {
    test(`S-33 ${binding}: a callback that is not listed to the letter is refused before anything begins`, async () => {
      const before = await begun()
      for (const evil of EVIL_CALLBACKS) {
        const answer = await world.authUrl({ key_code_ref: binding, user_id: 'ada', override_callback_url: evil })
        assert.equal(answer.status, 400, evil)
        assert.equal(answer.code, 'INVALID_CALLBACK_URL', evil)
        assert.equal(answer.headers.get('location'), null, evil)
      }
      assert.equal(await begun(), before)
    })
  }

  test('S-33 two callbacks at once are refused, even if both are listed', async () => {
    const path = '/api/v1/connected_apps/auth_url?key_code_ref=none&user_id=ada'
    const both = [CALLBACK, OTHER_CALLBACK].map((url) => `&override_callback_url=${encodeURIComponent(url)}`).join('')
    assert.equal((await world.ask('GET', path + both)).code, 'INVALID_REQUEST')
    assert.equal((await world.ask('GET', `${path}&override_callback_url[]=${OTHER_CALLBACK}`)).status, 200)
  })

  for (const callback of [CALLBACK, OTHER_CALLBACK]) {
    test(`override_callback_url ${callback} is listed, so the browser ends there, said yes or no`, async () => {
      for (const decision of ['allow', 'deny'] as const) {
        const { body } = await world.authUrl({ key_code_ref: 'confirm', user_id: 'ada', override_callback_url: callback })
        const arrived = await world.arrive(String(body['url']), new Browser(), { decision })
        assert.equal(`${arrived.origin}${arrived.pathname}`, callback)
        assert.equal(arrived.searchParams.get('session_id'), body['session_id'])
        assert.equal(arrived.searchParams.get('error'), decision === 'deny' ? 'access_denied' : null)
      }
    })
  }

  test('a connection belongs to somebody: neither user_id nor org_code is MISSING_OWNER', async () => {
    for (const owner of [{}, { user_id: '' }, { org_code: '' }, { user_id: '', org_code: '' }]) {
      const answer = await world.authUrl({ key_code_ref: 'none', ...owner })
      assert.equal(answer.status, 400)
      assert.equal(answer.code, 'MISSING_OWNER')
    }
  })

  const OWNERS: readonly (readonly [string | null, string | null])[] = [
    ['ada', 'acme'],
    [null, 'acme'],
    ['ada', null],
    ['12345678901234567890', null],
    ['9007199254740993', '00000000000000000000000000000001'],
    ['007', null],
    ['0', null],
    ['-1', null],
    ['1e3', null],
    ['0x10', null],
    ['1.0', null],
    ['true', 'null'],
    ['Ada Lovelace', 'Größe & Söhne'],
    ['a+b%20c', 'x/y?z#'],
  ]
  for (const [user, org] of OWNERS) {
    test(`an owner comes back as it was given: user ${user}, organisation ${org}`, async () => {
      const owner = { ...(user !== null && { user_id: user }), ...(org !== null && { org_code: org }) }
      const { body } = await world.authUrl({ key_code_ref: 'complete', ...owner })
      const { searchParams } = await world.arrive(String(body['url']))
      const done = await world.complete({
        session_id: searchParams.get('session_id'),
        completion_code: searchParams.get('completion_code'),
        ...owner,
      })
      assert.equal(done.status, 200)
      const { body: item } = await world.connection(String(body['session_id']))
      assert.deepEqual([item['user_id'], item['org_code']], [user, org])
      const { body: list } = await world.ask('GET', '/api/v1/connections', { query: owner })
      const sessions = (list['connections'] as { session_id: string }[]).map(({ session_id }) => session_id)
      assert.ok(sessions.includes(String(body['session_id'])))
    })
  }

  test('an unknown app is 404, and so is one of another tenant', async () => {
    assert.equal((await world.authUrl({ key_code_ref: 'nowhere', user_id: 'ada' })).status, 404)
    const foreign = await world.authUrl({ key_code_ref: 'third', user_id: 'ada' }, 'stranger')
    assert.equal(foreign.status, 404)
    assert.equal(foreign.code, 'APP_NOT_FOUND')
  })

  /** A body that would be taken, and the address it goes to, for every write that has one. */
  const HONEST: Readonly<Record<string, { path?: string; body: Readonly<Record<string, unknown>> }>> = {
    complete_connected_app: { body: { session_id: 'none', completion_code: 'none', user_id: 'ada' } },
    relabel_connection: { body: { label: 'mine' } },
    apply_app: { body: { key_code_ref: 'new', provider: 'sandbox', client_id: 'c', client_secret: 's', user_binding: 'none' } },
    apply_caller: { body: { client_id: 'new', scopes: ['read:connected_apps'], owner: 'ops', expires: '2100-01-01' } },
    disable_caller: { body: { disabled: false } },
    create_webhook: { body: { url: 'https://10.0.0.1/hooks' } },
    rotate_webhook: { body: { secret: `whsec_${'A'.repeat(32)}` } },
    replay_webhook: { body: { from: 'evt_0' } },
  }
  const SMUGGLED = [
    'tenant',
    'tenant_id',
    'allow_private_network',
    'status',
    'state',
    'stage',
    'caller',
    'created_at',
    'sealed',
    'constructor',
    '__proto__',
  ]

  for (const { method, path, operationId, body: schema } of WRITES) {
    test(`S-68 ${operationId} refuses a field that it does not know`, async () => {
      const honest = HONEST[operationId]?.body ?? {}
      assert.equal(schema === undefined, !Object.hasOwn(HONEST, operationId), 'this test knows an honest body where there is one')
      const address = path.replace(/:\w+/, 'nobody') + (operationId.startsWith('revoke') ? '?session_id=nobody' : '')
      const before = await begun()
      for (const field of SMUGGLED) {
        const text = `${JSON.stringify(honest).slice(0, -1)}${schema ? ',' : ''}"${field}":"elsewhere"}`
        const answer = await fetch(new URL(address, world.url), {
          method,
          body: text,
          headers: { authorization: `Bearer ${await world.bearer()}`, 'content-type': 'application/json' },
        })
        const { errors } = (await answer.json()) as { errors: { code: string }[] }
        assert.equal(answer.status, 400, field)
        assert.equal(errors[0]?.code, 'INVALID_REQUEST', field)
      }
      assert.equal(await begun(), before)
      const accepted = await world.ask(method, address, schema ? { json: honest } : {})
      assert.notEqual(accepted.code, 'INVALID_REQUEST', `without it the request is read: ${accepted.text}`)
    })
  }

  test('without a bearer, or with a wrong one, every operation on connected apps is 403 and starts nothing', async () => {
    const before = await begun()
    const operations = ROUTES.filter(({ path }) => path.startsWith('/api/v1/connected_apps/'))
    assert.equal(operations.length, 4)
    for (const { method, path } of operations) {
      for (const headers of [
        {},
        { authorization: 'Bearer wrong' },
        { authorization: 'Basic YTpi' },
        { authorization: 'Bearer ' },
      ]) {
        const answer = await world.ask(method, `${path}?key_code_ref=none&user_id=ada&session_id=x`, { as: null, headers })
        assert.equal(answer.status, 403)
        assert.equal(answer.code, 'INVALID_CREDENTIALS')
      }
    }
    assert.equal(await begun(), before)
  })

  test('an address that does not decode is answered in the form of all errors, and quoted to nobody', async () => {
    const answer = await world.ask('GET', '/api/v1/connections/%E0%A4%A')
    assert.equal(answer.status, 400)
    assert.equal(answer.code, 'INVALID_REQUEST')
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.doesNotMatch(answer.text, /E0/)
  })
})
