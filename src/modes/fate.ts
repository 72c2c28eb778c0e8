/** What became of a refresh token that was sent and not exchanged: the difference between asking again and letting go. Pure. */

import { type Fate, type NetAnswer, NetError } from '../core/ports.ts'
import { readFields } from './answer-body.ts'

/**
 * Gateways that gave up, or that were told nothing by whoever stands behind them: it may have done its work all the same. 520 and 524 are
 * Cloudflare's, for an answer that was none and for one that took too long.
 */
const GATEWAYS = new Set([502, 504, 520, 524])

/** Of an answer that brought no tokens. */
export function fateByAnswer(answer: NetAnswer, code: string): Fate {
  if (!isSuccess(answer.status)) return fateByRefusal(answer.status)
  if (readFields(answer)) return code === 'no_access_token' ? 'unknown' : 'kept'
  // Nothing that can be read: tokens that were cut off, or a page of whoever stands in between.
  return Buffer.from(answer.body).includes('access_token') ? 'spent' : 'unknown'
}

/** Of an answer that did not come, or not whole. */
export function fateByFailure(error: unknown): Fate {
  if (!(error instanceof NetError)) return 'unknown'
  if (!error.sent) return 'kept'
  if (error.status === null) return 'unknown'
  return isSuccess(error.status) ? 'spent' : fateByRefusal(error.status)
}

function fateByRefusal(status: number): Fate {
  return GATEWAYS.has(status) ? 'unknown' : 'kept'
}

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299
}
