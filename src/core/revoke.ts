/** Ends a connection: here at once, then at the provider, refresh token first. */

import type { App } from './app.ts'
import { attemptFact, emptied, PENDING_STAGES, type Stage } from './attempt.ts'
import { allow, allowApp, type Caller } from './caller.ts'
import { type Connection, type Health, sameOwner, type Upstream } from './connection.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import type { Cursor, Fact, Ports } from './ports.ts'
import { takeBack, toBeTakenBack } from './revocation.ts'

const PAGE_ROWS = 100

/** Idempotent. Throws `INVALID_SESSION` when there never was such a session. Resolves to what became of it at the provider. */
export async function revoke(ports: Ports, caller: Caller, session: string): Promise<Upstream> {
  await allow(ports, caller, 'create:connected_apps', session, 'narrowed')
  for (;;) {
    const found = await ports.store.connections.find(caller.tenant, session)
    if (found) await allowApp(ports, caller, found.app, session)
    const ended = found ? await revokeConnection(ports, caller.name, found) : await revokeAttempt(ports, caller, session)
    if (ended) return ended
  }
}

/**
 * First the row: from the moment it says `revoked` no token is handed out, and a renewal in flight cannot write over it. Then the provider.
 * Revoking once more asks the provider once more, as long as there is something to go on with.
 * null: somebody wrote in between; look again.
 */
export async function revokeConnection(
  ports: Ports,
  actor: string,
  connection: Connection,
  reason: string | null = null,
): Promise<Upstream | null> {
  const { health, sealed } = connection
  if (health.state === 'revoked' && !sealed) return health.upstream
  if (health.state !== 'revoked' && !(await endHere(ports, actor, connection, reason))) return null
  return (await takeBack(ports, connection))?.upstream ?? null
}

/** Ends it here, and leaves its provider to whoever comes first. Says whether it did: somebody may have written in between. */
export async function endHere(ports: Ports, actor: string, connection: Connection, reason: string | null): Promise<boolean> {
  const { tenant, app } = connection
  const health = connection.sealed ? toBeTakenBack(ports.now(), await ports.registry.app(tenant, app)) : revoked('unsupported')
  const ending: Connection = { ...connection, health, lease: null, dueAt: null }
  return ports.store.connections.save(connection, ending, [fact(ports, connection, actor, reason)])
}

/**
 * An app that is set to one connection per owner, or per account of an owner at the provider: the newest stays, and the others end here. Of any number that are made at once each
 * leaves the same one, whoever looks first. The grant at the provider is the newest one's now, so it is not revoked there.
 */
export async function supersede(
  ports: Ports,
  made: Pick<Connection, 'tenant' | 'app' | 'owner'>,
  account?: string,
): Promise<void> {
  const alive = await aliveOf(ports, made, account)
  const newest = alive.reduce((a, b) => (isNewer(b, a) ? b : a), alive[0]!)
  for (const other of alive) {
    if (other.id === newest.id) continue
    const ended: Connection = { ...other, sealed: null, health: revoked('superseded'), lease: null, dueAt: null }
    // Who wrote in between may have connected it again, and then it is the newest.
    if (!(await ports.store.connections.save(other, ended, [fact(ports, other, 'broker', 'superseded')])))
      return supersede(ports, made, account)
  }
}

/** The same for whatever the app is set to. */
export async function keepNewest(
  ports: Ports,
  { onePerOwner, onePerAccount }: Pick<App, 'onePerOwner' | 'onePerAccount'>,
  made: Connection,
): Promise<void> {
  if (onePerOwner) await supersede(ports, made)
  else if (onePerAccount && made.account) await supersede(ports, made, made.account.id)
}

function isNewer(a: Connection, b: Connection): boolean {
  return a.connectedAt === b.connectedAt ? a.id > b.id : a.connectedAt > b.connectedAt
}

async function aliveOf(
  ports: Ports,
  { tenant, app, owner }: Pick<Connection, 'tenant' | 'app' | 'owner'>,
  account: string | undefined,
): Promise<Connection[]> {
  const filter = {
    app,
    ...(account !== undefined && { account }),
    ...(owner.userId !== null && { userId: owner.userId }),
    ...(owner.orgCode !== null && { orgCode: owner.orgCode }),
  }
  const alive: Connection[] = []
  for (let after: Cursor | null = null; ; ) {
    const page: Connection[] = await ports.store.connections.list(tenant, filter, { after, limit: PAGE_ROWS })
    alive.push(...page.filter((one) => sameOwner(one.owner, owner) && one.health.state !== 'revoked'))
    const last = page.at(-1)
    if (page.length < PAGE_ROWS || !last) return alive
    after = { createdAt: last.createdAt, id: last.id }
  }
}

/**
 * No connection yet: the attempt is void from here on. One whose code is being redeemed just now finds that out when it wants to
 * write what it got, and gives it back. null: the attempt has moved on; look again.
 */
async function revokeAttempt(ports: Ports, caller: Caller, session: string): Promise<Upstream | null> {
  const attempt = await ports.store.attempts.find(caller.tenant, session)
  if (!attempt) throw invalidSession()
  await allowApp(ports, caller, attempt.app, session)
  if (attempt.stage === 'connected') {
    // Just now, or under an id that only the browser brought, or it was deleted since.
    if (await ports.store.connections.find(caller.tenant, session)) return null
    throw invalidSession()
  }
  if (!(PENDING_STAGES as readonly Stage[]).includes(attempt.stage)) return 'unsupported'
  const ended = emptied({ ...attempt, stage: 'burned', reason: 'revoked' })
  const told = attemptFact(ports, attempt, caller.name, 'attempt.burned', 'revoked')
  return (await ports.store.attempts.move(attempt.stage, ended, [told])) ? 'unsupported' : null
}

function invalidSession(): BrokerError {
  return new BrokerError('INVALID_SESSION', 'session_id points to an invalid session')
}

function revoked(upstream: Upstream): Health {
  return { state: 'revoked', upstream }
}

function fact({ now }: Ports, connection: Connection, actor: string, reason: string | null): Fact {
  return connectionFact(connection, { at: now(), actor, action: 'connection.revoked', reason })
}
