/**
 * When a provider is asked to renew, and when it is left alone: judged by app and by provider, not by each connection alone.
 *
 * A client secret that the provider refuses, or a limit on requests, meets every connection of the app alike. What one of them learned
 * keeps the others from asking. It is remembered by this process; another one learns it by a single request of its own.
 */

import type { App } from './app.ts'
import { backoff } from './backoff.ts'
import { BrokerError } from './errors.ts'
import { Lanes } from './lanes.ts'
import type { Renewed } from './ports.ts'
import type { Provider } from './provider.ts'

const CONCURRENCY = 16
/** A caller has gone away by then. */
const WAIT_MS_MAX = 10_000
/** Said of an app that may not renew, and by some providers of one refresh token that is dead. */
const DOUBTFUL = 'unauthorized_client'
/** Providers that limit requests without saying for how long. */
const LIMITED = new Set(['http_429', 'rate_limit_exceeded', 'rate_limited', 'ratelimited', 'slow_down', 'too_many_requests'])

interface Circuit {
  /** The app as it was refused: one that was changed since is tried at once. */
  readonly refused: number
  readonly attempts: number
  readonly retryAt: number
}

/** What an answer changed for the whole app. */
type Verdict = 'refused' | 'accepted' | null

interface Asking {
  readonly app: App
  readonly provider: Provider
}

export class Pacing {
  readonly #now: () => number
  readonly #chance: () => number
  readonly #lanes: Lanes
  readonly #circuits = new Map<string, Circuit>()
  readonly #probing = new Set<string>()
  readonly #limited = new Map<string, number>()
  /** By app, the connection that was refused in a way that may be the app's fault, and nobody was renewed since. */
  readonly #doubted = new Map<string, string>()

  constructor({ now, chance }: { now: () => number; chance: () => number }) {
    this.#now = now
    this.#chance = chance
    this.#lanes = new Lanes(now, WAIT_MS_MAX)
  }

  /** Throws `APP_CREDENTIALS_REJECTED` or `PROVIDER_UNAVAILABLE` instead of running `work` when the provider is to be left alone. */
  async run<T>({ app, provider }: Asking, work: () => Promise<T>): Promise<T> {
    const key = keyOf(app)
    this.#assertWelcome(key, app)
    const lane = { provider: provider.id, limit: provider.concurrency ?? CONCURRENCY, app: key }
    return this.#lanes.run(
      lane,
      async () => {
        // Whoever was asked while this one waited may have learned better.
        this.#assertWelcome(key, app)
        const probes = this.#circuits.has(key)
        if (probes) this.#probing.add(key)
        try {
          return await work()
        } finally {
          if (probes) this.#probing.delete(key)
        }
      },
      () => {
        throw new BrokerError('PROVIDER_UNAVAILABLE', 'too many renewals wait for this provider', { retryAfterMs: 1000 })
      },
    )
  }

  /**
   * The answer to one connection's renewal, told of the app where others of it are refused alike and none is renewed in between, unless the
   * provider's file says that it is about the one connection.
   */
  judged({ app, provider }: Asking, connection: string, answer: Renewed): Renewed {
    if (answer.outcome !== 'unavailable' || !answer.unclear || answer.reason !== DOUBTFUL) return answer
    if (provider.errors?.unclear?.includes(DOUBTFUL)) return answer
    const key = keyOf(app)
    const alone = !this.#circuits.has(key) && (this.#doubted.get(key) ?? connection) === connection
    if (!alone) return { outcome: 'app_rejected', reason: answer.reason, detail: answer.detail }
    this.#doubted.set(key, connection)
    return answer
  }

  /** What the answer to one renewal means for all of the app. */
  learn(app: App, answer: Renewed): Verdict {
    const key = keyOf(app)
    switch (answer.outcome) {
      case 'app_rejected': {
        const before = this.#circuits.get(key)
        const again = before?.refused === app.updatedAt
        // It was under way when another one was refused: that is the same refusal, and not one more.
        if (again && before.retryAt > this.#now()) return null
        const attempts = again ? before.attempts + 1 : 1
        const retryAt = this.#now() + backoff(attempts, this.#chance())
        this.#circuits.set(key, { refused: app.updatedAt, attempts, retryAt })
        return before ? null : 'refused'
      }
      case 'renewed':
      case 'rejected':
        // A no to the user's grant is a yes to the app.
        this.#doubted.delete(key)
        return this.#circuits.delete(key) ? 'accepted' : null
      case 'unavailable':
        if (answer.retryAfterMs !== null || LIMITED.has(answer.reason)) {
          const until = this.#now() + backoff(1, this.#chance(), answer.retryAfterMs)
          this.#limited.set(key, Math.max(until, this.#limited.get(key) ?? 0))
        }
        return null
    }
  }

  #assertWelcome(key: string, app: App): void {
    const now = this.#now()
    const circuit = this.#circuits.get(key)
    if (circuit?.refused === app.updatedAt && (circuit.retryAt > now || this.#probing.has(key))) {
      throw appRefused(Math.max(circuit.retryAt - now, 1000))
    }
    const until = this.#limited.get(key) ?? 0
    if (until > now) {
      const message = 'the provider limits how often it is asked for this app'
      throw new BrokerError('PROVIDER_UNAVAILABLE', message, { retryAfterMs: Math.max(until - now, 1000) })
    }
    this.#limited.delete(key)
  }

  /** How long the app will be left alone, for whoever was the one that was refused. */
  refusal(app: App): BrokerError {
    const { retryAt } = this.#circuits.get(keyOf(app)) ?? { retryAt: 0 }
    return appRefused(Math.max(retryAt - this.#now(), 1000))
  }
}

function appRefused(retryAfterMs: number): BrokerError {
  const message =
    "the provider refuses this app's client id or secret; an operator must correct it, then this connection works again"
  return new BrokerError('APP_CREDENTIALS_REJECTED', message, { retryAfterMs })
}

function keyOf({ tenant, keyCodeRef }: App): string {
  return JSON.stringify([tenant, keyCodeRef])
}
