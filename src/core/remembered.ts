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
  /** Marks of keys that came lately and were not let in, each in the place that its mark says. */
  readonly #seen: Uint32Array

  constructor(max: number) {
    this.#max = max
    this.#seen = new Uint32Array(max)
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.used = true
    return entry.value
  }

  /**
   * Whether the key is worth remembering: while there is room, always; then only if it came before, not long ago. Where far more is in use than
   * can be remembered, most of it would be forgotten before it is asked for again, and others for its sake.
   */
  welcomes(key: string): boolean {
    if (this.#places.length < this.#max || this.#free.length > 0) return true
    const mark = markOf(key)
    const place = mark % this.#max
    if (this.#seen[place] === mark) return true
    this.#seen[place] = mark
    return false
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

/** FNV-1a. Two keys with one mark only let one of them in too early. */
function markOf(key: string): number {
  let mark = 0x811c9dc5
  for (let i = 0; i < key.length; i++) mark = Math.imul(mark ^ key.charCodeAt(i), 0x01000193)
  return mark >>> 0
}
