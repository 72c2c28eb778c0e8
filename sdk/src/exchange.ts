/** Sends one request and brings back the answer's head; one that may be sent twice is tried again when it got no connection. */

import { ConnectionError } from './errors.ts'
import type { Leash } from './leash.ts'
import type { Limits } from './options.ts'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** How requests leave, and how often one that may be sent twice is tried again. */
export interface Transport {
  readonly fetch: Fetch
  readonly retries: number
}

export interface Outgoing {
  readonly method: string
  readonly url: string
  /** Method and path, naming no session: for messages. */
  readonly title: string
  /** To send it twice does no more than to send it once. */
  readonly repeatable: boolean
  readonly headers: Readonly<Record<string, string>>
  /** The header `DPoP`, which is good once: made anew for each try. */
  readonly proof?: () => Promise<string>
  readonly body?: string
}

const BACKOFF_MS_FIRST = 100
const BACKOFF_MS_MAX = 2_000

/**
 * `read` is part of what is tried again, so that an answer cut off in the middle counts as no connection.
 * A limit that ran out or an abort ends the call at once; so does a request that may have been acted upon and must not be again.
 */
export async function exchange<T>(
  { fetch, retries }: Transport,
  outgoing: Outgoing,
  leash: Leash,
  limits: Limits,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const tries = outgoing.repeatable ? retries + 1 : 1
  for (let tried = 1; ; tried++) {
    try {
      return await read(await head(fetch, outgoing, leash, limits))
    } catch (error) {
      if (leash.signal.aborted || !(error instanceof ConnectionError) || tried >= tries) throw error
      await leash.sleep(backoff(tried, Math.random()))
    }
  }
}

/** Milliseconds before the next try: doubling, up to a limit, and spread so that clients that failed together do not return together. */
export function backoff(tried: number, chance: number): number {
  const whole = Math.min(BACKOFF_MS_FIRST * 2 ** (tried - 1), BACKOFF_MS_MAX)
  return whole * (0.5 + chance / 2)
}

async function head(
  fetch: Fetch,
  { method, url, title, headers, proof, body }: Outgoing,
  leash: Leash,
  limits: Limits,
): Promise<Response> {
  leash.limitPhase(limits.head, `${title}: no answer within`)
  const proving = proof && { dpop: await leash.hold(proof()) }
  const init: RequestInit = {
    method,
    headers: { ...headers, ...proving },
    signal: leash.signal,
    redirect: 'manual',
    ...(body !== undefined && { body }),
  }
  try {
    return await leash.hold(fetch(url, init))
  } catch (error) {
    throw leash.signal.aborted
      ? error
      : new ConnectionError(`${title}: no connection to ${new URL(url).origin}`, { cause: error })
  } finally {
    leash.endPhase()
  }
}
