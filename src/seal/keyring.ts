/** The master keys of this installation, and the data keys they wrap. */

import { BrokerError } from '../core/errors.ts'
import type { Row } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { OVERHEAD_BYTES } from './cipher.ts'
import { KEY_BYTES, localKey } from './local-key.ts'
import { ID_BYTES, type MasterKey, type Timed } from './master-key.ts'

export interface Keyring {
  /** Wraps what is new. */
  readonly primary: MasterKey
  /** In the order they were given; each opens what it wrapped. */
  readonly all: readonly MasterKey[]
  /** Ids of those that were given to be known everywhere before one of them becomes the primary. */
  readonly staged: ReadonlySet<string>
}

/** Makes the master key that a reference such as `aws-kms:…` names; throws what is wrong with it. null: no such service. */
export type KeyServices = (scheme: string, reference: string) => MasterKey | null

const WRAPPED_BYTES = 1 + ID_BYTES + KEY_BYTES + OVERHEAD_BYTES
const STAGED = 'staged:'
const HOW_TO_MAKE = 'make one with `openssl rand -base64 32`'

/**
 * Keys of 32 bytes in base64, or references to keys in a service, apart by space, comma or newline. The first is the primary, unless it
 * is marked `staged:`. Messages never quote what was given.
 */
export function parseMasterKeys(text: string | Secret, services: KeyServices = () => null): Keyring {
  const given = entriesOf(text)
  if (given.length === 0) throw new Error(`there is no master key: ${HOW_TO_MAKE}`)
  const all = given.map((part, i) => keyOf(part.replace(STAGED, ''), `master key ${i + 1} of ${given.length}`, services))
  const twice = all.findIndex(({ id }, i) => all.findIndex((other) => other.id === id) < i)
  if (twice >= 0) throw new Error(`master key ${twice + 1} of ${all.length} is given twice`)
  const isStaged = (i: number): boolean => given[i]?.startsWith(STAGED) ?? false
  const primary = all.find((_, i) => !isStaged(i))
  if (!primary) throw new Error('every master key is marked `staged:`, so none seals what is new: take the mark off one')
  return { primary, all, staged: new Set(all.filter((_, i) => isStaged(i)).map(({ id }) => id)) }
}

export function entriesOf(text: string | Secret): string[] {
  return (text instanceof Secret ? text.reveal() : text).split(/[\s,]+/).filter((part) => part !== '')
}

function keyOf(part: string, which: string, services: KeyServices): MasterKey {
  const scheme = /^([a-z][a-z-]*):/.exec(part)?.[1]
  if (scheme !== undefined) return serviceKey(scheme, part.slice(scheme.length + 1), which, services)
  const bytes = Buffer.from(part, 'base64')
  // Node skips what is not base64; only what comes back the same was.
  if (bytes.length === KEY_BYTES && bytes.toString('base64') === part) return localKey(bytes)
  throw new Error(`${which} is not ${KEY_BYTES} bytes in base64: give it as it was made, or for a new vault ${HOW_TO_MAKE}`)
}

function serviceKey(scheme: string, reference: string, which: string, services: KeyServices): MasterKey {
  try {
    const key = services(scheme, reference)
    if (key) return key
  } catch (error) {
    throw new Error(`${which} ${(error as Error).message}`, { cause: error })
  }
  throw new Error(`${which} is in no key service that is known here: say aws-kms:…, gcp-kms:… or transit:…`)
}

/** Format, id of the master key, and the data key as it wrapped it for the row. */
export async function wrap(master: MasterKey, row: Row, dataKey: Uint8Array): Promise<Timed<Buffer>> {
  const { bytes, until } = await master.wrap(row, dataKey)
  return { bytes: Buffer.concat([Buffer.of(master.format), Buffer.from(master.id, 'hex'), bytes]), until }
}

/** null: it is no wrapped data key. */
export function masterKeyOf(wrapped: Uint8Array): string | null {
  return isWrapped(wrapped) ? Buffer.from(wrapped.buffer, wrapped.byteOffset + 1, ID_BYTES).toString('hex') : null
}

function isWrapped(bytes: Uint8Array): boolean {
  return bytes[0] === 1 ? bytes.length === WRAPPED_BYTES : bytes[0] === 2 && bytes.length > 1 + ID_BYTES
}

export interface Unwrapped {
  readonly master: MasterKey
  readonly dataKey: Buffer
  /** As `Timed`. */
  readonly until: number
}

/** Without a promise where nobody has to be asked. */
export function unwrap(keyring: Keyring, row: Row, wrapped: Uint8Array): Unwrapped | Promise<Unwrapped> {
  const master = masterOf(keyring, row, wrapped)
  try {
    const opened = master.unwrap(row, wrapped.subarray(1 + ID_BYTES))
    if (!(opened instanceof Promise)) return named(master, opened)
    return opened
      .then((timed) => named(master, timed))
      .catch((cause: unknown) => {
        throw damaged(row, cause)
      })
  } catch (cause) {
    throw damaged(row, cause)
  }
}

/** The one that wrapped it; throws when it is not here. */
function masterOf({ all }: Keyring, row: Row, wrapped: Uint8Array): MasterKey {
  const master = all.find((one) => wrappedIt(one, wrapped))
  if (master && isWrapped(wrapped)) return master
  const keyId = masterKeyOf(wrapped)
  if (keyId === null) throw new BrokerError('INTEGRITY_FAILURE', `the data key of ${row.table} ${row.id} is not one`)
  const present = all.map(({ id }) => id).join(', ')
  const remedy = 'LATCHSTRING_MASTER_KEY, or its file, must have the key that was in it when this was stored'
  throw new BrokerError(
    'INTEGRITY_FAILURE',
    `the data key of ${row.table} ${row.id} needs the master key ${keyId}, and only these are here: ${present}; ${remedy}`,
  )
}

/** Where the bytes are: this is done for each row whose data key is not remembered, and a text made of them would cost several times as much. */
function wrappedIt({ format, id }: MasterKey, wrapped: Uint8Array): boolean {
  if (wrapped[0] !== format) return false
  for (let i = 0; i < ID_BYTES; i++) if (wrapped[1 + i] !== ((digitAt(id, 2 * i) << 4) | digitAt(id, 2 * i + 1))) return false
  return true
}

/** Of a text in hexadecimal, with small letters. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code < 0x3a ? code - 0x30 : code - 0x57
}

function named(master: MasterKey, { bytes, until }: Timed<Buffer>): Unwrapped {
  if (bytes.length !== KEY_BYTES) throw new Error('a data key of another length')
  return { master, dataKey: bytes, until }
}

function damaged({ table, id }: Row, cause: unknown): BrokerError {
  if (cause instanceof BrokerError) return cause
  return new BrokerError('INTEGRITY_FAILURE', `the data key of ${table} ${id} is damaged or belongs to another row`, { cause })
}
