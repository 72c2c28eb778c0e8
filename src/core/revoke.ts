/** Ends a connection: here at once, then at the provider, refresh token first. */

import { attemptFact, emptied, PENDING_STAGES, type Stage } from './attempt.ts'
import { allow, allowApp, type Caller } from './caller.ts'
import { type Connection, isHeld, type Upstream } from './connection.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { mayHaveSuccessor } from './lost-answer.ts'
import type { Fact, Ports } from './ports.ts'
import { type Ended, takeBack, toBeTakenBack } from './revocation.ts'

/** It holds nothing that a provider could take back. */
const UNSUPPORTED = { state: 'revoked', upstream: 'unsupported' } as const

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
  const health = connection.sealed ? await begun(ports, connection) : UNSUPPORTED
  const ending: Connection = { ...connection, health, lease: null, dueAt: null }
  return ports.store.connections.save(connection, ending, [fact(ports, connection, actor, reason)])
}

async function begun({ now, registry, unbegun }: Ports, connection: Connection): Promise<Ended> {
  const app = await registry.app(connection.tenant, connection.app)
  // The answer to a renewal that is under way may yet come.
  const overdue = isHeld(connection, now()) ? null : unbegun.serious(connection, connection.lease)
  return toBeTakenBack(now(), app, mayHaveSuccessor(connection, overdue))
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

function fact({ now }: Ports, connection: Connection, actor: string, reason: string | null): Fact {
  return connectionFact(connection, { at: now(), actor, action: 'connection.revoked', reason })
}
