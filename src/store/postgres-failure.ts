/** What PostgreSQL and the way to it can fail with: what may pass by itself, and what the operator reads at the start. */

import { DatabaseError } from 'pg'

/** Waiting for a connection or an answer took too long; the driver has no codes for these. */
const IMPATIENCE = /^(timeout exceeded when trying to connect|timeout expired|Query read timeout)$/
const SILENCE = 'Query read timeout'
const LOST = /^(Connection terminated|Client has encountered a connection error|Client was closed)/

/**
 * By SQLSTATE: connection (08), login (28, changed under our feet), serialization and deadlock (40), resources such as a full disk (53),
 * the operator stepped in or the server stops (57), the system under it failed (58); a lock waited for too long, a standby, no such database.
 */
const PASSING = /^(08|28|40|53|57|58)|^(55P03|25006|3D000)$/

export function mayPass(error: unknown): boolean {
  if (error instanceof DatabaseError) return PASSING.test(error.code ?? '')
  return isLost(error) || (error instanceof Error && IMPATIENCE.test(error.message))
}

/** The connection is gone, and with it whatever it was asked. */
export function isLost(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(08|57P0)/.test(error.code ?? '')
  if (!(error instanceof Error)) return false
  return LOST.test(error.message) || 'syscall' in error || (error instanceof AggregateError && error.errors.some(isLost))
}

/** No answer came, though the server gives up earlier than we do: nobody is at the other end any more, and nothing said so. */
export function isSilent(error: unknown): boolean {
  return error instanceof Error && error.message === SILENCE
}

/** Who answers takes no writes: a standby, or a server that was told to take none. Nothing was written. */
export function isReadOnly(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '25006'
}

/** Two transactions were in each other's way; the one that was sent back may begin again. */
export function isCollision(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === '40001' || error.code === '40P01')
}

/** In words that say what to do. The URL is named without its password. */
export function explainOpening(url: string, error: unknown): Error {
  return new Error(`cannot open the database ${withoutPassword(url)}: ${explain(url, error)}`, { cause: error })
}

function explain(url: string, error: unknown): string {
  const { code = '', message } = (error instanceof AggregateError ? error.errors[0] : error) as Error & { code?: string }
  if (code === '28P01' || code === '28000')
    return `the server does not let this user in (${message}); see user and password in LATCHSTRING_DATABASE_URL`
  if (code === '3D000')
    return `there is no such database; make it: createdb ${decodeURIComponent(new URL(url).pathname.slice(1))}`
  if (code === '42501') return `${message}; the user must be allowed to make tables: let it own the database`
  if (message.includes('SASL')) return `the server asks for a password that LATCHSTRING_DATABASE_URL does not name (${message})`
  if (isLost(error) || mayPass(error))
    return `${message || code}; see that PostgreSQL runs there and takes connections, or set LATCHSTRING_DATABASE_URL to another place`
  return message
}

export function withoutPassword(url: string): string {
  const { username, host, pathname } = new URL(url)
  return `postgres://${username && `${username}@`}${host}${pathname}`
}
