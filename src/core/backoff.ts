/** How long to leave somebody alone who did not do what was asked. */

const BACKOFF_MS_MIN = 1000
const BACKOFF_MS_MAX = 300_000
const RETRY_AFTER_MS_MAX = 3_600_000

/** Twice as long after each failure, up to half of it left to chance; longer where the other side said so, within reason. */
export function backoff(attempts: number, chance: number, retryAfterMs: number | null = null): number {
  const own = Math.min(BACKOFF_MS_MIN * 2 ** (attempts - 1), BACKOFF_MS_MAX) * (0.5 + chance / 2)
  return Math.ceil(Math.max(own, Math.min(retryAfterMs ?? 0, RETRY_AFTER_MS_MAX)))
}
