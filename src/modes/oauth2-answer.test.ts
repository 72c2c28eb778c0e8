/** What becomes of everything that token endpoints are known to answer, and of much that they are not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { NetAnswer } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import { judgeTokenAnswer, type TokenAnswer, type Tokens } from './oauth2-answer.ts'
import type { Refusal } from './refusal.ts'

const NOW = Date.parse('2026-06-01T12:00:00Z')
const HOUR = 3_600_000
const PLAIN: Provider = { id: 'plain', name: 'Plain', mode: 'oauth2' }

interface Odd {
  readonly title: string
  readonly answer: NetAnswer
  readonly provider?: Partial<Provider>
}

interface Accepted extends Odd {
  readonly gives: Partial<Readable>
}

interface Refused extends Odd {
  readonly as: Partial<Refusal & { retryAfterMs: number | null }>
}

/** Tokens with their secrets opened, to compare them. */
type Readable = Omit<Tokens, 'accessToken' | 'refreshToken' | 'idToken' | 'also'> & {
  accessToken: string
  refreshToken: string | null
  also: Record<string, string>
}

const TOKENS = { access_token: 'at-1', token_type: 'Bearer', expires_in: 3600, refresh_token: 'rt-1', scope: 'read write' }
const READ = { accessToken: 'at-1', refreshToken: 'rt-1', tokenType: 'Bearer', expiresAt: NOW + HOUR, scopes: ['read', 'write'] }
const FORM = 'access_token=at-1&token_type=bearer&expires_in=3600&refresh_token=rt-1&scope=read+write'
const LONG = 'ey'.padEnd(10_000, 'Az09-_.~')

