/** Seals fields under a data key of their row, which a master key wraps. `docs/storage.md` has the bytes. */

import { type KeyObject, randomBytes } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import type { Row, RowSeal, Seal } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { contextOf, decrypt, encrypt, OVERHEAD_BYTES } from './cipher.ts'
import { type Keyring, masterKeyOf, unwrap, wrap } from './keyring.ts'
import { keyFrom } from './local-key.ts'
import type { MasterKey } from './master-key.ts'

/** Rows whose data key is remembered unwrapped; past it, the one that was not used for longest is forgotten. */
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
  const remembered = new Map<string, Envelope>()
  const loading = new Map<string, Promise<Envelope>>()

  const remember = (key: string, envelope: Envelope): Envelope => {
    remembered.delete(key)
    remembered.set(key, envelope)
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string)
    return envelope
  }
  const envelopeOf = (row: Row, wrapped: Uint8Array, { id, keptMs }: MasterKey, dataKey: Buffer): Envelope =>
    new Envelope(row, id, kept(wrapped), keyFrom(dataKey), now() + keptMs)

  return {
    masterKeys: masterKeys.all.map(({ id, service }) => ({
      ...{ id, service },
      role: id === primary.id ? 'primary' : masterKeys.staged.has(id) ? 'staged' : 'opens',
    })),
    masterKeyOf,

    async create(row) {
      const dataKey = randomBytes(32)
      const wrapped = await wrap(primary, row, dataKey)
      return remember(rowKey(row, wrapped), envelopeOf(row, wrapped, primary, dataKey))
    },

    load(row, wrapped) {
      const key = rowKey(row, wrapped)
      const known = remembered.get(key)
      if (known && (known.keptUntil === Number.POSITIVE_INFINITY || known.keptUntil > now())) return remember(key, known)
      // Past its time it is gone, whatever the key service says now.
      if (known) remembered.delete(key)
      // Whoever asks for the same row meanwhile shares the question.
      const sharing = loading.get(key)
      if (sharing) return sharing
      const unwrapped = unwrap(masterKeys, row, wrapped)
      if (!(unwrapped instanceof Promise)) return remember(key, envelopeOf(row, wrapped, unwrapped.master, unwrapped.dataKey))
      const asked = unwrapped
        .then(({ master, dataKey }) => remember(key, envelopeOf(row, wrapped, master, dataKey)))
        .finally(() => loading.delete(key))
      loading.set(key, asked)
      return asked
    },
  }
}

/** Small buffers are slices of a shared block of 8 kB, which one of them keeps alive as a whole: what is kept gets memory of its own. */
function kept(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

/** Row and wrapped bytes together: a data key that was swapped in from elsewhere is never found here, so it is always checked. */
function rowKey({ tenant, table, id }: Row, wrapped: Uint8Array): string {
  const bytes = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength).toString('latin1')
  return `${tenant.length} ${table} ${id.length} ${tenant}${id}${bytes}`
}

class Envelope implements RowSeal {
  readonly dataKey: Uint8Array
  readonly #keptUntil: number
  readonly #row: Row
  readonly #keyId: string
  readonly #key: KeyObject
  readonly #contexts = new Map<string, Uint8Array>()

  constructor(row: Row, keyId: string, wrapped: Uint8Array, key: KeyObject, keptUntil: number) {
    this.dataKey = wrapped
    this.#keptUntil = keptUntil
    this.#row = row
    this.#keyId = keyId
    this.#key = key
  }

  /** Infinity where we hold the master key. */
  get keptUntil(): number {
    return this.#keptUntil
  }

  seal(field: string, secret: Secret): Uint8Array {
    const text = secret.reveal()
    const format = text.isWellFormed() ? 1 : 2
    const sealed = encrypt(this.#key, this.#context(field, format), Buffer.from(text, ENCODINGS[format]))
    return Buffer.concat([Buffer.of(format), sealed])
  }

  open(field: string, sealed: Uint8Array): Secret {
    const format = sealed[0] ?? 0
    const encoding = ENCODINGS[format]
    if (!encoding || sealed.length < 1 + OVERHEAD_BYTES) throw this.#failure(field, 'was never sealed')
    try {
      return new Secret(decrypt(this.#key, this.#context(field, format), sealed.subarray(1)).toString(encoding))
    } catch (cause) {
      throw this.#failure(field, 'is damaged or belongs elsewhere', cause)
    }
  }

  #context(field: string, format: number): Uint8Array {
    const name = `${format}${field}`
    const known = this.#contexts.get(name)
    if (known) return known
    const { tenant, table, id } = this.#row
    const context = kept(contextOf('field', String(format), this.#keyId, tenant, table, id, field))
    this.#contexts.set(name, context)
    return context
  }

  #failure(field: string, what: string, cause?: unknown): BrokerError {
    return new BrokerError('INTEGRITY_FAILURE', `${field} of ${this.#row.table} ${this.#row.id} ${what}`, { cause })
  }
}
