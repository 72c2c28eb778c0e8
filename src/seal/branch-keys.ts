/**
 * Keys between a key service and the data keys: the service wraps a branch key, and that wraps the data keys of one tenant. So the service is asked
 * now and then for each of these, and not for every row. The name is that of the AWS Encryption SDK's hierarchical keyring.
 */

import { type KeyObject, randomBytes } from 'node:crypto'
import { Flights } from '../core/flights.ts'
import { Remembered } from '../core/remembered.ts'
import { KEY_BYTES, keyFrom } from './local-key.ts'

/** Past it an unwrapped branch key, and what it unwrapped, is used no more until the service has opened it again: so long a disabled key goes on opening. */
export const KEPT_MS = 300_000
/** So long before that whoever uses one asks for it again, and does not wait for the answer. */
const EARLY_MS = 60_000
const ASK_AGAIN_MS = 5_000
/** New data keys of a tenant go under one and the same for so long. */
const SEALS_MS = 86_400_000
const REMEMBERED_MAX = 10_000

export interface BranchKey {
  /** By the service, to be stored with whatever the key wraps. */
  readonly wrapped: Uint8Array
  readonly key: KeyObject
  /** It is not to be used from then on, in milliseconds since the epoch. */
  readonly until: number
}

export interface BranchKeys {
  /** The one that wraps what is new. */
  sealing(tenant: string): BranchKey | Promise<BranchKey>
  /** Rejects as the service does, and when it was wrapped for another tenant. */
  opened(tenant: string, wrapped: Uint8Array): BranchKey | Promise<BranchKey>
}

export interface WrappingService {
  encrypt(plain: Uint8Array, tenant: string): Promise<Uint8Array>
  decrypt(wrapped: Uint8Array, tenant: string): Promise<Buffer>
}

export function branchKeys({ encrypt, decrypt }: WrappingService, now: () => number): BranchKeys {
  const remembered = new Remembered<BranchKey & { askAgainAt: number }>(REMEMBERED_MAX)
  const sealing = new Remembered<{ readonly wrapped: Uint8Array; readonly since: number }>(REMEMBERED_MAX)
  const flights = new Flights()

  /** `at`: when the service was asked. It may have been told to refuse right after. */
  function remember(name: string, wrapped: Uint8Array, key: Buffer, at: number): BranchKey {
    if (key.length !== KEY_BYTES) throw new Error('a branch key of another length')
    const until = at + KEPT_MS
    return remembered.add(name, { wrapped, key: keyFrom(key), until, askAgainAt: until - EARLY_MS })
  }

  function ask(name: string, tenant: string, wrapped: Uint8Array): Promise<BranchKey> {
    return flights.join(name, async () => {
      const at = now()
      return remember(name, wrapped, await decrypt(wrapped, tenant), at)
    })
  }

  function opened(tenant: string, wrapped: Uint8Array): BranchKey | Promise<BranchKey> {
    const name = nameOf(tenant, wrapped)
    const known = remembered.get(name)
    // A slice would keep all that it was cut from.
    if (!known) return ask(name, tenant, Uint8Array.from(wrapped))
    if (known.until <= now()) {
      // Past its time it is gone, whatever the service says now, and wherever the clock is put.
      remembered.forget(name)
      return ask(name, tenant, known.wrapped)
    }
    if (known.askAgainAt <= now()) {
      known.askAgainAt = now() + ASK_AGAIN_MS
      // Whoever comes when its time is over is told.
      ask(name, tenant, known.wrapped).catch(() => {})
    }
    return known
  }

  return {
    opened,

    sealing(tenant) {
      const known = sealing.get(tenant)
      const current = known && now() - known.since < SEALS_MS ? opened(tenant, known.wrapped) : null
      if (current && !(current instanceof Promise)) return current
      const anew = (): Promise<BranchKey> =>
        flights.join(`new ${tenant}`, async () => {
          const since = now()
          const key = randomBytes(KEY_BYTES)
          const wrapped = await encrypt(key, tenant)
          sealing.add(tenant, { wrapped, since })
          return remember(nameOf(tenant, wrapped), wrapped, key, since)
        })
      // One that the service opens no more, as when its older versions are switched off, keeps nothing new from being sealed.
      return current ? current.catch(anew) : anew()
    },
  }
}

function nameOf(tenant: string, wrapped: Uint8Array): string {
  return `${tenant.length} ${tenant}${Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength).toString('latin1')}`
}
