/**
 * Has a provider take back what a revoked connection still holds: asks, asks its probe whether it is true, and asks again for a week.
 *
 * Of all who come at once, in whatever process, one asks: whoever takes the connection's lease. What it holds stays sealed in the row until
 * the end is known, because without it there is nothing to go on with after a failure or a crash.
 */

import type { App } from './app.ts'
import { backoff } from './backoff.ts'
import { type Connection, type Health, isHeld, type Revocation, type Upstream } from './connection.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { hasLife, withLivingToken } from './living-token.ts'
import { isReplaced } from './newest.ts'
import type { Fact, Liveness, Mode, Ports, Revoked } from './ports.ts'
import { registrationOf } from './registration.ts'
import { openCredentials } from './vault.ts'

/** Longer than finding the endpoint, two requests to it (or a renewal and one) and two to the probe may take. */
const LEASE_MS = 60_000
const RETRY = { min: 10_000, max: 6 * 3_600_000 }
/** Whoever wants to know waits that long for somebody else's attempt: it may be in the hands of a process that died. */
const WAIT_MS = 15_000
/** Past it, a failure is the last. */
export const TRIED_MS = 7 * 24 * 3_600_000
/** Nothing can be asked: opening it again by the clock would only fill the history. Whoever revokes it once more tries it once more. */
const UNOPENABLE = 'integrity_failure'
const ALIVE = 'alive_after_revoke'

/** How it ended: by proof, by the provider's word, or not. */
export type RevocationEnd = 'proved' | 'confirmed' | 'unsupported' | 'failed'

/** How it stands with a connection that is over. */
export type Ended = Extract<Health, { readonly state: 'revoked' }>

/** What meets every connection of a provider alike. */
const OUTAGES =
  /^(http_(408|425|429|5\d\d)|timeout|unreachable|reset|provider_unavailable|.*rate_?limit.*|slow_down|too_many_requests)$/

export function isOutage({ upstream, revocation }: Ended): boolean {
  return upstream === 'failed' && OUTAGES.test(revocation?.reason ?? '')
}

/** As it stands before anybody was asked: whoever finds it so goes on with it. */
export function toBeTakenBack(now: number, app: Pick<App, 'createdAt'> | null = null, lost = false): Ended {
  return pending({ since: now, ...(app && { appSince: app.createdAt }), ...(lost && { lost }) }, now)
}

function pending(begun: Pick<Revocation, 'since' | 'appSince' | 'lost'>, now: number): Ended {
  const revocation = { ...begun, attempts: 0, retryAt: now, reason: null, accepted: false, provedAt: null }
  return { state: 'revoked', upstream: 'pending', revocation }
}

/**
 * Resolves to how it stands with the provider. Whoever else is asking just now is waited for. null: the connection is gone.
 */
export async function takeBack(
  ports: Ports,
  { tenant, id }: Pick<Connection, 'tenant' | 'id'>,
  waitMs = WAIT_MS,
): Promise<Ended | null> {
  const { connections } = ports.store
  const began = ports.now()
  let attempts: number | null = null
  for (;;) {
    const current = await connections.find(tenant, id)
    if (!current) return null
    if (current.health.state !== 'revoked') throw new BrokerError('INTERNAL', 'what is not revoked is not taken back')
    const now = ports.now()
    const tried = current.health.revocation?.attempts ?? 0
    attempts ??= tried
    // Somebody asked while we waited: what they were told is ours as well.
    if (!current.sealed || tried > attempts) return current.health
    const claim = isHeld(current, now)
      ? null
      : await connections.claim(current, { holder: ports.process, now, until: now + LEASE_MS })
    const ended = claim && (await askOnce(ports, claim.connection))
    if (ended) return ended
    if (now - began > waitMs) return current.health
    await ports.pause(25)
  }
}

/** One attempt under the lease. null: somebody wrote in between, and what was found out is about something else. */
async function askOnce(ports: Ports, claimed: Connection): Promise<Ended | null> {
  const { asked, held } = await ask(ports, claimed)
  const { connection, ended } = judged(held, asked, { now: ports.now(), chance: ports.chance() })
  const facts = ended ? [fact(ports, connection, ended)] : []
  if (!(await ports.store.connections.settle(claimed, connection, facts))) return null
  tell(ports, connection, asked, ended)
  return connection.health
}

/** What was found out: what the provider said, and what its probe did. */
export type Asked =
  | { readonly outcome: 'confirmed'; readonly proved: boolean }
  | { readonly outcome: 'unsupported' }
  | (Extract<Revoked, { readonly outcome: 'failed' }> & {
      /** It said yes, now or earlier, and the access token lives. */
      readonly accepted: boolean
    })

