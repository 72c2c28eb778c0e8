/** What was asked of the sandbox: counters, the latest requests, and a way to wait for one. It holds no secret. */

import type { Ending } from './behaviour.ts'
import { ENDPOINTS, type Endpoint } from './script.ts'

const KEPT = 1000

export interface RequestRecord {
  readonly endpoint: Endpoint
  /** The how-manieth request to that endpoint, from 1. */
  readonly nth: number
  /** Milliseconds since 1970, by the sandbox's clock. */
  readonly at: number
  readonly grant_type: string | null
  /** As the app named itself, which need not be true. */
  readonly client_id: string | null
  /** Whether a script decided what became of it. */
  readonly scripted: boolean
  /** The status it was answered with; null while it is under way. */
  readonly answered: Ending | null
}

interface Waiter {
  readonly wants: (request: RequestRecord) => boolean
  readonly resolve: (request: RequestRecord) => void
  readonly reject: (why: Error) => void
}

type Writable = { -readonly [Key in keyof RequestRecord]: RequestRecord[Key] }

export class Journal {
  /** A ring: the oldest of a thousand makes room. */
  #records: RequestRecord[] = []
  #next = 0
  #counters = zeroes()
  readonly #waiters = new Set<Waiter>()

  arrived(facts: Omit<RequestRecord, 'nth' | 'answered'>): RequestRecord {
    const record: RequestRecord = { ...facts, nth: ++this.#counters[facts.endpoint], answered: null }
    this.#records[this.#next] = record
    this.#next = (this.#next + 1) % KEPT
    this.#tell(record)
    return record
  }

  answered(record: RequestRecord, ending: Ending): void {
    ;(record as Writable).answered = ending
    this.#tell(record)
  }

  count(endpoint: Endpoint): number {
    return this.#counters[endpoint]
  }

  get counters(): Readonly<Record<Endpoint, number>> {
    return { ...this.#counters }
  }

  /** The latest thousand, oldest first. */
  get requests(): readonly RequestRecord[] {
    return [...this.#records.slice(this.#next), ...this.#records.slice(0, this.#next)]
  }

  /** Resolves to the first request, past or to come, that is wanted; asked again when a request is answered. */
  waitFor(wants: (request: RequestRecord) => boolean, timeout_ms: number): Promise<RequestRecord> {
    const already = this.requests.find(wants)
    if (already) return Promise.resolve(already)
    const { promise, resolve, reject } = Promise.withResolvers<RequestRecord>()
    const waiter = { wants, resolve, reject }
    const late = (): void => reject(new Error(`no such request within ${timeout_ms} ms; so far: ${this.#summary()}`))
    const timer = setTimeout(late, timeout_ms)
    this.#waiters.add(waiter)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    })
  }

  clear(): void {
    this.#records = []
    this.#next = 0
    this.#counters = zeroes()
  }

  close(): void {
    for (const { reject } of this.#waiters) reject(new Error('the sandbox was closed'))
  }

  #tell(record: RequestRecord): void {
    if (this.#waiters.size === 0) return
    for (const { wants, resolve } of this.#waiters) if (wants(record)) resolve(record)
  }

  #summary(): string {
    const seen = ENDPOINTS.filter((endpoint) => this.#counters[endpoint] > 0)
    return seen.map((endpoint) => `${endpoint} ${this.#counters[endpoint]}`).join(', ') || 'nothing'
  }
}

const zeroes = (): Record<Endpoint, number> => Object.fromEntries(ENDPOINTS.map((name) => [name, 0])) as Record<Endpoint, number>
