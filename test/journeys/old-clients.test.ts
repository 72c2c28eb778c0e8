/** Habits of clients since 2023 that none of the installable ones shows, each on raw HTTP. */

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

interface RawAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly body: Readonly<Record<string, unknown>>
  readonly allow: string | undefined
}

/** As it is sent, and nothing added: fetch would tidy up both the path and the headers. */
function raw(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body?: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(world.url)
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => {
        const { 'content-type': contentType, allow } = answer.headers
        resolve({
          status: answer.statusCode ?? 0,
          contentType,
          allow,
          body: text === '' ? {} : (JSON.parse(text) as RawAnswer['body']),
        })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

async function bearer(): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await world.bearer()}` }
}

const AUTH_URL = '/api/v1/connected_apps/auth_url'
const TOKEN = '/api/v1/connected_apps/token'
const REVOKE = '/api/v1/connected_apps/revoke'

test('the content type is application/json without a charset, on success and on every kind of error', async () => {
  const headers = await bearer()
  const answers = [
    await raw('GET', `${AUTH_URL}?key_code_ref=none&user_id=1`, headers),
    await raw('GET', `${AUTH_URL}?key_code_ref=nothing&user_id=1`, headers),
    await raw('GET', `${TOKEN}?session_id=nothing`, headers),
    await raw('GET', TOKEN, headers),
    await raw('GET', TOKEN),
    await raw('PUT', TOKEN, headers),
    await raw('GET', '/api/v1/nothing', headers),
    await raw('POST', '/oauth2/token', { 'content-type': 'application/json' }, '{'),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 404, 400, 400, 403, 405, 404, 400],
  )
  assert.deepEqual([...new Set(answers.map(({ contentType }) => contentType))], ['application/json'])
})

test('an error says the same in result, for 2023 clients, and in errors, for the others', async () => {
  const { body } = await raw('GET', `${TOKEN}?session_id=nothing`, await bearer())
  const [error] = body['errors'] as { code: string; message: string }[]
  assert.deepEqual(Object.keys(body), ['result', 'errors'])
  assert.equal(body['result'], error?.message)
  assert.equal(error?.code, 'INVALID_SESSION')
})

test('revoke answers with result, message and code, whichever a client reads', async () => {
  const session = await world.connect()
  const { status, body } = await raw('POST', `${REVOKE}?session_id=${session}`, await bearer())
  assert.equal(status, 200)
  assert.deepEqual({ message: body['message'], code: body['code'] }, { message: 'Success', code: 'OK' })
  assert.equal(typeof body['result'], 'string')
})

for (const user of ['12345678901234567890', '007', '1e3', '-0']) {
  test(`a user_id of digits stays the text it is: ${user}`, async () => {
    const { body } = await raw('GET', `${AUTH_URL}?key_code_ref=none&user_id=${user}`, await bearer())
    const found = await world.connection(String(body['session_id']))
    assert.equal(found.body['user_id'], user)
  })
}

// Latin-1, half of a character, and no code at all. Read as it stands, `jos%E9` would be whoever is called `jos%E9`, which is sent as `jos%25E9`.
for (const user of ['jos%E9', 'a%C3', '100%', '%zz']) {
  test(`a user_id that is no UTF-8 is nobody's: ${user}`, async () => {
    const { status, body } = await raw('GET', `${AUTH_URL}?key_code_ref=none&user_id=${user}`, await bearer())
    assert.equal(status, 400)
    assert.match(String(body['result']), /^the query is not well-formed/)
  })
}

