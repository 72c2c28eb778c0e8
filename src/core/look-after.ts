/** Looks after connections that are due (`due.ts`), one process each, though nobody asks for their tokens. */

import type { Connection } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import { renew } from './renew.ts'

/** Of the renewals that a provider is asked for at once, callers shall find some free. */
const AT_ONCE = 8
const TAKEN_MAX = 100
/** Of one provider, by this process. What is beyond is due again soon. */
const WAITING_MAX = 200
/** Whoever takes one and dies leaves it to the next. */
const AGAIN_MS = 60_000

interface Queue {
  readonly waiting: Connection[]
  running: number
}

/** A provider that does not answer keeps no other waiting: a lost answer is given again for seconds only. */
export class LookingAfter {
  readonly #ports: Ports
  readonly #queues = new Map<string, Queue>()
  readonly #underWay = new Set<Promise<void>>()
  #stopped = false

  constructor(ports: Ports) {
    this.#ports = ports
  }

  /** Takes what is due, and begins with it. */
  async look(): Promise<void> {
    const { store, now } = this.#ports
    for (const one of await store.connections.due(now(), now() + AGAIN_MS, TAKEN_MAX)) {
      const queue = this.#queues.get(one.provider) ?? { waiting: [], running: 0 }
      this.#queues.set(one.provider, queue)
      if (queue.waiting.length < WAITING_MAX) queue.waiting.push(one)
      if (queue.running < AT_ONCE) this.#begin(queue)
    }
  }

  /** Resolves when all that was taken is seen to. */
  async done(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  /** Resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.done()
  }

  #begin(queue: Queue): void {
    queue.running += 1
    const working = this.#work(queue).finally(() => {
      queue.running -= 1
      this.#underWay.delete(working)
    })
    this.#underWay.add(working)
  }

  /** While it waited it was due again, so that somebody else may have seen to it: a provider that is slow is not asked twice for that. */
  async #lookAfter({ tenant, id, version }: Connection): Promise<void> {
    const current = await this.#ports.store.connections.find(tenant, id)
    if (current?.version === version) await renew(this.#ports, current, { anyway: true })
  }

  async #work({ waiting }: Queue): Promise<void> {
    for (let one = waiting.shift(); one && !this.#stopped; one = waiting.shift()) {
      const { tenant, id: session } = one
      // The provider's state is told of where it is found out. All else is the operator's to know; the others go on.
      await this.#lookAfter(one).catch((error: unknown) => {
        if (error instanceof BrokerError) return
        this.#ports.log('warn', 'a connection that was due could not be renewed', { tenant, session, error })
      })
    }
  }
}
