/**
 * Leases that this process asked for while the store failed, or was given too late. The store may have given one all the same, and only its answer was
 * lost: then a lease stands in the row under which nothing was ever sent, and must not be taken for a refresh token that was spent.
 *
 * Known to this process alone. Should it die as well, the lease looks like any other that was never given back.
 */

import type { Connection, Lease } from './connection.ts'
import { Remembered } from './remembered.ts'

/** As many can be asked for at once while a store fails over, and some. */
const REMEMBERED_MAX = 10_000

type Key = Pick<Connection, 'tenant' | 'id'>

export class Unbegun {
  readonly #holder: string
  readonly #leases = new Remembered<true>(REMEMBERED_MAX)

  constructor(holder: string) {
    this.#holder = holder
  }

  /** Nothing is sent under a lease that began then: the store failed when it was asked for it, or took too long. */
  note(connection: Key, startedAt: number): void {
    this.#leases.add(keyOf(connection, startedAt), true)
  }

  /** It did give one that began then, and something is sent under it. */
  begun(connection: Key, startedAt: number): void {
    this.#leases.forget(keyOf(connection, startedAt))
  }

  /** The lease, if something may have been sent under it. */
  serious(connection: Key, lease: Lease | null): Lease | null {
    if (lease?.holder !== this.#holder) return lease
    return this.#leases.get(keyOf(connection, lease.startedAt)) ? null : lease
  }
}

function keyOf({ tenant, id }: Key, startedAt: number): string {
  return JSON.stringify([tenant, id, startedAt])
}
