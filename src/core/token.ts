/** Hands out an access token that works right now, renewing it first when it must be. The path that must be fast. */

import { connectFailed } from './app-fault.ts'
import { type Attempt, isPending } from './attempt.ts'
import { allow, allowApp, type Caller } from './caller.ts'
import { type Connection, type Glance, judge, scopesOf } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import { isWanted, renew, type Wanted } from './renew.ts'
import type { Secret } from './secret.ts'
import { openAccessToken } from './vault.ts'

export interface HandedOut {
  readonly session: string
  readonly accessToken: Secret
  /** null: it does not expire, as far as the provider says. */
  readonly expiresAt: number | null
  /** The last renewal failed, and the token is on its last stretch. */
  readonly refreshFailed: boolean
  /** The app that it was made for, and what it may be used for. */
  readonly app: string
  readonly scopes: readonly string[]
}

const ANY: Wanted = {}

/**
 * Throws or rejects with `INVALID_SESSION`, `SESSION_PENDING`, `SESSION_EXPIRED`, `ACCESS_DENIED`, `CONNECT_FAILED`, `RECONNECT_REQUIRED`,
 * and, when the token expired and cannot be renewed just now, `PROVIDER_UNAVAILABLE` or `APP_CREDENTIALS_REJECTED`;
 * `MIN_TTL_NOT_MET` when the provider's tokens do not live as long as is wanted.
 */
export function token(ports: Ports, caller: Caller, session: string, wanted: Wanted = ANY): HandedOut | Promise<HandedOut> {
  const asking = allow(ports, caller, 'read:connected_apps', session, 'narrowed')
  return asking ? asking.then(() => look(ports, caller, session, wanted)) : look(ports, caller, session, wanted)
}

/** Promises only where something is waited for: the half dozen that `await` would make are a tenth of this path. */
function look(ports: Ports, caller: Caller, session: string, wanted: Wanted): HandedOut | Promise<HandedOut> {
  // A glance does not see the app.
  if (caller.bounds?.apps) return handOutMended(ports, caller, session, wanted, null)
  const glance = ports.store.connections.glance(caller.tenant, session)
  return glance instanceof Promise
    ? glance.then((seen) => handOut(ports, caller, session, wanted, seen))
    : handOut(ports, caller, session, wanted, glance)
}

function handOut(
  ports: Ports,
  caller: Caller,
  session: string,
  wanted: Wanted,
  glance: Glance | null,
): HandedOut | Promise<HandedOut> {
  const now = ports.now()
  if (!glance || judge(glance, now) !== 'fresh' || !isWanted(glance, now, wanted))
    return handOutMended(ports, caller, session, wanted, glance)
  ports.ahead.used(glance)
  ports.usage.used(glance)
  const { id, expiresAt, app, scopes } = glance
  const opened = openAccessToken(ports, glance)
  const handed = (accessToken: Secret): HandedOut => ({ session: id, accessToken, expiresAt, refreshFailed: false, app, scopes })
  return opened instanceof Promise ? opened.then(handed) : handed(opened)
}

/** What is not simply there and fresh. */
async function handOutMended(
  ports: Ports,
  caller: Caller,
  session: string,
  wanted: Wanted,
  glance: Glance | null,
): Promise<HandedOut> {
  const found =
    ((glance || caller.bounds?.apps) && (await ports.store.connections.find(caller.tenant, session))) ||
    (await justMade(ports, caller, session))
  await allowApp(ports, caller, found.app, session)
  const connection = await usable(ports, found, wanted)
  ports.ahead.used(connection)
  ports.usage.used(connection)
  const { id, health, expiresAt, app } = connection
  const refreshFailed = 'trouble' in health && health.trouble !== null
  const accessToken = await openAccessToken(ports, connection)
  return { session: id, accessToken, expiresAt, refreshFailed, app, scopes: scopesOf(connection) }
}

/** Between the look at the connections and the one at the attempts it may have become one. Throws why there is none. */
async function justMade(ports: Ports, caller: Caller, session: string): Promise<Connection> {
  const { store } = ports
  const { tenant } = caller
  const attempt = await store.attempts.find(tenant, session)
  if (attempt) await allowApp(ports, caller, attempt.app, session)
  const made = attempt?.stage === 'connected' ? await store.connections.find(tenant, session) : null
  if (!made) throw await unfinished(ports, attempt)
  return made
}

/** The connection with a token that has life in it, as much as is wanted. */
async function usable(ports: Ports, found: Connection, wanted: Wanted): Promise<Connection> {
  const now = ports.now()
  const freshness = judge(found, now)
  if ((freshness === 'fresh' || freshness === 'ageing') && isWanted(found, now, wanted)) {
    if (freshness === 'ageing') renewBehind(ports, found)
    return found
  }
  // One that has ended is renewed for whoever asks: how long the next one lives is seen then.
  if (freshness !== 'expired') assertPossible(found, wanted)
  const connection =
    freshness === 'dead' ? found : await renew(ports, found, wanted).catch((error: unknown) => stillUsable(ports, found, error))
  assertAlive(connection, ports.now(), wanted)
  return connection
}

