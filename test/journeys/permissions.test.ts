/** Who may do what, over every operation there is: scopes, tenants, and guesses. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Scope } from '../../src/core/caller.ts'
import { noteUsage } from '../../src/core/usage.ts'
import { ROUTES, type Route } from '../../src/http/routes.ts'
import { Browser } from '../browser-stand-in.ts'
import { type Answer, type AskOptions, answerOf, MINUTE, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

/** What an operation is asked about; each exists, and belongs to the default tenant. */
interface Targets {
  readonly session: string
  readonly held: { readonly session: string; readonly code: string }
  readonly app: string
  readonly caller: string
  readonly webhook: string
}

type Request = readonly [path: string, options?: Pick<AskOptions, 'query' | 'json'>]

const made = { owner: 'ops@example.com', expires: '2100-01-01', client_secret: 'm'.repeat(44) }

/** For each operation a request that somebody who may would succeed with. */
function requests({ session, held, app, caller, webhook }: Targets): Readonly<Record<string, Request>> {
  return {
    get_connected_app_auth_url: ['/api/v1/connected_apps/auth_url', { query: { key_code_ref: app, user_id: 'u' } }],
    get_connected_app_token: ['/api/v1/connected_apps/token', { query: { session_id: session } }],
    revoke_connected_app_token: ['/api/v1/connected_apps/revoke', { query: { session_id: session } }],
    complete_connected_app: [
      '/api/v1/connected_apps/complete',
      { json: { session_id: held.session, completion_code: held.code, user_id: 'held' } },
    ],
    list_connections: ['/api/v1/connections'],
    get_connection: [`/api/v1/connections/${session}`],
    relabel_connection: [`/api/v1/connections/${session}`, { json: { label: 'relabelled' } }],
    delete_connection: [`/api/v1/connections/${session}`],
    list_events: ['/api/v1/events'],
    list_audit: ['/api/v1/audit'],
    list_webhooks: ['/api/v1/webhooks'],
    create_webhook: ['/api/v1/webhooks', { json: { url: 'https://10.0.0.1/new' } }],
    remove_webhook: [`/api/v1/webhooks/${webhook}`],
    rotate_webhook: [`/api/v1/webhooks/${webhook}/rotate`, { json: {} }],
    test_webhook: [`/api/v1/webhooks/${webhook}/test`],
    list_deliveries: [`/api/v1/webhooks/${webhook}/deliveries`],
    replay_webhook: [`/api/v1/webhooks/${webhook}/replay`, { json: { from: '2020-01-01' } }],
    list_apps: ['/api/v1/apps'],
    apply_app: [
      '/api/v1/apps',
      { json: { key_code_ref: app, provider: 'sandbox', client_id: `changed-${app}`, client_secret: 's', user_binding: 'none' } },
    ],
    get_app: [`/api/v1/apps/${app}`],
    remove_app: [`/api/v1/apps/${app}`],
    list_providers: ['/api/v1/providers'],
    list_callers: ['/api/v1/callers'],
    apply_caller: ['/api/v1/callers', { json: { client_id: caller, scopes: ['write:callers'], ...made } }],
    disable_caller: [`/api/v1/callers/${caller}`, { json: { disabled: true } }],
    remove_caller: [`/api/v1/callers/${caller}`],
  }
}

let count = 0

async function targets(): Promise<Targets> {
  const [app, caller] = [`app-${++count}`, `caller-${count}`]
  const definition = { ...world.sandbox.app(), key_code_ref: app, user_binding: 'none' }
  assert.equal((await world.ask('POST', '/api/v1/apps', { json: definition })).status, 200)
  const json = { client_id: caller, scopes: ['read:apps'], ...made }
  assert.equal((await world.ask('POST', '/api/v1/callers', { json })).status, 200)
  const hooked = await world.ask('POST', '/api/v1/webhooks', { json: { url: 'https://10.0.0.1/target' } })
  assert.equal(hooked.status, 200)
  const { body } = await world.authUrl({ key_code_ref: 'complete', user_id: 'held' })
  const arrived = (await world.arrive(String(body['url']), new Browser())).searchParams
  const held = { session: arrived.get('session_id') ?? '', code: arrived.get('completion_code') ?? '' }
  return { session: await world.connect('none', 'target'), held, app, caller, webhook: String(hooked.body['id']) }
}

