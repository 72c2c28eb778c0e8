/** A bounded memory of what was used lately. */

interface Entry<T> {
  readonly value: T
  /** Since it was last passed over. */
  used: boolean
}

/** Using one costs no reordering: whoever stands first and was used since is passed over once, and goes to the end, when room must be made. */
export class Remembered<T> {
  readonly #max: number
  readonly #entries = new Map<string, Entry<T>>()

  constructor(max: number) {
    this.#max = max
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.used = true
    return entry.value
  }

  add(key: string, value: T): T {
    this.#entries.set(key, { value, used: false })
    if (this.#entries.size > this.#max) this.#forgetOne()
    return value
  }

  forget(key: string): void {
    this.#entries.delete(key)
  }

  #forgetOne(): void {
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key)
      if (!entry.used) return
      entry.used = false
      this.#entries.set(key, entry)
    }
  }
}
