/** Whom requests are meant for and who speaks for whom: hosts, proxies, other origins, and clients that take their time. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as ask } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { CallerTokens } from '../../src/http/caller-token.ts'
import { Proofs } from '../../src/http/dpop.ts'
import { ROUTES } from '../../src/http/routes.ts'
import { createServer } from '../../src/http/server.ts'
import { TrustedIssuers } from '../../src/http/trusted-issuers.ts'
import { startWorld, type World } from '../world.ts'

let world: World
let behind: World
before(async () => {
  world = await startWorld({ failedGuessesPerMinute: 3 })
  behind = await startWorld({
    failedGuessesPerMinute: 3,
    environment: { LATCHSTRING_TRUSTED_PROXIES: '127.0.0.0/8', LATCHSTRING_ALLOWED_HOSTS: 'latchstring.internal,Other.Internal' },
  })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await behind[Symbol.asyncDispose]()
})

interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

function get(where: World, path: string, headers: Readonly<Record<string, string>>, method = 'GET'): Promise<Told> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(where.url)
    const asked = ask({ hostname, port, path, method, headers, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }), reject)
    })
    asked.on('error', reject).end()
  })
}

const KEYS = '/.well-known/jwks.json'

describe('S-72 a host', () => {
  test('that is ours is answered, in whatever way it is written', async () => {
    const { port } = new URL(world.url)
    for (const host of [
      `127.0.0.1:${port}`,
      'localhost',
      `LOCALHOST:${port}`,
      `[::1]:${port}`,
      '127.0.0.2',
      'app.localhost',
      'localhost.',
    ])
      assert.equal((await get(world, KEYS, { host })).status, 200, host)
    for (const host of ['latchstring.internal', 'latchstring.internal:4400', 'other.internal'])
      assert.equal((await get(behind, KEYS, { host })).status, 200, host)
  })

  test('that is another’s is 421, wherever it leads, and nothing is done', async () => {
    const authorization = `Bearer ${await world.bearer()}`
    for (const host of [
      'evil.example',
      'evil.example:4400',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      '0x7f000002.evil',
      'localhost@evil.example',
      'localhost/evil.example',
      'evil.example#localhost',
      'latchstring.internal',
      '[::2]',
    ]) {
      for (const path of ['/api/v1/apps', KEYS, '/connect/x', '/oauth2/token', '/nowhere']) {
        const { status, body } = await get(world, path, { host, authorization })
        assert.equal(status, 421, `${host} ${path}: ${body}`)
      }
      const { body, headers } = await get(world, '/api/v1/apps', { host, authorization })
      assert.match(body, /MISDIRECTED_REQUEST/)
      assert.equal(headers['content-type'], 'application/json')
      assert(!body.includes(host))
    }
  })

  test('does not matter to whoever asks how the process is', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics'])
      assert.equal((await get(world, path, { host: '10.1.2.3:4400' })).status, 200, path)
  })

  test('that a proxy forwards counts where the proxy is trusted', async () => {
    const headers = { host: 'upstream', 'x-forwarded-host': 'latchstring.internal' }
    assert.equal((await get(behind, KEYS, headers)).status, 200)
    assert.equal((await get(behind, KEYS, { ...headers, 'x-forwarded-host': 'evil.example' })).status, 421)
    assert.equal((await get(behind, KEYS, { ...headers, 'x-forwarded-host': 'latchstring.internal, evil.example' })).status, 421)
    assert.equal((await get(world, KEYS, { host: 'upstream', 'x-forwarded-host': 'localhost' })).status, 421)
  })
})

describe('S-72 the address of a client', () => {
  /** Each guesses once more than it may; which are told to wait shows who is taken for one. */
  const guessing = async (where: World, forwarded: (i: number) => string): Promise<number[]> => {
    const statuses = []
    for (let i = 0; i < 5; i++)
      statuses.push((await get(where, '/api/v1/apps', { authorization: 'Bearer x', 'x-forwarded-for': forwarded(i) })).status)
    return statuses
  }

  test('is what a trusted proxy says it is, and of a list the part that it added', async () => {
    assert.deepEqual(await guessing(behind, (i) => `192.0.2.${i}`), [403, 403, 403, 403, 403])
    assert.deepEqual(await guessing(behind, (i) => `192.0.2.${100 + i}, 198.51.100.1`), [403, 403, 403, 429, 429])
  })

  test('is the same from whatever port it connects, where a trusted proxy tells that as well', async () => {
    for (const from of [
      (i: number) => `192.0.2.200:${49_152 + i}`,
      (i: number) => `198.51.100.9, 192.0.2.201:${49_152 + i},127.0.0.2:${50_000 + i}`,
      (i: number) => `[2001:db8::1]:${49_152 + i}`,
      (i: number) => (i % 2 ? '2001:db8:1::1' : '[2001:db8:1::1]'),
    ])
      assert.deepEqual(await guessing(behind, from), [403, 403, 403, 429, 429], from(0))
  })

  test('is where it connects from, whatever it says, where nobody is trusted', async () => {
    assert.deepEqual(await guessing(world, (i) => `192.0.2.${i}`), [403, 403, 403, 429, 429])
  })
})

