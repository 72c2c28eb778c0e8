/**
 * Brings events to webhooks: makes deliveries of what happened, takes those that are due, sends each, and writes what became of it.
 *
 * Delivered is what a receiver has said yes to. A process that dies in between leaves a lease behind, and when that ends another one sends
 * the same once more: at least once, under the same id.
 */

import { messageOf } from '../core/event.ts'
import type { Ports } from '../core/ports.ts'
import { type Delivery, type Settled, settledAfter, type Webhook } from '../core/webhook.ts'

const LOOK_MS = 250
/** Longer than sending may take, time to write included. */
const LEASE_MS = 60_000
const SPREAD_EVENTS_MAX = 500
/** Under way at a time. A receiver that is slow fills its own share, and nobody else's. */
const FOR_ONE_MAX = 4
const FOR_ALL_MAX = 128
/** A tenant has at most so much of what the others leave: whoever comes next always finds some, however many are slow. */
const FOR_TENANT = 1 / 4

export interface DispatcherOptions {
  readonly count?: (outcome: 'delivered' | 'retried' | 'dead') => void
}

export class Dispatcher {
  readonly #ports: Ports
  readonly #count: NonNullable<DispatcherOptions['count']>
  readonly #underWay = new Map<Promise<void>, Webhook>()
  readonly #timer: NodeJS.Timeout
  #round: Promise<void> | null = null
  #again = false
  #stopped = false
  #turn = 0

  constructor(ports: Ports, { count = () => {} }: DispatcherOptions = {}) {
    this.#ports = ports
    this.#count = count
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#round
    await Promise.all(this.#underWay.keys())
  }

  /** One round at a time; asked for during one, another follows. */
  #look(): void {
    if (this.#stopped) return
    if (this.#round) {
      this.#again = true
      return
    }
    this.#again = false
    this.#round = this.#oneRound()
      .catch((error: unknown) => this.#ports.log('warn', 'events could not be brought on their way', { error }))
      .finally(() => {
        this.#round = null
        if (this.#again) this.#look()
      })
  }

  async #oneRound(): Promise<void> {
    const { store, now, process } = this.#ports
    while ((await store.webhooks.spread(now(), SPREAD_EVENTS_MAX)) > 0 && !this.#stopped);
    const webhooks = await store.webhooks.list(null)
    // Each begins once, so that none is always the last to be served.
    const first = webhooks.length === 0 ? 0 : this.#turn++ % webhooks.length
    for (const webhook of [...webhooks.slice(first), ...webhooks.slice(0, first)]) {
      const room = this.#roomFor(webhook)
      if (room <= 0 || this.#stopped) continue
      const at = now()
      const claimed = await store.webhooks.claim(webhook, { holder: process, now: at, until: at + LEASE_MS }, room)
      for (const delivery of claimed) this.#begin(webhook, delivery)
    }
  }

  #roomFor({ tenant, id }: Webhook): number {
    const all = [...this.#underWay.values()]
    const ofTenant = all.filter((webhook) => webhook.tenant === tenant)
    const ofThis = ofTenant.filter((webhook) => webhook.id === id)
    const left = FOR_ALL_MAX - (all.length - ofTenant.length)
    return Math.min(FOR_ONE_MAX - ofThis.length, Math.ceil(left * FOR_TENANT) - ofTenant.length)
  }

  #begin(webhook: Webhook, delivery: Delivery): void {
    const sending = this.#deliver(webhook, delivery)
      .catch((error: unknown) =>
        this.#ports.log('warn', 'what became of a delivery could not be written', { tenant: webhook.tenant, error }),
      )
      .finally(() => {
        this.#underWay.delete(sending)
        // The next of the same connection may be waiting for this.
        this.#look()
      })
    this.#underWay.set(sending, webhook)
  }

  async #deliver(webhook: Webhook, delivery: Delivery): Promise<void> {
    const { store, courier, now, chance, log } = this.#ports
    const sent = await courier.send(webhook, messageOf(delivery.event))
    const settled = settledAfter(sent, delivery, { now: now(), chance: chance() })
    if (!(await store.webhooks.settle(delivery, settled))) return
    this.#count(OUTCOMES[settled.state])
    if (settled.state !== 'dead') return
    const { tenant, url } = webhook
    log('warn', 'an event was not taken for a day and waits no more', {
      tenant,
      url,
      session: delivery.event.subject,
      reason: settled.reason,
    })
  }
}

const OUTCOMES = { delivered: 'delivered', waiting: 'retried', dead: 'dead' } as const satisfies Record<Settled['state'], string>
