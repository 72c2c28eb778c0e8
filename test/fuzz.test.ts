/** Every parser that meets bytes from outside, with bytes that nobody thought of: a typed answer or a refusal, never an accident. */

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { readSetupText } from '../src/catalog/file.ts'
import { CatalogError } from '../src/catalog/mistake.ts'
import { boundsOf, isWithin, rangeProblem } from '../src/core/pins.ts'
import { Proofs } from '../src/http/dpop.ts'
import { networkOf } from '../src/http/guesses.ts'
import { readFields } from '../src/modes/answer-body.ts'
import { unverifiedClaims } from '../src/modes/jwt-claims.ts'
import { judgeTokenAnswer } from '../src/modes/oauth2-answer.ts'
import { startWorld, type World } from './world.ts'

const NOW = 1_780_000_000_000

/** Text that is nearly what is expected, besides text that is nothing. */
const json = fc.json({ maxDepth: 4 })
const base64 = fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString('base64url'))
const dotted = fc.array(
  fc.oneof(
    base64,
    json.map((text) => Buffer.from(text).toString('base64url')),
    fc.string(),
  ),
  { maxLength: 6 },
)
const jwtLike = fc.oneof(
  fc.string(),
  dotted.map((parts) => parts.join('.')),
  fc
    .record(
      {
        alg: fc.constantFrom('none', 'HS256', 'RS256', 'ES256', '', 'x'),
        kid: fc.oneof(fc.string(), fc.constant(null)),
        typ: fc.constantFrom('JWT', 'dpop+jwt'),
        jwk: fc.oneof(fc.object({ maxDepth: 2 }), fc.constant({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }), fc.constant(null)),
        crit: fc.oneof(fc.constant(['exp']), fc.string()),
      },
      { requiredKeys: [] },
    )
    .chain((header) => fc.tuple(fc.constant(header), fc.object({ maxDepth: 2 }), base64))
    .map(([header, claims, signature]) =>
      [JSON.stringify(header), JSON.stringify(claims)]
        .map((part) => Buffer.from(part).toString('base64url'))
        .concat(signature)
        .join('.'),
    ),
)
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  json.map((text) => Buffer.from(text)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text, 'latin1')),
  fc.webQueryParameters().map((text) => Buffer.from(text)),
  fc
    .dictionary(
      fc.constantFrom(
        'access_token',
        'expires_in',
        'refresh_token',
        'scope',
        'error',
        'error_description',
        'id_token',
        '__proto__',
      ),
      fc.oneof(fc.jsonValue({ maxDepth: 3 }), jwtLike),
    )
    .map((fields) => Buffer.from(JSON.stringify(fields))),
)
const answer = fc.record({
  status: fc.integer({ min: 200, max: 599 }),
  headers: fc.dictionary(
    fc.constantFrom('content-type', 'retry-after', 'ratelimit-reset', 'www-authenticate'),
    fc.oneof(fc.string(), fc.constantFrom('application/json; charset=utf-16', 'text/html; charset=x-none', '99999999999999')),
  ),
  body: bytes,
})

describe('what providers answer', () => {
  test('is read as fields or as nothing, and judged', () => {
    fc.assert(
      fc.property(answer, (told) => {
        const fields = readFields(told)
        assert(fields === null || typeof fields === 'object')
        const judged = judgeTokenAnswer({ id: 'p', name: 'P', mode: 'oauth2' }, told, NOW)
        assert(judged.outcome === 'tokens' || judged.outcome === 'refusal')
        if (judged.outcome === 'tokens') {
          assert(judged.accessToken.reveal().trim() !== '')
          assert(judged.expiresAt === null || Number.isFinite(judged.expiresAt))
        } else assert(judged.retryAfterMs === null || (judged.retryAfterMs >= 0 && judged.retryAfterMs <= 3_600_000))
        assert.equal(({} as Record<string, unknown>)['access_token'], undefined)
      }),
      { numRuns: 1000 },
    )
  })

  test('as a JWT has claims or none', () => {
    fc.assert(
      fc.property(jwtLike, (text) => {
        const claims = unverifiedClaims(text)
        assert(claims === null || typeof claims === 'object')
      }),
      { numRuns: 1000 },
    )
  })
})

test('latchstring.yaml, whatever stands in it, is a setup or a list of mistakes', () => {
  const word = fc.constantFrom(
    ...[
      'providers',
      'apps',
      'callers',
      'trusted_issuers',
      'pins',
      'ip',
      'issuer',
      'scopes',
      ':',
      '- ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
    ],
    ...[
      '&a',
      '*a',
      '!!js',
      '${env:A}',
      '"',
      "'",
      '|',
      '>',
      '<<: *a',
      '---',
      '%',
      '\t',
      '\u0000',
      '1e999',
      '0x7f',
      'null',
      '2027-06-01',
    ],
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
    fc.array(word, { maxLength: 60 }).map((words) => words.join(' ')),
    fc
      .object({ key: fc.constantFrom('providers', 'apps', 'callers', 'trusted_issuers', 'x'), maxDepth: 4 })
      .map((value) => JSON.stringify(value)),
  )
  fc.assert(
    fc.property(text, (written) => {
      try {
        assert(Array.isArray(readSetupText(written, 'f.yaml', { A: 'a' }, new Map()).apps))
      } catch (error) {
        if (!(error instanceof CatalogError)) throw error
        assert(error.message.length > 0)
      }
    }),
    { numRuns: 1000 },
  )
})

