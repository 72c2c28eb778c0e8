/** The operator's log: one JSON line an event, and only fields of the list below get through, each cut down to what is safe to keep. */

import { type DestinationStream, pino } from 'pino'
import { BrokerError } from './core/errors.ts'
import type { Ports } from './core/ports.ts'

/** What is not here is not written. A redaction list forgets; an allow-list has nothing to forget. */
const FIELDS: Readonly<Record<string, (value: unknown) => unknown>> = {
  tenant: text,
  session: shortened,
  key_code_ref: text,
  provider: text,
  caller: text,
  route: text,
  method: text,
  status: number,
  ms: number,
  attempt: number,
  count: number,
  code: text,
  reason: text,
  url: origin,
  version: text,
  worker: number,
  error: described,
}

export function createLog(level: string, destination?: DestinationStream): Ports['log'] {
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination,
  )
  return (severity, message, fields = {}) => logger[severity](allowed(fields), message)
}

function allowed(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const keep = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined
      return keep && value !== undefined && value !== null ? [[name, keep(value)]] : []
    }),
  )
}

function text(value: unknown): string {
  return String(value).slice(0, 300)
}

function number(value: unknown): number | string {
  return typeof value === 'number' ? value : text(value)
}

/** Enough to find it in the store, not enough to use it. */
function shortened(value: unknown): string {
  return `${String(value).slice(0, 6)}…`
}

/** Never a path or query: codes and handles live there. */
function origin(value: unknown): string {
  return URL.canParse(String(value)) ? new URL(String(value)).origin : '[not a url]'
}

/**
 * Messages of our own errors are written to be read. Those of others may quote what they were given, JSON.parse does,
 * so of them only the kind and the place are kept.
 */
function described(value: unknown): Record<string, unknown> {
  if (value instanceof BrokerError) {
    return {
      name: value.name,
      code: value.code,
      message: value.message,
      ...(value.cause !== undefined && { cause: described(value.cause) }),
    }
  }
  if (!(value instanceof Error)) return { name: typeof value }
  const { code, errstr } = value as { code?: unknown; errstr?: unknown }
  // The message stands in the stack, and a line of it may look like a frame.
  const frames = (value.stack ?? '')
    .replace(value.message, '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
  return {
    name: value.name,
    ...(typeof code === 'string' && { code }),
    // SQLite's own words for a kind of failure, such as a full disk: the code is the same for all of them.
    ...(typeof errstr === 'string' && { kind: errstr }),
    at: frames.slice(0, 8).map((line) => line.trim()),
  }
}