function requestTo(route: Route, about: Targets): Request {
  return requests(about)[route.operationId] ?? assert.fail(`say here how ${route.operationId} is asked`)
}

/** Everything that an operation could have changed. */
async function everything(): Promise<string> {
  // What was handed out before is noted by the clock, once a minute: not in the middle of a comparison.
  await noteUsage(world.broker.ports, world.broker.ports.usage)
  const [connections, pending, apps, callers, webhooks] = await Promise.all([
    world.ask('GET', '/api/v1/connections', { query: { page_size: '500' } }),
    world.ask('GET', '/api/v1/connections', { query: { page_size: '500', state: 'pending' } }),
    world.ask('GET', '/api/v1/apps'),
    world.ask('GET', '/api/v1/callers'),
    world.ask('GET', '/api/v1/webhooks'),
  ])
  const { token, refresh, revoke } = world.sandbox.control.counters
  // When they were last there is written now and then, by the clock.
  const known = (callers.body['callers'] as object[]).map((one) => ({ ...one, last_used_at: null }))
  return JSON.stringify([connections.body, pending.body, apps.body, known, webhooks.body, { token, refresh, revoke }], null, 1)
}

/** A caller of the default tenant with exactly these scopes. */
async function bearerWith(scopes: readonly string[]): Promise<Record<string, string>> {
  const client_id = `with-${scopes.join('.').replaceAll(':', '_').slice(-55)}`
  const { status, text } = await world.ask('POST', '/api/v1/callers', { json: { client_id, scopes, ...made } })
  assert.equal(status, 200, text)
  return bearerOf(client_id)
}

async function bearerOf(client_id: string): Promise<Record<string, string>> {
  const form = { grant_type: 'client_credentials', client_id, client_secret: made.client_secret }
  const { body } = await answerOf(await fetch(`${world.url}/oauth2/token`, { method: 'POST', body: new URLSearchParams(form) }))
  return { authorization: `Bearer ${String(body['access_token'])}` }
}

const SCOPES = [...new Set(ROUTES.map(({ scope }) => scope))]
const allBut = (scope: Scope): Scope[] => SCOPES.filter((other) => other !== scope)

