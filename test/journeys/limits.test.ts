/** What the server takes and what it does not: sizes, broken requests, and how it tells of itself. */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { ROUTES } from '../../src/http/routes.ts'
import { mayBeLeftOut } from '../../src/http/schemas.ts'
import { type Answer, answerOf, HOUR, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

interface Told {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** As it is written, to the last byte; resolves when the server has closed the connection. */
async function raw(request: string): Promise<Told> {
  const { hostname, port } = new URL(world.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  socket.write(request)
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n', 2)
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head, body }
}

async function get(path: string, more = ''): Promise<Told> {
  return raw(
    `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${await world.bearer()}\r\n${more}connection: close\r\n\r\n`,
  )
}

/** In the form of all errors, and with nothing in it of how we are made. */
function refusedAs({ status, head, body }: Told, expected: number, code: string): void {
  assert.equal(status, expected, head + body)
  assert.match(head, /^content-type: application\/json\r?$/im)
  const { result, errors } = JSON.parse(body) as { result: string; errors: { code: string; message: string }[] }
  assert.deepEqual(errors, [{ code, message: result }])
  assertNoInsides(body)
}

function assertNoInsides(body: string): void {
  assert.doesNotMatch(body, /\bat \S+ \(|\bat file:|node:|node_modules|\.ts\b|FST_|ERR_|HPE_|stack/)
}

describe('sizes', () => {
  test('a header that is too large is 431', async () => {
    assert.equal((await get('/api/v1/apps', `x-large: ${'x'.repeat(12_000)}\r\n`)).status, 200)
    refusedAs(await get('/api/v1/apps', `x-large: ${'x'.repeat(17_000)}\r\n`), 431, 'HEADERS_TOO_LARGE')
  })

  test('headers that are too many are 431', async () => {
    refusedAs(await get('/api/v1/apps', 'x-many: xxxxxxxxxxxxxxxx\r\n'.repeat(1000)), 431, 'HEADERS_TOO_LARGE')
  })

  test('an address that is too long is 414, wherever it leads', async () => {
    for (const path of ['/api/v1/connections', '/api/v1/nothing', '/healthz']) {
      assert.notEqual((await get(`${path}?label=${'x'.repeat(8000)}`)).status, 414)
      refusedAs(await get(`${path}?label=${'x'.repeat(9000)}`), 414, 'URI_TOO_LONG')
    }
  })

  test('a body that is too large is 413, whether its length is told or not', async () => {
    const headers = { authorization: `Bearer ${await world.bearer()}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ label: 'x'.repeat(70_000) })
    for (const sent of [body, new Blob([body]).stream()]) {
      const init = { method: 'POST', headers, body: sent, duplex: 'half' } as RequestInit
      const answer = await answerOf(await fetch(`${world.url}/api/v1/apps`, init))
      assert.deepEqual([answer.status, answer.code], [413, 'PAYLOAD_TOO_LARGE'])
    }
  })

  test('values longer than anything honest are refused before anything is looked up', async () => {
    const long = 'x'.repeat(513)
    for (const [path, query] of [
      ['auth_url', { key_code_ref: 'none', user_id: long }],
      ['auth_url', { key_code_ref: 'none', org_code: long }],
      ['auth_url', { key_code_ref: long, user_id: 'u' }],
      ['token', { session_id: long }],
      ['token', { session_id: '' }],
    ] as const) {
      const { status, code } = await world.ask('GET', `/api/v1/connected_apps/${path}`, { query })
      assert.deepEqual([status, code], [400, 'INVALID_REQUEST'])
    }
  })

  test('a word that is none of those it may be is refused with those it may be', async () => {
    const app = { key_code_ref: 'x', provider: 'sandbox', client_id: 'x' }
    const caller = { client_id: 'x', scopes: ['read:connected_apps'], owner: 'o' }
    const asked: readonly (readonly [string, Promise<Answer>])[] = [
      ['query.state', world.ask('GET', '/api/v1/connections', { query: { state: 'well' } })],
      ['query.state', world.ask('GET', '/api/v1/webhooks/x/deliveries', { query: { state: 'well' } })],
      ['query.type', world.ask('GET', '/api/v1/events', { query: { type: 'well' } })],
      ['body.user_binding', world.ask('POST', '/api/v1/apps', { json: { ...app, user_binding: 'well' } })],
      ['body.dpop', world.ask('POST', '/api/v1/callers', { json: { ...caller, dpop: 'well' } })],
    ]
    for (const [where, answer] of asked) {
      const { status, code, body } = await answer
      assert.deepEqual([status, code], [400, 'INVALID_REQUEST'])
      assert.match(String(body['result']), new RegExp(`^${where} must be equal to one of the allowed values: [\\w.]+, [\\w.]+`))
    }
  })

  test('what no database holds as it is makes no id and no label: it would come back as another', async () => {
    const session = await world.connect()
    const asked: Promise<Answer>[] = []
    for (const label of ['ada\u0000', '\ud83d and half of a pair'])
      asked.push(world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label } }))
    for (const name of ['user_id', 'org_code']) asked.push(world.authUrl({ key_code_ref: 'none', [name]: 'ada\u0000' }))
    for (const { status, code, body } of await Promise.all(asked)) {
      assert.deepEqual([status, code], [400, 'INVALID_REQUEST'])
      assert.match(String(body['result']), /(user_id|org_code|label) has U\+0000 or half of a surrogate pair in it$/)
    }
    const { status, body } = await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'naïve 🔑' } })
    assert.deepEqual([status, body['label']], [200, 'naïve 🔑'])
  })
})

describe('bodies', () => {
  const withBody = ROUTES.filter(({ body, method }) => body && method !== 'DELETE')
  for (const { method, path, operationId, body: schema } of withBody) {
    test(`${operationId} refuses what is not the JSON it takes, and tells where`, async () => {
      const headers = { authorization: `Bearer ${await world.bearer()}` }
      const sent = async (type: string, body: string) => {
        const url = `${world.url}${path.replace(/:\w+/, 'x')}`
        const answer = await answerOf(await fetch(url, { method, headers: { ...headers, 'content-type': type }, body }))
        assertNoInsides(answer.text)
        return [answer.status, answer.code]
      }
      const bad = [400, 'INVALID_REQUEST']
      assert.deepEqual(await sent('application/json', '{'), bad)
      assert.deepEqual(await sent('application/json', '{"a":1}}'), bad)
      assert.deepEqual(await sent('application/json', '{"__proto__":{"scopes":[]}}'), bad)
      assert.deepEqual(await sent('application/json', '{"label":{"constructor":{"prototype":{}}}}'), bad)
      assert.deepEqual(await sent('application/json', '[]'), bad)
      assert.deepEqual(await sent('application/json', '"text"'), bad)
      // Where nothing has to be said, that is what these say, and it goes on to what is not there.
      const nothing = mayBeLeftOut(schema!) ? [404, 'NOT_FOUND'] : bad
      assert.deepEqual(await sent('application/json', 'null'), nothing)
      assert.deepEqual(await sent('application/json', ''), nothing)
      const unread = [415, 'UNSUPPORTED_MEDIA_TYPE']
      assert.deepEqual(await sent('application/x-www-form-urlencoded', 'label=x'), unread)
      assert.deepEqual(await sent('text/plain', '{}'), unread)
      assert.deepEqual(await sent('multipart/form-data; boundary=x', '--x--'), unread)
    })
  }

  test('F-29 a body with __proto__ pollutes nothing', async () => {
    const json =
      '{"client_id":"polluter","scopes":["read:apps"],"owner":"o","expires":"2100-01-01","__proto__":{"disabled":true}}'
    const headers = { authorization: `Bearer ${await world.bearer()}`, 'content-type': 'application/json' }
    assert.equal((await fetch(`${world.url}/api/v1/callers`, { method: 'POST', headers, body: json })).status, 400)
    assert.equal(({} as Record<string, unknown>)['disabled'], undefined)
    assert(!(await world.ask('GET', '/api/v1/callers')).text.includes('polluter'))
  })
})

const FORM = 'content-type: application/x-www-form-urlencoded\r\n'

describe('requests that are none', () => {
  for (const [what, request, status] of [
    ['no HTTP at all', 'hello\r\n\r\n', 400],
    ['a method that does not exist', 'FETCH / HTTP/1.1\r\nhost: localhost\r\n\r\n', 400],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
    ['a header without a colon', 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nnonsense\r\n\r\n', 400],
    ['a space before the colon', 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nx : y\r\n\r\n', 400],
    ['two lengths', 'POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 400],
    [
      'a length and chunks',
      'POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'chunks that are none',
      `POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\n${FORM}transfer-encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
  ] as const) {
    test(`${what} is ${status}`, async () => {
      const told = await raw(request)
      // Node answers some of these itself, without a body.
      if (!/^content-type:/im.test(told.head)) assert.equal(told.status, status, told.head)
      else refusedAs(told, status, 'INVALID_REQUEST')
    })
  }

  test('an address that cannot be read is 400', async () => {
    for (const path of ['/%zz', '/api/v1/connections/%E0%A4%A', '/connect/%ff']) {
      const told = await get(path)
      assert.equal(told.status, 400, `${path}: ${told.head}`)
      assertNoInsides(told.body)
    }
    refusedAs(await get('/api/v1/connections/%E0%A4%A'), 400, 'INVALID_REQUEST')
  })

  test('a session id longer than any is unknown, not an accident', async () => {
    const told = await get(`/api/v1/connections/${'x'.repeat(600)}`)
    assert(told.status === 404 || told.status === 414 || told.status === 400, told.head)
    assertNoInsides(told.body)
  })

  test('nothing at an address is 404, in every method', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const { status, code, text: told } = await world.ask(method, '/api/v1/nothing')
      assert.deepEqual([status, code], [404, 'NOT_FOUND'], method)
      assertNoInsides(told)
    }
  })
})

describe('how it tells of itself', () => {
  test('it is alive and ready', async () => {
    const [alive, ready] = [await world.ask('GET', '/healthz', { as: null }), await world.ask('GET', '/readyz', { as: null })]
    assert.deepEqual([alive.status, alive.body], [200, { status: 'ok' }])
    assert.deepEqual([ready.status, ready.body], [200, { status: 'ready' }])
  })

  for (const path of ['/healthz', '/readyz', '/metrics', '/.well-known/jwks.json', '/.well-known/openid-configuration'])
    test(`whoever asks ${path} with HEAD, as many watchers do, gets what GET has, without the body`, async () => {
      const [head, get] = await Promise.all(['HEAD', 'GET'].map((method) => fetch(`${world.url}${path}`, { method })))
      assert.deepEqual([head?.status, await head?.text()], [200, ''])
      assert.equal(head?.headers.get('content-type'), get?.headers.get('content-type'))
    })

  test('with its store gone it is alive and not ready, and no request tells why', async (t) => {
    const broken = await startWorld({ store: 'sqlite' })
    t.after(() => broken[Symbol.asyncDispose]())
    const session = await broken.connect()
    const bearer = await broken.bearer()
    await broken.broker.ports.store.close()
    assert.equal((await broken.ask('GET', '/healthz', { as: null })).status, 200)
    const ready = await broken.ask('GET', '/readyz', { as: null })
    assert.deepEqual([ready.status, ready.body], [503, { status: 'store unavailable' }])
    const headers = { authorization: `Bearer ${bearer}` }
    for (const route of ROUTES.filter(({ method }) => method === 'GET')) {
      const path = route.path.replace(/:\w+/, session)
      const query = { session_id: session, key_code_ref: 'none', user_id: 'u' }
      const wanted = Object.keys(route.query?.properties ?? {})
      const answer = await broken.ask('GET', path, {
        as: null,
        headers,
        query: Object.fromEntries(Object.entries(query).filter(([name]) => wanted.includes(name))),
      })
      assert(answer.status === 200 || answer.status === 500, `${route.operationId}: ${answer.text}`)
      if (answer.status === 500)
        assert.deepEqual([answer.code, answer.body['result']], ['INTERNAL', 'something went wrong on our side'])
      assertNoInsides(answer.text)
    }
    assert(
      broken.log.some((line) => line.includes('a request failed')),
      'the operator is told',
    )
  })

  test('its metrics count requests by route, what providers answered, and renewals, and name nobody', async () => {
    const session = await world.connect('none', 'somebody')
    world.pass(HOUR)
    world.sandbox.control.script('refresh', 'outage')
    await world.token(session)
    await world.revoke(session)
    await world.ask('GET', `/api/v1/connections/${session}`)
    const { headers, text: shown } = await world.ask('GET', '/metrics', { as: null })
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=/)
    for (const line of [
      /^latchstring_http_request_duration_seconds_count\{route="\/api\/v1\/connected_apps\/token",method="GET",status="503"\} \d+$/m,
      /^latchstring_http_request_duration_seconds_count\{route="\/api\/v1\/connections\/:session_id",method="GET",status="200"\} \d+$/m,
      /^latchstring_http_request_duration_seconds_bucket\{le="0\.005",route="\/oauth2\/token",method="POST",status="200"\} \d+$/m,
      /^latchstring_provider_requests_total\{provider="sandbox",operation="exchange",outcome="granted"\} \d+$/m,
      /^latchstring_provider_requests_total\{provider="sandbox",operation="renew",outcome="unavailable"\} 1$/m,
      /^latchstring_provider_requests_total\{provider="sandbox",operation="revoke",outcome="confirmed"\} \d+$/m,
      /^latchstring_renewals_running 0$/m,
      /^latchstring_process_cpu_seconds_total /m,
      /^latchstring_nodejs_eventloop_lag_seconds /m,
    ])
      assert.match(shown, line)
    for (const secret of [session, 'somebody', 'backend', 'default']) assert(!shown.includes(secret), secret)
  })

  test('an address that nobody knows does not become a label', async () => {
    for (let i = 0; i < 20; i++) await world.ask('GET', `/guess-${i}`, { as: null })
    const { text: shown } = await world.ask('GET', '/metrics', { as: null })
    assert(!shown.includes('guess'))
    assert.match(shown, /route="none",method="GET",status="404"\} \d+/)
  })
})
