/**
 * Which connections are in use, by the day. What the row says of it is read with the token; what it does not say yet is gathered in memory, so
 * that the token path writes nothing, and noted in the store a batch at a time, however many there are: tokens come first.
 */

import type { Connection } from './connection.ts'
import type { Ports } from './ports.ts'

export const DAY_MS = 86_400_000
/** Past it, a connection is noted the next time that it is used. */
const WAITING_MAX = 10_000
/** Rows in one transaction: others want to write too. */
const BATCH = 200

type Key = Pick<Connection, 'tenant' | 'id'>

interface Use {
  readonly tenant: string
  readonly day: number
}

export class Usage {
  readonly #now: () => number
  readonly #waitingMax: number
  /** By id alone, which is random; of two that were the same, the other is noted the next time. */
  #waiting = new Map<string, Use>()

  constructor(now: () => number, waitingMax = WAITING_MAX) {
    this.#now = now
    this.#waitingMax = waitingMax
  }

  /** A token was handed out. On the path that must be fast. */
  used({ tenant, id, usedAt }: Pick<Connection, 'tenant' | 'id' | 'usedAt'>): void {
    const now = this.#now()
    if (usedAt !== null && now < usedAt + DAY_MS) return
    if (this.#waiting.size >= this.#waitingMax || this.#waiting.has(id)) return
    this.#waiting.set(id, { tenant, day: dayOf(now) })
  }

  /** Takes out those that wait for longest, of one day. */
  take(max: number): { readonly day: number; readonly used: readonly Key[] } {
    const used: Key[] = []
    let day = 0
    for (const [id, use] of this.#waiting) {
      if (used.length === max || (used.length > 0 && use.day !== day)) break
      this.#waiting.delete(id)
      day = use.day
      used.push({ tenant: use.tenant, id })
    }
    return { day, used }
  }

  /** What could not be noted is noted later. */
  putBack(day: number, used: readonly Key[]): void {
    for (const { tenant, id } of used) this.#waiting.set(id, { tenant, day })
  }

  get size(): number {
    return this.#waiting.size
  }
}

/** A batch of it. What a crash takes with it waits to be used again: such a connection counts as used when it was before, or is next. */
export async function noteSomeUsage({ store }: Pick<Ports, 'store'>, usage: Usage): Promise<void> {
  const { day, used } = usage.take(BATCH)
  if (used.length === 0) return
  await store.connections.noteUsed(used, day).catch((error: unknown) => {
    usage.putBack(day, used)
    throw error
  })
}

/** All of it, before the process ends. */
export async function noteUsage(ports: Pick<Ports, 'store'>, usage: Usage): Promise<void> {
  while (usage.size > 0) await noteSomeUsage(ports, usage)
}

/** The day's beginning, UTC. */
export function dayOf(now: number): number {
  return Math.floor(now / DAY_MS) * DAY_MS
}

/**
 * Whether nobody was handed a token of it since then, for certain: of a use only the day is known, and it may have been that day's last minute.
 * Consenting is a use.
 */
export function isUnusedSince({ usedAt, connectedAt }: Pick<Connection, 'usedAt' | 'connectedAt'>, since: number): boolean {
  return connectedAt < since && (usedAt === null || usedAt + DAY_MS <= since)
}

/** When it was last of use, by the day: consenting counts. */
export function lastUse({ usedAt, connectedAt }: Pick<Connection, 'usedAt' | 'connectedAt'>): number {
  return Math.max(usedAt ?? 0, connectedAt)
}
