/**
 * Renews a connection's credentials: one renewal at a time, and never a refresh token lost or spent twice.
 *
 * Many providers take a refresh token once, and treat a second use as theft: the whole grant dies. So there is one order,
 * and nothing may move across the line marked below: everything that can fail, then the intent (the lease, durable),
 * then the request, once, then the answer written under the lease's fence (`settle.ts`).
 */

import type { App } from './app.ts'
import { backoff, RETRY_AFTER_MS_MAX } from './backoff.ts'
import { type Connection, endOfRenewed, isHeld, judge, type Trouble } from './connection.ts'
import { dueAt } from './due.ts'
import { BrokerError } from './errors.ts'
import { connectionFact, type EventType } from './event.ts'
import { askingAgain, keepingLost, type LostAnswer, lostAfter, lostBefore, renewalLimits, windowMs } from './lost-answer.ts'
import type { Fact, Grant, Ports, Renewed, RowSeal } from './ports.ts'
import type { Provider } from './provider.ts'
import { withHint } from './reconnected.ts'
import { registrationOf } from './registration.ts'
import { refusalOf } from './restored.ts'
import { settle, settleWaiting, waiting } from './settle.ts'
import { openCredentials, sealCredentials } from './vault.ts'

/** Failures in a row after which a connection whose token still works is called failing. */
const FAILING_AFTER = 3
/** A refusal we do not understand becomes final when it keeps coming this often and this long. */
const UNCLEAR_ATTEMPTS_MAX = 5
const UNCLEAR_MS_MAX = 6 * 3_600_000
const JUST_NOW_MS = 30_000
/** No store does later what it was asked for. */
const UNBEGUN_MS_MAX = 60_000

/** What a token must be besides alive. */
export interface Wanted {
  /** At least so much of its life must be left. */
  readonly lifeMs?: number
  /** It is to be a new one: the old one was refused, or its refresh token has to be used. */
  readonly anyway?: boolean
}

/**
 * Resolves to the connection as it is after the attempt, renewed or not; whoever asks meanwhile shares it. Throws `APP_CREDENTIALS_REJECTED`
 * or `PROVIDER_UNAVAILABLE` when the provider is to be left alone for a reason that is not this connection's.
 */
export function renew(ports: Ports, seen: Connection, wanted: Wanted = {}): Promise<Connection> {
  return ports.flights.join(`renew ${seen.tenant} ${seen.id}`, () => renewOnce(ports, seen, wanted))
}

async function renewOnce(ports: Ports, seen: Connection, wanted: Wanted): Promise<Connection> {
  let current = seen
  for (;;) {
    if (!isDue(current, ports.now(), wanted)) return current
    const answered = await waiting(ports, current)
    if (answered) return settleWaiting(ports, answered)
    if (!current.sealed?.refreshToken) return withoutRefreshToken(ports, current)

    const prepared = await prepare(ports, current)
    if ('trouble' in prepared) return noted(ports, current, prepared.trouble)

    const before = current
    const after = await ports.pacing.run({ app: prepared.app, provider: prepared.registration.provider }, () =>
      attempt(ports, before, prepared),
    )
    if (after) return after
    current = await lookAgain(ports, current)
  }
}

/** null: somebody else is at it, or was; look again. */
async function attempt(ports: Ports, current: Connection, prepared: Prepared): Promise<Connection | null> {
  const now = ports.now()
  const { provider } = prepared.registration
  const asking = askingAgain(provider, lostBefore(current, ports.unbegun.serious(current, current.lease)), now)
  // What it was exchanged for is lost, but the access token that we have works to its end.
  if (asking !== 'freely' && isUsable(current, now) && !isHeld(current, now)) return current

  const claim = await claimed(ports, current, provider, now)
  if (!claim) return null
  if (asking === 'never') return written(ports, claim, broken(claim.connection, 'rotation_response_lost', null, now))
  // ─── From here the refresh token may be spent. Nothing below may throw before the answer is written, and nothing is aborted.
  const answer = ports.pacing.judged(
    { app: prepared.app, provider },
    current.id,
    await withHint(ports, claim.connection, await prepared.spend()),
  )
  const verdict = ports.pacing.learn(prepared.app, answer)
  const connection = await written(ports, claim, outcome(ports, claim, prepared, answer))
  if (verdict) await tellOfApp(ports, prepared.app, verdict, answer)
  if (answer.outcome === 'app_rejected') throw ports.pacing.refusal(prepared.app)
  return connection
}

