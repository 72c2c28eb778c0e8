/** Where answers wait that a test lets go by hand. */

export class Gate {
  readonly #held = new Set<() => void>()

  /** How many wait. */
  get held(): number {
    return this.#held.size
  }

  /** Resolves when it is let go. */
  hold(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held.add(resolve)
    return promise
  }

  /** Lets go of all that wait, and says how many that were. */
  open(): number {
    const { size } = this.#held
    for (const letGo of this.#held) letGo()
    this.#held.clear()
    return size
  }
}
