/** All that is known of one owner: told whole, or erased. Both are an operator's, on request of whom it is about. */

import type { Attempt } from './attempt.ts'
import { type AuditEntry, entriesOf } from './audit.ts'
import { deleteConnection, listConnections, PAGE_SIZE_MAX } from './browse.ts'
import { allow, type Caller } from './caller.ts'
import { isErased, pseudonymOf } from './checkpoint.ts'
import type { Connection, Credentials } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { ConnectionEvent } from './event.ts'
import type { Cursor, Fact, OwnerFilter, Ports } from './ports.ts'
import { settleJournal } from './settle.ts'
import { openKept } from './vault.ts'
import type { Delivery } from './webhook.ts'

const PAGE_ROWS = 500
/** Between looking and erasing, somebody may have connected once more. */
const ROUNDS_MAX = 5

export interface OwnerRecord {
  readonly connections: readonly Connection[]
  readonly attempts: readonly Attempt[]
  readonly events: readonly ConnectionEvent[]
  /** Oldest first: what was done to their connections, and which tokens were handed out. */
  readonly audit: readonly AuditEntry[]
  /** What is on its way to webhooks, and what never got there. */
  readonly deliveries: readonly Delivery[]
}

/** With what their providers told, for the application's requests to them. */
export interface ToldOwner extends OwnerRecord {
  readonly connections: readonly (Connection & { readonly kept: Credentials['kept'] })[]
}

/** No token is among it. */
export async function exportOwner(ports: Ports, operator: Caller, owner: OwnerFilter): Promise<ToldOwner> {
  await allow(ports, operator, 'read:audit', 'owner')
  assertSomebody(owner)
  const found = await everythingOf(ports, operator, owner)
  const connections: ToldOwner['connections'][number][] = []
  for (const connection of found.connections) connections.push({ ...connection, kept: await openKept(ports, connection) })
  await ports.store.record(
    pseudonymsOf(ports, operator.tenant, found).map((subject) => fact(ports, operator, 'owner.exported', subject)),
  )
  return { ...found, connections }
}

export interface Erasure {
  readonly connections: number
  readonly attempts: number
  readonly events: number
  readonly deliveries: number
  /** By pseudonym: who they were, as far as the history still tells. */
  readonly pseudonyms: readonly string[]
  /** Sessions whose revocation the provider did not confirm, with what is known: it may still hold a grant. */
  readonly unconfirmed: readonly { readonly session: string; readonly upstream: string }[]
}

/** What `eraseOwner` would do, without doing it. */
export async function erasureOf(ports: Ports, operator: Caller, owner: OwnerFilter): Promise<Erasure> {
  await allow(ports, operator, 'write:audit', 'owner')
  assertSomebody(owner)
  const found = await everythingOf(ports, operator, owner)
  const counts = { connections: found.connections.length, attempts: found.attempts.length, deliveries: found.deliveries.length }
  return { ...counts, events: found.events.length, pseudonyms: pseudonymsOf(ports, operator.tenant, found), unconfirmed: [] }
}

/**
 * Revokes and deletes all of an owner's connections, with the keys that they were sealed under; forgets attempts and what is on its way to
 * webhooks; leaves a pseudonym in the history. Whatever moment it is stopped at, doing it again does the rest.
 */
export async function eraseOwner(ports: Ports, operator: Caller, owner: OwnerFilter): Promise<Erasure> {
  await allow(ports, operator, 'write:audit', 'owner')
  assertSomebody(owner)
  const { tenant } = operator
  const total = { connections: 0, attempts: 0, events: 0, deliveries: 0 }
  const pseudonyms = new Set<string>()
  const unconfirmed: Erasure['unconfirmed'][number][] = []
  // What waits to be written is written, so that it is found.
  await settleJournal(ports)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const attempts = await ports.store.attempts.ofOwner(tenant, owner)
    total.attempts += await ports.store.attempts.forget(tenant, owner)
    for (const { id } of await connectionsOf(ports, operator, owner)) {
      const upstream = await ended(ports, operator, id)
      if (upstream === null) continue
      total.connections += 1
      if (upstream !== 'confirmed') unconfirmed.push({ session: id, upstream })
    }
    await dropWaiting(ports, tenant, owner)
    const events = await eventsOf(ports, tenant, owner)
    if (attempts.length + events.length === 0) return { ...total, pseudonyms: [...pseudonyms], unconfirmed }
    total.events += events.length
    total.deliveries += await forgetDeliveries(ports, tenant, events)
    for (const pseudonym of await leavePseudonyms(ports, operator, attempts, events)) pseudonyms.add(pseudonym)
  }
  throw new BrokerError('CONFLICT', 'they go on connecting: stop that first, then erase them again')
}

/** Whoever asks for nobody must not get everybody, nor for nobody in an organisation all of it. */
function assertSomebody({ userId, orgCode }: OwnerFilter): void {
  const given = [userId, orgCode].filter((id) => id !== undefined)
  if (given.length === 0 || given.includes(''))
    throw new BrokerError('MISSING_OWNER', 'say whom: a user id, an organisation code, or both')
}

/** What became of it at the provider; null: somebody else deleted it meanwhile. */
async function ended(ports: Ports, operator: Caller, session: string): Promise<string | null> {
  try {
    return await deleteConnection(ports, operator, session)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'NOT_FOUND') return null
    throw error
  }
}