const ACCEPTED: readonly Accepted[] = [
  // The answers that no library takes all of.
  { title: 'a plain answer, as RFC 6749 has it', answer: json(TOKENS), gives: READ },
  { title: 'F-21 a form with a form content type', answer: body(FORM, 'application/x-www-form-urlencoded'), gives: READ },
  { title: 'F-21 a form with a JSON content type', answer: body(FORM, 'application/json'), gives: READ },
  {
    title: 'F-21 JSON with a form content type',
    answer: body(JSON.stringify(TOKENS), 'application/x-www-form-urlencoded'),
    gives: READ,
  },
  {
    title: 'F-21 JSON labelled as text, as HTML',
    answer: body(` \n${JSON.stringify(TOKENS)}\n`, 'text/html; charset=utf-8'),
    gives: READ,
  },
  { title: 'F-21 JSON without any content type', answer: { ...json(TOKENS), headers: {} }, gives: READ },
  {
    title: 'F-21 JSON behind a byte order mark',
    answer: body(`\uFEFF${JSON.stringify(TOKENS)}`, 'application/json'),
    gives: READ,
  },
  {
    title: 'F-21 UTF-8 that says it is ISO-8859-1',
    answer: body('{"access_token":"at-ü€"}', 'application/json; charset=ISO-8859-1'),
    gives: { accessToken: 'at-ü€' },
  },
  {
    title: 'F-21 ISO-8859-1 that says so',
    answer: { ...body('', 'application/json;charset="iso-8859-1"'), body: Buffer.from('{"access_token":"at-ü"}', 'latin1') },
    gives: { accessToken: 'at-ü' },
  },
  {
    title: 'F-21 UTF-16 that says so',
    answer: { ...body('', 'application/json; charset=utf-16le'), body: Buffer.from(JSON.stringify(TOKENS), 'utf16le') },
    gives: READ,
  },
  {
    title: 'F-21 a form whose scope has raw spaces',
    answer: body('access_token=at-1&scope=read write', 'text/plain'),
    gives: { scopes: ['read', 'write'] },
  },
  { title: 'status 201', answer: json(TOKENS, 201), gives: READ },
  { title: 'an error field that is null', answer: json({ ...TOKENS, error: null, error_description: '' }), gives: READ },
  { title: 'ok: true', answer: json({ ok: true, ...TOKENS }), gives: READ },
  {
    title: 'a code of 0 where the file says that errors are',
    answer: json({ code: 0, ...TOKENS }),
    provider: { error_at: 'code' },
    gives: READ,
  },

  // Refresh tokens.
  { title: 'F-23 no refresh token', answer: json(without('refresh_token')), gives: { accessToken: 'at-1', refreshToken: null } },
  { title: 'F-23 a refresh token of null', answer: json({ ...TOKENS, refresh_token: null }), gives: { refreshToken: null } },
  { title: 'F-23 an empty refresh token', answer: json({ ...TOKENS, refresh_token: '' }), gives: { refreshToken: null } },

  // Scopes.
  { title: 'F-25 scopes as a list', answer: json({ ...TOKENS, scope: ['a', 'b'] }), gives: { scopes: ['a', 'b'] } },
  { title: 'F-25 scopes with commas', answer: json({ ...TOKENS, scope: 'a,b, c' }), gives: { scopes: ['a', 'b', 'c'] } },
  {
    title: 'F-25 scopes with plus signs',
    answer: json({ ...TOKENS, scope: 'a+b' }),
    provider: { scopes: { separator: '+' } },
    gives: { scopes: ['a', 'b'] },
  },
  { title: 'F-25 a plus in the name of a scope', answer: json({ ...TOKENS, scope: 'a+b c' }), gives: { scopes: ['a+b', 'c'] } },
  {
    title: 'F-25 scopes under the name of scopes',
    answer: json({ ...without('scope'), scopes: ['a'] }),
    gives: { scopes: ['a'] },
  },
  {
    title: 'S-42 more scopes than anybody asks for: the first of them',
    answer: json({ ...TOKENS, scope: 'a '.repeat(1001) }),
    gives: { scopes: Array.from({ length: 1000 }, () => 'a') },
  },
  {
    title: 'S-42 scopes longer than anybody asks for, as a list: the first of them',
    answer: json({ ...TOKENS, scope: ['a'.repeat(20_000), 'b'.repeat(20_000), 'c'] }),
    gives: { scopes: ['a'.repeat(20_000)] },
  },
  { title: 'F-25 no scopes', answer: json(without('scope')), gives: { scopes: null } },
  { title: 'F-25 empty scopes say nothing', answer: json({ ...TOKENS, scope: ' ' }), gives: { scopes: null } },

  // Token types.
  { title: 'F-26 no token type', answer: json(without('token_type')), gives: { tokenType: 'Bearer' } },
  { title: 'F-26 bearer in any case', answer: json({ ...TOKENS, token_type: 'BEARER' }), gives: { tokenType: 'Bearer' } },
  { title: 'F-26 a token type of bot', answer: json({ ...TOKENS, token_type: 'bot' }), gives: { tokenType: 'bot' } },
  {
    title: 'F-26 a token type that would break a header',
    answer: json({ ...TOKENS, token_type: 'x\r\ny: z' }),
    gives: { tokenType: 'Bearer' },
  },

  // Envelopes.
  {
    title: 'F-27 a nested token beside another at the top',
    answer: json({
      ok: true,
      access_token: 'bot-1',
      refresh_token: 'bot-rt',
      authed_user: { access_token: 'user-1', scope: 'chat' },
    }),
    provider: { answer_at: 'authed_user', also: { bot: 'access_token', bot_refresh: 'refresh_token', none: 'not.there' } },
    gives: { accessToken: 'user-1', refreshToken: null, scopes: ['chat'], also: { bot: 'bot-1', bot_refresh: 'bot-rt' } },
  },
  {
    title: 'F-27 an answer that leaves the envelope away',
    answer: json(TOKENS),
    provider: { answer_at: 'authed_user' },
    gives: READ,
  },
  {
    title: 'fields that are needed later, of any simple kind',
    answer: json({ ...TOKENS, instance_url: 'https://eu1.example', org: { id: 7 }, list: [1] }),
    provider: { keep_from_answer: ['instance_url', 'org.id', 'list', 'missing'] },
    gives: { kept: { instance_url: 'https://eu1.example', 'org.id': '7' } },
  },

  // Exactly as they came.
  {
    title: 'F-28 a token of 10 kB',
    answer: json({ access_token: LONG, refresh_token: LONG }),
    gives: { accessToken: LONG, refreshToken: LONG },
  },
  {
    title: 'F-28 plus and percent in JSON',
    answer: json({ access_token: 'a+b%2B/=', refresh_token: '%00+' }),
    gives: { accessToken: 'a+b%2B/=', refreshToken: '%00+' },
  },
  {
    title: 'F-28 plus and percent in a form',
    answer: body('access_token=a%2Bb%252B', 'text/plain'),
    gives: { accessToken: 'a+b%2B' },
  },
  { title: 'F-28 letters of any script', answer: json({ access_token: 'ключ🔑' }), gives: { accessToken: 'ключ🔑' } },
  {
    title: 'F-29 of a name twice, the last',
    answer: body('{"access_token":"old","access_token":"at-1"}', 'application/json'),
    gives: { accessToken: 'at-1' },
  },
  {
    title: 'F-29 what every object has is no field of an answer',
    answer: json(TOKENS),
    provider: { keep_from_answer: ['constructor.name', 'toString.name', '__proto__.constructor.name'] },
    gives: { kept: {} },
  },
  {
    title: 'F-29 names of prototypes are names',
    answer: body('{"access_token":"at-1","__proto__":{"refresh_token":"p","x":"y"},"constructor":"c"}', 'application/json'),
    provider: { keep_from_answer: ['__proto__.x', 'constructor', 'toString'], also: { ['__proto__']: 'constructor' } },
    gives: { accessToken: 'at-1', refreshToken: null, kept: { '__proto__.x': 'y', constructor: 'c' } },
  },
]

