/** Where an application wants to be told of events, and what is on its way there. */

import type { ConnectionEvent, EventType } from './event.ts'
import type { Row } from './ports.ts'
import { isLoopback } from './provider-url.ts'

export interface Webhook {
  readonly id: string
  readonly tenant: string
  readonly url: string
  /** null: all. */
  readonly types: readonly EventType[] | null
  /** Only an operator can allow it: whoever may reach private addresses through us sees what is behind our firewall. */
  readonly allowPrivateNetwork: boolean
  readonly sealed: SealedSigning
  readonly createdAt: number
}

/** The one before still signs until its receiver knows the new one. */
export interface SealedSigning {
  readonly dataKey: Uint8Array
  readonly secret: Uint8Array
  readonly previous: { readonly secret: Uint8Array; readonly until: number } | null
}

/** One event for one webhook, until it is delivered. Dead ones are tried again only when somebody asks for it. */
export interface Delivery {
  readonly tenant: string
  readonly webhook: string
  readonly event: ConnectionEvent
  readonly state: 'waiting' | 'dead'
  readonly attempts: number
  readonly retryAt: number
  /** Why the last attempt failed. */
  readonly reason: string | null
  /** Counts who took it, from the moment it was made: whoever writes with another one writes nothing. */
  readonly fence: number
  readonly createdAt: number
}

/** What became of sending something. `reason`: `http_500` and the like, or why there was no answer. */
export type Sent =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'failed'; readonly reason: string; readonly retryAfterMs: number | null }

/** What is written of a delivery after an attempt. */
export type Settled =
  | { readonly state: 'delivered' }
  | { readonly state: 'waiting'; readonly retryAt: number; readonly reason: string }
  | { readonly state: 'dead'; readonly reason: string }

const BACKOFF_MS_MIN = 5_000
const BACKOFF_MS_MAX = 3_600_000
const GIVE_UP_MS = 24 * 3_600_000

/** Each wait is twice the one before, up to an hour, and up to half of it is left to chance; after a day nobody waits any more. */
export function settledAfter(
  sent: Sent,
  { attempts, createdAt }: Pick<Delivery, 'attempts' | 'createdAt'>,
  { now, chance }: { readonly now: number; readonly chance: number },
): Settled {
  if (sent.outcome === 'delivered') return { state: 'delivered' }
  const { reason, retryAfterMs } = sent
  if (now - createdAt >= GIVE_UP_MS) return { state: 'dead', reason }
  const backoff = Math.min(BACKOFF_MS_MIN * 2 ** attempts, BACKOFF_MS_MAX) * (0.5 + chance / 2)
  return { state: 'waiting', retryAt: now + Math.ceil(Math.max(backoff, Math.min(retryAfterMs ?? 0, BACKOFF_MS_MAX))), reason }
}

export function webhookRow({ tenant, id }: Pick<Webhook, 'tenant' | 'id'>): Row {
  return { tenant, table: 'webhooks', id }
}

const URL_CHARACTERS_MAX = 2048
const OPERATORS_ONLY = 'which only an operator can allow, with latchstring webhooks create --allow-private-network'

/** What is wrong with a URL to send events to, or null. Where its name leads is looked at whenever something is sent. */
export function webhookUrlProblem(url: string, allowPrivateNetwork: boolean): string | null {
  if (url.length > URL_CHARACTERS_MAX) return `must be ${URL_CHARACTERS_MAX} characters at most`
  if (/[\s\\\p{Cc}]/u.test(url)) return 'must not contain spaces, backslashes or control characters'
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:\/\/[^/?#]/i.test(url)) return 'must be an absolute URL, https://…'
  if (parsed.username || parsed.password || /^[^/]*\/\/[^/?#]*@/.test(url)) return 'must not carry a user name or password'
  if (url.includes('#')) return 'must not have a fragment (#…)'
  if (allowPrivateNetwork) return null
  if (parsed.protocol !== 'https:') return `must begin with https://; http:// is for addresses inside, ${OPERATORS_ONLY}`
  return isLoopback(parsed.hostname) ? `leads to a private address, ${OPERATORS_ONLY}` : null
}
