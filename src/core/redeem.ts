/** Turns a code into a connection. Codes are single use: it is sent once, and what comes of it is written whole or not at all. */

import { accepted, askLater, discard, type Objection } from './account.ts'
import type { App, Registration } from './app.ts'
import { asBegun, type Changed } from './as-begun.ts'
import { type Attempt, attemptFact, attemptRow, emptied } from './attempt.ts'
import { type Connection, isHeld, scopesOf } from './connection.ts'
import { dueAt } from './due.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { keepingLost, lostBefore } from './lost-answer.ts'
import { isReplaced, keepNewest } from './newest.ts'
import { mintId } from './one-time.ts'
import type { Exchanged, Grant, Ports, RowSeal } from './ports.ts'
import type { Provider } from './provider.ts'
import type { Secret } from './secret.ts'
import { settleWaiting, waiting } from './settle.ts'
import { connectionRow, openRefreshToken, sealCredentials } from './vault.ts'

export type Redeemed =
  | { readonly outcome: 'connected'; readonly connection: Connection }
  | ({ readonly outcome: 'refused' } & Reason)

/** `attempt` is at stage `returned`, which only one request can have brought it to; `ready` was had before that, where it matters. */
export function redeem(ports: Ports, attempt: Attempt, answer: Answer, ready?: Ready): Promise<Redeemed> {
  // Whoever brought the code may hang up, and then nothing but this keeps a process that stops from leaving its answer behind.
  return ports.redemptions.join(attempt.id, () => toTheEnd(ports, attempt, answer, ready))
}

async function toTheEnd(ports: Ports, attempt: Attempt, answer: Answer, ready: Ready | undefined): Promise<Redeemed> {
  try {
    return await redeemed(ports, attempt, answer, ready ?? (await readyFor(ports, attempt)))
  } catch (error) {
    // Whoever asks for its token is told so, and not for ten minutes that the user has not finished.
    await refused(ports, attempt, FAILED).catch(() => {})
    throw error
  }
}

interface Answer {
  readonly code: Secret
  readonly kept: Readonly<Record<string, string>>
}

type Ready = Awaited<ReturnType<typeof readyFor>>

/** All that a key service is asked for, so that it can be had before anything is used up. */
export async function readyFor(ports: Ports, attempt: Attempt) {
  const begun = await asBegun(ports, attempt)
  if ('reason' in begun) return begun
  const secrets = await opened(ports, attempt)
  // In `callback` binding the id that `auth_url` gave never becomes usable: the one that does travels with this browser only.
  const id = attempt.binding === 'callback' ? mintId() : attempt.session
  return { ...begun, secrets, id, row: await ports.seal.create(connectionRow({ tenant: attempt.tenant, id })) }
}

async function redeemed(ports: Ports, attempt: Attempt, answer: Answer, ready: Ready): Promise<Redeemed> {
  if ('reason' in ready) return refused(ports, attempt, ready)
  const { app, registration, secrets, id, row } = ready
  const mode = ports.modeOf(registration.provider)
  if ((await reconnected(ports, attempt)) === 'revoked') return refused(ports, attempt, REVOKED)

  const { redirectUri, issuer } = attempt
  const exchanged = await mode.exchange(registration, { ...answer, ...secrets, redirectUri, issuer })
  if (exchanged.outcome !== 'granted') {
    if (exchanged.outcome === 'refused' && exchanged.granted) await discard(ports, registration, attempt, exchanged.granted)
    return notRedeemed(ports, attempt, exchanged)
  }

  const made = await kept(ports, { app, registration }, attempt, exchanged.grant, { id, row }).catch(async (error: unknown) => {
    const written = await wasWritten(ports, attempt, id).catch(() => 'unknown' as const)
    if (typeof written === 'object' && written) return written
    // The code is spent, and what came for it is in nobody's hands; unless it is in a row that nobody can read just now.
    if (written === null) await discard(ports, registration, attempt, exchanged.grant)
    throw error
  })
  if (made === 'overtaken') {
    // Somebody revoked it: so is what came for it, unless it may be the grant of the connection that took its place.
    if (!(await isSuperseded(ports, attempt, exchanged.grant))) await mode.revoke(registration, exchanged.grant.credentials)
    return refused(ports, attempt, REVOKED)
  }
  if ('objection' in made) {
    await discard(ports, registration, attempt, exchanged.grant)
    return refused(ports, attempt, made.objection)
  }
  // It is there, and its user is to know: the next consent of that owner ends what is left.
  await keepNewest(ports, app, made).catch((error: unknown) => {
    const { tenant, id: session } = made
    ports.log('error', 'what a new connection takes the place of could not be ended', { tenant, session, error })
  })
  askLater(ports, { app, registration }, made)
  return { outcome: 'connected', connection: made }
}

