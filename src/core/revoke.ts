/** Ends a connection: here at once, then at the provider, refresh token first. */

import { attemptFact, emptied } from './attempt.ts'
import { allow, type Caller } from './caller.ts'
import type { Connection, Credentials, Health, Upstream } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { Fact, Ports } from './ports.ts'
import { registrationOf } from './registration.ts'
import { openCredentials } from './vault.ts'

/** Idempotent. Throws `INVALID_SESSION` when there never was such a session. Resolves to what became of it at the provider. */
export async function revoke(ports: Ports, caller: Caller, session: string): Promise<Upstream> {
  await allow(ports, caller, 'create:connected_apps', session)
  for (;;) {
    const found = await ports.store.connections.find(caller.tenant, session)
    if (!found) return revokeAttempt(ports, caller, session)
    if (found.health.state === 'revoked') return found.health.upstream
    const ended = await revokeConnection(ports, caller.name, found)
    if (ended) return ended
  }
}

/**
 * First the row: from the moment it says `revoked` no token is handed out, and a renewal in flight cannot write over it.
 * The sealed refresh token stays in the row until the provider has answered, so that a crash between the two leaves a trace to go on from.
 * null: somebody wrote in between; look again.
 */
export async function revokeConnection(ports: Ports, actor: string, connection: Connection): Promise<Upstream | null> {
  const credentials = await openable(ports, connection)
  const told = fact(ports, connection, actor, null)
  const ending: Connection = { ...connection, health: revoked('pending'), lease: null }
  if (!(await ports.store.connections.save(connection, ending, [told]))) return null

  const upstream = credentials ? await revokeUpstream(ports, connection, credentials) : 'unsupported'
  const current = await ports.store.connections.find(connection.tenant, connection.id)
  if (current) {
    // What the provider did not take back is kept to try again with; everything else is gone.
    const sealed = upstream === 'failed' ? current.sealed : null
    await ports.store.connections.save(current, { ...current, sealed, health: revoked(upstream) }, [])
  }
  return upstream
}

/** An app that is set to one connection per owner: the earlier ones end here. The grant at the provider is the new one's now. */
export async function supersede(ports: Ports, { tenant, id, app, owner }: Connection): Promise<void> {
  const filter = {
    app,
    ...(owner.userId !== null && { userId: owner.userId }),
    ...(owner.orgCode !== null && { orgCode: owner.orgCode }),
  }
  const earlier = await ports.store.connections.list(tenant, filter, { after: null, limit: 100 })
  for (const other of earlier) {
    const same = other.owner.userId === owner.userId && other.owner.orgCode === owner.orgCode
    if (other.id === id || !same || other.health.state === 'revoked') continue
    const ended: Connection = { ...other, sealed: null, health: revoked('superseded'), lease: null }
    await ports.store.connections.save(other, ended, [fact(ports, other, 'broker', 'superseded')])
  }
}

/** Nothing was granted yet: the attempt is void from here on. */
async function revokeAttempt(ports: Ports, caller: Caller, session: string): Promise<Upstream> {
  const attempt = await ports.store.attempts.find(caller.tenant, session)
  if (!attempt) throw new BrokerError('INVALID_SESSION', 'session_id points to an invalid session')
  const void_ = emptied({ ...attempt, stage: 'burned', reason: 'revoked' })
  const told = attemptFact(ports, attempt, caller.name, 'attempt.burned', 'revoked')
  for (const stage of ['begun', 'away', 'held'] as const) {
    if (attempt.stage === stage) await ports.store.attempts.move(stage, void_, [told])
  }
  return 'unsupported'
}

/** What cannot be opened cannot be revoked at the provider, but must not keep its owner from ending it here. */
async function openable(ports: Ports, connection: Connection): Promise<Credentials | null> {
  if (!connection.sealed) return null
  try {
    return (await openCredentials(ports, connection)).credentials
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'INTEGRITY_FAILURE') return null
    throw error
  }
}

async function revokeUpstream(ports: Ports, { tenant, app }: Connection, credentials: Credentials): Promise<Upstream> {
  try {
    const { registration } = await registrationOf(ports, tenant, app)
    return await ports.modeOf(registration.provider).revoke(registration, credentials)
  } catch (error) {
    ports.log('warn', 'a revocation did not reach the provider', { tenant, key_code_ref: app, error })
    return 'failed'
  }
}

function revoked(upstream: Upstream): Health {
  return { state: 'revoked', upstream }
}

function fact({ now }: Ports, { tenant, id }: Connection, actor: string, reason: string | null): Fact {
  return { tenant, at: now(), actor, action: 'connection.revoked', subject: id, reason }
}
