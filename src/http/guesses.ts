/** Counts failed guesses (bearers, client secrets, connect links, states) by address. Only those who guess wrong are ever told to wait. */

import { isIPv6 } from 'node:net'
import { BrokerError } from '../core/errors.ts'
import { unmapped } from '../core/pins.ts'
import { RateLimit } from './rate-limit.ts'

export class Guesses {
  readonly #max: number
  readonly #limit: RateLimit

  constructor(perMinute: number, now: () => number, addressesMax?: number) {
    this.#max = perMinute
    this.#limit = new RateLimit(now, addressesMax)
  }

  /** Notes a failure. How long to wait, in milliseconds, when there were too many; otherwise null. */
  failed(address: string): number | null {
    const { spent, resetMs } = this.#limit.take(networkOf(address), this.#max)
    return spent ? resetMs : null
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

/** Whoever has an IPv6 address has the 2^64 beside it too. */
export function networkOf(address: string): string {
  const plain = unmapped(address)
  if (!isIPv6(plain)) return plain
  const [head = '', tail = ''] = plain.split('%', 1)[0]!.split('::')
  const groups = [...head.split(':').filter(Boolean)]
  const missing = plain.includes('::') ? 8 - groups.length - tail.split(':').filter(Boolean).length : 0
  const all = [...groups, ...Array.from({ length: Math.max(missing, 0) }, () => '0'), ...tail.split(':').filter(Boolean)]
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
