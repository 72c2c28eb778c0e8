/** A provider that only renews, as fast as it can, and counts: every renewal rotates, and a refresh token that was spent before is refused. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answering } from './answering.ts'

/** Refresh tokens are `rt-<connection>-<how often it was renewed>-…`, as `cli/seed.ts` makes the first. */
const renewedOf = new Map<string, number>()
const counted = { renewals: 0, spentTwice: 0 }

const server = createServer((request, response) => void answered(request, response))
server.listen(0, '127.0.0.1', () => {
  const stop = (): Promise<void> => {
    server.closeAllConnections()
    return new Promise((closed) => server.close(() => closed()))
  }
  answering({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, stop)
})

async function answered(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'DELETE') forget()
  const answer = request.method === 'POST' ? renewal(await bodyOf(request)) : counted
  const text = JSON.stringify(answer)
  response.writeHead('error' in answer ? 400 : 200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(text)
}

function renewal(form: URLSearchParams): Record<string, unknown> {
  const [, connection = '', generation = ''] = (form.get('refresh_token') ?? '').split('-')
  const next = Number(generation) + 1
  counted.renewals++
  if (next !== (renewedOf.get(connection) ?? 0) + 1) {
    counted.spentTwice++
    return { error: 'invalid_grant' }
  }
  renewedOf.set(connection, next)
  return {
    access_token: `at-${connection}-${next}-`.padEnd(1000, 'x'),
    refresh_token: `rt-${connection}-${next}-`.padEnd(200, 'y'),
    token_type: 'Bearer',
    expires_in: 24 * 3600,
  }
}

/** Connections of the next store have the same numbers. */
function forget(): void {
  renewedOf.clear()
  counted.renewals = 0
  counted.spentTwice = 0
}

async function bodyOf(request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return new URLSearchParams(text)
}