/** The lease is given only at the version looked at: if somebody renewed in between, this comes back empty and we look again. */
async function claimed(ports: Ports, current: Connection, provider: Provider, now: number): Promise<Claim | null> {
  const { connections } = ports.store
  const { leaseMs, answerMs } = renewalLimits(provider)
  const until = now + leaseMs
  // Should this process die, somebody asks for the answer again while it is still given.
  const dueAt = windowMs(provider) === null ? undefined : until
  const claim = await connections.claim(current, { holder: ports.process, now, until, dueAt }).catch((error: unknown) => {
    ports.unbegun.note(current, now)
    throw error
  })
  if (!claim) return null
  const serious = { ...claim, overdue: ports.unbegun.serious(current, claim.overdue) }
  // The store was slow, or this process stood still: the answer could come when another one has asked already.
  if (ports.now() + answerMs > until) {
    ports.unbegun.note(current, now)
    await givenBack(ports, serious)
    throw new BrokerError('STORE_UNAVAILABLE', 'the store took too long to give a lease', { retryAfterMs: 1000 })
  }
  ports.unbegun.forget(current, now)
  return serious
}

/** Nothing was sent under it. To others it would look like the lease of one that died. */
async function givenBack(ports: Ports, claim: Claim): Promise<void> {
  const { connection, overdue } = claim
  await written(ports, claim, { connection: keepingLost(connection, lostBefore(connection, overdue), ports.now()), facts: [] })
}

/** Gives back what the store may have given us without saying so, while nobody else can take it for lost. */
export async function giveBackUnbegun(ports: Ports): Promise<void> {
  for (const { tenant, id, startedAt, earlier } of [...ports.unbegun]) {
    const connection = await ports.store.connections.find(tenant, id)
    const stands = connection?.lease?.holder === ports.process && connection.lease.startedAt === startedAt
    if (connection && stands) await givenBack(ports, { connection, overdue: earlier })
    if (stands || ports.now() - startedAt > UNBEGUN_MS_MAX) ports.unbegun.forget({ tenant, id }, startedAt)
  }
}

/** Once for the app, however many connections it has. */
async function tellOfApp(ports: Ports, app: App, verdict: 'refused' | 'accepted', answer: Renewed): Promise<void> {
  const { tenant, keyCodeRef } = app
  const reason = answer.outcome === 'app_rejected' ? answer.reason : null
  const told = { tenant, key_code_ref: keyCodeRef, reason }
  if (verdict === 'refused') ports.log('error', 'the provider refuses the client id or secret of an app', told)
  else ports.log('info', 'the provider takes the client id and secret of an app again', told)
  const fact: Fact = { tenant, at: ports.now(), actor: 'broker', action: `app.${verdict}`, subject: keyCodeRef, reason }
  await ports.store
    .record([fact])
    .catch((error: unknown) => ports.log('error', 'a fact could not be written', { ...told, error }))
}

/** Stale or not as it is wanted, and not waiting after a failure. */
function isDue(connection: Connection, now: number, wanted: Wanted): boolean {
  const freshness = judge(connection, now)
  if (freshness === 'dead') return false
  const trouble = troubleOf(connection)
  // A new one would be no better than one that came just now, however often it is asked for. But an answer that was lost is given again for
  // a while only, however new the access token is that a consent put beside it.
  const isNew = now - connection.issuedAt < JUST_NOW_MS && !trouble?.lost
  if (freshness === 'fresh' && (isWanted(connection, now, wanted) || isNew)) return false
  // A longer wait than there is was written while the clock was ahead.
  return trouble === null || trouble.retryAt <= now || trouble.retryAt - now > RETRY_AFTER_MS_MAX
}

