/** How long a provider asks us to wait, from its headers. */

import type { NetAnswer } from '../core/ports.ts'

/** A provider that names a longer wait is asked again after this one all the same: an hour is long for a user, and ten years is a mistake. */
const WAIT_MS_MAX = 3_600_000
/** A wait in seconds that would be thirty years is a moment instead. */
const EPOCH_SECONDS_MIN = 1e9

/** `Retry-After` as seconds or as an HTTP date, else `RateLimit-Reset` as seconds or as an epoch; null when neither says anything. */
export function retryAfterMs({ headers }: NetAnswer, now: number): number | null {
  return wait(headers['retry-after'], now) ?? wait(headers['ratelimit-reset'], now)
}

function wait(value: string | undefined, now: number): number | null {
  const text = value?.trim()
  if (!text) return null
  if (/^\d+(\.\d+)?$/.test(text)) {
    const seconds = Number(text)
    return bounded(seconds >= EPOCH_SECONDS_MIN ? seconds * 1000 - now : seconds * 1000)
  }
  // Only what has a weekday, as HTTP dates do: Date.parse makes a date of nearly anything.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : bounded(at - now)
}

function bounded(ms: number): number {
  return Math.ceil(Math.min(Math.max(ms, 0), WAIT_MS_MAX))
}