/** A store that fails while it commits may have written all the same. The attempt is ended once, by that write or by this one. null: by this one. */
async function wasWritten({ store, now }: Ports, attempt: Attempt, id: string): Promise<Connection | null> {
  const failed = emptied({ ...attempt, stage: 'failed', reason: FAILED.reason })
  if (await store.attempts.move('returned', failed, [attemptFact({ now }, attempt, 'browser', 'attempt.failed', FAILED.reason)]))
    return null
  const current = attempt.stateHash && (await store.attempts.findByState(attempt.stateHash))
  return current && current.stage === 'connected' ? store.connections.find(attempt.tenant, id) : null
}

async function isSuperseded(ports: Ports, attempt: Attempt, { account }: Grant): Promise<boolean> {
  const { tenant, reconnects, createdAt } = attempt
  if (reconnects === null) return false
  const health = (await ports.store.connections.find(tenant, reconnects))?.health
  // Deleted by then, it says nothing of that any more.
  if (!health) return isReplaced(ports, { ...attempt, account, connectedAt: createdAt })
  return health.state === 'revoked' && health.upstream === 'superseded'
}

const FAILED = { reason: 'broker_failed', detail: null }
const OTHER_CLIENT: Changed = {
  reason: 'provider_changed',
  detail: 'the app became another client while the provider was asked; what was granted is not for that one',
}
const REVOKED = { reason: 'revoked_meanwhile', detail: 'the session was revoked while it was being connected' }

/** The connection whose consent is renewed; null: a new one is made. */
async function reconnected(ports: Ports, { tenant, reconnects }: Attempt): Promise<Connection | null | 'revoked'> {
  if (reconnects === null) return null
  const found = await ports.store.connections.find(tenant, reconnects)
  return found && found.health.state !== 'revoked' ? found : 'revoked'
}

interface Place {
  readonly id: string
  readonly row: RowSeal
  /** The connection whose consent is renewed. */
  readonly earlier: Connection | null
  readonly provider: Provider
}

/** The connection as it is written now. `overtaken`: the attempt, or the connection it renews, was ended by somebody else meanwhile. */
async function kept(
  ports: Ports,
  { app, registration }: { readonly app: App; readonly registration: Registration },
  attempt: Attempt,
  granted: Grant,
  place: Pick<Place, 'id' | 'row'>,
): Promise<Connection | 'overtaken' | { readonly objection: Objection | Changed }> {
  const verdict = await accepted(ports, { app, registration }, attempt, granted)
  if ('objection' in verdict) return verdict
  // Nobody could renew or revoke what would be stored, or it would go where nobody agreed to: also where another process changed it.
  await ports.registry.refresh()
  const now = await asBegun(ports, attempt)
  if ('reason' in now) return { objection: now }
  if (now.registration.clientId !== registration.clientId) return { objection: OTHER_CLIENT }
  for (let before: Connection | null = null; ; ) {
    // Looked at anew each time: whoever revoked it while the provider was asked is not overruled by the answer.
    const earlier = await reconnected(ports, attempt)
    if (earlier === 'revoked' || (before && earlier?.version === before.version)) return 'overtaken'
    if (earlier && livesOn(verdict.grant, earlier)) {
      // What a renewal under way brings, or what one brought that is not written yet, is what will live on.
      const answered = await waiting(ports, earlier)
      if (answered) await settleWaiting(ports, answered)
      else if (isHeld(earlier, ports.now())) {
        await ports.pause(25)
        continue
      }
    }
    const made = await stored(ports, attempt, verdict.grant, { ...place, earlier, provider: registration.provider })
    if (made) return made
    if (earlier === null) return 'overtaken'
    before = earlier
  }
}

