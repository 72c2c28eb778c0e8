/** What a call can end in besides an answer: the broker said no, or nothing usable came back. */

import type { AnyErrorCode, ErrorItem } from './wire.ts'

/**
 * The broker answered, and it was not a success.
 *
 * ```ts
 * try {
 *   await api.getConnectedAppToken({ session_id })
 * } catch (error) {
 *   if (error instanceof ApiException && error.code === 'RECONNECT_REQUIRED') return sendUserToConnectAgain()
 *   throw error
 * }
 * ```
 */
export class ApiException extends Error {
  override readonly name = 'ApiException'
  readonly status: number
  /** The status in words, as the server put it; empty over HTTP/2. */
  readonly reason: string
  /** What the answer held: parsed if it was JSON, else its text; undefined when it had none, or none that is safe to show. */
  readonly body: unknown
  readonly headers: Headers
  /** As the body lists them; empty when it lists none. An OAuth error of `/oauth2/token` counts as one. */
  readonly errors: readonly ErrorItem<AnyErrorCode>[]

  constructor(
    status: number,
    reason: string,
    body: unknown,
    headers: Headers,
    options?: { readonly message?: string; readonly cause?: unknown },
  ) {
    const errors = errorsIn(body)
    super(options?.message ?? inWords(status, reason, body, errors), options)
    this.status = status
    this.reason = reason
    this.body = body
    this.headers = headers
    this.errors = errors
  }

  /** The first error's code: what programs decide by. */
  get code(): AnyErrorCode | undefined {
    return this.errors[0]?.code
  }

  /** Seconds to wait before asking again, from `Retry-After` or `RateLimit-Reset`; undefined when the broker did not say. */
  get retryAfter(): number | undefined {
    return secondsIn(this.headers.get('retry-after')) ?? secondsIn(this.headers.get('ratelimit-reset'))
  }
}

/** No answer: the broker could not be reached, hung up, or the client was closed. `cause` says more. */
export class ConnectionError extends Error {
  override readonly name: string = 'ConnectionError'
}

/** No answer within `timeout`. */
export class TimeoutError extends ConnectionError {
  override readonly name = 'TimeoutError'
}

function errorsIn(body: unknown): ErrorItem<AnyErrorCode>[] {
  if (typeof body !== 'object' || body === null) return []
  if ('errors' in body && Array.isArray(body.errors)) return body.errors.filter(isErrorItem)
  // RFC 6749 section 5.2.
  if ('error' in body && typeof body.error === 'string') {
    const described = 'error_description' in body && typeof body.error_description === 'string'
    return [{ code: body.error, message: described ? String(body.error_description) : body.error }]
  }
  return []
}

function isErrorItem(item: unknown): item is ErrorItem<AnyErrorCode> {
  return typeof item === 'object' && item !== null && 'code' in item && typeof item.code === 'string' && 'message' in item
}

function inWords(status: number, reason: string, body: unknown, errors: readonly ErrorItem<AnyErrorCode>[]): string {
  const line = reason ? `${status} ${reason}` : String(status)
  if (errors.length > 0) return `${line}: ${errors.map(({ code, message }) => `${code}: ${message}`).join('; ')}`
  // The oldest form of the contract has the message here and nowhere else.
  if (typeof body === 'object' && body !== null && 'result' in body && typeof body.result === 'string')
    return `${line}: ${body.result}`
  return line
}

/** Either of the two forms of RFC 9110 section 10.2.3. */
function secondsIn(header: string | null): number | undefined {
  if (header === null) return undefined
  if (/^\s*\d+(\.\d+)?\s*$/.test(header)) return Number(header)
  const moment = Date.parse(header)
  return Number.isNaN(moment) ? undefined : Math.max(0, Math.ceil((moment - Date.now()) / 1000))
}
