/** A database that cannot be reached, read or written is not a bug: callers hear that it is worth asking again. */

import { BrokerError } from '../core/errors.ts'
import type { Store } from '../core/ports.ts'

const RETRY_AFTER_MS = 1_000

/** Every method of the store, with what its database throws judged at the edge: `passing` says that it may work later. */
export function withTypedFailures(store: Store, passing: (error: unknown) => boolean): Store {
  const typed = (error: unknown) =>
    passing(error)
      ? new BrokerError('STORE_UNAVAILABLE', 'the store cannot be read or written at the moment', {
          cause: error,
          retryAfterMs: RETRY_AFTER_MS,
        })
      : error
  const { attempts, connections, records, webhooks, sealed, audit, ...own } = store
  return {
    attempts: guarded(attempts, typed),
    connections: guarded(connections, typed),
    records: guarded(records, typed),
    webhooks: guarded(webhooks, typed),
    sealed: guarded(sealed, typed),
    audit: guarded(audit, typed),
    ...guarded(own, typed),
  }
}

function guarded<T extends object>(part: T, typed: (error: unknown) => unknown): T {
  const methods = Object.entries(part) as [string, (...values: unknown[]) => unknown][]
  const failed = (error: unknown): never => {
    throw typed(error)
  }
  const safe = methods.map(([name, method]) => [
    name,
    // Handed on, not awaited: the token path comes through here.
    (...values: unknown[]) => {
      try {
        const answer = method(...values)
        return answer instanceof Promise ? answer.catch(failed) : answer
      } catch (error) {
        return failed(error)
      }
    },
  ])
  return Object.fromEntries(safe) as T
}