/** null: somebody wrote in between, to the attempt or to the connection. */
async function stored(
  ports: Ports,
  attempt: Attempt,
  grant: Grant,
  { id, row, earlier, provider }: Place,
): Promise<Connection | null> {
  const now = ports.now()
  const living = earlier && livesOn(grant, earlier) ? earlier : null
  const refreshToken = living ? await refreshTokenOf(ports, living) : grant.credentials.refreshToken
  // It may be spent: sent a second time it could end the new consent, too, so whoever renews is to know.
  const lost = living && refreshToken && lostBefore(living, ports.unbegun.serious(living, living.lease))
  const made: Connection = {
    ...fresh(now, attempt, grant, id, earlier),
    sealed: sealCredentials(row, { ...grant.credentials, refreshToken }),
    dueAt: refreshToken && dueAt(provider, { usedAt: now, lost, retryAt: now }, ports.chance()),
  }
  const connection = keepingLost(made, lost, now)
  const next = emptied({ ...attempt, stage: 'connected', connection: id })
  const how = earlier ? (hasLess(connection, earlier) ? 'reconnected_with_fewer_scopes' : 'reconnected') : attempt.binding
  const told = { at: ports.now(), actor: 'browser', action: 'connection.connected', reason: how } as const
  const connected = connectionFact(connection, told)
  try {
    return (await ports.store.attempts.finish('returned', next, connection, [connected], earlier)) ? connection : null
  } catch (error) {
    ports.log('error', 'a new connection could not be stored', { tenant: attempt.tenant, session: attempt.session, error })
    throw new BrokerError('INTERNAL', 'the connection could not be stored; start again with auth_url')
  }
}

/** Some providers give a refresh token with an account's first consent only: then the one that is there lives on. */
function livesOn({ credentials, account }: Grant, earlier: Connection): boolean {
  const works = earlier.health.state === 'connected' || earlier.health.state === 'failing'
  return !credentials.refreshToken && account !== null && account.id === earlier.account?.id && works
}

/** null: it has none that could be had. */
async function refreshTokenOf(ports: Ports, earlier: Connection): Promise<Secret | null> {
  try {
    return await openRefreshToken(ports, earlier)
  } catch (error) {
    // Connecting again is how a connection is mended that does not open any more.
    if (error instanceof BrokerError && error.code === 'INTEGRITY_FAILURE') return null
    throw error
  }
}

function hasLess(now: Connection, before: Connection): boolean {
  const granted = new Set(scopesOf(now))
  return scopesOf(before).some((scope) => !granted.has(scope))
}

async function opened(ports: Ports, attempt: Attempt): Promise<{ codeVerifier: Secret; nonce: Secret }> {
  const { dataKey, codeVerifier, nonce } = attempt.sealed
  if (!codeVerifier || !nonce) throw new BrokerError('INTERNAL', 'an attempt came back that never went away')
  const row = await ports.seal.load(attemptRow(attempt), dataKey)
  return { codeVerifier: row.open('code_verifier', codeVerifier), nonce: row.open('nonce', nonce) }
}

/** Hardly ever the user's doing: a wrong client secret, a provider that is down. So it is told to whoever can mend it, too. */
async function notRedeemed(
  ports: Ports,
  attempt: Attempt,
  answer: Exclude<Exchanged, { outcome: 'granted' }>,
): Promise<Redeemed> {
  const { tenant, session, app, provider } = attempt
  ports.log('warn', 'a code made no connection', { tenant, session, key_code_ref: app, provider, reason: answer.reason })
  const { outcome, reason, detail, quoted = false } = answer
  return refused(ports, attempt, { reason: outcome === 'uncertain' ? 'exchange_uncertain' : reason, detail, quoted })
}

interface Reason {
  readonly reason: string
  readonly detail: string | null
  /** The detail is the provider's own words; else it is ours. */
  readonly quoted?: boolean
}

async function refused(ports: Ports, attempt: Attempt, { reason, detail, quoted = false }: Reason): Promise<Redeemed> {
  const failed = emptied({ ...attempt, stage: 'failed', reason })
  await ports.store.attempts.move('returned', failed, [attemptFact(ports, attempt, 'browser', 'attempt.failed', reason)])
  return { outcome: 'refused', reason, detail, quoted }
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