describe('scopes', () => {
  for (const route of ROUTES) {
    test(`${route.operationId} needs ${route.scope}: with all others it is 403 and nothing happens, with it alone it works`, async () => {
      const about = await targets()
      const [path, options] = requestTo(route, about)
      const without = await bearerWith(allBut(route.scope))
      const with_ = await bearerWith([route.scope])
      const before = await everything()
      const refused = await world.ask(route.method, path, { ...options, as: null, headers: without })
      assert.deepEqual([refused.status, refused.code], [403, 'INSUFFICIENT_SCOPE'])
      assert.equal(refused.body['result'], `this needs the scope ${route.scope}`)
      assert.equal(await everything(), before)
      const told = await world.toldLast()
      assert.deepEqual([told?.action, told?.reason], ['access.refused', route.scope])

      const allowed = await world.ask(route.method, path, { ...options, as: null, headers: with_ })
      // Beyond the scope, only who started a connection may complete it.
      assert.equal(allowed.status, route.operationId === 'complete_connected_app' ? 404 : 200, allowed.text)
    })

    test(`${route.operationId} needs a bearer, and says no more than that without one`, async () => {
      const about = { session: 's', held: { session: 's', code: 'c' }, app: 'a', caller: 'c', webhook: 'w' }
      const [path, options] = requestTo(route, about)
      for (const headers of [{}, { authorization: 'Bearer x.y.z' }]) {
        const { status, code, headers: answered } = await world.ask(route.method, path, { ...options, as: null, headers })
        assert.deepEqual([status, code, answered.get('content-type')], [403, 'INVALID_CREDENTIALS', 'application/json'])
      }
    })
  }

  test('nobody can give scopes that they do not have', async () => {
    const headers = await bearerWith(['write:callers', 'read:apps'])
    const json = { client_id: 'more', scopes: ['read:apps', 'write:apps'], ...made }
    const refused = await world.ask('POST', '/api/v1/callers', { as: null, headers, json })
    assert.deepEqual([refused.status, refused.code], [403, 'INSUFFICIENT_SCOPE'])
    assert.match(refused.text, /write:apps/)
    assert(!(await world.ask('GET', '/api/v1/callers')).text.includes('"more"'))
  })

  test('S-82 nobody can give a scope that manages for longer than they have theirs, themselves included', async () => {
    const ask = (headers: Readonly<Record<string, string>>, json: object) =>
      world.ask('POST', '/api/v1/callers', { as: null, headers, json: { ...made, ...json } })
    const passing = { client_id: 'passing', scopes: ['write:callers', 'read:connected_apps'], expires: '2099-01-01' }
    assert.equal((await world.ask('POST', '/api/v1/callers', { json: { ...made, ...passing } })).status, 200)
    const headers = await bearerOf('passing')
    for (const given of [passing, { ...passing, client_id: 'twin' }]) {
      const refused = await ask(headers, { ...given, expires: '2099-01-02' })
      assert.deepEqual([refused.status, refused.code], [400, 'INVALID_REQUEST'])
      assert.match(refused.text, /later than 2099-01-01T/)
      assert.equal((await ask(headers, given)).status, 200)
    }
    assert.equal((await ask(headers, { client_id: 'app', scopes: ['read:connected_apps'], expires: '2100-01-01' })).status, 200)
  })

  test('S-82 an end that is empty, as a variable that was not set leaves it, is no leave to go on for ever', async () => {
    const json = { ...made, client_id: 'endless', scopes: ['read:connected_apps'], expires: '' }
    const refused = await world.ask('POST', '/api/v1/callers', { json })
    assert.deepEqual([refused.status, refused.code], [400, 'INVALID_REQUEST'], refused.text)
    assert.match(refused.text, /expires/)
    const never = await world.ask('POST', '/api/v1/callers', { json: { ...json, expires: null } })
    assert.deepEqual([never.status, never.body['expires']], [200, null])
  })

  test('S-80 nobody who manages callers can act under a name that the history gives to others', async () => {
    const headers = await bearerWith(['write:callers'])
    for (const client_id of ['browser', 'broker', 'operator']) {
      const json = { client_id, scopes: ['write:callers'], ...made }
      const refused = await world.ask('POST', '/api/v1/callers', { as: null, headers, json })
      assert.deepEqual([refused.status, refused.code], [400, 'INVALID_REQUEST'])
      assert.match(refused.text, /the history calls others so/)
      assert.equal((await world.ask('PATCH', `/api/v1/callers/${client_id}`, { json: { disabled: true } })).status, 404)
    }
  })

  test('S-68 an unknown field in any body is refused, and nothing is written', async () => {
    const about = await targets()
    for (const route of ROUTES.filter(({ body }) => body)) {
      const [path, options] = requestTo(route, about)
      const before = await everything()
      for (const extra of [{ tenant: 'elsewhere' }, { state: 'connected' }, { tenant_id: 'x' }]) {
        const refused = await world.ask(route.method, path, { json: { ...(options?.json as object), ...extra } })
        assert.deepEqual([refused.status, refused.code], [400, 'INVALID_REQUEST'], route.operationId)
        assert.match(refused.text, new RegExp(Object.keys(extra)[0]!))
      }
      assert.equal(await everything(), before)
    }
  })
})

