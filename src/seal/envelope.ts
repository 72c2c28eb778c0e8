/** Seals fields under a data key of their row, which a master key wraps. `docs/storage.md` has the bytes. */

import { randomBytes } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import type { Row, RowSeal, Seal } from '../core/ports.ts'
import { Remembered } from '../core/remembered.ts'
import { Secret } from '../core/secret.ts'
import { contextOf, decrypt, encrypt, OVERHEAD_BYTES } from './cipher.ts'
import { type Keyring, masterKeyOf, type Unwrapped, unwrap, wrap } from './keyring.ts'

/** Rows whose data key is remembered unwrapped. */
const REMEMBERED_MAX = 10_000

/** The first byte of a sealed field. UTF-16 is for what UTF-8 cannot carry: half of a surrogate pair. */
const ENCODINGS: Readonly<Record<number, 'utf8' | 'utf16le'>> = { 1: 'utf8', 2: 'utf16le' }

export interface SealOptions {
  readonly masterKeys: Keyring
  readonly now?: () => number
}

/** The primary wraps what is new, the others still open what they wrapped. */
export function createSeal({ masterKeys, now = Date.now }: SealOptions): Seal {
  const { primary } = masterKeys
  const remembered = new Remembered<Envelope>(REMEMBERED_MAX)
  const envelopeOf = (row: Row, wrapped: Uint8Array, { master, dataKey, until }: Unwrapped): Envelope =>
    new Envelope(row, master.id, wrapped, dataKey, until)
  const remember = (row: Row, wrapped: Uint8Array, unwrapped: Unwrapped): Envelope =>
    remembered.add(row.id, envelopeOf(row, kept(wrapped), unwrapped))

  return {
    masterKeys: masterKeys.all.map(({ id, service }) => ({
      ...{ id, service },
      role: id === primary.id ? 'primary' : masterKeys.staged.has(id) ? 'staged' : 'opens',
    })),
    masterKeyOf,

    async create(row) {
      const dataKey = randomBytes(32)
      const { bytes, until } = await wrap(primary, row, dataKey)
      return remember(row, bytes, { master: primary, dataKey, until })
    },

    load(row, wrapped) {
      // By id, which is quick to find, and then it must be that very row and key: one that was swapped in from elsewhere is always checked.
      const known = remembered.get(row.id)
      if (known?.isFor(row, wrapped)) {
        if (known.keptUntil === Number.POSITIVE_INFINITY || known.keptUntil > now()) return known
        // Past its time it is gone, whatever the key service says now.
        remembered.forget(row.id)
      }
      // Unwrapping it again costs little more than making room.
      const envelope = (unwrapped: Unwrapped): Envelope =>
        remembered.welcomes(row.id) ? remember(row, wrapped, unwrapped) : envelopeOf(row, wrapped, unwrapped)
      const unwrapped = unwrap(masterKeys, row, wrapped)
      return unwrapped instanceof Promise ? unwrapped.then(envelope) : envelope(unwrapped)
    },
  }
}

/** Small buffers are slices of a shared block of 8 kB, which one of them keeps alive as a whole: what is kept gets memory of its own. */
function kept(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

class Envelope implements RowSeal {
  readonly dataKey: Uint8Array
  readonly #keptUntil: number
  readonly #row: Row
  readonly #keyId: string
  /** As bytes: making a `KeyObject` of them takes two thirds as long as opening a field, and where there are many rows most are used once. */
  readonly #key: Uint8Array
  /** Of the field that was asked for last, which is nearly always the same one. */
  #context: { readonly field: string; readonly format: number; readonly bytes: Uint8Array } | null = null
  #used = false

  constructor(row: Row, keyId: string, wrapped: Uint8Array, key: Uint8Array, keptUntil: number) {
    this.dataKey = wrapped
    this.#keptUntil = keptUntil
    this.#row = row
    this.#keyId = keyId
    this.#key = key
  }

  isFor({ tenant, table, id }: Row, wrapped: Uint8Array): boolean {
    const mine = this.#row
    return mine.id === id && mine.tenant === tenant && mine.table === table && Buffer.compare(this.dataKey, wrapped) === 0
  }

  /** Infinity where we hold the master key. */
  get keptUntil(): number {
    return this.#keptUntil
  }

  seal(field: string, secret: Secret): Uint8Array {
    const text = secret.reveal()
    const format = text.isWellFormed() ? 1 : 2
    const sealed = encrypt(this.#key, this.#contextOf(field, format), Buffer.from(text, ENCODINGS[format]))
    return Buffer.concat([Buffer.of(format), sealed])
  }

  open(field: string, sealed: Uint8Array): Secret {
    const format = sealed[0] ?? 0
    const encoding = ENCODINGS[format]
    if (!encoding || sealed.length < 1 + OVERHEAD_BYTES) throw this.#failure(field, 'was never sealed')
    try {
      return new Secret(decrypt(this.#key, this.#contextOf(field, format), sealed.subarray(1)).toString(encoding))
    } catch (cause) {
      throw this.#failure(field, 'is damaged or belongs elsewhere', cause)
    }
  }

  #contextOf(field: string, format: number): Uint8Array {
    if (this.#context?.field === field && this.#context.format === format) return this.#context.bytes
    const { tenant, table, id } = this.#row
    const bytes = contextOf('field', String(format), this.#keyId, tenant, table, id, field)
    // From the second time on: most envelopes that are not remembered open one field and are gone.
    if (this.#used) this.#context = { field, format, bytes: kept(bytes) }
    this.#used = true
    return bytes
  }

  #failure(field: string, what: string, cause?: unknown): BrokerError {
    return new BrokerError('INTEGRITY_FAILURE', `${field} of ${this.#row.table} ${this.#row.id} ${what}`, { cause })
  }
}
