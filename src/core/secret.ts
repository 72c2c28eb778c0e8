/** A string that cannot be logged, serialised or printed by accident. */

import { createHash } from 'node:crypto'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The only way in. Search for `.reveal(` to audit every place a secret is opened. */
  reveal(): string {
    return this.#value
  }

  /**
   * SHA-256, base64url: all that may be kept of a value with 256 random bits, and how two secrets are compared.
   * For anything shorter than that a plain hash protects nothing.
   */
  digest(): string {
    return createHash('sha256').update(this.#value).digest('base64url')
  }

  /** Several values as one secret, to be sealed together; secrets inside are written out. */
  static ofJson(value: unknown): Secret {
    return new Secret(JSON.stringify(Secret.#unwrap(value)))
  }

  static #unwrap(value: unknown): unknown {
    if (value instanceof Secret) return value.#value
    if (Array.isArray(value)) return value.map(Secret.#unwrap)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, Secret.#unwrap(inner)]))
  }

  parseJson<T>(): T {
    return JSON.parse(this.#value) as T
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}