for (const { title, answer, provider, gives } of ACCEPTED) {
  test(`accepted: ${title}`, () => {
    const readable = read(judge(answer, provider))
    for (const [field, value] of Object.entries(gives)) assert.deepEqual(readable[field as keyof Readable], value, field)
  })
}

const REFUSED: readonly Refused[] = [
  {
    title: 'F-20 200 with ok: false and a token',
    answer: json({ ok: false, ...TOKENS }),
    as: { code: 'unknown_error', fault: 'unclear' },
  },
  {
    title: 'F-20 200 with an error',
    answer: json({ error: 'invalid_grant' }),
    as: { code: 'invalid_grant', fault: 'permanent', detail: null },
  },
  {
    title: 'F-20 200 with ok: false',
    answer: json({ ok: false, error: 'account_inactive' }),
    as: { code: 'account_inactive', fault: 'unclear' },
  },
  {
    title: 'F-20 200 with ok: false and nothing else',
    answer: json({ ok: false }),
    as: { code: 'unknown_error', fault: 'unclear' },
  },
  {
    title: 'F-20 200 with an error and a token',
    answer: json({ ...TOKENS, error: 'server_error' }),
    as: { code: 'server_error', fault: 'transient' },
  },
  {
    title: 'F-20 200 with an HTML page',
    answer: body('<html>Down &amp; out = 1</html>', 'text/html'),
    as: { code: 'malformed_answer', fault: 'transient', detail: 'answered 200 with text/html' },
  },
  { title: 'F-20 200 with nothing', answer: body('', 'application/json'), as: { code: 'malformed_answer', fault: 'transient' } },
  { title: 'F-20 200 with {}', answer: json({}), as: { code: 'no_access_token', fault: 'transient' } },
  { title: 'F-20 200 with a list', answer: json([TOKENS]), as: { code: 'malformed_answer', fault: 'transient' } },
  { title: 'F-20 200 with null', answer: json(null), as: { code: 'malformed_answer', fault: 'transient' } },
  {
    title: 'F-20 200 with JSON that breaks off',
    answer: body('{"access_token":"at-1","ref', 'application/json'),
    as: { code: 'malformed_answer', fault: 'transient' },
  },
  {
    title: 'F-20 an access token that is no string',
    answer: json({ ...TOKENS, access_token: { a: 1 } }),
    as: { code: 'no_access_token' },
  },
  { title: 'F-20 an access token of spaces', answer: json({ ...TOKENS, access_token: '  ' }), as: { code: 'no_access_token' } },
  { title: 'F-20 tokens with status 400', answer: json(TOKENS, 400), as: { code: 'http_400', fault: 'unclear' } },
  {
    title: 'F-20 a redirect',
    answer: { status: 302, headers: { location: 'https://evil.example' }, body: Buffer.alloc(0) },
    as: { code: 'http_302', fault: 'transient' },
  },
  {
    title: 'an empty 400',
    answer: { status: 400, headers: {}, body: Buffer.alloc(0) },
    as: { code: 'http_400', fault: 'unclear', detail: 'answered 400 with no content type' },
  },
  {
    title: 'F-12 an HTML 502',
    answer: body('<h1>Bad gateway</h1>', 'text/html', 502),
    as: { code: 'http_502', fault: 'transient', detail: 'answered 502 with text/html' },
  },
  {
    title: 'F-12 500 with a code that would be final',
    answer: json({ error: 'invalid_grant' }, 500),
    as: { code: 'invalid_grant', fault: 'transient' },
  },
  {
    title: 'F-10 invalid_grant',
    answer: json({ error: 'invalid_grant', error_description: 'Token has been revoked.' }, 400),
    as: { fault: 'permanent', detail: 'Token has been revoked.' },
  },
  {
    title: 'F-10 invalid_grant in a form',
    answer: body('error=invalid_grant&error_description=gone+now', 'text/plain', 400),
    as: { code: 'invalid_grant', fault: 'permanent', detail: 'gone now' },
  },
  { title: 'F-11 bad_refresh_token, with 200', answer: json({ error: 'bad_refresh_token' }), as: { fault: 'permanent' } },
  {
    title: 'F-11 a code that nobody knows',
    answer: json({ error: 'computer_says_no' }, 400),
    as: { code: 'computer_says_no', fault: 'unclear' },
  },
  {
    title: "F-11 a code of the provider's own, in the text",
    answer: json({ error: 'interaction', error_description: 'AADSTS50173: the grant expired' }, 400),
    provider: { errors: { permanent: ['AADSTS50173'] } },
    as: { code: 'interaction', fault: 'permanent' },
  },
  {
    title: 'F-11 a code inside another is not it',
    answer: json({ error: 'x', error_description: 'AADSTS501731' }, 400),
    provider: { errors: { permanent: ['AADSTS50173'] } },
    as: { fault: 'unclear' },
  },
  {
    title: "the provider's file against the built-in judgement, the least harm first",
    answer: json({ error: 'invalid_grant', error_description: 'TRY_LATER please' }, 400),
    provider: { errors: { transient: ['TRY_LATER'], permanent: ['invalid_grant'] } },
    as: { code: 'invalid_grant', fault: 'transient' },
  },
  {
    title: 'an empty 400 that the file calls final',
    answer: { status: 400, headers: {}, body: Buffer.alloc(0) },
    provider: { errors: { permanent: ['http_400'] } },
    as: { fault: 'permanent' },
  },
  { title: 'F-14 invalid_client', answer: json({ error: 'invalid_client' }, 401), as: { fault: 'app' } },
  {
    title: 'F-14 unauthorized_client, which may be said of the app or of one refresh token',
    answer: json({ error: 'unauthorized_client' }, 400),
    as: { fault: 'unclear' },
  },
  {
    title: "F-14 unauthorized_client that the provider's file knows to be about the app",
    answer: json({ error: 'unauthorized_client' }, 400),
    provider: { errors: { app: ['unauthorized_client'] } },
    as: { fault: 'app' },
  },
  {
    title: "F-11 what the provider's file knows to be about one connection, and perhaps not for good",
    answer: json({ error: 'invalid_grant' }, 400),
    provider: { errors: { unclear: ['invalid_grant'], permanent: ['invalid_grant'] } },
    as: { fault: 'unclear' },
  },
  {
    title: 'an error that is an object',
    answer: json({ error: { message: 'Session expired', type: 'OAuthException', code: 190 } }, 400),
    as: { code: '190', detail: 'Session expired' },
  },
  {
    title: 'an error that is a sentence',
    answer: json({ error: 'The code is wrong' }, 400),
    as: { code: 'http_400', detail: 'The code is wrong', fault: 'unclear' },
  },
  {
    title: 'an error elsewhere',
    answer: json({ status: { code: 'E7' }, ...TOKENS }),
    provider: { error_at: 'status.code' },
    as: { code: 'E7', fault: 'unclear' },
  },
  {
    title: 'F-29 an error in a prototype is none',
    answer: body('{"__proto__":{"error":"invalid_grant"}}', 'application/json'),
    as: { code: 'no_access_token' },
  },

  {
    title: 'F-13 429 with seconds',
    answer: json({}, 429, { 'retry-after': '120' }),
    as: { fault: 'transient', retryAfterMs: 120_000 },
  },
  {
    title: 'F-13 429 with a date',
    answer: json({}, 429, { 'retry-after': 'Mon, 01 Jun 2026 12:00:30 GMT' }),
    as: { retryAfterMs: 30_000 },
  },
  {
    title: 'F-13 429 with a date that is past',
    answer: json({}, 429, { 'retry-after': 'Mon, 01 Jun 2026 11:00:30 GMT' }),
    as: { retryAfterMs: 0 },
  },
  { title: 'F-13 429 with ten years', answer: json({}, 429, { 'retry-after': '315360000' }), as: { retryAfterMs: HOUR } },
  {
    title: 'F-13 429 with nonsense',
    answer: json({}, 429, { 'retry-after': 'soon' }),
    as: { fault: 'transient', retryAfterMs: null },
  },
  { title: 'F-13 429 with RateLimit-Reset', answer: json({}, 429, { 'ratelimit-reset': '7' }), as: { retryAfterMs: 7000 } },
  {
    title: 'F-13 429 with an epoch for RateLimit-Reset',
    answer: json({}, 429, { 'ratelimit-reset': String(NOW / 1000 + 9) }),
    as: { retryAfterMs: 9000 },
  },
  {
    title: 'F-13 503 with Retry-After',
    answer: json({}, 503, { 'retry-after': '1.5' }),
    as: { fault: 'transient', retryAfterMs: 1500 },
  },
]

