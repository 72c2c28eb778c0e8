/** Somebody who is sent events: verifies each as Standard Webhooks says, and is well or unwell as the test has it. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Received {
  readonly id: string
  readonly type: string
  readonly session: string
  readonly body: string
  readonly headers: IncomingHttpHeaders
  /** The secrets, of those it knows, that signed this. */
  readonly signedBy: readonly string[]
  /** What it answered. */
  readonly status: number
}

export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string
  /** Everything that came, oldest first, whatever was answered. */
  readonly received: Received[]
  readonly secrets: string[]
  /** What it answers from now on: a status, or what becomes of it. */
  answer: number | ((message: { readonly session: string; readonly id: string }) => number | Promise<number>)
  location: string | null
  /** Those that it said yes to. */
  taken(session?: string): Received[]
  /** Resolves when `is` holds of what came. */
  until(is: (receiver: WebhookReceiver) => boolean): Promise<void>
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const waiting = new Set<() => void>()
  const server = createServer((request, response) => {
    void text(request).then(async (body) => {
      const { headers } = request
      const message = JSON.parse(body) as { id: string; type: string; data: { session_id?: string } }
      const session = message.data.session_id ?? ''
      const { answer, location } = receiver
      const status = typeof answer === 'number' ? answer : await answer({ session, id: message.id })
      const signedBy = receiver.secrets.filter((secret) => isSignedBy(secret, headers, body))
      receiver.received.push({ id: message.id, type: message.type, session, body, headers, signedBy, status })
      response.writeHead(status, location === null ? {} : { location }).end('x'.repeat(10_000))
      for (const look of waiting) look()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    received: [],
    secrets: [],
    answer: 204,
    location: null,
    taken: (session) => receiver.received.filter((one) => one.status < 300 && (session === undefined || one.session === session)),
    until: (is) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(look)
          reject(
            new Error(`it did not come: ${JSON.stringify(receiver.received.map(({ id, type, status }) => [id, type, status]))}`),
          )
        }, 15_000)
        const look = (): void => {
          if (!is(receiver)) return
          clearTimeout(late)
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    [Symbol.asyncDispose]() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return receiver
}

/** Written from the specification, and from nothing of ours. */
function isSignedBy(secret: string, headers: IncomingHttpHeaders, body: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], body].join('.')
  const wanted = createHmac('sha256', key).update(signed).digest()
  return String(headers['webhook-signature'])
    .split(' ')
    .some((one) => {
      const [version, given = ''] = one.split(',')
      const bytes = Buffer.from(given, 'base64')
      return version === 'v1' && bytes.length === wanted.length && timingSafeEqual(bytes, wanted)
    })
}
