/** One owner's link to one provider: what is stored about it, what state it is in, and how long its token is good for. */

import type { LostAnswer } from './lost-answer.ts'
import type { Secret } from './secret.ts'

/** The user or organisation a connection belongs to (or the user within it), in the application's own words; never both null. */
export interface Owner {
  readonly userId: string | null
  readonly orgCode: string | null
}

/** All moments are milliseconds since the epoch. */
export interface Connection {
  /** On the wire: `session_id`. */
  readonly id: string
  readonly tenant: string
  /** `key_code_ref` of the app it was made with. */
  readonly app: string
  readonly provider: string
  readonly owner: Owner
  readonly label: string | null
  /** Who it is at the provider, where the provider told us. */
  readonly account: Account | null
  readonly requestedScopes: readonly string[]
  /** null: the provider did not say, so it is what was requested (RFC 6749 section 5.1). */
  readonly grantedScopes: readonly string[] | null
  /** null once the provider has taken it back, or cannot, or will not: nothing is left to open. */
  readonly sealed: SealedCredentials | null
  readonly tokenType: string
  readonly issuedAt: number
  /** null: the provider never said, or it does not expire. */
  readonly expiresAt: number | null
  readonly health: Health
  /** Counts every write. A renewal starts only from the version it looked at. */
  readonly version: number
  /** Somebody is, or was, spending the refresh token. Present past its deadline: the answer may be lost. */
  readonly lease: Lease | null
  readonly createdAt: number
  readonly connectedAt: number
  readonly renewedAt: number | null
  /** When the broker itself looks after it, though nobody asks for its token; null: never. `due.ts` says why it would. */
  readonly dueAt: number | null
  /** The day (its beginning, UTC) on which a token was last handed out; null: none since it was connected. */
  readonly usedAt: number | null
}

export interface Account {
  readonly id: string
  readonly label: string | null
}

/** What handing out a fresh token needs to see of a connection, and no more: the path that must be fast reads only this. */
export interface Glance extends Pick<Connection, 'tenant' | 'id' | 'app' | 'issuedAt' | 'expiresAt' | 'usedAt'> {
  readonly scopes: readonly string[]
  readonly health: Pick<Health, 'state'>
  readonly sealed: Pick<SealedCredentials, 'dataKey' | 'accessToken'> | null
}

/** What a store holds of credentials. Each field is bound to tenant, connection and field name. */
export interface SealedCredentials {
  readonly dataKey: Uint8Array
  readonly accessToken: Uint8Array
  readonly refreshToken: Uint8Array | null
  /** JSON: further tokens of the answer, and kept fields. */
  readonly extra: Uint8Array | null
}

/**
 * The right to spend a refresh token, and the intent to: it is durable before the provider is asked.
 * Whoever writes with a fence that is no longer the row's writes nothing.
 */
export interface Lease {
  readonly holder: string
  readonly fence: number
  readonly startedAt: number
  readonly until: number
}

/** Failures are facts about a connection, so they live on it; a success clears them all. */
export type Health =
  | { readonly state: 'connected'; readonly trouble: Trouble | null }
  | { readonly state: 'failing'; readonly trouble: Trouble }
  | { readonly state: 'broken'; readonly reason: string; readonly detail: string | null }
  | { readonly state: 'revoked'; readonly upstream: Upstream; readonly revocation?: Revocation }

/** Renewals that did not work and may work later. */
export interface Trouble {
  readonly attempts: number
  readonly since: number
  readonly retryAt: number
  readonly reason: string
  /** The provider said no in a way we do not know to be final. */
  readonly unclear: boolean
  /** A renewal whose answer was lost on its way to us, or may have been. */
  readonly lost?: LostAnswer
}

/** How it went with a provider that is to take a grant back. Absent where nothing was to be taken back. */
export interface Revocation {
  readonly attempts: number
  /** When it was first to be taken back. */
  readonly since: number
  /** When the app was set up that it was revoked under: another one that took its name gets nothing of it. Absent: it is not known. */
  readonly appSince?: number
  /** The answer to a renewal had been lost by then: the refresh token may have a successor that nobody has. */
  readonly lost?: true
  /** When the provider is asked, or asked again; null: not by ourselves any more. */
  readonly retryAt: number | null
  /** Why the last attempt failed. */
  readonly reason: string | null
  /** The provider has said yes before, and the access token lived on. */
  readonly accepted: boolean
  /** When a token that had life left was shown to the provider and was dead; null: there is only the provider's word. */
  readonly provedAt: number | null
}

