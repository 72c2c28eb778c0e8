/** What the token path is held against: the same Fastify route with a bearer, a map, an open and a reply, and no store. */

import { createHash, randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { mintId } from '../src/core/one-time.ts'
import { Secret } from '../src/core/secret.ts'
import { sendJson } from '../src/http/reply.ts'
import { createSeal } from '../src/seal/envelope.ts'
import { parseMasterKeys } from '../src/seal/keyring.ts'

const connections = Number(process.argv[2] ?? 10_000)
const bearer = process.argv[3] ?? ''
const seal = createSeal({ masterKeys: parseMasterKeys(randomBytes(32).toString('base64')) })
const expiresAt = Date.now() + 24 * 3_600_000

const callers = new Map([[digest(bearer), 'bench']])
const rows = new Map<string, { dataKey: Uint8Array; accessToken: Uint8Array }>()
for (let i = 0; i < connections; i++) {
  const id = mintId()
  const row = await seal.create({ tenant: 'default', table: 'connections', id })
  rows.set(id, { dataKey: row.dataKey, accessToken: row.seal('access_token', new Secret(`at-${i}-`.padEnd(1000, 'x'))) })
}

const app = Fastify({ logger: false })
app.get<{ Querystring: { session_id: string } }>('/api/v1/connected_apps/token', async (request, reply) => {
  const token = (request.headers.authorization ?? '').slice(7)
  const id = request.query.session_id
  const found = rows.get(id)
  if (!callers.has(digest(token)) || !found) return reply.code(403).send()
  const row = await seal.load({ tenant: 'default', table: 'connections', id }, found.dataKey)
  const body = {
    access_token: row.open('access_token', found.accessToken).reveal(),
    access_token_expiry: new Date(expiresAt).toISOString(),
  }
  return sendJson(reply, 200, body)
})
const address = await app.listen({ host: '127.0.0.1', port: 0 })

process.on('message', (message) => {
  if (message === 'memory') process.send?.({ rss: process.memoryUsage.rss(), cpu: process.cpuUsage() })
  if (message === 'stop') void app.close().then(() => process.disconnect())
})
process.send?.({ address, sessions: [...rows.keys()] })

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
