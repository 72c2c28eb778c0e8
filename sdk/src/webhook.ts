/** Reads what a webhook was sent, once it is known to come from whoever has the secret, and to have been sent just now (Standard Webhooks). */

import { ArgumentError, check, field, required } from './arguments.ts'
import type { WebhookMessage } from './wire.ts'

/** Not to be believed, or no message at all: answer 400, and do nothing. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError'
}

/** As `fetch` or a server framework has them. */
type ReceivedHeaders = Pick<Headers, 'get'> | Readonly<Record<string, string | readonly string[] | undefined>>

export interface ReceivedWebhook {
  readonly headers: ReceivedHeaders
  /** As it came, before anything parsed it: parsed and written again it is another text, which nobody signed. */
  readonly body: string | Uint8Array
  /** `whsec_…`; several while it is being changed. */
  readonly secret: string | readonly string[]
}

/** How far its clock and ours may be apart; what is older may be somebody who sends it again. */
const APART_S_MAX = 300

const SHAPE = {
  headers: required(field('the headers of the request', (v): v is ReceivedHeaders => typeof v === 'object' && v !== null)),
  body: required(
    field('the raw body, as string or bytes', (v): v is string | Uint8Array => typeof v === 'string' || v instanceof Uint8Array),
  ),
  secret: required(
    field('a secret such as whsec_…, or a list of them', (v): v is string | readonly string[] => {
      return typeof v === 'string' || (Array.isArray(v) && v.length > 0 && v.every((one) => typeof one === 'string'))
    }),
  ),
}

/**
 * Reads a request that a Latchstring broker sent to your webhook.
 *
 * ```ts
 * const { id, type, data } = await readWebhook({ headers: request.headers, body: await request.text(), secret })
 * ```
 *
 * The same message may come again, under the same `id`: remember those you have worked on.
 *
 * @throws WebhookError when it is not signed with the secret, or not just now
 * @throws ArgumentError when the secret is none, or the body was parsed already
 */
export async function readWebhook(received: ReceivedWebhook): Promise<WebhookMessage> {
  const { headers, body, secret } = check('readWebhook', SHAPE, received)
  const keys = await Promise.all([secret].flat().map(keyOf))
  const [id, at, signatures] = ['id', 'timestamp', 'signature'].map((name) => headerIn(headers, `webhook-${name}`))
  if (id === undefined || at === undefined || signatures === undefined)
    throw new WebhookError('there must be one webhook-id, one webhook-timestamp and one webhook-signature')
  // Written so that what is no number is refused.
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= APART_S_MAX))
    throw new WebhookError(
      `it was not sent within the last ${APART_S_MAX} seconds: an old message again, or one of the clocks is wrong`,
    )
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body)
  const signed = bytesOf(`${id}.${at}.`, body)
  for (const key of keys) {
    for (const signature of signatures.split(' ')) if (await fits(key, signature, signed)) return messageIn(text, id)
  }
  throw new WebhookError('no signature fits: another secret, or something changed the body on its way')
}

// Not by its name, which is no type in every runtime's.
type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>

async function keyOf(secret: string): Promise<Key> {
  const bytes = fromBase64(secret.replace(/^whsec_/, ''))
  if (!bytes?.length) throw new ArgumentError('readWebhook: secret must be whsec_ and base64, as the broker showed it')
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

/** The comparison is `verify`'s, which takes as long for any of them. */
async function fits(key: Key, signature: string, signed: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const [version, base64 = ''] = signature.split(',')
  const bytes = version === 'v1' ? fromBase64(base64) : null
  return bytes !== null && crypto.subtle.verify('HMAC', key, bytes, signed)
}

/** undefined, too, when there are two: which of them counts is anybody's guess. */
function headerIn(headers: ReceivedHeaders, name: string): string | undefined {
  if (typeof headers.get === 'function') return headers.get(name) ?? undefined
  const [value, second] = Object.entries(headers).flatMap(([key, given]) => (key.toLowerCase() === name ? (given ?? []) : []))
  return second === undefined ? value : undefined
}

function bytesOf(head: string, body: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder()
  const [first, second] = [encoder.encode(head), typeof body === 'string' ? encoder.encode(body) : body]
  const all = new Uint8Array(first.length + second.length)
  all.set(first)
  all.set(second, first.length)
  return all
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}

function messageIn(text: string, id: string): WebhookMessage {
  let message: Partial<WebhookMessage> | null = null
  try {
    message = JSON.parse(text) as Partial<WebhookMessage> | null
  } catch {
    // Falls through to the one refusal.
  }
  if (message?.id === id && typeof message.type === 'string') return message as WebhookMessage
  throw new WebhookError('it is signed, and no message of a Latchstring broker')
}
