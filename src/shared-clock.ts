/**
 * The time that servers on one store go by: the store's own where it has a clock. Whether a lease is over is judged by whoever looks, and one whose
 * clock is ahead would take a renewal for over that is under way, and send the same refresh token.
 */

import type { Ports, Store } from './core/ports.ts'

/** Whoever reads times of this machine's clock, in its log for one, is told when they mean something else. */
const DIFFER_MS_MAX = 5_000

interface MachineClocks {
  /** Milliseconds since the epoch; it may be set at any moment. */
  readonly wall: () => number
  /** Milliseconds since some moment; it only goes on. */
  readonly monotonic: () => number
}

const MACHINE: MachineClocks = { wall: () => Date.now(), monotonic: () => performance.now() }

export class SharedClock {
  readonly #machine: MachineClocks
  readonly #log: Ports['log']
  /** What the store's clock said when the monotonic one was at nought; null: there is none but this machine's. */
  #origin: number | null = null
  #differed = false

  constructor(log: Ports['log'], machine: MachineClocks = MACHINE) {
    this.#log = log
    this.#machine = machine
  }

  /** Milliseconds since the epoch, whole ones. Between two looks at the store's clock it goes on by the monotonic one, wherever this machine's is set. */
  readonly now = (): number => {
    const { wall, monotonic } = this.#machine
    return this.#origin === null ? wall() : Math.floor(this.#origin + monotonic())
  }

  /** Looks at the store's clock. What takes so long that nobody knows when it was read changes nothing that was known better. */
  async follow(store: Pick<Store, 'clock'>): Promise<void> {
    const { wall, monotonic } = this.#machine
    const asked = monotonic()
    const theirs = await store.clock()
    if (theirs === null) return
    const unsure = (monotonic() - asked) / 2
    const origin = theirs - (asked + unsure)
    if (this.#origin === null || Math.abs(origin - this.#origin) > unsure) this.#origin = origin
    this.#tell(theirs + unsure - wall(), unsure)
  }

  #tell(ms: number, unsure: number): void {
    const differs = Math.abs(ms) - unsure > DIFFER_MS_MAX
    if (differs && !this.#differed)
      this.#log('warn', 'the clock of this machine is not that of the database, which servers go by', { ms: Math.round(ms) })
    this.#differed = differs
  }
}
