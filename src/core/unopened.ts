/**
 * Connections whose credentials do not open, as far as they were told of. A client that goes on asking, or a master key that was taken away too
 * early, must not fill a log and a history that is kept for ever.
 */

import type { Connection } from './connection.ts'
import { Remembered } from './remembered.ts'

const REMEMBERED_MAX = 10_000
const AGAIN_MS = 3_600_000
const MINUTE_MS = 60_000
const IN_A_MINUTE_MAX = 60

type Key = Pick<Connection, 'tenant' | 'id'>

export class Unopened {
  readonly #told = new Remembered<number>(REMEMBERED_MAX)
  #minute = { began: 0, told: 0 }

  /** Whether this is to be told of now: once in an hour for each, and of some in a minute. Then it counts as told. */
  isToTell(connection: Key, reason: string, now: number): boolean {
    const key = keyOf(connection, reason)
    if (Math.abs(now - (this.#told.get(key) ?? Number.NEGATIVE_INFINITY)) < AGAIN_MS) return false
    if (Math.abs(now - this.#minute.began) >= MINUTE_MS) this.#minute = { began: now, told: 0 }
    if (this.#minute.told >= IN_A_MINUTE_MAX) return false
    this.#minute.told += 1
    this.#told.add(key, now)
    return true
  }

  /** It could not be told after all. */
  untold(connection: Key, reason: string): void {
    this.#told.forget(keyOf(connection, reason))
  }
}

function keyOf({ tenant, id }: Key, reason: string): string {
  return JSON.stringify([tenant, id, reason])
}
