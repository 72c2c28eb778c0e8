/** Whose connections there are and how they are: listing, reading, naming, deleting. No token is opened for it. */

import { type Attempt, isPending } from './attempt.ts'
import { allow, allowApp, allowedApps, type Caller } from './caller.ts'
import type { Connection, Credentials, Health, Upstream } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { ConnectionFilter, Cursor, Ports } from './ports.ts'
import { revokeConnection } from './revoke.ts'
import { openKept } from './vault.ts'

export const PAGE_SIZE = 50
export const PAGE_SIZE_MAX = 500
const LABEL_LENGTH_MAX = 200

/** `pending` is a connection that is not one yet. */
export type Listed =
  | { readonly kind: 'connection'; readonly connection: Connection }
  | { readonly kind: 'pending'; readonly attempt: Attempt }

export interface ConnectionPage {
  readonly items: readonly Listed[]
  /** Where the next page begins; null: this is the last. */
  readonly next: Cursor | null
}

/** Pending ones are listed only when asked for by that state. */
export async function listConnections(
  ports: Ports,
  caller: Caller,
  filter: Omit<ConnectionFilter, 'state' | 'apps'> & { readonly state?: Health['state'] | 'pending' },
  page: { readonly after: Cursor | null; readonly size: number },
): Promise<ConnectionPage> {
  await allow(ports, caller, 'read:connections', 'connections', 'narrowed')
  const { store } = ports
  // One more than asked tells whether there is more.
  const wanted = { after: page.after, limit: page.size + 1 }
  const { state, ...rest } = { ...filter, ...allowedApps(caller) }
  if (state === 'pending') {
    const attempts = rest.label === undefined ? await store.attempts.pending(caller.tenant, rest, ports.now(), wanted) : []
    return paged(attempts, page.size, (attempt) => ({ kind: 'pending', attempt }))
  }
  const connections = await store.connections.list(caller.tenant, { ...rest, ...(state && { state }) }, wanted)
  return paged(connections, page.size, (connection) => ({ kind: 'connection', connection }))
}

/** One of them, with what its application needs besides the token. */
export async function readConnection(
  ports: Ports,
  caller: Caller,
  session: string,
): Promise<Listed & { readonly kept: Credentials['kept'] }> {
  await allow(ports, caller, 'read:connections', session, 'narrowed')
  const connection = await ports.store.connections.find(caller.tenant, session)
  const attempt = connection ? null : await ports.store.attempts.find(caller.tenant, session)
  const app = connection?.app ?? attempt?.app
  if (app !== undefined) await allowApp(ports, caller, app, session)
  if (connection) return { kind: 'connection', connection, kept: await openKept(ports, connection) }
  if (attempt && isPending(attempt, ports.now())) return { kind: 'pending', attempt, kept: {} }
  throw new BrokerError('NOT_FOUND', `no connection ${session}`)
}

/** What a renewal that is over brought, and the store did not take, is written within this time, or its process is gone. */
const SETTLED_WITHIN_MS = 3_000

/** Throws `CONFLICT` while nobody knows how the last renewal ended: what is known of that must not be written over. */
export async function relabel(ports: Ports, caller: Caller, session: string, label: string | null): Promise<Connection> {
  await allow(ports, caller, 'write:connections', session, 'narrowed')
  if (label !== null && (label.length === 0 || label.length > LABEL_LENGTH_MAX)) {
    throw new BrokerError('INVALID_REQUEST', `label must have 1 to ${LABEL_LENGTH_MAX} characters, or be null`)
  }
  for (;;) {
    const found = await existing(ports, caller, session)
    const next = { ...found, label }
    const told = { tenant: found.tenant, at: ports.now(), actor: caller.name, subject: session, reason: null }
    // A renewal under way owns the row: a label must not take its lease, and not the mark of one whose answer may be lost.
    if (!found.lease && (await ports.store.connections.save(found, next, [{ ...told, action: 'connection.relabelled' }])))
      return next
    if (found.lease && found.lease.until + SETTLED_WITHIN_MS <= ports.now())
      throw new BrokerError('CONFLICT', 'the last renewal of this connection never ended; it can be labelled after the next one')
    await ports.pause(25)
  }
}

/** Revokes it first, here and at the provider. Resolves to what became of it there. */
export async function deleteConnection(ports: Ports, caller: Caller, session: string): Promise<Upstream> {
  await allow(ports, caller, 'write:connections', session, 'narrowed')
  let upstream: Upstream | null = null
  // Whoever is asking just now may have died over it, and without its row nobody would go on with it.
  while (!upstream || upstream === 'pending')
    upstream = await revokeConnection(ports, caller.name, await existing(ports, caller, session))
  // Whether the provider took it back is the last thing that is known of it.
  const told = { tenant: caller.tenant, at: ports.now(), actor: caller.name, subject: session, reason: upstream }
  await ports.store.connections.remove(caller.tenant, session, [{ ...told, action: 'connection.deleted' }])
  return upstream
}

async function existing(ports: Ports, caller: Caller, session: string): Promise<Connection> {
  const found = await ports.store.connections.find(caller.tenant, session)
  if (!found) throw new BrokerError('NOT_FOUND', `no connection ${session}`)
  await allowApp(ports, caller, found.app, session)
  return found
}

function paged<T extends Cursor>(found: readonly T[], size: number, listed: (row: T) => Listed): ConnectionPage {
  const shown = found.slice(0, size)
  const last = shown.at(-1)
  return { items: shown.map(listed), next: found.length > size && last ? { createdAt: last.createdAt, id: last.id } : null }
}
