/** Callers at `/oauth2/token`: every way in, every refusal, and what becomes of a token whose caller changes. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { apply } from '../../src/core/apply.ts'
import { setCallerDisabled } from '../../src/core/manage.ts'
import type { Ports } from '../../src/core/ports.ts'
import { Secret } from '../../src/core/secret.ts'
import type { CallerSetup } from '../../src/core/setup.ts'
import { type Broker, openBroker } from '../../src/main.ts'
import { type Answer, answerOf, CALLERS, HOUR, MINUTE, MOST_SCOPES, SECOND, STORES, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

const CREDENTIALS = { client_id: 'backend', client_secret: CALLERS.backend.secret }
const GRANT = { grant_type: 'client_credentials' }
const READER = 'read:connected_apps'

type Form = Readonly<Record<string, string>> | [string, string][]

async function grant(form: Form, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const body = new URLSearchParams(form)
  return answerOf(await fetch(`${world.url}/oauth2/token`, { method: 'POST', body, headers }))
}

function basic(id: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

/** Every character percent-encoded, as RFC 6749 allows. */
function encoded(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
}

async function allowed(token: unknown): Promise<number> {
  const headers = { authorization: `Bearer ${String(token)}` }
  return (
    await world.ask('GET', '/api/v1/connected_apps/auth_url', {
      as: null,
      headers,
      query: { key_code_ref: 'none', user_id: 'u' },
    })
  ).status
}

describe('a caller proves itself', () => {
  const { client_id, client_secret } = CREDENTIALS
  const WAYS: Readonly<Record<string, readonly [Form, Record<string, string>?]>> = {
    'in the form': [{ ...GRANT, ...CREDENTIALS }],
    'by HTTP Basic, raw': [GRANT, basic(client_id, client_secret)],
    'by HTTP Basic, percent-encoded': [GRANT, basic(encoded(client_id), encoded(client_secret))],
    'by HTTP Basic in any case': [
      GRANT,
      { authorization: basic(client_id, client_secret).authorization.replace('Basic', 'bAsIc') },
    ],
    'by HTTP Basic with the client id in the form as well': [{ ...GRANT, client_id }, basic(client_id, client_secret)],
  }
  for (const [way, [form, headers]] of Object.entries(WAYS)) {
    test(way, async () => {
      const { status, headers: answered, body } = await grant(form, headers)
      assert.equal(status, 200)
      assert.deepEqual(Object.keys(body), ['access_token', 'token_type', 'expires_in', 'scope'])
      assert.deepEqual([body['token_type'], body['expires_in']], ['bearer', 3600])
      assert.deepEqual([answered.get('cache-control'), answered.get('pragma')], ['no-store', 'no-cache'])
      assert.equal(await allowed(body['access_token']), 200)
    })
  }
})

describe('a caller asks for scopes and an audience', () => {
  const all = MOST_SCOPES.join(' ')
  for (const [asked, granted] of [
    [undefined, all],
    ['', all],
    [' ', all],
    ['openid profile email offline', all],
    [READER, READER],
    ['write:apps  read:connected_apps write:apps', 'read:connected_apps write:apps'],
    [`openid ${READER}`, READER],
  ] as const) {
    test(`scope ${asked === undefined ? 'left out' : `“${asked}”`} grants ${granted === all ? 'all that it has' : granted}`, async () => {
      const { status, body } = await grant({ ...GRANT, ...CREDENTIALS, ...(asked !== undefined && { scope: asked }) })
      assert.deepEqual([status, body['scope']], [200, granted])
    })
  }

  test('a token for less may do less', async () => {
    const { body } = await grant({ ...GRANT, ...CREDENTIALS, scope: READER })
    const headers = { authorization: `Bearer ${String(body['access_token'])}` }
    assert.equal((await world.ask('GET', '/api/v1/apps', { as: null, headers })).code, 'INSUFFICIENT_SCOPE')
    assert.equal(await allowed(body['access_token']), 200)
  })

  for (const scope of ['write:audit', 'admin', 'read:connected_apps admin', '*', '__proto__'])
    test(`scope “${scope}” is more than it has`, async () =>
      refusedAs(await grant({ ...GRANT, ...CREDENTIALS, scope }), 400, 'invalid_scope'))

  test('audience may be ours by whatever host we are known, left out, empty or given twice; another is refused', async () => {
    const form = { ...GRANT, ...CREDENTIALS }
    for (const audience of [`${world.url}/api`, `${world.url}/api/`, 'https://acme.kinde.com/api', ''])
      assert.equal((await grant({ ...form, audience })).status, 200, audience)
    const twice: Form = [...Object.entries(form), ['audience', ''], ['audience', `${world.url}/api`]]
    assert.equal((await grant(twice)).status, 200)
    for (const audience of ['api', world.url, `${world.url}/apis`, 'https://example.com/other'])
      refusedAs(await grant({ ...form, audience }), 400, 'invalid_request')
    refusedAs(await grant([...twice, ['audience', 'https://example.com/other']]), 400, 'invalid_request')
  })
})

