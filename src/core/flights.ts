/** Work under way in this process, by key: whoever asks for the same work while it runs waits for the one that runs. */

export class Flights {
  readonly #running = new Map<string, Promise<unknown>>()

  /** Runs `work`, or joins the run of the same key. The key names one kind of result. */
  join<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running as Promise<T>
    const flight = work().finally(() => this.#running.delete(key))
    this.#running.set(key, flight)
    return flight
  }

  get size(): number {
    return this.#running.size
  }

  /** Resolves when nothing runs any more; what starts meanwhile is waited for too. */
  async landed(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values())
  }
}
