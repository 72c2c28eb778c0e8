/** Reads the body of a provider's answer as an object, whatever it says that it is, and finds fields in it by dotted path. */

import type { NetAnswer } from '../core/ports.ts'

export type Fields = Readonly<Record<string, unknown>>

/**
 * Null when it is nothing that has fields: HTML, a list, a lone value, nothing at all, or JSON that breaks off. What it looks like counts
 * and not its content type, because servers label JSON as forms, as text and as HTML, and forms as JSON.
 */
export function readFields(answer: NetAnswer): Fields | null {
  const text = decoded(answer).trim()
  if (text.startsWith('{')) return parsedObject(text)
  // Names, then an equals sign, and nothing that markup or JSON is made of: those are always percent-encoded in a form.
  if (/^[\w.[\]-]+=[^<>{}"]*$/.test(text)) return Object.fromEntries(new URLSearchParams(text))
  return null
}

/** The body as JSON of any kind, a list too; null when it is none. */
export function readJson(answer: NetAnswer): unknown {
  return parsed(decoded(answer).trim())
}

/** Undefined when any step of the path is missing. Only own fields are seen, so `__proto__` and `constructor` are names like any other. */
export function fieldAt(fields: unknown, path: string): unknown {
  let value = fields
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Fields)[name]
  }
  return value
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A non-empty string, or null. Tokens are never trimmed: they are what they are, byte for byte. */
export function stringAt(fields: unknown, path: string): string | null {
  const value = fieldAt(fields, path)
  return typeof value === 'string' && value.trim() !== '' ? value : null
}

/** As `stringAt`, with numbers and booleans written out. */
export function scalarAt(fields: unknown, path: string): string | null {
  const value = fieldAt(fields, path)
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : stringAt(fields, path)
}

/** JSON is UTF-8 whatever the header says, and many servers say ISO-8859-1; the header is believed only where the bytes are not UTF-8. */
function decoded({ headers, body }: NetAnswer): string {
  const charset = /charset\s*=\s*"?([\w-]+)/i.exec(headers['content-type'] ?? '')?.[1]
  const bytesOfUtf16 = charset !== undefined && /^utf-?16/i.test(charset)
  return (bytesOfUtf16 ? null : decode('utf-8', body)) ?? decode(charset ?? 'latin1', body) ?? ''
}

function decode(charset: string, body: Uint8Array): string | null {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(body)
  } catch {
    return null // not bytes of that charset, or no charset that we know
  }
}

function parsedObject(text: string): Fields | null {
  const value = parsed(text)
  return isFields(value) ? value : null
}

function parsed(text: string): unknown {
  try {
    return LONG_INTEGER.test(text) ? JSON.parse(text, exactInteger) : JSON.parse(text)
  } catch {
    return null
  }
}

/** Where one may be: being told of every value makes reading forty times as slow, and whoever answers chooses how many there are. */
const LONG_INTEGER = /[:,[]\s*-?\d{16}/

/** Ids can be integers longer than a number holds: two accounts must not become one by rounding. Such integers are read as text. */
function exactInteger(_name: string, value: unknown, written?: { readonly source?: string }): unknown {
  const rounded = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
  return rounded && written?.source ? written.source : value
}
