/** A connection being made. It dies ten minutes after it began, finished or not. */

import type { UserBinding } from './app.ts'
import type { Owner } from './connection.ts'
import type { OtherFact, Ports, Row } from './ports.ts'

export const ATTEMPT_LIFE_MS = 600_000

/**
 * begun: our page has not been confirmed. away: the browser is at the provider. returned: the provider's answer is being redeemed.
 * held: its code waits, sealed, for the app to say who is logged in. The others are ends.
 */
export type Stage = 'begun' | 'away' | 'returned' | 'held' | 'connected' | 'denied' | 'failed' | 'burned'

export interface Attempt {
  readonly id: string
  /** The `session_id` that `auth_url` answered: its own, or that of the connection it reconnects. */
  readonly session: string
  readonly tenant: string
  readonly app: string
  readonly provider: string
  readonly owner: Owner
  /** Who asked for it. Only they may complete it. */
  readonly caller: string
  readonly binding: UserBinding
  readonly stage: Stage
  /** The connection it has made. */
  readonly connection: string | null
  /** The connection it renews the consent of, keeping its id. */
  readonly reconnects: string | null
  /** The connection whose account at the provider it must be; null: any will do. */
  readonly accountOf: string | null
  readonly callbackUrl: string | null
  readonly redirectUri: string
  readonly scopes: readonly string[]
  /** Where what is granted may be sent, as provider and app said when it began. */
  readonly hosts: readonly string[]
  /** What the provider must call itself in its answer (RFC 9207); null: it never said. */
  readonly issuer: string | null
  readonly issuerRequired: boolean
  /** SHA-256 of the one-time secrets that lead here, base64url; the secrets themselves are nowhere. */
  readonly handleHash: string | null
  readonly stateHash: string | null
  /** The browser that confirmed. */
  readonly browserHash: string | null
  readonly completionHash: string | null
  readonly sealed: SealedAttempt
  /** Why it ended as it did: an OAuth error code or one of ours. */
  readonly reason: string | null
  readonly createdAt: number
  readonly expiresAt: number
}

/** What only the exchange may see. */
export interface SealedAttempt {
  readonly dataKey: Uint8Array
  readonly codeVerifier: Uint8Array | null
  readonly nonce: Uint8Array | null
  /** JSON: the code, and what the provider's file keeps of the callback's query. Only while held. */
  readonly answer: Uint8Array | null
  /** The provider's URL, for a second press of the button in the same browser. Only while away. */
  readonly departure: Uint8Array | null
}

export const PENDING_STAGES = ['begun', 'away', 'returned', 'held'] as const satisfies readonly Stage[]

/** Still on its way. */
export function isPending({ stage, expiresAt }: Attempt, now: number): boolean {
  return (PENDING_STAGES as readonly Stage[]).includes(stage) && expiresAt > now
}

export function attemptRow({ tenant, id }: Pick<Attempt, 'tenant' | 'id'>): Row {
  return { tenant, table: 'attempts', id }
}

/** Nothing of an attempt that is over can be opened any more. */
export function emptied(attempt: Attempt): Attempt {
  const sealed = { ...attempt.sealed, codeVerifier: null, nonce: null, answer: null, departure: null }
  return { ...attempt, completionHash: null, sealed }
}

export function attemptFact(
  { now }: Pick<Ports, 'now'>,
  { tenant, session }: Pick<Attempt, 'tenant' | 'session'>,
  actor: string,
  action: OtherFact['action'],
  reason: string | null,
): OtherFact {
  return { tenant, at: now(), actor, action, subject: session, reason }
}