test('S-74 no other origin is let in: no answer carries a word of it, and nobody’s preflight is answered with yes', async () => {
  const authorization = `Bearer ${await behind.bearer()}`
  const paths = [
    ...new Set(ROUTES.map(({ path }) => path.replace(/:\w+/, 'x'))),
    KEYS,
    '/oauth2/token',
    '/connect/x',
    '/connected_apps/callback',
  ]
  for (const path of paths) {
    const origin = 'https://evil.example'
    const preflight = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
    const asked = [await get(behind, path, preflight, 'OPTIONS'), await get(behind, path, { origin, authorization })]
    for (const { headers } of asked)
      assert.deepEqual(
        Object.keys(headers).filter((name) => name.startsWith('access-control-')),
        [],
        path,
      )
    assert(asked[0]!.status >= 400, `${path} ${asked[0]!.status}`)
  }
})

test('S-42 headers that never end are cut off, and meanwhile others are served', async (t) => {
  const { hostname, port } = new URL(await impatient(t, 300))
  const slow = connect(Number(port), hostname)
  slow.on('error', () => {})
  slow.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n')
  const drip = setInterval(() => slow.write('x-drip: 1\r\n'), 20)
  const answered = text(slow)
  assert.equal((await fetch(`http://${hostname}:${port}/healthz`)).status, 200)
  assert.match(await answered, /^HTTP\/1\.1 408 /)
  clearInterval(drip)
})

for (const [what, said] of [
  ['headers never end', 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n'],
  ['request is none', 'hello?\r\n\r\n'],
] as const) {
  test(`S-42 whose ${what} cannot keep the connection by not hanging up`, { timeout: 10_000 }, async (t) => {
    const { hostname, port } = new URL(await impatient(t, 300))
    const staying = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
    t.after(() => staying.destroy())
    staying.on('error', () => {})
    staying.write(said)
    await once(staying.resume(), 'end')
    // Only who goes on talking learns that nobody is there any more.
    const drip = setInterval(() => staying.write('x-drip: 1\r\n'), 20)
    t.after(() => clearInterval(drip))
    await new Promise((gone) => staying.once('close', gone))
  })
}

/** A server that waits less for headers than one in use; resolves to where it listens. */
async function impatient(t: TestContext, headersWithinMs: number): Promise<string> {
  const { ports, keys, metrics, net } = world.broker
  const { publicUrl: issuer, registry, now, callersSeen, log } = ports
  const server = await createServer(ports, {
    tokens: new CallerTokens(keys.signing, {
      issuer,
      registry,
      now,
      callersSeen,
      trusted: new TrustedIssuers({ net, now, log }),
    }),
    proofs: new Proofs({ publicUrl: issuer, now, isFirst: async () => true }),
    readiness: { accepting: true },
    meter: metrics,
    failedGuess: async () => null,
    ...world.config,
    headersWithinMs,
  })
  t.after(() => server.close())
  return server.listen({ host: '127.0.0.1', port: 0 })
}

describe('bodies', () => {
  const posted = (body: string) =>
    world.bearer().then(async (token) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const response = await fetch(`${world.url}/api/v1/callers`, { method: 'POST', headers, body })
      return `${response.status} ${((await response.json()) as { result: string }).result}`
    })

  test('that are nested without end are refused before they are read', async () => {
    const deep = /^400 the body is nested more than 16 deep$/
    for (const body of ['['.repeat(60_000), '{"a":'.repeat(10_000), `${'['.repeat(17)}${']'.repeat(17)}`, '{"a":[{'.repeat(9)])
      assert.match(await posted(body), deep)
    // Brackets in a text are text.
    assert.doesNotMatch(await posted(JSON.stringify({ client_id: '[{'.repeat(30), owner: '\\"[[' })), deep)
    assert.doesNotMatch(await posted(JSON.stringify([[[[]]]])), deep)
  })
})
