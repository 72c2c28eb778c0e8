/** Seals fields under a data key of their row, which a master key wraps. `docs/storage.md` has the bytes. */

import { type KeyObject, randomBytes } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import type { Row, RowSeal, Seal } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { contextOf, decrypt, encrypt, OVERHEAD_BYTES } from './cipher.ts'
import { keyFrom, type MasterKey, unwrap, wrap } from './keyring.ts'

/** Rows whose data key is remembered unwrapped; past it, the one that was not used for longest is forgotten. */
const REMEMBERED_MAX = 10_000

/** The first byte of a sealed field. UTF-16 is for what UTF-8 cannot carry: half of a surrogate pair. */
const ENCODINGS: Readonly<Record<number, 'utf8' | 'utf16le'>> = { 1: 'utf8', 2: 'utf16le' }

/** `masterKeys` newest first: the first wraps what is new, the others still open what they wrapped. */
export function createSeal({ masterKeys }: { masterKeys: readonly MasterKey[] }): Seal {
  const [newest] = masterKeys
  if (!newest) throw new Error('a seal needs a master key')
  const remembered = new Map<string, RowSeal>()

  const remember = (key: string, rowSeal: RowSeal): RowSeal => {
    remembered.delete(key)
    remembered.set(key, rowSeal)
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string)
    return rowSeal
  }

  return {
    async create(row) {
      const dataKey = randomBytes(32)
      const wrapped = wrap(newest, row, dataKey)
      return remember(rowKey(row, wrapped), new Envelope(row, newest.id, kept(wrapped), keyFrom(dataKey)))
    },

    load(row, wrapped) {
      const key = rowKey(row, wrapped)
      const known = remembered.get(key)
      if (known) return remember(key, known)
      const { keyId, dataKey } = unwrap(masterKeys, row, wrapped)
      return remember(key, new Envelope(row, keyId, kept(wrapped), keyFrom(dataKey)))
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
  readonly #row: Row
  readonly #keyId: string
  readonly #key: KeyObject
  readonly #contexts = new Map<string, Uint8Array>()

  constructor(row: Row, keyId: string, wrapped: Uint8Array, key: KeyObject) {
    this.dataKey = wrapped
    this.#row = row
    this.#keyId = keyId
    this.#key = key
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