/** Whether a token that is fresh is as it is wanted. */
export function isWanted({ expiresAt }: Pick<Connection, 'expiresAt'>, now: number, { lifeMs = 0, anyway }: Wanted): boolean {
  return anyway !== true && (expiresAt === null || expiresAt - now >= lifeMs)
}

/** Somebody else is at it: waits until they are done, or what they got is in the journal, or their lease is over. */
async function lookAgain(ports: Ports, { tenant, id }: Connection): Promise<Connection> {
  for (;;) {
    const current = await ports.store.connections.find(tenant, id)
    if (!current) throw new BrokerError('INVALID_SESSION', 'this connection was deleted')
    if (!isHeld(current, ports.now()) || (await waiting(ports, current))) return current
    await ports.pause(25)
  }
}

type Prepared = Awaited<ReturnType<typeof prepared>>
type Claim = NonNullable<Awaited<ReturnType<Ports['store']['connections']['claim']>>>

/** Everything that can fail before the refresh token is spent. What failed is told apart from what the provider said. */
async function prepare(ports: Ports, connection: Connection): Promise<Prepared | { readonly trouble: Renewed }> {
  try {
    return await prepared(ports, connection)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'PROVIDER_UNAVAILABLE') throw error
    return {
      trouble: {
        outcome: 'unavailable',
        reason: 'provider_unreachable',
        detail: error.message,
        retryAfterMs: null,
        unclear: false,
        fate: 'kept',
      },
    }
  }
}

async function prepared(ports: Ports, connection: Connection) {
  const { credentials, row } = await openCredentials(ports, connection)
  const { app, registration } = await registrationOf(ports, connection.tenant, connection.app)
  const mode = ports.modeOf(registration.provider)
  return { row, app, registration, mode, spend: await mode.prepareRenewal(registration, credentials) }
}

function written(
  ports: Ports,
  { connection: { tenant, id, lease, sealed } }: Claim,
  { connection, facts }: Outcome,
): Promise<Connection> {
  return settle(ports, { claimed: { tenant, id, lease }, exchanged: sealed?.refreshToken ?? null, next: connection, facts })
}

interface Outcome {
  readonly connection: Connection
  readonly facts: readonly Fact[]
}

/** What the answer makes of the connection. Pure, and it cannot fail: the seal was got before the request. */
function outcome(
  ports: Pick<Ports, 'now' | 'chance' | 'restored'>,
  { connection: current, overdue }: Claim,
  { row, registration }: Pick<Prepared, 'row' | 'registration'>,
  answer: Renewed,
): Outcome {
  const now = ports.now()
  const { provider } = registration
  const before = lostBefore(current, overdue)
  switch (answer.outcome) {
    case 'renewed': {
      const due = dueAt(provider, { usedAt: now, lost: null, retryAt: now }, ports.chance())
      const connection = { ...renewed(current, answer.grant, row, now), dueAt: due }
      return { connection, facts: current.health.state === 'failing' ? [fact(current, now, 'connection.recovered', null)] : [] }
    }
    case 'rejected':
      if (before === null) return broken(current, refusalOf(ports.restored, current, answer.reason), answer.detail, now)
      // We never saw the answer to an earlier renewal: it most likely had a successor in it.
      return broken(current, 'rotation_response_lost', answer.detail ?? answer.reason, now)
    case 'app_rejected':
      // Not this connection's fault: it stays as it was, and the app is told of. Its lease is given back, and with it the mark of a lost answer.
      return { connection: keepingLost(current, before, now), facts: [] }
    case 'unavailable': {
      const lost = lostAfter(before, answer.fate, current.lease?.startedAt ?? now)
      if (askingAgain(provider, lost, now) === 'never' && !isUsable(current, now))
        return broken(current, 'rotation_response_lost', answer.detail, now)
      return troubled(current, { ...answer, lost, provider }, ports)
    }
  }
}