for (const { title, answer, provider, as } of REFUSED) {
  test(`refused: ${title}`, () => {
    const judged = judge(answer, provider)
    assert(judged.outcome === 'refusal', 'it was accepted')
    for (const [field, value] of Object.entries(as)) assert.deepEqual(judged[field as keyof Refusal], value, field)
  })
}

const YEARS_10 = 10 * 365 * 24 * HOUR
const jwtExpiring = (exp: unknown) => `e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.c2ln`

interface Expiry {
  readonly title: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly expires?: NonNullable<Provider['expires']>
  readonly at: number | null
}

const EXPIRIES: readonly Expiry[] = [
  { title: 'a string', fields: { expires_in: '3600' }, at: NOW + HOUR },
  { title: 'a fraction', fields: { expires_in: 3600.5 }, at: NOW + HOUR + 500 },
  { title: 'a string with a fraction', fields: { expires_in: ' 3600.5 ' }, at: NOW + HOUR + 500 },
  { title: 'zero says nothing', fields: { expires_in: 0 }, at: null },
  { title: 'zero falls to the default', fields: { expires_in: 0 }, expires: { default: 60 }, at: NOW + 60_000 },
  { title: 'below zero says nothing', fields: { expires_in: -1 }, at: null },
  { title: 'beyond reason is ten years', fields: { expires_in: 1e12 }, at: NOW + YEARS_10 },
  { title: 'null says nothing', fields: { expires_in: null }, at: null },
  { title: 'absent, and no default: it does not expire', fields: {}, at: null },
  { title: 'absent, with a default', fields: {}, expires: { default: 7200 }, at: NOW + 2 * HOUR },
  { title: 'words', fields: { expires_in: 'never' }, at: null },
  { title: 'an object', fields: { expires_in: { seconds: 1 } }, at: null },
  { title: 'not finite', fields: { expires_in: '9'.repeat(400) }, at: null },
  {
    title: 'milliseconds, where the file says so',
    fields: { expires_in: 3_600_000 },
    expires: { unit: 'milliseconds' },
    at: NOW + HOUR,
  },
  {
    title: 'a moment where the file says',
    fields: { token: { until: (NOW + HOUR) / 1000 } },
    expires: { at: 'token.until' },
    at: NOW + HOUR,
  },
  { title: 'a moment before a duration', fields: { until: NOW + HOUR, expires_in: 1 }, expires: { at: 'until' }, at: NOW + HOUR },
  { title: 'expires_at in seconds', fields: { expires_at: (NOW + HOUR) / 1000 }, at: NOW + HOUR },
  { title: 'expires_at in seconds, as a string', fields: { expires_at: String((NOW + HOUR) / 1000) }, at: NOW + HOUR },
  { title: 'expires_at in milliseconds', fields: { expires_at: NOW + HOUR }, at: NOW + HOUR },
  { title: 'expires_at in ISO 8601', fields: { expires_at: '2026-06-01T13:00:00Z' }, at: NOW + HOUR },
  { title: 'expires_at with an offset', fields: { expires_at: '2026-06-01T15:00:00.000+0200' }, at: NOW + HOUR },
  { title: 'expires_at without an offset is UTC', fields: { expires_at: '2026-06-01 13:00:00' }, at: NOW + HOUR },
  { title: 'expires_at in the past says nothing', fields: { expires_at: '2020-01-01T00:00:00Z' }, at: null },
  { title: 'expires_at on a day that is none', fields: { expires_at: '2026-13-45T00:00:00Z' }, at: null },
  { title: 'expires_at in words', fields: { expires_at: 'tomorrow' }, at: null },
  { title: 'expires_on', fields: { expires_on: String((NOW + HOUR) / 1000) }, at: NOW + HOUR },
  { title: 'only the exp of a JWT', fields: { access_token: jwtExpiring((NOW + HOUR) / 1000) }, at: NOW + HOUR },
  { title: 'a JWT with nonsense for exp', fields: { access_token: jwtExpiring('x') }, at: null },
  { title: 'something like a JWT', fields: { access_token: 'a.b.c' }, at: null },
]

