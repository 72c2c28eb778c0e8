/** Callers that are pinned to apps and addresses: what lies outside is refused and told of, and lists show only what lies inside. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ROUTES } from '../../src/http/routes.ts'
import { Browser } from '../browser-stand-in.ts'
import { answerOf, MINUTE, MOST_SCOPES, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

const secret = 'p'.repeat(44)

async function made(client_id: string, more: object, as: 'backend' | null = 'backend', headers = {}) {
  const json = { client_id, client_secret: secret, scopes: MOST_SCOPES, owner: 'ops@example.com', expires: '2100-01-01', ...more }
  return world.ask('POST', '/api/v1/callers', { json, as, headers })
}

function asked(client_id: string, headers: Readonly<Record<string, string>> = {}) {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret: secret })
  return fetch(`${world.url}/oauth2/token`, { method: 'POST', body, headers }).then(answerOf)
}

async function bearerOf(client_id: string, more: object): Promise<{ as: null; headers: Record<string, string> }> {
  const { status, text } = await made(client_id, more)
  assert.equal(status, 200, text)
  return { as: null, headers: { authorization: `Bearer ${String((await asked(client_id)).body['access_token'])}` } }
}

const latest = async () => (await world.broker.ports.store.history('default', { before: null, limit: 1 }))[0]

describe('S-63 a caller that is pinned to apps', () => {
  test('gets, revokes, reads, labels and deletes inside, and outside it is 403 and on record', async () => {
    const pinned = await bearerOf('pinned', { pins: { apps: ['none'] } })
    const [inside, outside] = [await world.connect('none', 'in'), await world.connect('confirm', 'out')]
    const pending = String((await world.authUrl({ key_code_ref: 'confirm', user_id: 'out' })).body['session_id'])
    const operations = (session: string) =>
      [
        ['GET', '/api/v1/connected_apps/token', { query: { session_id: session } }],
        ['GET', `/api/v1/connections/${session}`, {}],
        ['PATCH', `/api/v1/connections/${session}`, { json: { label: 'new' } }],
        ['POST', '/api/v1/connected_apps/revoke', { query: { session_id: session } }],
        ['DELETE', `/api/v1/connections/${session}`, {}],
      ] as const
    const requests = world.sandbox.control.count('revoke')
    for (const [method, path, options] of operations(outside)) {
      const refused = await world.ask(method, path, { ...options, ...pinned })
      assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'], path)
      const told = await latest()
      assert.deepEqual(
        [told?.actor, told?.action, told?.subject, told?.reason],
        ['pinned', 'access.refused', outside, 'outside_pins app'],
      )
    }
    assert.equal(world.sandbox.control.count('revoke'), requests)
    assert.equal((await world.token(outside)).status, 200, 'and all of it is as it was')
    assert.equal((await world.connection(outside)).body['label'], null)

    for (const [method, path, options] of operations(pending).filter(([method]) => method !== 'PATCH' && method !== 'DELETE')) {
      const refused = await world.ask(method, path, { ...options, ...pinned })
      assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'], `${path} while it is pending`)
    }
    for (const [method, path, options] of operations(inside))
      assert.equal((await world.ask(method, path, { ...options, ...pinned })).status, 200, path)
    const unknown = await world.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: 'nothing' }, ...pinned })
    assert.equal(unknown.code, 'INVALID_SESSION')
  })

  test('starts connections of its apps only, and completes none that it was pinned away from', async () => {
    const pinned = await bearerOf('starter', { pins: { apps: ['none', 'complete'] } })
    const start = (key_code_ref: string) =>
      world.ask('GET', '/api/v1/connected_apps/auth_url', { query: { key_code_ref, user_id: 'u' }, ...pinned })
    assert.equal((await start('none')).status, 200)
    for (const app of ['confirm', 'nowhere'])
      assert.deepEqual([(await start(app)).status, (await start(app)).code], [403, 'OUTSIDE_PINS'])

    const begun = await start('complete')
    const arrived = (await world.arrive(String(begun.body['url']), new Browser())).searchParams
    await made('starter', { pins: { apps: ['none'] } })
    const json = { session_id: arrived.get('session_id'), completion_code: arrived.get('completion_code'), user_id: 'u' }
    const { redeemed } = world
    const refused = await world.ask('POST', '/api/v1/connected_apps/complete', { json, ...pinned })
    assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'])
    assert.equal(world.redeemed, redeemed)
  })

  test('sees in lists only what lies inside, page by page', async () => {
    const pinned = await bearerOf('lister', { pins: { apps: ['none'] } })
    for (let i = 0; i < 3; i++) {
      await world.connect('none', 'listed')
      await world.connect('confirm', 'listed')
    }
    await world.authUrl({ key_code_ref: 'confirm', user_id: 'listed' })
    await world.authUrl({ key_code_ref: 'none', user_id: 'listed' })
    const list = async (query: Readonly<Record<string, string>>) =>
      (await world.ask('GET', '/api/v1/connections', { query, ...pinned })).body as {
        connections: { key_code_ref: string }[]
        next_token: string | null
      }
    const seen: string[] = []
    for (let next: string | null = ''; next !== null; ) {
      const page = await list({ user_id: 'listed', page_size: '2', ...(next && { next_token: next }) })
      seen.push(...page.connections.map(({ key_code_ref }) => key_code_ref))
      next = page.next_token
    }
    assert.deepEqual(seen, ['none', 'none', 'none'])
    assert.deepEqual((await list({ key_code_ref: 'confirm' })).connections, [])
    const pending = await list({ state: 'pending', user_id: 'listed' })
    assert.deepEqual(
      pending.connections.map(({ key_code_ref }) => key_code_ref),
      ['none'],
    )

    const apps = await world.ask('GET', '/api/v1/apps', pinned)
    assert.deepEqual(
      (apps.body['apps'] as { key_code_ref: string }[]).map(({ key_code_ref }) => key_code_ref),
      ['none'],
    )
    const events = await world.ask('GET', '/api/v1/events', { query: { page_size: '500' }, ...pinned })
    const about = (events.body['events'] as { data: { key_code_ref: string } }[]).map(({ data }) => data.key_code_ref)
    assert.deepEqual([...new Set(about)], ['none'])
  })

  test('is refused whatever is of the whole tenant, whichever route that is', async () => {
    const pinned = await bearerOf('narrow', { pins: { apps: ['none'] } })
    const wide = ROUTES.filter(({ path }) => /callers|webhooks/.test(path))
    assert(wide.length > 8)
    for (const { method, path, operationId } of wide) {
      const json = { client_id: 'x', scopes: ['read:apps'], owner: 'o', url: 'https://a.example', disabled: true, from: 'evt_1' }
      const fields = ROUTES.find((route) => route.operationId === operationId)?.body?.properties ?? {}
      const body = Object.fromEntries(Object.entries(json).filter(([name]) => name in fields))
      const at = path.replace(/:\w+/, 'backend')
      const refused = await world.ask(method, at, { ...(method !== 'GET' && { json: body }), ...pinned })
      assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'], operationId)
    }
    for (const [method, path] of [
      ['GET', '/api/v1/apps/confirm'],
      ['DELETE', '/api/v1/apps/confirm'],
    ] as const)
      assert.equal((await world.ask(method, path, pinned)).code, 'OUTSIDE_PINS')
    assert.equal((await world.ask('GET', '/api/v1/apps/none', pinned)).status, 200)
  })
})

describe('S-63 a caller that is pinned to addresses', () => {
  test('gets no token from elsewhere, and a token that it holds is of no use there', async () => {
    const near = await bearerOf('near', { pins: { ip: ['127.0.0.0/8', '2001:db8::/32'] } })
    assert.equal((await world.ask('GET', '/api/v1/apps', near)).status, 200)
    await made('near', { pins: { ip: ['203.0.113.0/24'] } })
    const refused = await world.ask('GET', '/api/v1/apps', near)
    assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'])
    assert.deepEqual([(await latest())?.actor, (await latest())?.reason], ['near', 'outside_pins address'])
    const { status, body } = await asked('near')
    assert.deepEqual([status, body['error']], [400, 'unauthorized_client'])
    assert.deepEqual([(await latest())?.actor, (await latest())?.reason], ['near', 'outside_pins address'])
  })

  test('S-72 cannot say itself where it asks from', async () => {
    await made('far', { pins: { ip: ['203.0.113.0/24'] } })
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip'])
      assert.equal((await asked('far', { [name]: name === 'forwarded' ? 'for=203.0.113.7' : '203.0.113.7' })).status, 400, name)
  })

  test('makes no caller that may ask from elsewhere', async () => {
    const near = await bearerOf('maker', { pins: { ip: ['127.0.0.0/8', '::1'] } })
    for (const pins of [undefined, {}, { ip: ['0.0.0.0/0'] }, { ip: ['127.0.0.0/8', '203.0.113.7'] }]) {
      const refused = await made('wider', { ...(pins && { pins }) }, null, near.headers)
      assert.deepEqual([refused.status, refused.code], [403, 'OUTSIDE_PINS'])
    }
    assert.equal((await made('narrower', { pins: { ip: ['::1'] } }, null, near.headers)).status, 200)
  })

  test('is refused ranges that mean nothing, before anything changes', async () => {
    for (const ip of [
      '',
      'localhost',
      '10.0.0.1/8',
      '10.0.0.0/33',
      '10.0.0',
      '::ffff:10.0.0.1',
      '2001:db8::1/32',
      '10.0.0.0/8/8',
      '010.0.0.0/8',
    ]) {
      const refused = await made('nonsense', { pins: { ip: [ip] } })
      assert.deepEqual([refused.status, refused.code], [400, 'INVALID_REQUEST'], ip)
    }
    for (const pins of [{ apps: [] }, { ip: [] }, { users: ['u'] }])
      assert.equal((await made('nonsense', { pins })).code, 'INVALID_REQUEST')
    assert(!(await world.ask('GET', '/api/v1/callers')).text.includes('nonsense'))
  })
})

test('the listing of callers says what each is held to, and when it was last there', async () => {
  await made('seen', { pins: { apps: ['none'], ip: ['127.0.0.1'] }, rate_limit: '500/min', dpop: 'optional' })
  const item = async () => {
    const { body } = await world.ask('GET', '/api/v1/callers')
    return (body['callers'] as Readonly<Record<string, unknown>>[]).find(({ client_id }) => client_id === 'seen')
  }
  const before = await item()
  assert.deepEqual(before?.['pins'], { apps: ['none'], ip: ['127.0.0.1'] })
  assert.deepEqual([before?.['rate_limit'], before?.['dpop'], before?.['last_used_at']], ['500/min', 'optional', null])
  const authorization = `Bearer ${String((await asked('seen')).body['access_token'])}`
  const { ports } = world.broker
  await ports.callersSeen.write(ports.store.records)
  const first = Date.parse(String((await item())?.['last_used_at']))
  assert(world.now() - first < 2 * MINUTE && first % MINUTE === 0, String(first))
  world.pass(5 * MINUTE)
  assert.equal((await world.ask('GET', '/api/v1/apps', { as: null, headers: { authorization } })).status, 200)
  assert.equal(Date.parse(String((await item())?.['last_used_at'])), first, 'no request writes')
  await ports.callersSeen.write(ports.store.records)
  assert.equal(Date.parse(String((await item())?.['last_used_at'])), first + 5 * MINUTE)
})