describe('S-57 another tenant', () => {
  /** What a stranger gets: the same as for what is not there at all. */
  const EXPECTED: Readonly<Record<string, readonly [status: number, code: string | null]>> = {
    get_connected_app_auth_url: [404, 'APP_NOT_FOUND'],
    get_connected_app_token: [400, 'INVALID_SESSION'],
    revoke_connected_app_token: [400, 'INVALID_SESSION'],
    complete_connected_app: [404, 'NOT_FOUND'],
    list_connections: [200, null],
    get_connection: [404, 'NOT_FOUND'],
    relabel_connection: [404, 'NOT_FOUND'],
    delete_connection: [404, 'NOT_FOUND'],
    list_events: [200, null],
    list_audit: [200, null],
    list_webhooks: [200, null],
    create_webhook: [200, null], // one of the stranger's own
    remove_webhook: [404, 'NOT_FOUND'],
    rotate_webhook: [404, 'NOT_FOUND'],
    test_webhook: [404, 'NOT_FOUND'],
    list_deliveries: [404, 'NOT_FOUND'],
    replay_webhook: [404, 'NOT_FOUND'],
    list_apps: [200, null],
    apply_app: [200, null], // one of the stranger's own, of the same name
    get_app: [404, 'APP_NOT_FOUND'],
    remove_app: [404, 'APP_NOT_FOUND'],
    list_providers: [200, null],
    list_callers: [200, null],
    apply_caller: [409, 'CONFLICT'],
    disable_caller: [404, 'NOT_FOUND'],
    remove_caller: [404, 'NOT_FOUND'],
  }

  for (const route of ROUTES) {
    test(`sees and changes nothing of ours: ${route.operationId}`, async () => {
      const about = await targets()
      const [path, options] = requestTo(route, about)
      const before = await everything()
      const { redeemed } = world
      const answer = await world.ask(route.method, path, { ...options, as: 'stranger' })
      assert.deepEqual(
        [answer.status, answer.code],
        EXPECTED[route.operationId] ?? assert.fail(`say here what ${route.operationId} answers`),
      )
      if (route.method === 'GET') {
        // What was asked for may be named in the refusal.
        for (const ours of [about.session, about.app, about.caller, about.webhook, 'target', '"default"'])
          assert(!answer.text.includes(ours) || answer.status >= 400, ours)
      }
      // A completion burns what the wrong caller wants to complete: that is changed on purpose.
      if (route.operationId !== 'complete_connected_app') assert.equal(await everything(), before)
      assert.equal(world.redeemed, redeemed)
    })
  }

  test('learns from no refusal whether there is such a thing elsewhere', async () => {
    const there = await targets()
    const nowhere: Targets = {
      session: 's'.repeat(there.session.length),
      held: { session: 'h'.repeat(there.held.session.length), code: 'c'.repeat(there.held.code.length) },
      app: 'x'.repeat(there.app.length),
      caller: 'y'.repeat(there.caller.length),
      webhook: 'w'.repeat(there.webhook.length),
    }
    const blank = (text: string, { session, app, caller, webhook }: Targets) =>
      [session, app, caller, webhook].reduce((blanked, name) => blanked.replaceAll(name, '*'), text)
    for (const route of ROUTES.filter(({ operationId }) => EXPECTED[operationId]![0] >= 400 && operationId !== 'apply_caller')) {
      const asked = async (about: Targets): Promise<Answer> => {
        const [path, options] = requestTo(route, about)
        return world.ask(route.method, path, { ...options, as: 'stranger' })
      }
      const [foreign, missing] = [await asked(there), await asked(nowhere)]
      assert.equal(blank(foreign.text, there), blank(missing.text, nowhere), route.operationId)
      assert.equal(foreign.status, missing.status)
    }
  })

  test('gets at nothing by naming our owners, labels, sessions or pages', async () => {
    const { session, app } = await targets()
    await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'ours' } })
    for (const query of [
      { user_id: 'target' },
      { label: 'ours' },
      { key_code_ref: 'none' },
      { state: 'connected' },
      { state: 'pending' },
    ]) {
      const { status, body } = await world.ask('GET', '/api/v1/connections', { as: 'stranger', query })
      assert.deepEqual([status, body['connections']], [200, []])
    }
    const page = await world.ask('GET', '/api/v1/connections', { query: { page_size: '1' } })
    const next = { next_token: String(page.body['next_token']) }
    assert.deepEqual((await world.ask('GET', '/api/v1/connections', { as: 'stranger', query: next })).body['connections'], [])
    const again = await world.authUrl({ key_code_ref: 'none', user_id: 'target', session_id: session }, 'stranger')
    assert.deepEqual([again.status, again.code], [400, 'INVALID_SESSION'])
    assert.equal((await world.token(session)).status, 200)
    assert.equal((await world.ask('GET', `/api/v1/apps/${app}`)).status, 200)
  })

  test('is not told whose a client id is', async () => {
    const { text } = await world.ask('POST', '/api/v1/callers', {
      as: 'stranger',
      json: { client_id: 'backend', scopes: ['read:apps'], ...made },
    })
    assert(!text.includes('default'), text)
    assert.equal((await world.ask('GET', '/api/v1/apps')).status, 200, 'and ours is as it was')
  })
})