for (const { title, fields, expires, at } of EXPIRIES) {
  test(`F-22 expiry: ${title}`, () => {
    const judged = judge(json({ access_token: 'at-1', ...fields }), expires && { expires })
    assert(judged.outcome === 'tokens')
    assert.equal(judged.expiresAt, at)
  })
}

test('no text of a provider carries a token, a control character or more than 300 characters', () => {
  const [token, code] = ['rt_9f8e7d6c5b4a39281706f5e4d3c2b1a0', 'short-code']
  const said = `bad\u0000 token ${token}\r\nfor ${code} or ${encodeURIComponent('se cret')} or abc123def456ghi789jkl0 \u202e${'x '.repeat(400)}`
  const answer = json({ error: 'invalid_grant', error_description: said }, 400)
  const judged = judgeTokenAnswer(PLAIN, answer, NOW, [new Secret(token), new Secret(code), new Secret('se cret')])
  assert(judged.outcome === 'refusal' && judged.detail !== null)
  assert.match(judged.detail, /^bad token \[redacted\] for \[redacted\] or \[redacted\] or \[redacted\] x x/)
  assert.equal(judged.detail.length, 300)
})

test('a token in the place of an error code does not become one', () => {
  const judged = judge(json({ error: 'rt_9f8e7d6c5b4a39281706f5e4d3c2b1a0' }, 400))
  assert.deepEqual(judged, {
    outcome: 'refusal',
    code: 'http_400',
    detail: '[redacted]',
    quoted: true,
    fault: 'unclear',
    retryAfterMs: null,
  })
})

