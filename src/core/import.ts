/** Takes over connections that were made elsewhere: sealed and stored as if their users had just connected, without asking them again. */

import { type App, scopesAskedFor } from './app.ts'
import { allow, type Caller } from './caller.ts'
import { type Account, type Connection, type Owner, sameOwner } from './connection.ts'
import { dueAt } from './due.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { keepNewest } from './newest.ts'
import type { Ports } from './ports.ts'
import type { Provider } from './provider.ts'
import { Secret } from './secret.ts'
import { dayOf } from './usage.ts'
import { connectionRow, sealCredentials } from './vault.ts'

/** What is known of one. A token at least there is; all moments are milliseconds since the epoch. */
export interface Imported {
  /** Where it stands in what is imported. */
  readonly line: number
  /** null: it gets an id that is made of its token, so that who imports it twice has it once. */
  readonly session: string | null
  readonly app: string
  readonly owner: Owner
  readonly accessToken: Secret | null
  readonly refreshToken: Secret | null
  /** null: with a refresh token it is not known; without one, it does not end. */
  readonly expiresAt: number | null
  readonly tokenType: string
  readonly grantedScopes: readonly string[] | null
  readonly account: Account | null
  readonly label: string | null
  readonly connectedAt: number | null
  readonly renewedAt: number | null
  readonly kept: Readonly<Record<string, string>>
}

/** Written in one transaction, and told in one line of progress. */
const BATCH = 1000
/** A key service is asked for each. */
const SEALED_AT_ONCE = 50

export interface ImportResult {
  readonly imported: number
  /** Were there already, and stay as they are. */
  readonly present: number
  /** Lines whose id, or whose token, is that of a connection of somebody else, or of another app. Two would spend one refresh token. */
  readonly taken: readonly number[]
}

/** Stopped at any moment, it goes on where it was: what is there is left alone. Throws `APP_NOT_FOUND`. */
export async function importConnections(
  ports: Ports,
  caller: Caller,
  items: AsyncIterable<Imported>,
  progress: (result: ImportResult) => void,
): Promise<ImportResult> {
  await allow(ports, caller, 'write:connections', 'import')
  let result: ImportResult = { imported: 0, present: 0, taken: [] }
  for await (const batch of batches(items)) {
    const { imported, present, taken } = await importBatch(ports, caller, batch)
    result = {
      imported: result.imported + imported,
      present: result.present + present,
      taken: [...result.taken, ...taken],
    }
    progress(result)
  }
  return result
}

async function importBatch(ports: Ports, caller: Caller, batch: readonly Imported[]): Promise<ImportResult> {
  const connections: Connection[] = []
  for (let begin = 0; begin < batch.length; begin += SEALED_AT_ONCE)
    connections.push(
      ...(await Promise.all(batch.slice(begin, begin + SEALED_AT_ONCE).map((one) => connectionOf(ports, caller.tenant, one)))),
    )
  const told = { at: ports.now(), actor: caller.name, action: 'connection.connected', reason: 'imported' } as const
  const added = await ports.store.connections.addAll(connections, (fresh) => fresh.map((one) => connectionFact(one, told)))
  const fresh = new Set(added)
  const taken: number[] = []
  for (const [i, one] of connections.entries()) {
    const there = fresh.has(one) ? null : await ports.store.connections.find(one.tenant, one.id)
    if (there && (there.app !== one.app || !sameOwner(there.owner, one.owner))) taken.push(batch[i]!.line)
    // Of what was there before, too: it may have been stopped between the two.
    else await keepNewest(ports, (await appOf(ports, one.tenant, one.app)).app, one)
  }
  return { imported: added.length, present: batch.length - added.length - taken.length, taken }
}

async function connectionOf(ports: Ports, tenant: string, given: Imported): Promise<Connection> {
  const { app, provider } = await appOf(ports, tenant, given.app)
  const now = ports.now()
  const { accessToken, refreshToken, kept, owner } = given
  const id = given.session ?? idOf(tenant, given)
  const row = await ports.seal.create(connectionRow({ tenant, id }))
  const expiresAt = endOf(given, now)
  const connectedAt = given.connectedAt ?? now
  return {
    id,
    tenant,
    app: app.keyCodeRef,
    provider: provider.id,
    owner,
    label: given.label,
    account: given.account,
    requestedScopes: scopesAskedFor(app, provider),
    grantedScopes: given.grantedScopes,
    sealed: sealCredentials(row, { kind: 'oauth2', accessToken: accessToken ?? NONE, refreshToken, also: {}, kept }),
    tokenType: given.tokenType,
    // An end that nobody told says nothing of how long its tokens live.
    issuedAt: given.expiresAt === null ? (expiresAt ?? now) : Math.max(0, Math.min(now, given.expiresAt - LIFE_MS)),
    expiresAt,
    health: { state: 'connected', trouble: null },
    version: 0,
    lease: null,
    createdAt: connectedAt,
    connectedAt,
    renewedAt: given.renewedAt,
    dueAt: refreshToken && dueAt(provider, { usedAt: given.renewedAt ?? now, lost: null, retryAt: now }, ports.chance()),
    // Nobody wants those of an app that revokes what is not used to end on the day they were brought.
    usedAt: dayOf(now),
  }
}

/** How long a token lives that does not say since when: as most do, so that who wants half an hour of it has it renewed (`min_ttl`). */
const LIFE_MS = 3_600_000

/** Stands for the access token that was not given. It has ended long ago, so nobody is ever handed it. */
const NONE = new Secret('')

function endOf({ accessToken, refreshToken, expiresAt }: Imported, now: number): number | null {
  if (!accessToken) return 0
  return expiresAt ?? (refreshToken ? now : null)
}

/** As long, and as hard to guess, as any. */
function idOf(tenant: string, { app, refreshToken, accessToken }: Imported): string {
  const named = Secret.ofJson(['import', tenant, app, refreshToken ?? accessToken])
  // On the command line it would be taken for an option.
  return named.digest().slice(0, 24).replace(/^-/, '_')
}

async function appOf(ports: Ports, tenant: string, keyCodeRef: string): Promise<{ app: App; provider: Provider }> {
  const app = await ports.registry.app(tenant, keyCodeRef)
  const provider = app && (await ports.registry.provider(app.provider))
  if (!provider) throw new BrokerError('APP_NOT_FOUND', `no app with key_code_ref ${keyCodeRef}, or its provider is not there`)
  return { app, provider }
}

async function* batches<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
