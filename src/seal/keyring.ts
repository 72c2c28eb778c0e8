/** The master keys of this installation, newest first, and the data keys they wrap. */

import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import type { Row } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { contextOf, decrypt, encrypt, OVERHEAD_BYTES } from './cipher.ts'

export interface MasterKey {
  /** 16 hex digits that name the key and say nothing about it. */
  readonly id: string
  readonly key: KeyObject
}

const KEY_BYTES = 32
const ID_BYTES = 8
/** The first byte of a wrapped data key. */
const FORMAT = 1
const WRAPPED_BYTES = 1 + ID_BYTES + KEY_BYTES + OVERHEAD_BYTES
const HOW_TO_MAKE = 'make one with `openssl rand -base64 32`'

/** 32 bytes in base64 each, newest first, apart by space, comma or newline. Messages never quote what was given. */
export function parseMasterKeys(text: string | Secret): MasterKey[] {
  const given = (text instanceof Secret ? text.reveal() : text).split(/[\s,]+/).filter((part) => part !== '')
  if (given.length === 0) throw new Error(`there is no master key: ${HOW_TO_MAKE}`)
  const keys = given.map((part, i) => {
    const bytes = Buffer.from(part, 'base64')
    // Node skips what is not base64; only what comes back the same was.
    if (bytes.length === KEY_BYTES && bytes.toString('base64') === part) return masterKey(bytes)
    throw new Error(`master key ${i + 1} of ${given.length} is not ${KEY_BYTES} bytes in base64: ${HOW_TO_MAKE}`)
  })
  const twice = keys.findIndex(({ id }, i) => keys.findIndex((other) => other.id === id) < i)
  if (twice >= 0) throw new Error(`master key ${twice + 1} of ${keys.length} is given twice`)
  return keys
}

function masterKey(bytes: Buffer): MasterKey {
  const id = createHmac('sha256', bytes)
    .update('latchstring master key id')
    .digest('hex')
    .slice(0, 2 * ID_BYTES)
  return { id, key: keyFrom(bytes) }
}

/** A key that prints as nothing; the bytes it was made of are wiped. */
export function keyFrom(bytes: Buffer): KeyObject {
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

/** Format, id of the master key, and the data key, sealed for the row. */
export function wrap({ id, key }: MasterKey, row: Row, dataKey: Uint8Array): Buffer {
  const sealed = encrypt(key, wrapContext(row, id), dataKey)
  return Buffer.concat([Buffer.of(FORMAT), Buffer.from(id, 'hex'), sealed])
}

export function unwrap(masterKeys: readonly MasterKey[], row: Row, wrapped: Uint8Array): { keyId: string; dataKey: Buffer } {
  const whose = `the data key of ${row.table} ${row.id}`
  if (wrapped.length !== WRAPPED_BYTES || wrapped[0] !== FORMAT) {
    throw new BrokerError('INTEGRITY_FAILURE', `${whose} is not one`)
  }
  const keyId = Buffer.from(wrapped.subarray(1, 1 + ID_BYTES)).toString('hex')
  const master = masterKeys.find(({ id }) => id === keyId)
  if (!master) {
    const present = masterKeys.map(({ id }) => id).join(', ')
    throw new BrokerError('INTEGRITY_FAILURE', `${whose} needs the master key ${keyId}, and only these are here: ${present}`)
  }
  try {
    return { keyId, dataKey: decrypt(master.key, wrapContext(row, keyId), wrapped.subarray(1 + ID_BYTES)) }
  } catch (cause) {
    throw new BrokerError('INTEGRITY_FAILURE', `${whose} is damaged or belongs to another row`, { cause })
  }
}

function wrapContext({ tenant, table, id }: Row, keyId: string): Buffer {
  return contextOf('data key', String(FORMAT), keyId, tenant, table, id)
}
