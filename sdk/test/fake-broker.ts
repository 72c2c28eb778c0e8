/** A server on loopback that answers as a test tells it to and remembers what it was asked. Runs in Node, Bun and Deno. */

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** As it stood in the request line. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface FakeBroker {
  readonly host: string
  readonly asked: readonly Asked[]
  /** Resolves once that many requests have arrived whole. */
  arrived(count: number): Promise<void>
  close(): Promise<void>
}

/** `nth` counts requests from 1. */
export type Answering = (asked: Asked, response: ServerResponse, nth: number) => unknown

export async function fakeBroker(t: Pick<TestContext, 'after'>, answering: Answering): Promise<FakeBroker> {
  const asked: Asked[] = []
  const waiting: { count: number; resolve: () => void }[] = []

  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const url = request.url ?? ''
    const { pathname, searchParams } = new URL(url, 'http://broker.invalid')
    const one = {
      method: request.method ?? '',
      path: pathname,
      query: Object.fromEntries(searchParams),
      url,
      headers: request.headers,
      body,
    }
    asked.push(one)
    for (const { count, resolve } of waiting) if (asked.length >= count) resolve()
    await answering(one, response, asked.length)
  }
  const server = createServer((request, response) => void receive(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const close = async () => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  t.after(close)

  return {
    host: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    arrived: (count) => new Promise((resolve) => (asked.length >= count ? resolve() : waiting.push({ count, resolve }))),
    close,
  }
}

export function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** As the contract has every error. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const message = `it is ${code.toLowerCase()}`
  json(response, { result: message, errors: [{ code, message }] }, status, headers)
}