interface Asking {
  readonly asked: Asked
  /** With what a renewal brought, where there had to be one. */
  readonly held: Connection
}

/** Never throws: what could not be done can be tried again. */
async function ask(ports: Ports, connection: Connection): Promise<Asking> {
  const { tenant, id, app } = connection
  const accepted = revocationOf(connection)?.accepted ?? false
  let held = connection
  try {
    const { credentials, row } = await openCredentials(ports, connection)
    const { app: now, registration } = await registrationOf(ports, tenant, app)
    assertSameApp(now, connection)
    const mode = ports.modeOf(registration.provider)
    const begun = { connection, credentials }
    const living = accepted ? { held: begun } : await withLivingToken(ports, mode, registration, begun, row)
    if ('instead' in living) return { asked: saidAlready(living.instead), held }
    held = living.held.connection
    const probe = () => probed(ports, held, () => mode.probe(registration, living.held.credentials))
    const revoke = () => mode.revoke(registration, living.held.credentials)
    const asked = accepted ? await askedAgain(revoke, probe, !hasLife(held, ports.now())) : await askedFirst(revoke, probe)
    return { asked, held }
  } catch (error) {
    const code = error instanceof BrokerError ? error.code : 'INTERNAL'
    if (code !== 'INTEGRITY_FAILURE') {
      ports.log('warn', 'a revocation did not reach the provider', { tenant, session: id, key_code_ref: app, error })
    }
    return { asked: { outcome: 'failed', reason: code.toLowerCase(), retryAfterMs: null, final: false, accepted }, held }
  }
}

/** Whoever may set up apps could else take one away and send what its connections still hold to a host that nobody agreed to. */
function assertSameApp({ keyCodeRef, createdAt }: App, connection: Connection): void {
  const { since = 0, appSince } = revocationOf(connection) ?? {}
  const same = appSince === undefined ? createdAt <= since : createdAt === appSince
  if (!same) throw new BrokerError('APP_NOT_FOUND', `the app ${keyCodeRef} was removed, and another one has its name`)
}

function saidAlready(said: Revoked): Asked {
  if (said.outcome === 'failed') return { ...said, accepted: false }
  return said.outcome === 'confirmed' ? { outcome: 'confirmed', proved: false } : said
}

type Probe = () => Promise<Liveness>

/** Dead afterwards proves something only of a token that was alive before: to some probes a token without the right scope is dead as well. */
async function askedFirst(revoke: () => ReturnType<Mode['revoke']>, probe: Probe): Promise<Asked> {
  const before = await probe()
  const said = await revoke()
  if (said.outcome !== 'confirmed') return saidAlready(said)
  const found = before === 'alive' ? await probe() : 'unknown'
  return found === 'alive' ? aliveStill(null) : { outcome: 'confirmed', proved: found === 'dead' }
}

/**
 * It said yes before, and the token lived on. Some take a while, and some let access tokens live out their time: then there is
 * nothing left when that is over. A second request may well be refused, since there is nothing left that it is for.
 */
async function askedAgain(revoke: () => ReturnType<Mode['revoke']>, probe: Probe, expired: boolean): Promise<Asked> {
  if (expired) return { outcome: 'confirmed', proved: false }
  if ((await probe()) === 'dead') return { outcome: 'confirmed', proved: true }
  const said = await revoke()
  return (await probe()) === 'dead'
    ? { outcome: 'confirmed', proved: true }
    : aliveStill(said.outcome === 'failed' ? said.retryAfterMs : null)
}

function aliveStill(retryAfterMs: number | null): Asked {
  return { outcome: 'failed', reason: ALIVE, retryAfterMs, final: false, accepted: true }
}

/** A token that had run out anyway proves nothing by being dead. */
async function probed(ports: Ports, connection: Connection, ask: Probe): Promise<Liveness> {
  if (!hasLife(connection, ports.now())) return 'unknown'
  const found = await ask()
  return found === 'dead' && !hasLife(connection, ports.now()) ? 'unknown' : found
}

export interface Judged {
  readonly connection: Connection & { readonly health: Ended }
  /** null: it goes on. */
  readonly ended: RevocationEnd | null
}