/** The caller has a token that works; whatever goes wrong here is on the connection's record, or the operator's log. */
function renewBehind(ports: Ports, found: Connection): void {
  renew(ports, found).catch((error: unknown) => tell(ports, found, error))
}

/** What kept a renewal from being tried at all, such as a full disk, withholds no token that still works. */
async function stillUsable(ports: Ports, found: Connection, error: unknown): Promise<Connection> {
  const gone = error instanceof BrokerError && error.code === 'INVALID_SESSION'
  if (gone || judge(found, ports.now()) === 'expired') throw error
  tell(ports, found, error)
  // It may have been revoked, or connected anew, while the provider was asked.
  const current = await ports.store.connections.find(found.tenant, found.id)
  if (!current || judge(current, ports.now()) === 'expired') throw error
  return current
}

function tell(ports: Ports, { tenant, id }: Connection, error: unknown): void {
  // Nothing of this connection: it was told of where it was found out.
  if (error instanceof BrokerError && (error.code === 'APP_CREDENTIALS_REJECTED' || error.code === 'PROVIDER_UNAVAILABLE')) return
  ports.log('warn', 'a renewal ahead of time failed', { tenant, session: id, error })
}

/** Before the provider is asked for nothing: its tokens do not live that long. */
function assertPossible({ issuedAt, expiresAt }: Connection, { lifeMs = 0 }: Wanted): void {
  if (expiresAt !== null && expiresAt - issuedAt < lifeMs) throw tooShort(expiresAt - issuedAt)
}

function tooShort(lifeMs: number): BrokerError {
  const message = `the provider's tokens live ${Math.round(lifeMs / 1000)} seconds: ask for a min_ttl below that`
  return new BrokerError('MIN_TTL_NOT_MET', message)
}

/** A renewal that failed is no reason to withhold a token that still works, unless more life was asked for; an expired one is never handed out. */
function assertAlive({ health, issuedAt, expiresAt }: Connection, now: number, { lifeMs = 0 }: Wanted): void {
  if (health.state === 'revoked') throw new BrokerError('INVALID_SESSION', 'this connection was revoked')
  if (health.state === 'broken') {
    const { reason, detail } = health
    throw new BrokerError('RECONNECT_REQUIRED', `the user must connect again: ${detail ? `${reason} (${detail})` : reason}`)
  }
  if (expiresAt === null || (expiresAt > now && expiresAt - now >= lifeMs)) return
  const trouble = health.trouble
  if (expiresAt > now && trouble === null) throw tooShort(Math.min(expiresAt - issuedAt, expiresAt - now))
  const retryAfterMs = Math.max((trouble?.retryAt ?? now) - now, 1000)
  const ended = expiresAt > now ? 'does not live that long' : 'expired'
  const message = `the token ${ended} and the provider could not renew it just now: ${trouble?.reason ?? 'no answer yet'}`
  throw new BrokerError('PROVIDER_UNAVAILABLE', message, { retryAfterMs })
}

/** Why a session id leads to no connection: it never was one, or its attempt stands or ended somewhere else. */
async function unfinished(ports: Ports, attempt: Attempt | null): Promise<BrokerError> {
  // What was to be reconnected was deleted: of whatever became of that, nothing can come.
  if (!attempt || attempt.reconnects !== null)
    return new BrokerError('INVALID_SESSION', 'session_id points to an invalid session')
  switch (attempt.stage) {
    case 'denied':
      return new BrokerError('ACCESS_DENIED', 'the user did not give consent')
    case 'failed':
    case 'burned':
      // Completed too late: what came too late is what went wrong.
      if (attempt.reason === 'expired') return expired()
      return connectFailed(ports, attempt)
    case 'connected':
      return new BrokerError(
        'INVALID_SESSION',
        attempt.binding === 'callback'
          ? 'use the session_id that the browser brought to the callback'
          : 'session_id points to an invalid session',
      )
    case 'begun':
    case 'away':
    case 'returned':
    case 'held':
      return isPending(attempt, ports.now()) ? pending(attempt) : expired()
  }
}

function pending({ stage }: Attempt): BrokerError {
  const message =
    stage === 'held'
      ? 'the user is back, and it waits for the application to call complete with the completion_code that came to its callback'
      : 'the user has not finished connecting yet'
  return new BrokerError('SESSION_PENDING', message)
}

function expired(): BrokerError {
  return new BrokerError('SESSION_EXPIRED', 'connecting was not finished within ten minutes; start again with auth_url')
}
