/** What can end a call from outside: the caller's signal, the client being closed, and the time running out. */

import { TimeoutError } from './errors.ts'

/** Timers hold 31 bits; what is longer would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export class Leash {
  readonly #controller = new AbortController()
  readonly #unbind: (() => void)[] = []
  #total: ReturnType<typeof setTimeout> | undefined
  #phase: ReturnType<typeof setTimeout> | undefined

  constructor(signals: readonly AbortSignal[]) {
    for (const signal of signals) this.#follow(signal)
  }

  /** Aborted as soon as the call is to end; its reason is what the call then rejects with. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The whole call may take this long. Once. */
  limitTotal(ms: number): void {
    this.#total = this.#timer(ms, 'the call took longer than')
  }

  /** What comes next may take this long. Ends the limit before it. */
  limitPhase(ms: number, what: string): void {
    this.endPhase()
    this.#phase = this.#timer(ms, what)
  }

  /** From here on the call is as long as the program that reads it wishes. */
  endTotal(): void {
    clearTimeout(this.#total)
  }

  /** Nothing is being waited for at the moment. */
  endPhase(): void {
    clearTimeout(this.#phase)
  }

  /** Waits for `work`, but no longer than the call lives: not everything that is waited for listens to a signal. */
  async hold<T>(work: Promise<T>): Promise<T> {
    const { promise: ended, reject } = Promise.withResolvers<never>()
    const end = () => reject(this.signal.reason)
    if (this.signal.aborted) end()
    else this.signal.addEventListener('abort', end, { once: true })
    try {
      return await Promise.race([ended, work])
    } catch (error) {
      // What an aborted fetch rejects with is up to whoever wrote it.
      throw this.signal.aborted ? this.signal.reason : error
    } finally {
      this.signal.removeEventListener('abort', end)
    }
  }

  async sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const slept = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await this.hold(slept).finally(() => clearTimeout(timer))
  }

  /** The call is over. A signal that lives as long as the program must not remember every call ever made. */
  release(): void {
    this.endTotal()
    this.endPhase()
    for (const unbind of this.#unbind.splice(0)) unbind()
  }

  #follow(signal: AbortSignal): void {
    const end = () => this.#controller.abort(signal.reason)
    if (signal.aborted) return end()
    signal.addEventListener('abort', end, { once: true })
    this.#unbind.push(() => signal.removeEventListener('abort', end))
  }

  #timer(ms: number, what: string): ReturnType<typeof setTimeout> | undefined {
    if (ms > TIMER_MS_MAX) return undefined
    return setTimeout(() => this.#controller.abort(new TimeoutError(`${what} ${ms} ms`)), ms)
  }
}
