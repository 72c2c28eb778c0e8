/** A master key that the process itself holds: 32 bytes, AES-256-GCM. */

import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { contextOf, decrypt, encrypt } from './cipher.ts'
import { ID_BYTES, type MasterKey } from './master-key.ts'

export const KEY_BYTES = 32

/** Its bytes are wiped. */
export function localKey(bytes: Buffer): MasterKey {
  const id = createHmac('sha256', bytes)
    .update('latchstring master key id')
    .digest('hex')
    .slice(0, 2 * ID_BYTES)
  const key = keyFrom(bytes)
  const contextFor = ({ tenant, table, id: row }: Parameters<MasterKey['wrap']>[0]): Buffer =>
    contextOf('data key', '1', id, tenant, table, row)
  return {
    id,
    format: 1,
    service: null,
    wrap: (row, dataKey) => ({ bytes: encrypt(key, contextFor(row), dataKey), until: Number.POSITIVE_INFINITY }),
    unwrap: (row, sealed) => ({ bytes: decrypt(key, contextFor(row), sealed), until: Number.POSITIVE_INFINITY }),
  }
}

/** A key that prints as nothing; the bytes it was made of are wiped. */
export function keyFrom(bytes: Buffer): KeyObject {
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}
