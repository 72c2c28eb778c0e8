/** Has providers take back what they did not yet: what is due, a few at a time of each provider, and one that fails is left alone for a while. */

import { backoff } from '../core/backoff.ts'
import type { Connection } from '../core/connection.ts'
import type { Ports } from '../core/ports.ts'
import { isOutage, takeBack } from '../core/revocation.ts'

/** Of each provider, by each process. */
const AT_ONCE = 4
const DUE_MAX = 64
/** A provider that is down is asked a few times a minute, however many connections wait for it. */
const REST = { min: 1000, max: 60_000 }

interface Queue {
  running: number
  failures: number
  restsUntil: number
}

export class Revoking {
  readonly #ports: Ports
  readonly #queues = new Map<string, Queue>()
  readonly #underWay = new Set<Promise<void>>()

  constructor(ports: Ports) {
    this.#ports = ports
  }

  /** Begins what is due and there is room for. */
  async look(): Promise<void> {
    const { store, now } = this.#ports
    const full = [...this.#queues].filter(([, queue]) => this.#room(queue) === 0).map(([provider]) => provider)
    for (;;) {
      const due = await store.connections.toTakeBack(now(), DUE_MAX, full)
      for (const connection of due) {
        const queue = this.#queues.get(connection.provider) ?? { running: 0, failures: 0, restsUntil: 0 }
        this.#queues.set(connection.provider, queue)
        if (this.#room(queue) > 0) this.#begin(connection, queue)
      }
      if (due.length < DUE_MAX) return
      // Behind those of a provider that has very many, the others have theirs.
      full.push(...new Set(due.map(({ provider }) => provider)))
    }
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  /** After a failure one of them looks whether it is over. */
  #room({ running, failures, restsUntil }: Queue): number {
    if (restsUntil > this.#ports.now()) return 0
    return Math.max((failures > 0 ? 1 : AT_ONCE) - running, 0)
  }

  #begin(connection: Connection, queue: Queue): void {
    queue.running += 1
    const asking = this.#ask(connection, queue).finally(() => {
      queue.running -= 1
      this.#underWay.delete(asking)
    })
    this.#underWay.add(asking)
  }

  async #ask({ tenant, id, provider }: Connection, queue: Queue): Promise<void> {
    const { now, chance, log } = this.#ports
    try {
      const ended = await takeBack(this.#ports, { tenant, id })
      queue.failures = ended && isOutage(ended) ? queue.failures + 1 : 0
    } catch (error) {
      queue.failures += 1
      log('warn', 'a revocation could not be tried again', { tenant, session: id, provider, error })
    }
    queue.restsUntil = queue.failures === 0 ? 0 : now() + backoff(queue.failures, chance(), null, REST)
  }
}
