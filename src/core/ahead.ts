/**
 * Renews ahead of time what is in use: a token that was handed out is renewed once before it ends, so that the next caller finds one that
 * is fresh. The one that takes its place is renewed only if it is handed out, too: what nobody asks for falls silent by itself.
 *
 * Remembered by this process, so that handing out writes nothing. Several processes may remember the same one: the lease decides.
 */

import { ageingSpan, type Glance, judge } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import { Remembered } from './remembered.ts'
import { renew } from './renew.ts'

/** Past it, only what is handed out again and again is remembered; the next caller of what is not renews it. */
const REMEMBERED_MAX = 50_000
/** Of the renewals that a provider is asked for at once, callers shall find some free. */
const AT_ONCE = 8

interface InUse {
  readonly tenant: string
  readonly id: string
  readonly expiresAt: number
  /** Somewhere in the first half of its ageing, so that what was connected together is not renewed together. */
  readonly dueAt: number
}

export class Ahead {
  readonly #chance: () => number
  /** By id alone, which is random: no two tenants have the same, and joining two texts for each token costs more than finding it. */
  readonly #inUse = new Remembered<InUse>(REMEMBERED_MAX)

  constructor(chance: () => number) {
    this.#chance = chance
  }

  /** A token was handed out. On the path that must be fast. */
  used({ tenant, id, issuedAt, expiresAt }: Pick<Glance, 'tenant' | 'id' | 'issuedAt' | 'expiresAt'>): void {
    if (expiresAt === null) return
    const known = this.#inUse.get(id)
    if (known ? known.expiresAt === expiresAt : !this.#inUse.welcomes(id)) return
    const dueAt = expiresAt - ageingSpan(issuedAt, expiresAt) * (1 - this.#chance() / 2)
    this.#inUse.add(id, { tenant, id, expiresAt, dueAt })
  }

  /** Takes what is due out of memory. What has expired is left to its next caller: nobody asked for a while. */
  due(now: number): InUse[] {
    const due: InUse[] = []
    for (const [key, one] of this.#inUse) {
      if (one.dueAt > now) continue
      this.#inUse.forget(key)
      if (one.expiresAt > now) due.push(one)
    }
    return due
  }
}

/** Resolves when what was due is renewed, or when it was stopped and what was begun has ended. */
export async function renewAhead(ports: Ports, ahead: Ahead, stopped: AbortSignal): Promise<void> {
  const due = ahead.due(ports.now()).values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const one of due) {
        if (stopped.aborted) return
        await renewOne(ports, one)
      }
    }),
  )
}

async function renewOne(ports: Ports, { tenant, id }: InUse): Promise<void> {
  try {
    const found = await ports.store.connections.find(tenant, id)
    if (found && judge(found, ports.now()) !== 'fresh') await renew(ports, found)
  } catch (error) {
    // The provider's state is told of where it is found out. All else is the operator's to know; the others go on.
    if (!(error instanceof BrokerError)) ports.log('warn', 'a renewal ahead of time failed', { tenant, session: id, error })
  }
}