test('words of a provider that are long but no token stay readable', () => {
  const said = 'AADSTS700082: The refresh_token_has_expired due to inactivity, see https://docs.example/errors'
  const judged = judge(json({ error: 'invalid_grant', error_description: said }, 400))
  assert(judged.outcome === 'refusal')
  assert.equal(judged.detail, said)
})

// ── Whatever it is ───────────────────────────────────────────────────────────────────────────────────────────────────

const anyProvider = fc.record(
  {
    answer_at: fc.constantFrom('data', 'a.b', '__proto__', 'constructor'),
    error_at: fc.constantFrom('code', 'data.error', '__proto__.x'),
    also: fc.constant({ other: 'data.access_token' }),
    keep_from_answer: fc.constant(['data', 'instance_url', '__proto__', 'toString']),
    expires: fc.record(
      { at: fc.constantFrom('until', 'data.until'), unit: fc.constantFrom('seconds' as const, 'milliseconds' as const) },
      { requiredKeys: [] },
    ),
    errors: fc.constant({ permanent: ['', '1'], transient: ['x'] }),
  },
  { requiredKeys: [] },
)
const anyFields = fc.dictionary(
  fc.constantFrom(
    'access_token',
    'refresh_token',
    'expires_in',
    'expires_at',
    'scope',
    'token_type',
    'error',
    'ok',
    'data',
    'until',
    '__proto__',
    'code',
  ),
  fc.oneof(fc.jsonValue(), fc.string(), fc.double(), fc.integer(), fc.constantFrom('at-1', '3600', '2026-06-01')),
)
const anyBody = fc.oneof(
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
  anyFields.map((fields) => Buffer.from(JSON.stringify(fields))),
)
const anyAnswer: fc.Arbitrary<NetAnswer> = fc.record({
  status: fc.oneof({ weight: 3, arbitrary: fc.constant(200) }, { weight: 1, arbitrary: fc.integer({ min: 100, max: 599 }) }),
  headers: fc.dictionary(
    fc.constantFrom('content-type', 'retry-after', 'ratelimit-reset'),
    fc.oneof(fc.string(), fc.constantFrom('application/json; charset=utf-7', '-5', '1e999')),
  ),
  body: anyBody,
})