describe('a caller is refused', () => {
  test('S-71 in the same words whether its id or its secret is wrong, or nothing was sent', async () => {
    const wrong = { client_id: 'backend', client_secret: 'w'.repeat(44) }
    const answers = [
      await grant({ ...GRANT, ...wrong }),
      await grant({ ...GRANT, ...wrong, client_id: 'nobody' }),
      await grant({ ...GRANT, client_id: 'backend' }),
      await grant({ ...GRANT, client_id: '__proto__', client_secret: 'x' }),
      await grant(GRANT),
      await grant(GRANT, basic('backend', wrong.client_secret)),
      await grant(GRANT, basic('nobody', wrong.client_secret)),
      await grant(GRANT, basic('backend', `${CREDENTIALS.client_secret} `)),
      await grant(GRANT, { authorization: `Basic ${Buffer.from('no colon').toString('base64')}` }),
      await grant(GRANT, { authorization: 'Basic ???' }),
    ]
    for (const answer of answers) {
      refusedAs(answer, 401, 'invalid_client')
      assert.equal(answer.text, answers[0]?.text)
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic realm=/)
    }
  })

  test('S-71 after as many looks into the store, also where its id has been used before', async (t) => {
    const wrong = { ...GRANT, client_secret: 'w'.repeat(44) }
    assert.equal((await grant({ ...GRANT, ...CREDENTIALS })).status, 200)
    const { mock } = t.mock.method(world.broker.ports.store.records, 'caller')
    for (const [looks, client_id] of ['backend', 'nobody', 'backend', 'nobody'].entries()) {
      refusedAs(await grant({ ...wrong, client_id }), 401, 'invalid_client')
      assert.equal(mock.callCount(), looks + 1, client_id)
    }
  })

  const MISTAKES: Readonly<Record<string, readonly [Form, string]>> = {
    'no grant type': [CREDENTIALS, 'invalid_request'],
    'the grant of a user': [{ ...CREDENTIALS, grant_type: 'authorization_code', code: 'x' }, 'unsupported_grant_type'],
    'a password': [{ ...CREDENTIALS, grant_type: 'password', username: 'a', password: 'b' }, 'unsupported_grant_type'],
    'a grant type of another case': [{ ...CREDENTIALS, grant_type: 'CLIENT_CREDENTIALS' }, 'unsupported_grant_type'],
    'a parameter twice': [
      [...Object.entries({ ...CREDENTIALS, ...GRANT }), ['grant_type', 'client_credentials']],
      'invalid_request',
    ],
    'a secret twice': [[...Object.entries({ ...CREDENTIALS, ...GRANT }), ['client_secret', 'x']], 'invalid_request'],
  }
  for (const [mistake, [form, code]] of Object.entries(MISTAKES))
    test(`for ${mistake}, with ${code}`, async () => refusedAs(await grant(form), 400, code))

  test('without keeping everybody waiting, when it has very many parameters', async (t) => {
    const { mock } = t.mock.method(URLSearchParams.prototype, 'getAll')
    const names = Array.from({ length: 5000 }, (_, i): [string, string] => [`p${i}`, ''])
    refusedAs(await grant([...Object.entries({ ...CREDENTIALS, ...GRANT }), ...names, ['p4999', '']]), 400, 'invalid_request')
    assert(mock.callCount() < 100, 'looking for one more looks through all')
  })

  const posted = async (type: string, body: string) =>
    answerOf(await fetch(`${world.url}/oauth2/token`, { method: 'POST', body, headers: { 'content-type': type } }))

  for (const body of [JSON.stringify({ ...GRANT, ...CREDENTIALS }), ''])
    test(`when it sends JSON in place of a form${body && ', and is told what to send'}`, async () => {
      const answer = await posted('application/json', body)
      refusedAs(answer, 400, 'invalid_request')
      assert.match(answer.text, /application\/x-www-form-urlencoded/)
    })

  test('by the limits of all requests, when it sends something else or too much', async () => {
    const { status, code } = await posted('text/plain', 'grant_type=client_credentials')
    assert.deepEqual([status, code], [415, 'UNSUPPORTED_MEDIA_TYPE'])
    const large = await grant({ ...GRANT, ...CREDENTIALS, scope: 'x'.repeat(70_000) })
    assert.deepEqual([large.status, large.code], [413, 'PAYLOAD_TOO_LARGE'])
  })
})

