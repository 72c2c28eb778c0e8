/** How much a caller, or an address, may ask in a minute, when the operator set a limit. Counted by each process. */

import { BrokerError } from '../core/errors.ts'

const WINDOW_MS = 60_000
/** Counted at once. Beyond it whoever is not counted yet waits for the next minute: a limit that gives way under load would be none. */
const COUNTED_MAX = 50_000

export interface Allowance {
  readonly limit: number
  readonly remaining: number
  /** Until all of it is there again. */
  readonly resetMs: number
}

export class RateLimit {
  readonly #now: () => number
  readonly #countedMax: number
  readonly #counts = new Map<string, number>()
  #windowEnds = 0

  constructor(now: () => number, countedMax = COUNTED_MAX) {
    this.#now = now
    this.#countedMax = countedMax
  }

  /** Counts one; what is left, where 0 with `spent` means that this one was too many. */
  take(name: string, limit: number): Allowance & { readonly spent: boolean } {
    const now = this.#now()
    // A clock that is set back begins anew: nobody waits for as long as it was ahead.
    if (now >= this.#windowEnds || now < this.#windowEnds - WINDOW_MS) {
      this.#counts.clear()
      this.#windowEnds = now + WINDOW_MS
    }
    const resetMs = this.#windowEnds - now
    const before = this.#counts.get(name) ?? (this.#counts.size < this.#countedMax ? 0 : limit)
    if (before >= limit) return { limit, remaining: 0, resetMs, spent: true }
    this.#counts.set(name, before + 1)
    return { limit, remaining: limit - before - 1, resetMs, spent: false }
  }
}

export function tooMany(what: string, { resetMs }: Allowance): BrokerError {
  return new BrokerError('TOO_MANY_REQUESTS', `too many requests ${what}; wait, then try again`, { retryAfterMs: resetMs })
}

/** As most clients read them (draft-ietf-httpapi-ratelimit-headers-03). */
export function rateLimitHeaders({ limit, remaining, resetMs }: Allowance): Readonly<Record<string, string>> {
  return {
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(Math.ceil(resetMs / 1000)),
  }
}