test('F-20 F-22 nothing that is answered throws, and every expiry is a moment to come or none', () => {
  fc.assert(
    fc.property(anyAnswer, anyProvider, (answer, provider) => {
      const judged = judge(answer, provider)
      if (judged.outcome === 'refusal') {
        assert(judged.retryAfterMs === null || (judged.retryAfterMs >= 0 && judged.retryAfterMs <= HOUR))
        assert(judged.detail === null || (judged.detail.length <= 300 && !/\p{Cc}/u.test(judged.detail)))
        assert.match(judged.code, /^[\w.:-]{1,64}$/)
        return
      }
      const { expiresAt } = judged
      assert(expiresAt === null || (Number.isInteger(expiresAt) && expiresAt > NOW && expiresAt <= NOW + YEARS_10))
      assert(judged.accessToken.reveal().trim() !== '')
      assert(answer.status >= 200 && answer.status < 300)
    }),
    { numRuns: 2000 },
  )
})

test('F-20 an answer without an access token is never a success', () => {
  fc.assert(
    fc.property(anyFields, (fields) => {
      const { access_token: _, ...rest } = fields
      assert.equal(judge(json(rest)).outcome, 'refusal')
    }),
  )
})

test('F-28 tokens of any characters come back byte for byte, by JSON and by form', () => {
  const token = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
    .filter((text) => text.trim() !== '' && text.isWellFormed())
  fc.assert(
    fc.property(token, token, (access_token, refresh_token) => {
      for (const answer of [
        json({ access_token, refresh_token }),
        body(String(new URLSearchParams({ access_token, refresh_token })), 'text/plain'),
      ]) {
        const { accessToken, refreshToken } = read(judge(answer))
        assert.deepEqual({ accessToken, refreshToken }, { accessToken: access_token, refreshToken: refresh_token })
      }
    }),
  )
})

