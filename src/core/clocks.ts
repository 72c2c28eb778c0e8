/**
 * Whether the clocks of the servers that share a store agree. Whether a lease is over is judged by the clock of whoever looks: one that is ahead by
 * as much as leases last takes a renewal for over that is under way, and sends the same refresh token.
 */

import type { Ports } from './ports.ts'
import { noteLife } from './restored.ts'

/** Leases are longer than the request that is made under them by more than that, and what the store knows is ten seconds old. */
const DIFFER_MS_MAX = 5_000

export class Clocks {
  readonly #ports: Pick<Ports, 'store' | 'mark' | 'now' | 'log'>
  #differed = false

  constructor(ports: Pick<Ports, 'store' | 'mark' | 'now' | 'log'>) {
    this.#ports = ports
  }

  /** Notes that the store is worked on, and tells, once, when somebody did so who is ahead of us. */
  async beat(): Promise<void> {
    const { store, mark, now, log } = this.#ports
    await noteLife(store, mark, now())
    const ms = (await store.life()).lived - now()
    const differ = ms > DIFFER_MS_MAX
    const message =
      'the clock of another server is, or was, ahead of this one: set both by the same time, or refresh tokens may be sent twice'
    if (differ && !this.#differed) log('error', message, { ms })
    this.#differed = differ
  }
}
