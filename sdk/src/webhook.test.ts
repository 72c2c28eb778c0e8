/** What a webhook was sent: what is believed, and everything that is not. */

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { ArgumentError, type ReceivedWebhook, readWebhook, WebhookError } from './sdk.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDTBgb3l7aX2E='
const EVENT = {
  id: 'evt_7',
  type: 'connection.broken',
  timestamp: '2026-11-23T09:30:00.000Z',
  data: { session_id: 's1', user_id: 'naïve 🔑' },
}
const BODY = JSON.stringify(EVENT)
const now = () => Math.floor(Date.now() / 1000)

/** Written from the specification. */
function signature(secret: string, { id = EVENT.id, at = String(now()), body = BODY } = {}): string {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}`
}

function sent({ at = String(now()), id = EVENT.id, body = BODY, by = [SECRET] } = {}) {
  const signatures = by.map((secret) => signature(secret, { id, at, body }))
  return {
    headers: { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signatures.join(' ') },
    body,
    secret: SECRET,
  } satisfies ReceivedWebhook
}

test('the signature of the specification’s own example is the one that is looked for here', () => {
  const example = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', at: '1614265330', body: '{"test": 2432232314}' }
  assert.equal(signature(SECRET, example), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('what is signed with the secret, just now, is read, whatever form headers and body have', async () => {
  const { headers, body, secret } = sent()
  const bytes = new TextEncoder().encode(body)
  const shouted = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]))
  for (const received of [
    { headers, body },
    { headers: new Headers(headers), body: bytes },
    { headers: shouted, body: Buffer.from(bytes) },
  ])
    assert.deepEqual(await readWebhook({ ...received, secret }), EVENT)
})

test('while a secret is changed, one that fits is enough, on either side', async () => {
  assert.deepEqual(await readWebhook({ ...sent({ by: [OTHER, SECRET] }), secret: SECRET }), EVENT)
  assert.deepEqual(await readWebhook({ ...sent({ by: [OTHER] }), secret: [SECRET, OTHER] }), EVENT)
})

test('a clock may be five minutes off, either way, and no more', async () => {
  for (const off of [-290, 290]) assert.deepEqual(await readWebhook(sent({ at: String(now() + off) })), EVENT)
  for (const off of [-310, 310])
    await assert.rejects(readWebhook(sent({ at: String(now() + off) })), /not sent within the last 300 seconds/)
})

const good = sent()
const tampered: Readonly<Record<string, ReceivedWebhook>> = {
  'another body': { ...good, body: BODY.replace('broken', 'revoked') },
  'another id': { ...good, headers: { ...good.headers, 'webhook-id': 'evt_8' } },
  'another moment': { ...good, headers: { ...good.headers, 'webhook-timestamp': String(now() - 1) } },
  'another secret': sent({ by: [OTHER] }),
  'no signature': { ...good, headers: { ...good.headers, 'webhook-signature': undefined } },
  'an empty signature': { ...good, headers: { ...good.headers, 'webhook-signature': '' } },
  'no headers': { ...good, headers: {} },
  'a moment that is no number': sent({ at: 'now' }),
  'a moment that is empty': sent({ at: '' }),
  'two ids': { ...good, headers: { ...good.headers, 'webhook-id': [EVENT.id, EVENT.id] } },
  'the same header twice': { ...good, headers: { ...good.headers, 'Webhook-Id': EVENT.id } },
  'letters that are no base64': { ...good, headers: { ...good.headers, 'webhook-signature': `v1,${'é'.repeat(44)}` } },
  'another version': {
    ...good,
    headers: { ...good.headers, 'webhook-signature': good.headers['webhook-signature'].replace('v1', 'v1a') },
  },
  'half a signature': {
    ...good,
    headers: { ...good.headers, 'webhook-signature': good.headers['webhook-signature'].slice(0, 20) },
  },
  'what is no JSON': sent({ body: '<event/>' }),
  'JSON that is no message': sent({ body: 'null' }),
  'a message under another id': sent({ id: 'evt_8' }),
}
for (const [what, received] of Object.entries(tampered)) {
  test(`${what} is not believed`, async () => {
    await assert.rejects(readWebhook(received), WebhookError)
  })
}

test('a program’s own mistake is told as one, and quotes no secret', async () => {
  const wrong = [
    { ...good, secret: '' },
    { ...good, secret: 'whsec_' },
    { ...good, secret: 'not base64 at all!' },
    { ...good, secret: [] },
    { ...good, body: EVENT },
    { headers: good.headers, body: BODY },
  ] as unknown as ReceivedWebhook[]
  for (const received of wrong) {
    await assert.rejects(readWebhook(received), (error: Error) => {
      assert(error instanceof ArgumentError, error.stack)
      assert.doesNotMatch(error.message, /not base64/)
      return true
    })
  }
})
