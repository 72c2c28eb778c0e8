/** Turns a code into a connection. Codes are single use: it is sent once, and what comes of it is written whole or not at all. */

import { type Attempt, attemptFact, attemptRow, emptied } from './attempt.ts'
import type { Connection } from './connection.ts'
import { dueAt } from './due.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { mintId } from './one-time.ts'
import type { Grant, Ports, RowSeal } from './ports.ts'
import type { Provider } from './provider.ts'
import { registrationOf } from './registration.ts'
import { supersede } from './revoke.ts'
import type { Secret } from './secret.ts'
import { connectionRow, sealCredentials } from './vault.ts'

export type Redeemed =
  | { readonly outcome: 'connected'; readonly connection: Connection }
  | { readonly outcome: 'refused'; readonly reason: string; readonly detail: string | null }

/** `attempt` is at stage `returned`, which only one request can have brought it to. */
export async function redeem(
  ports: Ports,
  attempt: Attempt,
  answer: { readonly code: Secret; readonly kept: Readonly<Record<string, string>> },
): Promise<Redeemed> {
  const { app, registration } = await registrationOf(ports, attempt.tenant, attempt.app)
  const mode = ports.modeOf(registration.provider)
  const secrets = await opened(ports, attempt)
  if ((await reconnected(ports, attempt)) === 'revoked') return refused(ports, attempt, 'revoked_meanwhile', REVOKED)
  // In `callback` binding the id that `auth_url` gave never becomes usable: the one that does travels with this browser only.
  const id = attempt.binding === 'callback' ? mintId() : attempt.session
  const row = await ports.seal.create(connectionRow({ tenant: attempt.tenant, id }))

  const { redirectUri, issuer } = attempt
  const exchanged = await mode.exchange(registration, { ...answer, ...secrets, redirectUri, issuer })
  if (exchanged.outcome === 'uncertain') return refused(ports, attempt, 'exchange_uncertain', exchanged.detail)
  if (exchanged.outcome === 'refused') return refused(ports, attempt, exchanged.reason, exchanged.detail)

  // Looked at anew: whoever revoked it while the provider was asked is not overruled by the answer.
  const earlier = await reconnected(ports, attempt)
  const written =
    earlier === 'revoked'
      ? 'overtaken'
      : await stored(ports, attempt, exchanged.grant, { id, row, earlier, provider: registration.provider })
  if (typeof written === 'string') {
    // Tokens that nobody will ever see again must not stay alive at the provider.
    await mode.revoke(registration, exchanged.grant.credentials)
    if (written === 'overtaken') return refused(ports, attempt, 'revoked_meanwhile', REVOKED)
    throw new BrokerError('INTERNAL', 'the connection could not be stored; what the provider granted was revoked again')
  }
  if (app.onePerOwner) await supersede(ports, written)
  return { outcome: 'connected', connection: written }
}

const REVOKED = 'the session was revoked while it was being connected'

/** The connection whose consent is renewed; null: a new one is made. */
async function reconnected(ports: Ports, { tenant, reconnects }: Attempt): Promise<Connection | null | 'revoked'> {
  if (reconnects === null) return null
  const found = await ports.store.connections.find(tenant, reconnects)
  return found && found.health.state !== 'revoked' ? found : 'revoked'
}

/** `overtaken`: the attempt was ended by somebody else meanwhile. `failed`: storage did not take it. */
async function stored(
  ports: Ports,
  attempt: Attempt,
  grant: Grant,
  { id, row, earlier, provider }: { id: string; row: RowSeal; earlier: Connection | null; provider: Provider },
): Promise<Connection | 'overtaken' | 'failed'> {
  const now = ports.now()
  const connection: Connection = {
    ...fresh(now, attempt, grant, id, earlier),
    sealed: sealCredentials(row, grant.credentials),
    dueAt: grant.credentials.refreshToken && dueAt(provider, { usedAt: now, lost: null, retryAt: now }, ports.chance()),
  }
  const next = emptied({ ...attempt, stage: 'connected', connection: id })
  const how = earlier ? 'reconnected' : attempt.binding
  const told = { at: ports.now(), actor: 'browser', action: 'connection.connected', reason: how } as const
  const connected = connectionFact(connection, told)
  try {
    return (await ports.store.attempts.finish('returned', next, connection, [connected])) ? connection : 'overtaken'
  } catch (error) {
    ports.log('error', 'a new connection could not be stored', { tenant: attempt.tenant, session: attempt.session, error })
    return 'failed'
  }
}

async function opened(ports: Ports, attempt: Attempt): Promise<{ codeVerifier: Secret; nonce: Secret }> {
  const { dataKey, codeVerifier, nonce } = attempt.sealed
  if (!codeVerifier || !nonce) throw new BrokerError('INTERNAL', 'an attempt came back that never went away')
  const row = await ports.seal.load(attemptRow(attempt), dataKey)
  return { codeVerifier: row.open('code_verifier', codeVerifier), nonce: row.open('nonce', nonce) }
}

async function refused(ports: Ports, attempt: Attempt, reason: string, detail: string | null): Promise<Redeemed> {
  const failed = emptied({ ...attempt, stage: 'failed', reason })
  await ports.store.attempts.move('returned', failed, [attemptFact(ports, attempt, 'browser', 'attempt.failed', reason)])
  return { outcome: 'refused', reason, detail }
}

function fresh(
  now: number,
  attempt: Attempt,
  grant: Grant,
  id: string,
  earlier: Connection | null,
): Omit<Connection, 'sealed' | 'dueAt'> {
  return {
    id,
    tenant: attempt.tenant,
    app: attempt.app,
    provider: attempt.provider,
    owner: attempt.owner,
    label: earlier?.label ?? null,
    account: grant.account,
    requestedScopes: attempt.scopes,
    grantedScopes: grant.grantedScopes,
    tokenType: grant.tokenType,
    issuedAt: now,
    expiresAt: grant.expiresAt,
    health: { state: 'connected', trouble: null },
    version: earlier?.version ?? 0,
    lease: null,
    createdAt: earlier?.createdAt ?? now,
    connectedAt: now,
    renewedAt: null,
    usedAt: earlier?.usedAt ?? null,
  }
}