describe('S-75 guesses', () => {
  const guessing = async (make: (world: World) => Promise<Answer>): Promise<void> => {
    const small = await startWorld({ failedGuessesPerMinute: 5 })
    try {
      const good = await small.bearer()
      const answers = []
      for (let time = 0; time < 8; time++) answers.push(await make(small))
      const limited = answers.map(({ status }) => status === 429)
      assert.deepEqual(limited, [false, false, false, false, false, true, true, true])
      for (const { code, headers } of answers.slice(5)) {
        assert.equal(code, 'TOO_MANY_REQUESTS')
        const wait = Number(headers.get('retry-after'))
        assert(wait >= 1 && wait <= 60, `wait ${wait}`)
        assert.equal(headers.get('ratelimit-reset'), String(wait))
      }
      const headers = { authorization: `Bearer ${good}` }
      assert.equal(
        (await small.ask('GET', '/api/v1/apps', { as: null, headers })).status,
        200,
        'whoever knows is never told to wait',
      )
      assert.notEqual((await make(small)).status, 200)
      small.pass(MINUTE)
      assert.notEqual((await make(small)).status, 429)
      assert.equal((await small.ask('GET', '/api/v1/apps')).status, 200)
    } finally {
      await small[Symbol.asyncDispose]()
    }
  }

  test('of bearers are counted by address, and those who know pass', () =>
    guessing((small) =>
      small.ask('GET', '/api/v1/connected_apps/token?session_id=x', { as: null, headers: { authorization: 'Bearer x' } }),
    ))

  test('of client secrets are counted too', () =>
    guessing(async (small) => {
      const form = { grant_type: 'client_credentials', client_id: 'backend', client_secret: 'w'.repeat(44) }
      return answerOf(await fetch(`${small.url}/oauth2/token`, { method: 'POST', body: new URLSearchParams(form) }))
    }))

  test('that are none, such as an unknown session or a scope that is missing, are not counted', async (t) => {
    const small = await startWorld({ failedGuessesPerMinute: 2 })
    t.after(() => small[Symbol.asyncDispose]())
    for (let time = 0; time < 5; time++) {
      assert.equal((await small.token('nothing')).status, 400)
      assert.equal((await small.ask('GET', '/api/v1/apps', { as: 'reader' })).status, 403)
    }
    assert.equal((await small.token('nothing')).status, 400)
  })
})