function refusedAs({ status, body, headers, text }: Answer, expected: number, code: string): void {
  assert.deepEqual([status, body['error']], [expected, code], text)
  assert.equal(headers.get('content-type'), 'application/json')
  assert.deepEqual(Object.keys(body), ['error', 'error_description'])
  assert(!text.includes(CREDENTIALS.client_secret))
}

describe('a caller changes while it holds a token', () => {
  const made = { owner: 'ops@example.com', expires: '2100-01-01', client_secret: 'm'.repeat(44) }
  const scopes = ['read:connected_apps', 'create:connected_apps']

  async function making(client_id: string, more: object = {}): Promise<string> {
    const { status, text } = await world.ask('POST', '/api/v1/callers', { json: { client_id, scopes, ...made, ...more } })
    assert.equal(status, 200, text)
    const { body } = await grant({ ...GRANT, client_id, client_secret: made.client_secret })
    assert.equal(await allowed(body['access_token']), 200, 'from now on it is remembered')
    return String(body['access_token'])
  }

  const asMade = async (client_id: string) => (await grant({ ...GRANT, client_id, client_secret: made.client_secret })).status

  test('disabled, it is refused at once, and let in again when it is enabled', async () => {
    const token = await making('to-disable')
    const disabled = await world.ask('PATCH', '/api/v1/callers/to-disable', { json: { disabled: true } })
    assert.deepEqual([disabled.status, disabled.body['disabled']], [200, true])
    assert.deepEqual([await allowed(token), await asMade('to-disable')], [403, 401])
    await world.ask('PATCH', '/api/v1/callers/to-disable', { json: { disabled: false } })
    assert.deepEqual([await allowed(token), await asMade('to-disable')], [200, 200])
  })

  test('a caller that is made so again stays disabled', async () => {
    const token = await making('stays-out')
    await world.ask('PATCH', '/api/v1/callers/stays-out', { json: { disabled: true } })
    await world.ask('POST', '/api/v1/callers', { json: { client_id: 'stays-out', scopes, ...made } })
    assert.deepEqual([await allowed(token), await asMade('stays-out')], [403, 401])
  })

  test('removed, it is refused at once', async () => {
    const token = await making('to-remove')
    assert.equal((await world.ask('DELETE', '/api/v1/callers/to-remove')).status, 200)
    assert.deepEqual([await allowed(token), await asMade('to-remove')], [403, 401])
  })

  test('removed and made anew, under the same id, it is another: what the first one held stays of no use', async () => {
    const token = await making('to-return')
    assert.equal((await world.ask('DELETE', '/api/v1/callers/to-return')).status, 200)
    world.pass(MINUTE)
    const later = await making('to-return')
    assert.deepEqual([await allowed(token), await allowed(later)], [403, 200])
  })

  test('S-82 past its date, it is refused, whatever its token says', async () => {
    const token = await making('to-expire', { expires: new Date(world.now() + 10 * MINUTE).toISOString() })
    world.pass(9 * MINUTE)
    assert.equal(await allowed(token), 200)
    world.pass(MINUTE + SECOND)
    assert.deepEqual([await allowed(token), await asMade('to-expire')], [403, 401])
  })

  test('with fewer scopes, its token can do less at once', async () => {
    const token = await making('to-lessen')
    await world.ask('POST', '/api/v1/callers', { json: { client_id: 'to-lessen', ...made, scopes: ['create:connected_apps'] } })
    assert.equal(await allowed(token), 403)
    const headers = { authorization: `Bearer ${token}` }
    assert.equal(
      (await world.ask('POST', '/api/v1/connected_apps/revoke?session_id=x', { as: null, headers })).code,
      'INVALID_SESSION',
    )
  })

  test('with more scopes, its token can do no more than it was issued for', async () => {
    const token = await making('to-raise', { scopes: ['create:connected_apps', 'read:connected_apps'] })
    await world.ask('POST', '/api/v1/callers', { json: { client_id: 'to-raise', ...made, scopes: [...scopes, 'read:apps'] } })
    const headers = { authorization: `Bearer ${token}` }
    assert.equal((await world.ask('GET', '/api/v1/apps', { as: null, headers })).code, 'INSUFFICIENT_SCOPE')
  })

  test('with another secret, the old one is of no use, and tokens live on', async () => {
    const token = await making('to-rekey')
    await world.ask('POST', '/api/v1/callers', {
      json: { client_id: 'to-rekey', scopes, ...made, client_secret: 'n'.repeat(44) },
    })
    assert.deepEqual([await allowed(token), await asMade('to-rekey')], [200, 401])
    assert.equal((await grant({ ...GRANT, client_id: 'to-rekey', client_secret: 'n'.repeat(44) })).status, 200)
  })

  test('after an hour a token is over', async () => {
    const token = await making('to-age')
    world.pass(HOUR - 5 * SECOND)
    assert.equal(await allowed(token), 200)
    world.pass(10 * SECOND)
    assert.equal(await allowed(token), 403)
  })

  test('S-55 a secret that was generated works, is 40 to 60 letters and digits, and is shown in that answer alone', async () => {
    const wanted = { client_id: 'generated', scopes, owner: 'ops@example.com', expires: null }
    const first = await world.ask('POST', '/api/v1/callers', { json: wanted })
    const secret = String(first.body['client_secret'])
    assert.match(secret, /^[a-zA-Z0-9]{40,60}$/)
    assert.equal((await grant({ ...GRANT, client_id: 'generated', client_secret: secret })).status, 200)
    const again = await world.ask('POST', '/api/v1/callers', { json: wanted })
    const listed = await world.ask('GET', '/api/v1/callers')
    for (const { text } of [again, listed]) assert(!text.includes('secret'), text)
    assert.equal((await grant({ ...GRANT, client_id: 'generated', client_secret: secret })).status, 200)
  })
})

