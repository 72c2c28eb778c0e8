/** Fills a store with connections that nobody made, sealed as all are: to see how it behaves when there are many. */

import { createHash } from 'node:crypto'
import type { Connection } from '../src/core/connection.ts'
import type { Ports } from '../src/core/ports.ts'
import { Secret } from '../src/core/secret.ts'
import { connectionRow, sealCredentials } from '../src/core/vault.ts'

/** Written in one transaction: all of them or none. */
const BATCH = 1000
/** As providers give them: a JWT, and something opaque. */
const ACCESS_TOKEN_CHARACTERS = 1000
const REFRESH_TOKEN_CHARACTERS = 200

export interface Seeding {
  readonly tenant: string
  readonly app: string
  readonly provider: string
  readonly connections: number
  /** Milliseconds since the epoch; when all their tokens end. */
  readonly expiresAt: number
  /** How long their tokens live in all. */
  readonly lifeMs: number
  /** On this day, as those in use mostly are: only the first token of a day has to be noted. */
  readonly usedAt: number
  /** Called after each batch with how many there are. */
  readonly progress: (there: number) => void
}

/** The same number always names the same connection, so that it can be asked for by whoever knows how many there are. */
export function seededSession(app: string, index: number): string {
  return createHash('sha256').update(`latchstring bench ${app} ${index}`).digest('base64url').slice(0, 24)
}

/** What is there stays as it is: stopped at any moment it goes on where it was, and twice is once. Resolves to how many were new. */
export async function seed({ store, seal }: Pick<Ports, 'store' | 'seal'>, seeding: Seeding): Promise<number> {
  const { tenant, app, connections, progress } = seeding
  let made = 0
  for (let begin = 0; begin < connections; begin += BATCH) {
    const end = Math.min(begin + BATCH, connections)
    const last = await store.connections.find(tenant, seededSession(app, end - 1))
    if (!last) made += (await store.connections.addAll(await sealedBatch(seal, seeding, begin, end), () => [])).length
    progress(end)
  }
  return made
}

async function sealedBatch(seal: Ports['seal'], seeding: Seeding, begin: number, end: number): Promise<Connection[]> {
  const batch: Connection[] = []
  for (let index = begin; index < end; index++) batch.push(await sealedConnection(seal, seeding, index))
  return batch
}

async function sealedConnection(seal: Ports['seal'], seeding: Seeding, index: number): Promise<Connection> {
  const { tenant, app, provider, expiresAt, lifeMs, usedAt } = seeding
  const id = seededSession(app, index)
  const issuedAt = expiresAt - lifeMs
  const row = await seal.create(connectionRow({ tenant, id }))
  return {
    id,
    tenant,
    app,
    provider,
    owner: { userId: `user-${index}`, orgCode: `org-${Math.floor(index / 100)}` },
    label: null,
    account: null,
    requestedScopes: ['files.read'],
    grantedScopes: ['files.read'],
    sealed: sealCredentials(row, {
      kind: 'oauth2',
      accessToken: new Secret(`at-${index}-`.padEnd(ACCESS_TOKEN_CHARACTERS, 'x')),
      refreshToken: new Secret(`rt-${index}-0-`.padEnd(REFRESH_TOKEN_CHARACTERS, 'y')),
      also: {},
      kept: {},
    }),
    tokenType: 'Bearer',
    issuedAt,
    expiresAt,
    health: { state: 'connected', trouble: null },
    version: 0,
    lease: null,
    // Apart, as those of real life are.
    createdAt: issuedAt + index,
    connectedAt: issuedAt + index,
    renewedAt: null,
    dueAt: null,
    usedAt,
  }
}
