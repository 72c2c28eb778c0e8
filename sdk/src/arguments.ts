/** Checks what a program passes in before anything is sent, and says what would be right. Values are never quoted: they may be secret. */

/** An argument is missing, unknown or of the wrong kind. Nothing was sent. */
export class ArgumentError extends TypeError {
  override readonly name = 'ArgumentError'
}

/** One key of an object: what it may hold, in words and in code. */
export interface Field<T, Required extends boolean = boolean> {
  readonly required: Required
  readonly expects: string
  /** Throws ArgumentError. `name` is for its message. */
  readonly read: (value: unknown, name: string) => T
}

export type Shape = Readonly<Record<string, Field<unknown>>>

export type Checked<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Field<infer T, infer Required> ? (true extends Required ? T : T | undefined) : never
}

/** An optional key that is there but undefined counts as left out. */
export function check<S extends Shape>(who: string, shape: S, given: unknown): Checked<S> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ArgumentError(`${who} takes an object: ${describe(shape)}`)
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(shape, key))
      throw new ArgumentError(`${who}: there is no ${JSON.stringify(key)}; it takes ${describe(shape)}`)
  }
  const values = given as Readonly<Record<string, unknown>>
  const checked: Record<string, unknown> = {}
  for (const [key, field] of Object.entries(shape)) {
    const value = values[key]
    if (value !== undefined) checked[key] = field.read(value, `${who}: ${key}`)
    else if (field.required) throw new ArgumentError(`${who}: ${key} is missing; it takes ${describe(shape)}`)
  }
  return checked as Checked<S>
}

function describe(shape: Shape): string {
  return Object.entries(shape)
    .map(([key, { required, expects }]) => `${key}${required ? '' : '?'} (${expects})`)
    .join(', ')
}

export function required<T>(field: Field<T>): Field<T, true> {
  return { ...field, required: true }
}

/** What `read` must find, by a test; for everything that needs no special words. */
export function field<T>(expects: string, is: (value: unknown) => value is T): Field<T, false> {
  const read = (value: unknown, name: string): T => {
    if (is(value)) return value
    throw new ArgumentError(`${name} must be ${expects}, not ${kindOf(value)}`)
  }
  return { required: false, expects, read }
}

export const text: Field<string, false> = {
  required: false,
  expects: 'a string',
  read(value, name) {
    if (typeof value !== 'string') throw new ArgumentError(`${name} must be a string, not ${kindOf(value)}`)
    if (value === '') throw new ArgumentError(`${name} must not be empty`)
    // Percent-encoding would turn every broken character into the same one, and two ids into one.
    if (!value.isWellFormed()) throw new ArgumentError(`${name} must be well-formed Unicode: it has half of a surrogate pair`)
    return value
  },
}

/** A user's id: text, or an integer that arrives exactly as it is. */
export const id: Field<string, false> = {
  required: false,
  expects: 'a string, a safe integer or a bigint',
  read(value, name) {
    if (typeof value === 'bigint') return String(value)
    if (typeof value !== 'number') return text.read(value, name)
    if (!Number.isInteger(value)) throw new ArgumentError(`${name} must be a whole number; or pass a string`)
    if (!Number.isSafeInteger(value)) {
      throw new ArgumentError(
        `${name} is too large for a number to hold exactly, digits may be lost already: pass a string or a bigint`,
      )
    }
    return String(value)
  },
}

/** A part of a path: the two that a URL parser would resolve away are no ids. */
export const pathPart: Field<string, false> = {
  ...text,
  read(value, name) {
    const part = text.read(value, name)
    if (part === '.' || part === '..') throw new ArgumentError(`${name} is no id`)
    return part
  },
}

export const nullableText: Field<string | null, false> = {
  required: false,
  expects: 'a string or null',
  read: (value, name) => (value === null ? null : text.read(value, name)),
}

export const positiveInteger = field('a positive whole number', (v): v is number => Number.isSafeInteger(v) && Number(v) > 0)
export const flag = field('true or false', (v) => typeof v === 'boolean')

export function oneOf<const T extends string>(...values: readonly T[]): Field<T, false> {
  return field(`one of ${values.join(', ')}`, (value): value is T => (values as readonly unknown[]).includes(value))
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return 'that string'
  if (typeof value === 'number') return 'that number'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
