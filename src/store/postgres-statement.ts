/** SQL with named values, as the SQLite store writes it, in the form that PostgreSQL takes; and values as both give them back. */

import { createHash } from 'node:crypto'
import { type CustomTypesConfig, type QueryConfig, types } from 'pg'
import { storableText } from './storable.ts'

type Single = string | number | Uint8Array | null
/** Many values are an array of the database. */
export type Value = Single | readonly Single[]
export type Values = Readonly<Record<string, Value>>

export interface Asked {
  readonly rows: Record<string, unknown>[]
  /** How many rows were read or changed. */
  readonly count: number
}

export type Ask = (sql: string, values?: Values) => Promise<Asked>

const known = new Map<string, { readonly name: string; readonly text: string; readonly order: readonly string[] }>()

/** Texts come from a closed set, values are always bound: each is prepared once per connection, under a name that is its own. */
export function statement(sql: string, values: Values): QueryConfig {
  let made = known.get(sql)
  if (!made) known.set(sql, (made = numbered(sql)))
  const { name, text, order } = made
  return { name, text, values: order.map((key) => bindable(values[key])) }
}

function numbered(sql: string): { name: string; text: string; order: string[] } {
  const order: string[] = []
  const text = sql.replace(/:(\w+)/g, (_, key: string) => {
    if (!order.includes(key)) order.push(key)
    return `$${order.indexOf(key) + 1}`
  })
  return { name: createHash('sha256').update(text).digest('hex').slice(0, 32), text, order }
}

function bindable(value: Value | undefined): unknown {
  if (value === undefined) throw new Error('a statement was given too few values')
  if (typeof value === 'string') return storableText(value)
  if (Array.isArray(value)) return value.map(bindable)
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value
}

/** Only the types that our tables have. A number that JavaScript cannot tell from its neighbour is refused rather than rounded. */
export const TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number) => PARSERS.get(oid) ?? ((text: string) => text)) as CustomTypesConfig['getTypeParser'],
}

const PARSERS = new Map<number, (text: string) => unknown>([
  [types.builtins.INT8, exact],
  [types.builtins.INT4, exact],
  [types.builtins.INT2, exact],
  [types.builtins.BYTEA, (text) => new Uint8Array(Buffer.from(text.slice(2), 'hex'))],
])

function exact(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new Error(`the database holds a number that is too large: ${text}`)
  return number
}