/** What became of a revocation at the provider. `failed`: it may be tried again, see `Revocation`. */
export type Upstream = 'pending' | 'confirmed' | 'unsupported' | 'failed' | 'superseded'

/** What a connection holds, opened. A further mode is a further member. */
export type Credentials = {
  readonly kind: 'oauth2'
  readonly accessToken: Secret
  readonly refreshToken: Secret | null
  /** Further tokens of the same answer, by the catalogue's names for them. */
  readonly also: Readonly<Record<string, Secret>>
  /** Fields of the token answer and callback that are needed later; not secret, but nobody else's business. */
  readonly kept: Readonly<Record<string, string>>
}

/**
 * fresh: hand it out. ageing: hand it out, and renew behind it. urgent: renew first, but it still works if that fails.
 * expired: only a renewal helps. dead: nothing helps but the user.
 */
export type Freshness = 'fresh' | 'ageing' | 'urgent' | 'expired' | 'dead'

const MARGIN_MS_MAX = 60_000
const URGENT_MS_MAX = 5_000
/** Clocks of several machines may differ by that much, or one may be set back by it. */
const CLOCKS_DIFFER_MS_MAX = 900_000

/** Margins shrink with the token's whole life, so that a two-second token is not born stale. */
export function judge(
  { health, issuedAt, expiresAt }: Pick<Glance, 'health' | 'issuedAt' | 'expiresAt'>,
  now: number,
): Freshness {
  if (health.state === 'broken' || health.state === 'revoked') return 'dead'
  if (expiresAt === null) return 'fresh'
  const left = expiresAt - now
  if (left <= 0) return 'expired'
  // It came while the clock was hours ahead, as some are until they are set: it ends as much sooner than it says.
  if (issuedAt - now > CLOCKS_DIFFER_MS_MAX) return 'urgent'
  const life = Math.max(expiresAt - issuedAt, 0)
  if (left <= Math.min(URGENT_MS_MAX, life / 20)) return 'urgent'
  return left <= ageingSpan(issuedAt, expiresAt) ? 'ageing' : 'fresh'
}

/**
 * When a token that came just now ends. Answers need not say so (RFC 6749 section 5.1), and some say it of the first token only: those after
 * it live as long as the one before. Of a token whose life was never said, nothing is known.
 */
export function endOfRenewed(
  said: number | null,
  { issuedAt, expiresAt }: Pick<Connection, 'issuedAt' | 'expiresAt'>,
  now: number,
): number | null {
  const life = expiresAt === null ? 0 : expiresAt - issuedAt
  return said ?? (life > 0 ? now + life : null)
}

/** Somebody is spending its refresh token just now. */
export function isHeld({ lease }: Pick<Connection, 'lease'>, now: number): boolean {
  return lease !== null && lease.until > now
}

/** How long before its end a token is renewed. */
export function ageingSpan(issuedAt: number, expiresAt: number): number {
  return Math.min(MARGIN_MS_MAX, Math.max(expiresAt - issuedAt, 0) / 4)
}

/** What its tokens may be used for, as far as is known. */
export function scopesOf({
  requestedScopes,
  grantedScopes,
}: Pick<Connection, 'requestedScopes' | 'grantedScopes'>): readonly string[] {
  return grantedScopes ?? requestedScopes
}

/** Scopes asked for and not granted; empty when the provider did not say. */
export function missingScopes({
  requestedScopes,
  grantedScopes,
}: Pick<Connection, 'requestedScopes' | 'grantedScopes'>): string[] {
  if (grantedScopes === null) return []
  const granted = new Set(grantedScopes)
  return requestedScopes.filter((scope) => !granted.has(scope))
}

export function sameOwner(a: Owner, b: Owner): boolean {
  return a.userId === b.userId && a.orgCode === b.orgCode
}
