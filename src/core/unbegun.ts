/**
 * Leases that this process asked for while the store failed, or was given too late. The store may have given one all the same, and only its answer was
 * lost: then a lease stands in the row under which nothing was ever sent, and must not be taken for a refresh token that was spent.
 *
 * Known to this process alone, which gives them back as soon as it can (`renew.ts`). Should it die before, the lease looks like any other that
 * was never given back.
 */

import type { Connection, Lease } from './connection.ts'
import { Remembered } from './remembered.ts'

/** As many can be asked for at once while a store fails over, and some. */
const REMEMBERED_MAX = 10_000

type Key = Pick<Connection, 'tenant' | 'id'>

export interface UnbegunLease extends Key {
  readonly startedAt: number
  /** What stood there before, past its end: under that something may have been sent. */
  readonly earlier: Lease | null
}

export class Unbegun {
  readonly #holder: string
  readonly #leases = new Remembered<UnbegunLease>(REMEMBERED_MAX)

  constructor(holder: string) {
    this.#holder = holder
  }

  /** Nothing is sent under a lease that began then: the store failed when it was asked for it, or took too long. */
  note(seen: Key & Pick<Connection, 'lease'>, startedAt: number): void {
    const { tenant, id, lease } = seen
    this.#leases.add(keyOf(seen, startedAt), { tenant, id, startedAt, earlier: this.serious(seen, lease) })
  }

  /** It did give one that began then, and something is sent under it; or it is given back. */
  forget(connection: Key, startedAt: number): void {
    this.#leases.forget(keyOf(connection, startedAt))
  }

  /** The lease under which something may have been sent: this one, or that before it. */
  serious(connection: Key, lease: Lease | null): Lease | null {
    if (lease?.holder !== this.#holder) return lease
    const noted = this.#leases.get(keyOf(connection, lease.startedAt))
    return noted ? noted.earlier : lease
  }

  *[Symbol.iterator](): IterableIterator<UnbegunLease> {
    for (const [, noted] of this.#leases) yield noted
  }
}

function keyOf({ tenant, id }: Key, startedAt: number): string {
  return JSON.stringify([tenant, id, startedAt])
}
