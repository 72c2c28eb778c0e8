/** `latchstring serve --workers N`: holds the port, starts those that serve on it, replaces the ones that end, and ends last. */

import cluster, { type Worker } from 'node:cluster'
import { join } from 'node:path'
import { asWorker, type Config } from '../src/config.ts'
import { backoff } from '../src/core/backoff.ts'
import type { Ports } from '../src/core/ports.ts'
import { UsedProofs } from '../src/http/dpop.ts'
import { Guesses } from '../src/http/guesses.ts'
import { type Counts, left, type Shown, together } from '../src/metrics.ts'
import { Line } from './line.ts'
import type { WorkerAnswers } from './worker.ts'

const LAUNCHER = join(import.meta.dirname, '..', 'scripts', 'run.mjs')
const WORKER = join(import.meta.dirname, 'worker.ts')
/** One that served for less is replaced more slowly each time. */
const SETTLED_MS = 10_000
const FAILURES_MAX = 5
const WAIT_MS_MAX = 30_000
/** One that does not answer is shown as it was last seen, and asks the store by itself when it wakes up. */
const PATIENCE_MS = 1000

/** What a worker asks its primary: everything that must be one for all of them. */
export interface PrimaryAnswers {
  serves(address: string): void
  failedGuess(address: string): number | null
  isFirst(proof: string): boolean
  showMetrics(): Promise<Shown>
  /** Resolves when the others have forgotten what they remember of the store. */
  changed(): Promise<void>
}

interface Running {
  readonly worker: Worker
  readonly line: Line<WorkerAnswers>
  readonly ended: Promise<void>
  /** null: it does not serve yet. */
  servesSince: number | null
  /** As last seen. */
  counts: Counts
}

/** One that ended, or never began. */
interface Gone extends Pick<Running, 'servesSince'> {
  readonly pid: number | undefined
}

export class Primary {
  readonly #config: Config
  readonly #log: Ports['log']
  readonly #guesses: Guesses
  readonly #proofs = new UsedProofs(Date.now)
  readonly #running = new Set<Running>()
  readonly #replacements = new Set<NodeJS.Timeout>()
  readonly #lost = Promise.withResolvers<never>()
  #left: Counts = []
  #started = false
  #stopping = false
  #endedBadly = false

  constructor(config: Config, log: Ports['log']) {
    this.#config = config
    this.#log = log
    this.#guesses = new Guesses(config.failedGuessesPerMinute, Date.now)
    this.#lost.promise.catch(() => {})
  }

  /** Resolves to where they listen, when all of them do. Rejects when one cannot: so could not the others. */
  async start(): Promise<string> {
    // Whoever accepts for all gives each its share; said aloud, because an environment variable can change the default.
    cluster.schedulingPolicy = cluster.SCHED_RR
    // Not as JSON, which has no NaN; metrics do.
    cluster.setupPrimary({ exec: LAUNCHER, args: [WORKER], serialization: 'advanced' })
    const [address = ''] = await Promise.all(Array.from({ length: this.#config.workers }, () => this.#begin(0)))
    this.#started = true
    return address
  }

  /** Rejects when nobody serves any more and none can be started. */
  get lost(): Promise<never> {
    return this.#lost.promise
  }

  /** Each lets what it does finish. Rejects when one did not end as it should. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const timer of this.#replacements) clearTimeout(timer)
    for (const running of this.#running) this.#tellToStop(running)
    await Promise.all([...this.#running].map(({ ended }) => ended))
    if (this.#endedBadly)
      throw new Error('a worker did not end as it should; what it did not finish is taken up by the next start')
  }

  /** At once. */
  kill(): void {
    for (const { worker } of this.#running) worker.process.kill('SIGKILL')
  }

  /** Resolves to where it listens; rejects when it ends before. */
  #begin(failures: number): Promise<string> {
    const begun = Promise.withResolvers<string>()
    const ended = Promise.withResolvers<void>()
    const worker = cluster.fork(asWorker(this.#config))
    const line = new Line<WorkerAnswers>(worker, {
      serves: (address: string) => {
        running.servesSince = performance.now()
        this.#log('info', 'a worker serves', { worker: worker.process.pid })
        begun.resolve(address)
        // It could not hear before.
        if (this.#stopping) this.#tellToStop(running)
      },
      failedGuess: (address: string) => this.#guesses.failed(address),
      isFirst: (proof: string) => this.#proofs.isFirst(proof),
      showMetrics: () => this.#showMetrics(),
      changed: async () => {
        const others = [...this.#running].filter((other) => other !== running)
        await Promise.all(others.map((other) => other.line.ask('forget', undefined, PATIENCE_MS).catch(() => {})))
      },
    } satisfies PrimaryAnswers)
    const running: Running = { worker, line, ended: ended.promise, servesSince: null, counts: [] }
    this.#running.add(running)
    const end = (code: number | null, reason: string): void => {
      if (!this.#running.delete(running)) return
      this.#left = left([this.#left, running.counts])
      // One that did not serve yet leaves nothing unfinished, whatever ended it.
      if (this.#stopping) this.#endedBadly ||= code !== 0 && running.servesSince !== null
      else if (this.#started || running.servesSince !== null)
        this.#replace({ ...running, pid: worker.process.pid }, reason, failures)
      begun.reject(new Error(`a worker could not start: ${reason}`))
      ended.resolve()
    }
    worker.once('exit', (code, signal) => end(code, signal ?? `exit code ${code}`))
    // Where there was no process to be had there is no exit. Other errors are of processes that end, which is told by their exit.
    worker.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      if (worker.process.pid === undefined) end(null, code ?? message)
    })
    return begun.promise
  }

  #replace({ pid, servesSince }: Gone, reason: string, failures: number): void {
    const settled = servesSince !== null && performance.now() - servesSince >= SETTLED_MS
    const attempt = settled ? 0 : failures + 1
    const ms = settled ? 0 : Math.min(backoff(attempt, Math.random()), WAIT_MS_MAX)
    this.#log('error', 'a worker ended unexpectedly and is replaced', { worker: pid, reason, attempt, ms })
    if (attempt >= FAILURES_MAX && [...this.#running].every((other) => other.servesSince === null))
      return this.#lost.reject(new Error('no worker serves any more, and none can be started'))
    const timer = setTimeout(() => {
      this.#replacements.delete(timer)
      try {
        // How it ends is dealt with there.
        this.#begin(attempt).catch(() => {})
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        this.#replace({ pid: undefined, servesSince: null }, code ?? message, attempt)
      }
    }, ms)
    this.#replacements.add(timer)
  }

  #tellToStop({ line }: Running): void {
    // Gone already, or not there yet: then it asks.
    line.ask('stop', undefined).catch(() => {})
  }

  async #showMetrics(): Promise<Shown> {
    const serving = [...this.#running].filter(({ servesSince }) => servesSince !== null)
    await Promise.all(
      serving.map(async (running) => {
        running.counts = await running.line.ask('counts', undefined, PATIENCE_MS).catch(() => running.counts)
      }),
    )
    return together([this.#left, ...[...this.#running].map(({ counts }) => counts)])
  }
}
