/** When a token stops working, from whichever of the many ways in which providers say so. */

import type { Provider } from '../core/provider.ts'
import { type Fields, fieldAt } from './answer-body.ts'
import { unverifiedClaims } from './jwt-claims.ts'

/** Longer than anything real: past it a provider means "for ever", or counts in another unit. */
const LIFE_MS_MAX = 10 * 365 * 86_400_000
/** As seconds the year 5138, as milliseconds 1973: no moment of ours is ambiguous. */
const EPOCH_MS_MIN = 1e11

/**
 * Milliseconds since the epoch; null: the provider did not say, and neither does its file, so it is taken not to expire.
 *
 * A lifetime of zero, below zero or of no number at all cannot be true of a token that was issued just now: some providers mean "never"
 * by it, some mean nothing. It counts as not said, and the next source is asked; so does a moment that is already past.
 */
export function expiryOf(provider: Provider, fields: Fields, answer: Fields, accessToken: string, now: number): number | null {
  const { at, unit, default: fallback } = provider.expires ?? {}
  const stated = at === undefined ? null : (moment(fieldAt(fields, at), now) ?? moment(fieldAt(answer, at), now))
  return (
    stated ??
    after(fieldAt(fields, 'expires_in'), unit === 'milliseconds' ? 1 : 1000, now) ??
    moment(fieldAt(fields, 'expires_at'), now) ??
    moment(fieldAt(fields, 'expires_on'), now) ??
    moment(unverifiedClaims(accessToken)?.['exp'], now) ??
    after(fallback, 1000, now)
  )
}

function after(duration: unknown, unitMs: number, now: number): number | null {
  const value = numberOf(duration)
  if (value === null || value <= 0) return null
  return now + Math.ceil(Math.min(value * unitMs, LIFE_MS_MAX))
}

function moment(value: unknown, now: number): number | null {
  const number = numberOf(value)
  const at = number === null ? dateOf(value) : number < EPOCH_MS_MIN ? number * 1000 : number
  if (at === null || at <= now) return null
  return Math.ceil(Math.min(at, now + LIFE_MS_MAX))
}

function numberOf(value: unknown): number | null {
  if (typeof value === 'string' && !/^\s*[+-]?\d+(\.\d+)?\s*$/.test(value)) return null
  if (typeof value !== 'string' && typeof value !== 'number') return null
  const number = Number(value)
  return Number.isFinite(number) ? number : null
}

/** ISO 8601, with a space for the T if need be. Without an offset it is UTC: a server's local time is nobody else's. */
function dateOf(value: unknown): number | null {
  if (typeof value !== 'string') return null
  const match = /^\s*(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z|[+-]\d\d:?\d\d)?)?\s*$/i.exec(value)
  if (!match) return null
  const [, day, time = '00:00:00', offset = 'Z'] = match
  const at = Date.parse(
    `${day}T${time}${offset.length === 5 ? `${offset.slice(0, 3)}:${offset.slice(3)}` : offset.toUpperCase()}`,
  )
  return Number.isNaN(at) ? null : at
}
