/** A bounded memory of what was used lately. */

interface Entry<T> {
  readonly key: string
  value: T
  /** Since the hand last passed it. */
  used: boolean
  readonly place: number
}

/**
 * A clock: using an entry costs no reordering, and where room must be made the hand passes over what was used since it last came by.
 * The order that a map keeps is no help: finding its first entry takes a look at all that were taken out before.
 */
export class Remembered<T> {
  readonly #max: number
  readonly #entries = new Map<string, Entry<T>>()
  readonly #places: (Entry<T> | undefined)[] = []
  readonly #free: number[] = []
  #hand = 0

  constructor(max: number) {
    this.#max = max
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.used = true
    return entry.value
  }

  /** In the place of what the key had, if it is remembered. */
  add(key: string, value: T): T {
    const known = this.#entries.get(key)
    if (known) {
      known.value = value
      known.used = false
      return value
    }
    const place = this.#free.pop() ?? (this.#places.length < this.#max ? this.#places.length : this.#vacated())
    const entry = { key, value, used: false, place }
    this.#places[place] = entry
    this.#entries.set(key, entry)
    return value
  }

  forget(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    this.#places[entry.place] = undefined
    this.#free.push(entry.place)
  }

  *[Symbol.iterator](): IterableIterator<[key: string, value: T]> {
    for (const { key, value } of this.#entries.values()) yield [key, value]
  }

  /** The place of one that was not used since the hand last passed. All places are taken. */
  #vacated(): number {
    for (;;) {
      const entry = this.#places[this.#hand]!
      this.#hand = (this.#hand + 1) % this.#max
      if (!entry.used) {
        this.#entries.delete(entry.key)
        return entry.place
      }
      entry.used = false
    }
  }
}
