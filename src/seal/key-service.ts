/** What keys in all key services have in common: how they are named and bound, and what it means when the service does not answer. */

import { createHash } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import { type Net, type NetAnswer, NetError, type NetRequest, type Row } from '../core/ports.ts'
import { contextOf } from './cipher.ts'
import { ID_BYTES, type MasterKey } from './master-key.ts'

export interface KeyServiceParts {
  readonly net: Net
  /** What the service's own tools read their credentials from. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly now: () => number
}

/** Past it an unwrapped data key is used no more until the service has opened it again: so long a disabled key goes on opening. */
export const KEPT_MS = 300_000
const RETRY_AFTER_MS = 5_000

export interface KeyInService {
  readonly scheme: string
  readonly reference: string
  /** `context` is the same for the same row only, and tells nothing about it: services write it into their logs. */
  encrypt(plain: Uint8Array, context: Buffer): Promise<Uint8Array>
  /** Throws anything but `KEY_SERVICE_UNAVAILABLE` when this was not encrypted by the key for the context. */
  decrypt(sealed: Uint8Array, context: Buffer): Promise<Buffer>
}

export function masterKeyIn({ scheme, reference, encrypt, decrypt }: KeyInService): MasterKey {
  const service = `${scheme}:${reference}`
  const id = createHash('sha256')
    .update(`latchstring master key ${service}`)
    .digest('hex')
    .slice(0, 2 * ID_BYTES)
  const contextFor = ({ tenant, table, id: row }: Row): Buffer =>
    createHash('sha256')
      .update(contextOf('data key', '2', id, tenant, table, row))
      .digest()
  return {
    ...{ id, service, format: 2, keptMs: KEPT_MS },
    wrap: (row, dataKey) => encrypt(dataKey, contextFor(row)),
    unwrap: (row, wrapped) => decrypt(wrapped, contextFor(row)),
  }
}

/** `why` is the service's own code: its messages may name what is not for the log. */
export function unavailable(service: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('KEY_SERVICE_UNAVAILABLE', `the key service ${service} cannot be used at the moment: ${why}`, {
    cause,
    retryAfterMs: RETRY_AFTER_MS,
  })
}

/** One request, which has an answer or fails as `KEY_SERVICE_UNAVAILABLE`. The operator named the host, so it may be inside. */
export async function asked(net: Net, service: string, request: Omit<NetRequest, 'allowPrivateNetwork'>): Promise<NetAnswer> {
  try {
    return await net.request({ ...request, allowPrivateNetwork: true })
  } catch (error) {
    if (!(error instanceof NetError)) throw error
    throw unavailable(service, `${error.reason} (${error.message})`, error)
  }
}

/** The fields of an answer in JSON; none where it is anything else. */
export function fieldsOf({ body }: NetAnswer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

export function textIn(fields: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = fields[name]
  return typeof value === 'string' && value !== '' ? value : null
}

/** Something that ends, such as a token, got anew a while before. Whoever asks meanwhile shares the question. */
export function renewing<T>(now: () => number, get: () => Promise<{ value: T; until: number }>): () => Promise<T> {
  let known: { value: T; until: number } | null = null
  let asking: Promise<T> | null = null
  return () => {
    if (known && known.until - EARLY_MS > now()) return Promise.resolve(known.value)
    asking ??= get()
      .then((got) => {
        known = got
        return got.value
      })
      .finally(() => (asking = null))
    return asking
  }
}

const EARLY_MS = 60_000