/** What is made of an attempt. Pure. What the provider took back is destroyed here, and so is what it never will. */
export function judged(claimed: Connection, asked: Asked, { now, chance }: { now: number; chance: number }): Judged {
  const before = revocationOf(claimed) ?? { attempts: 0, since: now, provedAt: null }
  const told = { ...before, attempts: before.attempts + 1, retryAt: null, reason: null, accepted: false }
  const left = (sealed: Connection['sealed'], upstream: Upstream, revocation: Revocation): Judged['connection'] => ({
    ...claimed,
    ...{ sealed, health: { state: 'revoked', upstream, revocation }, lease: null },
  })
  if (asked.outcome === 'confirmed') {
    const provedAt = asked.proved ? now : null
    return { connection: left(null, 'confirmed', { ...told, provedAt }), ended: asked.proved ? 'proved' : 'confirmed' }
  }
  if (asked.outcome === 'unsupported') return { connection: left(null, 'unsupported', told), ended: 'unsupported' }

  const failed = { ...told, reason: asked.reason, accepted: asked.accepted }
  if (asked.reason === UNOPENABLE) {
    const again = revocationOf(claimed)?.reason === UNOPENABLE
    return { connection: left(claimed.sealed, 'failed', failed), ended: again ? null : 'failed' }
  }
  if (asked.final || now - before.since >= TRIED_MS) return { connection: left(null, 'failed', failed), ended: 'failed' }
  const wanted = now + backoff(told.attempts, chance, asked.retryAfterMs, RETRY)
  // An access token that was only to live out its time is over then.
  const over = asked.accepted && claimed.expiresAt !== null ? Math.max(claimed.expiresAt, now) : wanted
  const retryAt = Math.min(wanted, over, before.since + TRIED_MS)
  return { connection: left(claimed.sealed, 'failed', { ...failed, retryAt }), ended: null }
}

/**
 * A renewal brought it after its connection was revoked. It takes the place of what the connection held if that is what it was exchanged for, and
 * is taken back like that; what a new consent brought meanwhile is still to be taken back, and this is beside it. A grant that was superseded
 * is the newer connection's now at many providers: any token of it would end that one. `askedAt`: when that renewal began.
 */
export async function takeBackLate(
  ports: Ports,
  late: Connection,
  { askedAt, isExchanged }: { askedAt: number; isExchanged: (current: Connection) => Promise<boolean> },
): Promise<void> {
  const { connections } = ports.store
  for (;;) {
    const current = await connections.find(late.tenant, late.id)
    if (!current) {
      // Superseded, and deleted by then: left alone like one that is there.
      if (!(await isReplaced(ports, late))) await forget(ports, { ...late, health: toBeTakenBack(askedAt) })
      return
    }
    if (current.health.state !== 'revoked' || current.health.upstream === 'superseded') return
    const health = pending(current.health.revocation ?? { since: askedAt }, ports.now())
    if (current.sealed && !(await isExchanged(current))) return forget(ports, { ...late, health })
    const taken = { ...current, sealed: late.sealed, issuedAt: late.issuedAt, expiresAt: late.expiresAt, health }
    if (!(await connections.save(current, taken, []))) continue
    // It may be deleted just now, and what was put there with it.
    if (!(await takeBack(ports, late))) await forget(ports, { ...late, health })
    return
  }
}

/** There is no row to keep it in, so there is one try. */
async function forget(ports: Ports, late: Connection): Promise<void> {
  const { asked } = await ask(ports, late)
  if (asked.outcome !== 'failed') return
  const { tenant, id: session } = late
  ports.log('warn', 'what a late renewal brought was not taken back', { tenant, session, reason: asked.reason })
}

function tell(ports: Ports, { tenant, id, app, provider }: Connection, asked: Asked, ended: RevocationEnd | null): void {
  if (ended) ports.revocationEnded(ended)
  if (ended !== 'failed' || asked.outcome !== 'failed') return
  const told = { tenant, session: id, key_code_ref: app, provider, reason: asked.reason }
  ports.log('error', 'a grant was not taken back by its provider, and it is not asked any more', told)
}

/** That it did not work is for the application to act on; that it did is the history's to tell. */
function fact({ now }: Ports, connection: Judged['connection'], ended: RevocationEnd): Fact {
  const told = { at: now(), actor: 'broker' }
  const { tenant, id: subject, health } = connection
  if (ended !== 'failed') return { ...told, tenant, action: 'connection.revocation_ended', subject, reason: ended }
  return connectionFact(connection, {
    ...told,
    action: 'connection.revocation_failed',
    reason: health.revocation?.reason ?? null,
  })
}

function revocationOf({ health }: Connection): Revocation | null {
  return (health.state === 'revoked' && health.revocation) || null
}
