/** What is counted, in the Prometheus format. Labels are routes, methods, providers and outcomes: never an id, never a token. */

import { setTimeout as pause } from 'node:timers/promises'
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Mode } from './core/ports.ts'
import type { Provider } from './core/provider.ts'
import type { RevocationEnd } from './core/revocation.ts'

/** A primary waits a second for a worker's counts. */
const LOOK_MS = 500

export interface Metrics {
  /** Of one route and method; what it answers counts an answer. */
  answers(route: string, method: string): (status: number, seconds: number) => void
  /** The same mode, counted. */
  counted(mode: Mode, provider: Provider): Mode
  delivered(outcome: 'delivered' | 'retried' | 'dead'): void
  revocationEnded(how: RevocationEnd): void
  show(): Promise<Shown>
  /** What `together` shows with that of other processes. Plain data. */
  counts(): Promise<Counts>
}

export interface Shown {
  readonly contentType: string
  readonly text: string
}

export type Counts = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** Of several processes as if they were one: sums, and of gauges what is sensible for each. */
export async function together(counts: readonly Counts[]): Promise<Shown> {
  const all = AggregatorRegistry.aggregate([...counts])
  return { contentType: all.contentType, text: await all.metrics() }
}

/** What stays counted of processes that are gone. Sums that went down would be taken for a restart, and counted a second time. */
export function left(counts: readonly Counts[]): Counts {
  const counted = counts.map((one) => one.filter(({ type }) => type === 'counter' || type === 'histogram'))
  return AggregatorRegistry.aggregate(counted).getMetricsAsArray() as Counts
}

/** `revocationsWaiting` is asked of the store whenever somebody looks. */
export function createMetrics(renewalsRunning: () => number, revocationsWaiting: () => Promise<number> = async () => 0): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const duration = new Histogram({
    name: 'latchstring_http_request_duration_seconds',
    help: 'Time from a request to its answer, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  const tallies = new Map<string, Tally>()
  const asked = new Counter({
    name: 'latchstring_provider_requests_total',
    help: 'What providers were asked for, and how it ended.',
    labelNames: ['provider', 'operation', 'outcome'],
    registers,
  })
  const deliveries = new Counter({
    name: 'latchstring_webhook_deliveries_total',
    help: 'Events that were sent to webhooks, and how it ended.',
    labelNames: ['outcome'],
    registers,
  })
  const revocations = new Counter({
    name: 'latchstring_revocations_ended_total',
    help: 'Grants that providers were to take back, and how it ended.',
    labelNames: ['outcome'],
    registers,
  })
  new Gauge({
    name: 'latchstring_revocations_waiting',
    help: 'Grants that their providers have not taken back yet, of all processes.',
    // Each process sees all of them.
    aggregator: 'max',
    registers,
    async collect() {
      // A store that does not answer keeps nobody from seeing the rest.
      const late = pause(LOOK_MS, Number.NaN, { ref: false })
      this.set(await Promise.race([revocationsWaiting().catch(() => Number.NaN), late]))
    },
  })
  new Gauge({
    name: 'latchstring_renewals_running',
    help: 'Renewals under way.',
    registers,
    collect() {
      this.set(renewalsRunning())
    },
  })
  new Gauge({ name: 'latchstring_workers', help: 'Processes that serve.', registers }).set(1)

  const all = Registry.merge([ofProcess(), registry])
  return {
    answers(route, method) {
      const key = `${method} ${route}`
      let answers = tallies.get(key)
      if (!answers) tallies.set(key, (answers = new Tally((status) => duration.labels(route, method, String(status)))))
      return (status, seconds) => answers.add(status, seconds)
    },
    counted(mode, { id: provider }) {
      const count = (operation: string, outcome: string): void => asked.labels(provider, operation, outcome).inc()
      return {
        ...mode,
        async exchange(...args) {
          const exchanged = await mode.exchange(...args)
          count('exchange', exchanged.outcome)
          return exchanged
        },
        async prepareRenewal(...args) {
          const spend = await mode.prepareRenewal(...args)
          return async () => {
            const renewed = await spend()
            count('renew', renewed.outcome)
            return renewed
          }
        },
        async revoke(...args) {
          const revoked = await mode.revoke(...args)
          count('revoke', revoked.outcome)
          return revoked
        },
        async probe(...args) {
          const found = await mode.probe(...args)
          count('probe', found)
          return found
        },
      }
    },
    delivered(outcome) {
      deliveries.labels(outcome).inc()
    },
    revocationEnded(how) {
      revocations.labels(how).inc()
    },
    async show() {
      for (const tally of tallies.values()) tally.count()
      return { contentType: all.contentType, text: await all.metrics() }
    },
    counts() {
      for (const tally of tallies.values()) tally.count()
      return all.getMetricsAsJSON()
    },
  }
}

let ofThisProcess: Registry | null = null

/** Memory, garbage and the event loop. However many brokers a process has, it is watched once: the library never ends the timers that it watches with. */
function ofProcess(): Registry {
  if (ofThisProcess === null) {
    ofThisProcess = new Registry()
    collectDefaultMetrics({ register: ofThisProcess, prefix: 'latchstring_' })
  }
  return ofThisProcess
}

/** So many at a time: counting one finds nothing of the library in the processor's caches, and counting a hundred hardly takes longer. */
const COUNTED_AT_ONCE = 100

/** Answers of one route that are still to be counted. */
class Tally {
  readonly #seriesOf: (status: number) => { observe(seconds: number): void }
  readonly #waiting = new Map<number, number[]>()

  constructor(seriesOf: (status: number) => { observe(seconds: number): void }) {
    this.#seriesOf = seriesOf
  }

  add(status: number, seconds: number): void {
    const waiting = this.#waiting.get(status)
    if (!waiting) this.#waiting.set(status, [seconds])
    else if (waiting.push(seconds) >= COUNTED_AT_ONCE) this.count()
  }

  count(): void {
    for (const [status, waiting] of this.#waiting) {
      const series = this.#seriesOf(status)
      for (const seconds of waiting.splice(0)) series.observe(seconds)
    }
  }
}
