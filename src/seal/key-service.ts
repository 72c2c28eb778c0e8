/** What keys in all key services have in common: how they are named and bound, and what it means when the service does not answer. */

import { createHash } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import { type Net, type NetAnswer, NetError, type NetRequest, type Row } from '../core/ports.ts'
import { type BranchKey, branchKeys } from './branch-keys.ts'
import { contextOf, decrypt, encrypt } from './cipher.ts'
import { ID_BYTES, type MasterKey } from './master-key.ts'

export interface KeyServiceParts {
  readonly net: Net
  /** What the service's own tools read their credentials from. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly now: () => number
}

const RETRY_AFTER_MS = 5_000

export interface KeyInService {
  readonly scheme: string
  readonly reference: string
  /** `context` is the same for the same tenant only, and tells nothing about it: services write it into their logs. */
  encrypt(plain: Uint8Array, context: Buffer): Promise<Uint8Array>
  /** Throws anything but `KEY_SERVICE_UNAVAILABLE` when this was not encrypted by the key for the context. */
  decrypt(sealed: Uint8Array, context: Buffer): Promise<Buffer>
}

/** What it wrapped is, after the length of it in two bytes, the branch key as the service wrapped it, and the data key under that. */
export function masterKeyIn({ scheme, reference, ...key }: KeyInService, now: () => number): MasterKey {
  const service = `${scheme}:${reference}`
  const id = createHash('sha256')
    .update(`latchstring master key ${service}`)
    .digest('hex')
    .slice(0, 2 * ID_BYTES)
  const contextFor = (tenant: string): Buffer =>
    createHash('sha256')
      .update(contextOf('branch key', '2', id, tenant))
      .digest()
  const branches = branchKeys(
    {
      encrypt: (plain, tenant) => key.encrypt(plain, contextFor(tenant)),
      decrypt: (wrapped, tenant) => key.decrypt(wrapped, contextFor(tenant)),
    },
    now,
  )
  const dataContextFor = ({ tenant, table, id: row }: Row): Buffer => contextOf('data key', '2', id, tenant, table, row)
  return {
    ...{ id, service, format: 2 },
    async wrap(row, dataKey) {
      const branch = await branches.sealing(row.tenant)
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt16BE(branch.wrapped.length)
      const bytes = Buffer.concat([length, branch.wrapped, encrypt(branch.key, dataContextFor(row), dataKey)])
      return { bytes, until: branch.until }
    },
    unwrap(row, wrapped) {
      const view = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength)
      const end = LENGTH_BYTES + view.readUInt16BE()
      const opened = ({ key: branch, until }: BranchKey): { bytes: Buffer; until: number } => ({
        bytes: decrypt(branch, dataContextFor(row), view.subarray(end)),
        until,
      })
      const branch = branches.opened(row.tenant, view.subarray(LENGTH_BYTES, end))
      return branch instanceof Promise ? branch.then(opened) : opened(branch)
    },
  }
}

const LENGTH_BYTES = 2

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
