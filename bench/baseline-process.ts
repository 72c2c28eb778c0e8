/**
 * What the token path is held against: the same Fastify route, the same check of the bearer, the same open and the same reply, and a map for a
 * store. With `plain` Fastify replies as it does by itself.
 */

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { seededSession } from '../cli/seed.ts'
import { CallersSeen } from '../src/core/callers-seen.ts'
import { Registry } from '../src/core/registry.ts'
import { Secret } from '../src/core/secret.ts'
import { CallerTokens } from '../src/http/caller-token.ts'
import { moment } from '../src/http/items.ts'
import { JSON_HEADERS, sendJson } from '../src/http/reply.ts'
import { TrustedIssuers } from '../src/http/trusted-issuers.ts'
import { createSeal } from '../src/seal/envelope.ts'
import { parseMasterKeys } from '../src/seal/keyring.ts'
import { memoryStore } from '../src/store/memory.ts'
import { answering } from './answering.ts'

const connections = Number(process.argv[2] ?? 10_000)
const plain = process.argv[3] === 'plain'
const seal = createSeal({ masterKeys: parseMasterKeys(new Secret(randomBytes(32).toString('base64'))) })
const expiresAt = Date.now() + 24 * 3_600_000

const rows = new Map<string, { dataKey: Uint8Array; accessToken: Uint8Array }>()
for (let i = 0; i < connections; i++) {
  const id = seededSession('bench', i)
  const row = await seal.create({ tenant: 'default', table: 'connections', id })
  rows.set(id, { dataKey: row.dataKey, accessToken: row.seal('access_token', new Secret(`at-${i}-`.padEnd(1000, 'x'))) })
}

const { records } = memoryStore()
const scopes = ['read:connected_apps'] as const
const caller = {
  ...{
    clientId: 'bench',
    tenant: 'default',
    secretHash: '',
    scopes,
    owner: 'bench',
    expiresAt: null,
    disabled: false,
    createdAt: 0,
  },
  ...{ pins: {}, dpop: false, rateLimit: null, lastUsedAt: null },
}
await records.change([{ put: 'caller', caller }], [])
const net = { request: () => Promise.reject(new Error('nobody is asked')) }
// One list, made once: another one would mean other keys, and all that was verified would be forgotten with every request.
const keys = [{ kid: 'bench', createdAt: 0, ...generateKeyPairSync('rsa', { modulusLength: 2048 }) }]
const tokens = new CallerTokens(() => keys, {
  issuer: 'http://localhost',
  registry: new Registry(records, new Map()),
  now: Date.now,
  callersSeen: new CallersSeen(),
  trusted: new TrustedIssuers({ net, now: Date.now, log: () => {} }),
})

const app = Fastify({ logger: false })
app.get<{ Querystring: { session_id: string } }>('/api/v1/connected_apps/token', async (request, reply) => {
  const known = tokens.verify((request.headers.authorization ?? '').slice(7))
  const { tenant } = known instanceof Promise ? await known : known
  const id = request.query.session_id
  const found = rows.get(id)
  if (!found) return reply.code(404).send()
  const row = seal.load({ tenant, table: 'connections', id }, found.dataKey)
  const opened = (row instanceof Promise ? await row : row).open('access_token', found.accessToken)
  const answer = { access_token: opened.reveal(), access_token_expiry: moment(expiresAt) }
  return plain ? reply.headers(JSON_HEADERS).send(answer) : sendJson(reply, 200, answer)
})
const address = await app.listen({ host: '127.0.0.1', port: 0 })
answering({ address, bearer: await tokens.issue('bench', scopes, null) }, () => app.close())