test('addresses and ranges are read or refused, and what is refused lets nobody in', () => {
  const part = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.string({ maxLength: 20 }))
  const range = fc.oneof(
    part,
    fc.tuple(part, fc.integer({ min: -1, max: 200 })).map(([address, bits]) => `${address}/${bits}`),
  )
  fc.assert(
    fc.property(range, fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (written, address) => {
      const problem = rangeProblem(written)
      const { addresses } = boundsOf({ ip: [written] })!
      const inside = isWithin(addresses!, address)
      if (problem && !/where its range does/.test(problem)) assert.equal(inside, false)
      assert.equal(typeof networkOf(address), 'string')
    }),
    { numRuns: 2000 },
  )
})

test('a proof is right or none', async () => {
  const proofs = new Proofs({ publicUrl: 'https://connect.example', now: () => NOW, isFirst: async () => true })
  await fc.assert(
    fc.asyncProperty(fc.oneof(jwtLike, fc.constant(undefined), fc.array(jwtLike)), async (proof) => {
      assert.equal(await proofs.thumbprint({ proof, method: 'GET', path: '/', token: null }), null)
    }),
    { numRuns: 500 },
  )
})

describe('over the wire', () => {
  let world: World
  let bearer: string
  before(async () => {
    // The strictest of the stores about what a text may hold.
    world = await startWorld({ store: 'postgres' })
    bearer = `Bearer ${await world.bearer()}`
  })
  after(() => world[Symbol.asyncDispose]())

  interface Sent {
    readonly method?: string
    readonly path: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: Uint8Array
  }

  /** What a header may hold at all; the rest never leaves Node. */
  const field = (text: string) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '.')

  function status({ method = 'GET', path, headers = {}, body }: Sent): Promise<number> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(world.url)
      const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, field(value)]))
      const asked = request({ hostname, port, path, method, headers: sent }, (response) => {
        buffer(response).then(() => resolve(response.statusCode ?? 0), reject)
      })
      asked.on('error', reject).end(body)
    })
  }

  /** Refused or answered, and never a mistake of ours. */
  async function holds(arbitrary: fc.Arbitrary<Sent>): Promise<void> {
    await fc.assert(
      fc.asyncProperty(arbitrary, async (sent) => {
        const told = await status(sent)
        assert(told >= 200 && told < 500, `${told} for ${JSON.stringify(sent)}`)
      }),
      { numRuns: 300 },
    )
  }

  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), jwtLike)
  const query = (names: readonly string[]) =>
    fc
      .array(
        fc.tuple(
          fc.constantFrom(...names),
          fc.oneof(text.map(encodeURIComponentSafely), fc.constantFrom('%', '%00', '%ff', '', '[]')),
        ),
      )
      .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'))

  test('bearers and proofs', () =>
    holds(
      fc.record({
        path: fc.constantFrom('/api/v1/apps', '/api/v1/connected_apps/token?session_id=x'),
        headers: fc.record({
          authorization: fc
            .tuple(fc.constantFrom('Bearer ', 'DPoP ', 'bearer', 'Basic ', ''), text)
            .map((parts) => parts.join('')),
          dpop: text,
        }),
      }),
    ))

  test('what comes to the callback', () =>
    holds(
      query(['state', 'code', 'error', 'iss', 'error_description', 'state[]', 'scope', '__proto__']).map((asked) => ({
        path: `/connected_apps/callback?${asked}`,
      })),
    ))

  test('cookies, and links that were guessed', () =>
    holds(
      fc
        .record({
          method: fc.constantFrom('GET', 'POST', 'HEAD'),
          path: text.map((handle) => `/connect/${encodeURIComponentSafely(handle).slice(0, 400)}`),
          headers: fc.record({
            cookie: fc.oneof(
              text,
              text.map((value) => `latchstring=${value}; __Host-latchstring=${value}`),
            ),
            'content-type': fc.constant('application/x-www-form-urlencoded'),
          }),
          body: bytes,
        })
        .map(({ body, ...sent }) =>
          sent.method === 'POST' ? { ...sent, body } : { ...sent, headers: { cookie: sent.headers.cookie } },
        ),
    ))

  test('where lists go on, and whatever narrows them', () =>
    holds(
      fc
        .tuple(
          fc.constantFrom(
            '/api/v1/connections',
            '/api/v1/events',
            '/api/v1/connected_apps/auth_url',
            '/api/v1/connected_apps/token',
          ),
          fc.oneof(
            query(['next_token', 'after', 'page_size', 'user_id', 'label', 'state', 'session_id', 'key_code_ref', 'min_ttl']),
            fc.jsonValue().map((value) => `next_token=${Buffer.from(JSON.stringify(value)).toString('base64url')}`),
          ),
        )
        .map(([path, asked]) => ({ path: `${path}?${asked}`, headers: { authorization: bearer } })),
    ))

  test('bodies, of whatever they say that they are', () =>
    holds(
      fc
        .record({
          path: fc.constantFrom(
            '/api/v1/apps',
            '/api/v1/callers',
            '/api/v1/webhooks',
            '/api/v1/connected_apps/complete',
            '/oauth2/token',
          ),
          type: fc.oneof(fc.constantFrom('application/json', 'application/x-www-form-urlencoded', 'text/plain'), fc.string()),
          body: bytes,
        })
        .map(({ path, type, body }) => ({
          method: 'POST',
          path,
          headers: { authorization: bearer, 'content-type': type },
          body,
        })),
    ))
})

/** Half of a surrogate pair has no encoding; whatever else does. */
function encodeURIComponentSafely(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}
