/**
 * What it means for a refresh token that it was sent and its successor never became ours. Pure.
 *
 * Asking again is safe while the provider gives the same answer again (`rotation.window`). After that it is what reuse detection kills a
 * grant for, access token included. So a process that died, and tokens that were cut off on their way, are not asked for again: they were
 * spent, as far as anybody can know. Where the provider said nothing at all, as in an outage, it most likely did nothing; then it is asked
 * again, but not before the access token is over: by then there is nothing left that reuse detection could take away.
 */

import type { Connection, Lease } from './connection.ts'
import type { Fate } from './ports.ts'
import type { Provider } from './provider.ts'

export interface LostAnswer {
  /** When the renewal began. */
  readonly at: number
  /** As far as anybody can know, the provider gave a successor. */
  readonly spent: boolean
}

/** `in_need`: when the access token is over, and not before. */
export type AskingAgain = 'freely' | 'in_need' | 'never'

const LEASE_MS_MAX = 30_000
const LEASE_MS_MIN = 5_000

/** By us, who saw how it failed, or by somebody who never gave the lease back and may have seen anything. */
export function lostBefore({ health }: Pick<Connection, 'health'>, overdue: Lease | null): LostAnswer | null {
  if (overdue) return { at: overdue.startedAt, spent: true }
  return (health.state === 'connected' || health.state === 'failing' ? health.trouble?.lost : null) ?? null
}

/** Whether what it has may have a successor that never became ours: it lives on where nobody can take it back with what is left. */
export function mayHaveSuccessor(connection: Pick<Connection, 'health'>, overdue: Lease | null): boolean {
  const { health } = connection
  return lostBefore(connection, overdue) !== null || (health.state === 'broken' && health.reason === 'rotation_response_lost')
}

/** As it is, its lease given back: the mark of a lost answer goes from there to where it stays. */
export function keepingLost(current: Connection, lost: LostAnswer | null, now: number): Connection {
  const { health } = current
  if (lost === null || (health.state !== 'connected' && health.state !== 'failing')) return { ...current, lease: null }
  const trouble = health.trouble ?? { attempts: 0, since: now, retryAt: now, reason: 'answer_lost', unclear: false }
  return { ...current, health: { ...health, trouble: { ...trouble, lost } }, lease: null }
}

/** What is known after one more failure. What was certain stays so; else the first is the one that counts. */
export function lostAfter(before: LostAnswer | null, fate: Fate, startedAt: number): LostAnswer | null {
  if (fate === 'spent') return { at: startedAt, spent: true }
  return before ?? (fate === 'unknown' ? { at: startedAt, spent: false } : null)
}

export function askingAgain(provider: Provider, lost: LostAnswer | null, now: number): AskingAgain {
  const window = provider.rotation?.window
  // Where nothing is known of rotation, most providers do not rotate.
  if (lost === null || window === undefined || window === 'until_next_use') return 'freely'
  if (now - lost.at < (windowMs(provider) ?? 0)) return 'freely'
  return lost.spent ? 'never' : 'in_need'
}

/**
 * A lease is over, and an answer given up on, while there is still time to ask again: half of the window is left for that. Two thirds of the
 * lease are for the answer, the rest for writing it: a provider that is slow has spent the refresh token all the same, and whoever hangs up loses its successor.
 */
export function renewalLimits(provider: Provider): { readonly leaseMs: number; readonly answerMs: number } {
  const window = windowMs(provider)
  const leaseMs = window === null ? LEASE_MS_MAX : Math.min(LEASE_MS_MAX, Math.max(LEASE_MS_MIN, window / 2))
  return { leaseMs, answerMs: Math.floor((leaseMs * 2) / 3) }
}

/** How long the provider gives the same answer again, where that is a matter of time. */
export function windowMs({ rotation }: Provider): number | null {
  const seconds = Number.parseInt(rotation?.window ?? '', 10)
  return Number.isNaN(seconds) ? null : seconds * 1000
}
