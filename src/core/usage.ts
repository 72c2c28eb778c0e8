/**
 * Which connections are in use, by the day: gathered in memory as tokens are handed out, so that the token path writes nothing, and noted in
 * the store in batches, each connection at most once a day by each process.
 */

import type { Connection } from './connection.ts'
import type { Ports } from './ports.ts'

export const DAY_MS = 86_400_000
/** Past it, whoever was first is forgotten: noting them once more today costs one write. */
const REMEMBERED_MAX = 200_000
/** Rows in one transaction: others want to write too. */
const BATCH = 500

type Key = Pick<Connection, 'tenant' | 'id'>

export class Usage {
  readonly #now: () => number
  readonly #rememberedMax: number
  /** Noted today, or about to be, by tenant. */
  #seen = new Map<string, Set<string>>()
  #size = 0
  #until = 0
  #day = 0
  #waiting: { readonly day: number; readonly used: Key[] } = { day: 0, used: [] }
  #past: { readonly day: number; readonly used: readonly Key[] }[] = []

  constructor(now: () => number, rememberedMax = REMEMBERED_MAX) {
    this.#now = now
    this.#rememberedMax = rememberedMax
  }

  /** A token was handed out. On the path that must be fast: two look-ups, and no text is made. */
  used({ tenant, id }: Key): void {
    const now = this.#now()
    if (now >= this.#until || now < this.#day) this.#turn(now)
    const seen = this.#seen.get(tenant)
    if (seen?.has(id)) return
    if (seen) seen.add(id)
    else this.#seen.set(tenant, new Set([id]))
    this.#waiting.used.push({ tenant, id })
    if (++this.#size > this.#rememberedMax) this.#forget()
  }

  /** Takes out what the store has not heard of, by day. */
  take(): { readonly day: number; readonly used: readonly Key[] }[] {
    const taken = [...this.#past, this.#waiting].filter(({ used }) => used.length > 0)
    this.#past = []
    this.#waiting = { day: this.#day, used: [] }
    return taken
  }

  /** What could not be noted is noted later. */
  putBack(day: number, used: readonly Key[]): void {
    this.#past.push({ day, used })
  }

  #turn(now: number): void {
    this.#past.push(this.#waiting)
    this.#day = Math.floor(now / DAY_MS) * DAY_MS
    this.#until = this.#day + DAY_MS
    this.#waiting = { day: this.#day, used: [] }
    this.#forget()
  }

  #forget(): void {
    this.#seen = new Map()
    this.#size = 0
  }
}

/** What a crash takes with it is a minute of this: such a connection counts as used when it was before, or is next. */
export async function noteUsage({ store }: Pick<Ports, 'store'>, usage: Usage): Promise<void> {
  const taken = usage.take()
  for (const [at, { day, used }] of taken.entries()) {
    for (let from = 0; from < used.length; from += BATCH) {
      try {
        await store.connections.noteUsed(used.slice(from, from + BATCH), day)
      } catch (error) {
        usage.putBack(day, used.slice(from))
        for (const later of taken.slice(at + 1)) usage.putBack(later.day, later.used)
        throw error
      }
    }
  }
}

/** When it was last of use: consenting counts. */
export function lastUse({ usedAt, connectedAt }: Pick<Connection, 'usedAt' | 'connectedAt'>): number {
  return Math.max(usedAt ?? 0, connectedAt)
}
