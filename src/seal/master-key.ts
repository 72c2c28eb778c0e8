/** What wraps data keys, wherever it is kept: in the process, or in a key service that never gives it out. */

import type { Row } from '../core/ports.ts'

export const ID_BYTES = 8

export interface MasterKey {
  /** 16 hex digits that name the key and say nothing about it. */
  readonly id: string
  /** The first byte of what it wrapped: 1 a key of 32 bytes that we hold, 2 a key service. */
  readonly format: 1 | 2
  /** What the operator calls it, of a key in a service; null: we hold it. */
  readonly service: string | null
  /** Bound to the row. A key service answers with a promise, and rejects with `KEY_SERVICE_UNAVAILABLE` when it does not do it. */
  wrap(row: Row, dataKey: Uint8Array): Timed<Uint8Array> | Promise<Timed<Uint8Array>>
  /** Throws anything else than that when this is not what was wrapped for the row. */
  unwrap(row: Row, wrapped: Uint8Array): Timed<Buffer> | Promise<Timed<Buffer>>
}

/** The data key, wrapped or not, and how long it may be used unwrapped before it is asked for again: in milliseconds since the epoch, or infinite. */
export interface Timed<Bytes> {
  readonly bytes: Bytes
  readonly until: number
}
