/** The broker as it is served, in a process of its own, filled with connections through the core's own code. Started by the bench. */

import { readConfig } from '../src/config.ts'
import type { Attempt } from '../src/core/attempt.ts'
import { attemptRow } from '../src/core/attempt.ts'
import type { Connection } from '../src/core/connection.ts'
import { HandOuts } from '../src/core/hand-outs.ts'
import { mintId } from '../src/core/one-time.ts'
import type { Ports } from '../src/core/ports.ts'
import { Secret } from '../src/core/secret.ts'
import { connectionRow, sealCredentials } from '../src/core/vault.ts'
import { openBroker, serve } from '../src/main.ts'

/** What the token path costs without its audit; no broker can be told to be so. */
class Forgetful extends HandOuts {
  override note(): void {}
}

const HOUR = 3_600_000
const connections = Number(process.argv[2] ?? 0)

const config = readConfig()
const opened = await openBroker(config)
const broker = process.argv[3] === 'unaudited' ? { ...opened, ports: { ...opened.ports, handOuts: new Forgetful() } } : opened
await broker.applySetup()
const sessions: string[] = []
for (let i = 0; i < connections; i++) sessions.push(await seeded(broker.ports, i))
const server = await serve(broker, config)

process.on('message', (message) => {
  if (message === 'memory') process.send?.({ rss: process.memoryUsage.rss(), cpu: process.cpuUsage() })
  if (message === 'stop') void server.stop().then(() => process.disconnect())
})
process.send?.({ address: server.address, sessions })

/** An access token of the length that providers give: about 1 KB, as JWTs are. */
async function seeded({ store, seal }: Ports, i: number): Promise<string> {
  const now = Date.now()
  const id = mintId()
  const attempt: Attempt = {
    id,
    session: id,
    tenant: 'default',
    app: 'bench',
    provider: 'sandbox',
    owner: { userId: `user-${i}`, orgCode: null },
    caller: 'bench',
    binding: 'none',
    stage: 'returned',
    connection: null,
    reconnects: null,
    callbackUrl: null,
    redirectUri: 'http://127.0.0.1:9/callback',
    scopes: ['files.read'],
    hosts: [],
    accountOf: null,
    issuer: null,
    issuerRequired: false,
    handleHash: null,
    stateHash: null,
    browserHash: null,
    completionHash: null,
    sealed: {
      dataKey: (await seal.create(attemptRow({ tenant: 'default', id }))).dataKey,
      codeVerifier: null,
      nonce: null,
      answer: null,
      departure: null,
    },
    reason: null,
    createdAt: now,
    expiresAt: now + HOUR,
  }
  const row = await seal.create(connectionRow({ tenant: 'default', id }))
  const connection: Connection = {
    id,
    tenant: 'default',
    app: 'bench',
    provider: 'sandbox',
    owner: attempt.owner,
    label: null,
    account: null,
    requestedScopes: attempt.scopes,
    grantedScopes: attempt.scopes,
    sealed: sealCredentials(row, {
      kind: 'oauth2',
      accessToken: new Secret(`at-${i}-`.padEnd(1000, 'x')),
      refreshToken: new Secret(`rt-${i}-`.padEnd(200, 'y')),
      also: {},
      kept: {},
    }),
    tokenType: 'bearer',
    issuedAt: now,
    expiresAt: now + 24 * HOUR,
    health: { state: 'connected', trouble: null },
    version: 0,
    lease: null,
    createdAt: now,
    connectedAt: now,
    renewedAt: null,
    dueAt: null,
    usedAt: null,
  }
  await store.attempts.add(attempt, [])
  await store.attempts.finish('returned', { ...attempt, stage: 'connected', connection: id }, connection, [])
  return id
}