for (const store of STORES) {
  describe(`two change the same caller at once, on ${store}`, () => {
    let shared: World
    /** Beside the one that serves; in memory there is but one. */
    let other: Broker
    before(async () => {
      shared = await startWorld({ store })
      other = store === 'memory' ? shared.broker : await openBroker(shared.config, { logTo: { write: () => {} } })
    })
    after(async () => {
      if (other !== shared.broker) await other.close()
      await shared[Symbol.asyncDispose]()
    })

    const operator = { name: 'operator', tenant: 'default', scopes: new Set(['write:callers'] as const) }
    const as = (clientId: string, clientSecret: Secret | null): CallerSetup => ({
      ...{ clientId, clientSecret, tenant: 'default', scopes: ['read:connected_apps'], owner: 'ops@example.com' },
      ...{ expiresAt: null, pins: {}, dpop: false, rateLimit: null },
    })
    const [old, rotated] = [new Secret('o'.repeat(44)), new Secret('n'.repeat(44))]
    const make = (ports: Ports, wanted: CallerSetup) => apply(ports, 'operator', { providers: [], apps: [], callers: [wanted] })
    const stored = (clientId: string) => other.ports.store.records.caller(clientId)

    /** Has looked at the caller when somebody else, who came later, is done. */
    function overtakenBy(faster: () => Promise<unknown>): Ports {
      const { ports } = other
      const { records } = ports.store
      let overtaken = false
      const caller: typeof records.caller = async (clientId) => {
        const found = await records.caller(clientId)
        if (overtaken) return found
        overtaken = true
        await faster()
        return found
      }
      return { ...ports, store: { ...ports.store, records: { ...records, caller } } }
    }

    const disable = async (clientId: string) => {
      const { status } = await shared.ask('PATCH', `/api/v1/callers/${clientId}`, { json: { disabled: true } })
      assert.equal(status, 200)
    }
    const remove = async (clientId: string) => {
      assert.equal((await shared.ask('DELETE', `/api/v1/callers/${clientId}`)).status, 200)
    }

    test('who gives it another secret does not enable one that is disabled meanwhile', async () => {
      await make(other.ports, as('rotated', old))
      await make(
        overtakenBy(() => disable('rotated')),
        as('rotated', rotated),
      )
      const { disabled, secretHash } = (await stored('rotated')) ?? assert.fail()
      assert.deepEqual([disabled, secretHash], [true, other.ports.hashOf(rotated)])
    })

    test('who disables it does not bring its old secret back', async () => {
      await make(other.ports, as('disabled', old))
      const faster = () => make(shared.broker.ports, as('disabled', rotated))
      const shown = await setCallerDisabled(overtakenBy(faster), operator, 'disabled', true)
      assert.deepEqual(await stored('disabled'), shown)
      assert.deepEqual([shown.disabled, shown.secretHash], [true, other.ports.hashOf(rotated)])
    })

    test('one that is removed meanwhile is made anew, with a secret of its own', async () => {
      await make(other.ports, as('remade', old))
      const wanted = { ...as('remade', null), owner: 'others@example.com' }
      const { generated } = await make(
        overtakenBy(() => remove('remade')),
        wanted,
      )
      const secret = generated.get('remade') ?? assert.fail('it has no secret that anybody knows')
      assert.equal((await stored('remade'))?.secretHash, other.ports.hashOf(secret))
    })

    test('one that is removed meanwhile is not there to be disabled', async () => {
      await make(other.ports, as('gone', old))
      const ports = overtakenBy(() => remove('gone'))
      await assert.rejects(setCallerDisabled(ports, operator, 'gone', true), { code: 'NOT_FOUND' })
      assert.equal(await stored('gone'), null)
    })

    test('of many that are at it at once, each who was told that it is done has done it', async () => {
      const clientIds = Array.from({ length: 6 }, (_, i) => `many-${i}`)
      for (const clientId of clientIds) await make(other.ports, as(clientId, old))
      await Promise.all(clientIds.flatMap((clientId) => [disable(clientId), make(other.ports, as(clientId, rotated))]))
      for (const clientId of clientIds) {
        const { disabled, secretHash } = (await stored(clientId)) ?? assert.fail()
        assert.deepEqual([disabled, secretHash], [true, other.ports.hashOf(rotated)])
      }
    })
  })
}
