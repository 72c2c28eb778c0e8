/** How long to leave somebody alone who did not do what was asked. */

/** No wait between two renewals is longer, whatever the other side says. */
export const RETRY_AFTER_MS_MAX = 3_600_000
const RENEWING = { min: 1000, max: 300_000 }

/** Twice as long after each failure, up to half of it left to chance; longer where the other side said so, within reason. */
export function backoff(
  attempts: number,
  chance: number,
  retryAfterMs: number | null = null,
  { min, max }: { readonly min: number; readonly max: number } = RENEWING,
): number {
  const own = Math.min(min * 2 ** (attempts - 1), max) * (0.5 + chance / 2)
  return Math.ceil(Math.max(own, Math.min(retryAfterMs ?? 0, RETRY_AFTER_MS_MAX)))
}
