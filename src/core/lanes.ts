/** How many renewals a provider is asked for at once, and who is next: apps take turns, so that none of them waits for all of another's. */

export class Lanes {
  readonly #now: () => number
  readonly #waitMsMax: number
  readonly #providers = new Map<string, { running: number; readonly queues: Map<string, (() => void)[]> }>()

  /** Whoever waited longer than `waitMsMax` is told so when the turn comes, instead of asking for an answer that nobody waits for any more. */
  constructor(now: () => number, waitMsMax: number) {
    this.#now = now
    this.#waitMsMax = waitMsMax
  }

  /** Runs `work` when it is its turn; `late` decides what happens when that comes too late. */
  async run<T>(
    { provider, limit, app }: { provider: string; limit: number; app: string },
    work: () => Promise<T>,
    late: () => T,
  ): Promise<T> {
    const since = this.#now()
    await this.#turn(provider, limit, app)
    try {
      return this.#now() - since > this.#waitMsMax ? late() : await work()
    } finally {
      this.#done(provider, limit)
    }
  }

  #turn(provider: string, limit: number, app: string): Promise<void> {
    const lane = this.#providers.get(provider) ?? { running: 0, queues: new Map<string, (() => void)[]>() }
    this.#providers.set(provider, lane)
    return new Promise((begin) => {
      const queue = lane.queues.get(app) ?? []
      queue.push(begin)
      lane.queues.set(app, queue)
      this.#next(provider, limit)
    })
  }

  #done(provider: string, limit: number): void {
    const lane = this.#providers.get(provider)
    if (!lane) return
    lane.running -= 1
    this.#next(provider, limit)
    if (lane.running === 0) this.#providers.delete(provider)
  }

  /** The app whose turn it was goes to the end. */
  #next(provider: string, limit: number): void {
    const lane = this.#providers.get(provider)
    const first = lane?.queues.entries().next().value
    if (!lane || !first || lane.running >= limit) return
    const [app, queue] = first
    const begin = queue.shift()
    lane.queues.delete(app)
    if (queue.length > 0) lane.queues.set(app, queue)
    lane.running += 1
    begin?.()
  }
}