function renewed(current: Connection, grant: Grant, row: RowSeal, now: number): Connection {
  const sealed = sealCredentials(row, grant.credentials)
  return {
    ...current,
    // Providers that do not rotate leave the refresh token out of the answer: the old one stays.
    sealed: {
      ...sealed,
      refreshToken: sealed.refreshToken ?? current.sealed?.refreshToken ?? null,
      extra: sealed.extra ?? current.sealed?.extra ?? null,
    },
    tokenType: grant.tokenType,
    issuedAt: now,
    expiresAt: endOfRenewed(grant.expiresAt, current, now),
    grantedScopes: grant.grantedScopes ?? current.grantedScopes,
    account: current.account ?? grant.account,
    health: { state: 'connected', trouble: null },
    lease: null,
    renewedAt: now,
    dueAt: null,
  }
}

function broken(current: Connection, reason: string, detail: string | null, now: number): Outcome {
  return {
    connection: { ...current, health: { state: 'broken', reason, detail }, lease: null, dueAt: null },
    facts: [fact(current, now, 'connection.broken', reason)],
  }
}

interface Setback {
  readonly reason: string
  readonly detail: string | null
  readonly retryAfterMs: number | null
  readonly unclear: boolean
  readonly lost: LostAnswer | null
  readonly provider: Provider
}

function troubled(
  current: Connection,
  { reason, detail, retryAfterMs, unclear, lost, provider }: Setback,
  { now, chance }: Pick<Ports, 'now' | 'chance'>,
): Outcome {
  const at = now()
  const before = troubleOf(current)
  const attempts = (before?.attempts ?? 0) + 1
  const since = before?.since ?? at
  if (unclear && attempts >= UNCLEAR_ATTEMPTS_MAX && at - since >= UNCLEAR_MS_MAX) return broken(current, reason, detail, at)

  const retryAt = at + backoff(attempts, chance(), retryAfterMs)
  const trouble: Trouble = { attempts, since, retryAt, reason, unclear, ...(lost !== null && { lost }) }
  const due = dueAt(provider, { usedAt: current.renewedAt ?? current.connectedAt, lost, retryAt }, chance())
  const next = { ...current, lease: null, dueAt: due }
  if (current.health.state === 'connected' && isUsable(current, at) && attempts < FAILING_AFTER) {
    return { connection: { ...next, health: { state: 'connected', trouble } }, facts: [] }
  }
  const newly = current.health.state === 'connected'
  return {
    connection: { ...next, health: { state: 'failing', trouble } },
    facts: newly ? [fact(current, at, 'connection.renewal_failing', reason)] : [],
  }
}

function isUsable({ expiresAt }: Connection, now: number): boolean {
  return expiresAt === null || expiresAt > now
}

/** Works until the access token expires; then only the user can help. */
async function withoutRefreshToken(ports: Ports, current: Connection): Promise<Connection> {
  const now = ports.now()
  if (judge(current, now) !== 'expired') return current
  const { connection, facts } = broken(current, 'no_refresh_token', 'the provider never gave a refresh token', now)
  return (await ports.store.connections.save(current, connection, facts)) ? connection : lookAgain(ports, current)
}

/** A failure before anything was spent: noted as any other, without a lease. */
async function noted(ports: Ports, current: Connection, trouble: Renewed): Promise<Connection> {
  if (trouble.outcome !== 'unavailable') return current
  // Writing would take the lease from whoever is asking the provider just now, and what they get would be lost.
  if (isHeld(current, ports.now())) return lookAgain(ports, current)
  // Writing gives an overdue lease back, and with it goes the only other trace of an answer that was lost.
  const lost = lostBefore(current, ports.unbegun.serious(current, current.lease))
  const { provider } = (await registrationOf(ports, current.tenant, current.app)).registration
  const { connection, facts } = troubled(current, { ...trouble, lost, provider }, ports)
  return (await ports.store.connections.save(current, connection, facts)) ? connection : lookAgain(ports, current)
}

function troubleOf({ health }: Connection): Trouble | null {
  return health.state === 'connected' || health.state === 'failing' ? health.trouble : null
}

function fact(connection: Connection, at: number, action: EventType, reason: string | null): Fact {
  return connectionFact(connection, { at, actor: 'broker', action, reason })
}