/** What is still in the journal belongs to connections that are gone. */
async function dropWaiting({ journal }: Ports, tenant: string, owner: OwnerFilter): Promise<void> {
  for (const { claimed, next } of await journal.entries())
    if (claimed.tenant === tenant && isOf(next.owner, owner)) await journal.remove(claimed)
}

async function forgetDeliveries({ store, now }: Ports, tenant: string, events: readonly ConnectionEvent[]): Promise<number> {
  // What no webhook was given yet would come to them later.
  while ((await store.webhooks.spread(now(), PAGE_ROWS)) > 0);
  let forgotten = 0
  for (const session of new Set(events.map(({ subject }) => subject))) forgotten += await store.webhooks.forget(tenant, session)
  return forgotten
}

/** That they were erased is written with the first names that go: whoever finds names gone finds out why. */
async function leavePseudonyms(
  ports: Ports,
  operator: Caller,
  attempts: readonly Attempt[],
  events: readonly ConnectionEvent[],
): Promise<string[]> {
  const { tenant } = operator
  const pseudonyms = pseudonymsOf(ports, tenant, { connections: [], attempts, events })
  const retold = events.map(({ seq, about }) => {
    const pseudonym = pseudonymOf(ports.hashOf, tenant, about.owner)
    return { seq, about: { ...about, owner: { userId: null, orgCode: null, pseudonym } } }
  })
  const erased = pseudonyms.map((subject) => fact(ports, operator, 'owner.erased', subject))
  await ports.store.audit.retell(tenant, retold.slice(0, PAGE_ROWS), erased)
  for (let from = PAGE_ROWS; from < retold.length; from += PAGE_ROWS)
    await ports.store.audit.retell(tenant, retold.slice(from, from + PAGE_ROWS), [])
  return pseudonyms
}

// ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

async function everythingOf(ports: Ports, operator: Caller, owner: OwnerFilter): Promise<OwnerRecord> {
  const { tenant } = operator
  const connections = await connectionsOf(ports, operator, owner)
  const attempts = await ports.store.attempts.ofOwner(tenant, owner)
  const events = await eventsOf(ports, tenant, owner)
  const sessions = new Set([
    ...connections.map(({ id }) => id),
    ...attempts.map(({ session }) => session),
    ...events.map(({ subject }) => subject),
  ])
  return {
    connections,
    attempts,
    events,
    audit: await auditOf(ports, tenant, sessions),
    deliveries: await deliveriesOf(ports, tenant, sessions),
  }
}

async function connectionsOf(ports: Ports, operator: Caller, owner: OwnerFilter): Promise<Connection[]> {
  const connections: Connection[] = []
  for (let after: Cursor | null = null; ; ) {
    const page = await listConnections(ports, operator, owner, { after, size: PAGE_SIZE_MAX })
    for (const item of page.items) if (item.kind === 'connection') connections.push(item.connection)
    if (!page.next) return connections
    after = page.next
  }
}

/** Of connections that were deleted long ago, too: an event says whom it is about. */
async function eventsOf({ store }: Ports, tenant: string, owner: OwnerFilter): Promise<ConnectionEvent[]> {
  const events: ConnectionEvent[] = []
  for (let after = 0; ; ) {
    const page = await store.events(tenant, {}, { after, limit: PAGE_ROWS })
    events.push(...page.filter(({ about }) => isOf(about.owner, owner)))
    if (page.length < PAGE_ROWS) return events
    after = page.at(-1)!.seq
  }
}

async function auditOf({ store }: Ports, tenant: string, sessions: ReadonlySet<string>): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = []
  for (let before: number | null = null; ; ) {
    const page: (Fact & { readonly seq: number })[] = await store.history(tenant, { before, limit: PAGE_ROWS })
    entries.push(...page.flatMap(entriesOf).filter(({ subject }) => sessions.has(subject)))
    if (page.length < PAGE_ROWS) return entries.reverse()
    before = page.at(-1)!.seq
  }
}

async function deliveriesOf({ store: { webhooks } }: Ports, tenant: string, sessions: ReadonlySet<string>): Promise<Delivery[]> {
  const found: Delivery[] = []
  for (const webhook of await webhooks.list(tenant))
    for (const state of ['waiting', 'dead'] as const)
      for (let after = 0; ; ) {
        const page = await webhooks.deliveries(webhook, state, { after, limit: PAGE_ROWS })
        found.push(...page.filter(({ event }) => sessions.has(event.subject)))
        if (page.length < PAGE_ROWS) break
        after = page.at(-1)!.event.seq
      }
  return found
}

function isOf({ userId, orgCode, ...told }: ConnectionEvent['about']['owner'], owner: OwnerFilter): boolean {
  if (isErased({ userId, orgCode, ...told })) return false
  const [asksUser, asksOrg] = [owner.userId !== undefined, owner.orgCode !== undefined]
  return (asksUser || asksOrg) && (!asksUser || owner.userId === userId) && (!asksOrg || owner.orgCode === orgCode)
}

function pseudonymsOf(
  { hashOf }: Ports,
  tenant: string,
  { connections, attempts, events }: Pick<OwnerRecord, 'connections' | 'attempts' | 'events'>,
): string[] {
  const owners = [
    ...connections.map(({ owner }) => owner),
    ...attempts.map(({ owner }) => owner),
    ...events.map(({ about }) => about.owner),
  ]
  return [...new Set(owners.map((owner) => pseudonymOf(hashOf, tenant, owner)))]
}

function fact({ now }: Ports, { tenant, name: actor }: Caller, action: 'owner.exported' | 'owner.erased', subject: string): Fact {
  return { tenant, at: now(), actor, action, subject, reason: null }
}
