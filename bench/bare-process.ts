/** What the machine can do at all: Node's own HTTP server, which answers everybody with the same token. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { JSON_HEADERS } from '../src/http/reply.ts'
import { answering } from './answering.ts'

const body = JSON.stringify({ access_token: 'at-0-'.padEnd(1000, 'x'), access_token_expiry: new Date().toISOString() })
const headers = { ...JSON_HEADERS, 'content-length': Buffer.byteLength(body) }
const server = createServer((_request, response) => response.writeHead(200, headers).end(body))
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  const stop = (): Promise<void> => {
    server.closeAllConnections()
    return new Promise((closed) => server.close(() => closed()))
  }
  answering({ address: `http://127.0.0.1:${port}` }, stop)
})