test('no refusal quotes a token that was sent or answered, wherever the provider puts it', () => {
  const token = fc.string({ minLength: 8, maxLength: 60 }).filter((text) => text.trim().length >= 8)
  const place = fc.constantFrom('error', 'error_description', 'message', 'error_code', 'msg')
  fc.assert(
    fc.property(token, token, place, fc.string(), fc.string(), (sent, answered, where, before, after) => {
      for (const quoted of [sent, answered]) {
        const answer = json({ access_token: answered, [where]: before + quoted + after }, 400)
        const judged = judgeTokenAnswer(PLAIN, answer, NOW, [new Secret(sent)])
        assert(judged.outcome === 'refusal')
        assert(!JSON.stringify([judged.code, judged.detail]).includes(JSON.stringify(quoted).slice(1, -1)))
      }
    }),
  )
})

test('F-29 nothing that is answered changes what objects have', () => {
  const answer = body(
    '{"access_token":"a","__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}}}',
    'application/json',
  )
  const judged = judge(answer, { keep_from_answer: ['__proto__', '__proto__.polluted', 'constructor.prototype.polluted'] })
  assert(judged.outcome === 'tokens')
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.equal(Object.getPrototypeOf(judged.kept), Object.prototype)
})

function judge(answer: NetAnswer, provider?: Partial<Provider>): TokenAnswer {
  return judgeTokenAnswer({ ...PLAIN, ...provider }, answer, NOW)
}

function read(judged: TokenAnswer): Readable {
  assert(judged.outcome === 'tokens', JSON.stringify(judged))
  const { accessToken, refreshToken, also, ...rest } = judged
  const opened = Object.fromEntries(Object.entries(also).map(([name, secret]) => [name, secret.reveal()]))
  return { ...rest, accessToken: accessToken.reveal(), refreshToken: refreshToken?.reveal() ?? null, also: opened }
}

test('integers longer than a number holds stay as they are written, wherever they stand', () => {
  const exact = '12345678901234567890'
  const provider: Provider = { ...PLAIN, keep_from_answer: ['id', 'ids.0', 'deep.id', 'short', 'words'] }
  for (const text of [
    `{"access_token":"at-1","short":1234567890123456,"words":"a, 1","id":${exact},"ids":[${exact}],"deep":{"id":-${exact}}}`,
    `{"access_token" : "at-1", "short" : 1234567890123456, "words": "a, 1",\n"id" :\n ${exact} , "ids" : [ ${exact} ], "deep":{"id" : -${exact}}}`,
  ]) {
    const judged = judgeTokenAnswer(provider, body(text, 'application/json'), NOW)
    assert(judged.outcome === 'tokens')
    assert.deepEqual(judged.kept, {
      ...{ id: exact, 'ids.0': exact, 'deep.id': `-${exact}`, short: '1234567890123456', words: 'a, 1' },
    })
  }
})

test('S-42 an answer without such integers is read without being told of each of its values', (t) => {
  const { mock } = t.mock.method(JSON, 'parse')
  const long = 'x1234567890123456789'
  judgeTokenAnswer(PLAIN, body(JSON.stringify({ ...TOKENS, long, all: Array(1000).fill('') }), 'application/json'), NOW)
  assert.deepEqual(
    mock.calls.map(({ arguments: [, told] }) => told),
    [undefined],
  )
})

function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): NetAnswer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(JSON.stringify(value)) }
}

function body(text: string, type: string, status = 200): NetAnswer {
  return { status, headers: { 'content-type': type }, body: Buffer.from(text) }
}

function without(field: keyof typeof TOKENS): Record<string, unknown> {
  return Object.fromEntries(Object.entries(TOKENS).filter(([name]) => name !== field))
}
