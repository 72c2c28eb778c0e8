/** Counts failed guesses (bearers, client secrets, connect links, states) by address. Only those who guess wrong are ever told to wait. */

import { BrokerError } from '../core/errors.ts'

const WINDOW_MS = 60_000
/** Addresses counted at once; past it the whole window starts anew, which costs an attacker more than it gives. */
const ADDRESSES_MAX = 50_000

export class Guesses {
  readonly #max: number
  readonly #now: () => number
  readonly #counts = new Map<string, number>()
  #windowEnds = 0

  constructor(perMinute: number, now: () => number) {
    this.#max = perMinute
    this.#now = now
  }

  /** Notes a failure. How long to wait, in milliseconds, when there were too many; otherwise null. */
  failed(address: string): number | null {
    const now = this.#now()
    if (now >= this.#windowEnds || this.#counts.size >= ADDRESSES_MAX) {
      this.#counts.clear()
      this.#windowEnds = now + WINDOW_MS
    }
    const count = (this.#counts.get(address) ?? 0) + 1
    this.#counts.set(address, count)
    return count <= this.#max ? null : this.#windowEnds - now
  }
}

/** Notes a failure; resolves to an error to answer with instead, when there were too many. */
export type NoteFailure = (address: string) => Promise<BrokerError | null>

/** Wherever it is counted: here, or for several processes in one place. */
export function noteFailure(count: (address: string) => Promise<number | null>): NoteFailure {
  return async (address) => {
    const retryAfterMs = await count(address)
    if (retryAfterMs === null) return null
    return new BrokerError('TOO_MANY_REQUESTS', 'too many failed attempts from this address; wait, then try again', {
      retryAfterMs,
    })
  }
}