test('a wrong method is answered with JSON and says what is right, with or without a bearer', async () => {
  for (const headers of [await bearer(), {}]) {
    for (const [method, path, allow] of [
      ['POST', AUTH_URL, 'GET'],
      ['POST', TOKEN, 'GET'],
      ['DELETE', TOKEN, 'GET'],
      ['GET', REVOKE, 'POST'],
      ['PATCH', REVOKE, 'POST'],
      ['GET', '/oauth2/token', 'POST'],
      ['POST', '/healthz', 'GET, HEAD'],
      ['DELETE', '/metrics', 'GET, HEAD'],
      ['POST', '/.well-known/jwks', 'GET, HEAD'],
      ['PUT', '/.well-known/openid-configuration', 'GET, HEAD'],
    ] as const) {
      const answer = await raw(method, path, { ...headers, 'content-type': 'application/json' })
      assert.equal(answer.status, 405, `${method} ${path}`)
      assert.equal(answer.allow, allow)
      assert.equal((answer.body['errors'] as { code: string }[])[0]?.code, 'METHOD_NOT_ALLOWED')
    }
  }
})

test('a JSON content type without a body is fine, on GET and on POST', async () => {
  const headers = { ...(await bearer()), 'content-type': 'application/json' }
  const session = await world.connect()
  assert.equal((await raw('GET', `${TOKEN}?session_id=${session}`, headers)).status, 200)
  assert.equal((await raw('POST', `${REVOKE}?session_id=${session}`, { ...headers, 'content-length': '0' })).status, 200)
  assert.equal((await raw('POST', `${REVOKE}?session_id=${session}`, { ...headers, 'transfer-encoding': 'chunked' })).status, 200)
})

// What HTTP libraries put there by themselves when they are given an empty body, or none.
for (const type of ['application/x-www-form-urlencoded', 'text/plain;charset=UTF-8', 'application/octet-stream', '']) {
  test(`a type of a body that does not come is fine, whichever it is: '${type}'`, async () => {
    const session = await world.connect()
    const headers = { ...(await bearer()), 'content-type': type, 'content-length': '0' }
    assert.equal((await raw('POST', `${REVOKE}?session_id=${session}`, headers)).status, 200)
  })
}

test('a form is refused as what it is where JSON is wanted', async () => {
  const headers = { ...(await bearer()), 'content-type': 'application/x-www-form-urlencoded' }
  for (const path of [REVOKE, '/api/v1/connected_apps/complete']) {
    const { status, body } = await raw('POST', path, headers, 'session_id=s&completion_code=c&user_id=u')
    assert.equal(status, 415)
    assert.match(String(body['result']), /send JSON as application\/json/)
  }
})

test('a body on revoke is no reason to refuse: everything is in the query', async () => {
  const session = await world.connect()
  const headers = { ...(await bearer()), 'content-type': 'application/json', 'content-length': '2' }
  assert.equal((await raw('POST', `${REVOKE}?session_id=${session}`, headers, '{}')).status, 200)
})

test('a host with a trailing slash asks for //api/v1/…, and is served', async () => {
  const headers = await bearer()
  const asked = await raw('GET', `/${AUTH_URL}?key_code_ref=none&user_id=1`, headers)
  assert.equal(asked.status, 200)
  assert.equal((await raw('GET', `/${TOKEN}?session_id=${String(asked.body['session_id'])}`, headers)).status, 400)
  assert.equal((await raw('POST', `/${REVOKE}?session_id=nothing`, headers)).status, 400)
})

test('a missing bearer is 403 like a wrong one, in the same words', async () => {
  const answers = await Promise.all(
    [{}, { authorization: 'Bearer' }, { authorization: 'Bearer x' }, { authorization: 'Basic eDp5' }].map((headers) =>
      raw('GET', `${TOKEN}?session_id=x`, headers as Record<string, string>),
    ),
  )
  for (const { status, body } of answers) {
    assert.equal(status, 403)
    assert.deepEqual(body, answers[0]?.body)
  }
})

test('an empty org_code beside a user_id is none, as old clients send it', async () => {
  const { status, body } = await raw('GET', `${AUTH_URL}?key_code_ref=none&user_id=u&org_code=`, await bearer())
  assert.equal(status, 200)
  assert.equal((await world.connection(String(body['session_id']))).body['org_code'], null)
})
