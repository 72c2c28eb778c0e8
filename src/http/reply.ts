/** Turns what a use case returns or throws into an answer. The only place that knows status codes. */

import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { CallerTokenError, ErrorBody } from '../../sdk/src/wire.ts'
import { BrokerError, type ErrorCode } from '../core/errors.ts'
import { depart } from './departures.ts'

/** A new error code does not compile until it has a status. 403 where others say 401: the contract wants it so. */
export const STATUS: Record<ErrorCode, number> = {
  INVALID_CREDENTIALS: 403,
  INSUFFICIENT_SCOPE: 403,
  OUTSIDE_PINS: 403,
  INVALID_REQUEST: 400,
  MISSING_OWNER: 400,
  INVALID_CALLBACK_URL: 400,
  APP_NOT_FOUND: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  MISDIRECTED_REQUEST: 421,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  URI_TOO_LONG: 414,
  HEADERS_TOO_LARGE: 431,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TOO_MANY_REQUESTS: 429,
  INVALID_SESSION: 400,
  SESSION_PENDING: 400,
  SESSION_EXPIRED: 400,
  ACCESS_DENIED: 400,
  CONNECT_FAILED: 400,
  ACCOUNT_MISMATCH: 409,
  INVALID_COMPLETION: 400,
  RECONNECT_REQUIRED: 400,
  MIN_TTL_NOT_MET: 400,
  PROVIDER_UNAVAILABLE: 503,
  APP_CREDENTIALS_REJECTED: 503,
  ISSUER_UNAVAILABLE: 503,
  STORE_UNAVAILABLE: 503,
  KEY_SERVICE_UNAVAILABLE: 503,
  INTEGRITY_FAILURE: 500,
  INTERNAL: 500,
}

/**
 * `further` headers are those of this answer only. Written past the framework, which adds a charset that the oldest clients refuse (`application/json; charset=utf-8`),
 * and as one text with its headers, which costs one write instead of two.
 */
export function sendJson(reply: FastifyReply, status: number, body: unknown, further?: OutgoingHttpHeaders): FastifyReply {
  const text = JSON.stringify(body)
  reply.hijack()
  const headers = { ...JSON_HEADERS, 'content-length': Buffer.byteLength(text), ...further }
  depart(reply.raw.writeHead(status, headers), text)
  return reply
}

/** An access token must not lie in anybody's cache (RFC 6749 section 5.1). */
export const JSON_HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  pragma: 'no-cache',
  'x-content-type-options': 'nosniff',
}

/** `result` is for the oldest clients, `errors` for the others. */
export function errorBody({ code, message }: Pick<BrokerError, 'code' | 'message'>): ErrorBody {
  return { result: message, errors: [{ code, message }] }
}

export function sendError(reply: FastifyReply, error: BrokerError): FastifyReply {
  return sendRefusal(reply, error, errorBody(error))
}

/** At `/oauth2/token`, in the form of RFC 6749 section 5.2 too: a stock client that finds no `error` in an answer takes it for a token. */
export function sendTokenError(reply: FastifyReply, error: BrokerError): FastifyReply {
  const status = STATUS[error.code]
  const code = status === 429 || status === 503 ? 'temporarily_unavailable' : status >= 500 ? 'server_error' : 'invalid_request'
  const alike: CallerTokenError = { error: code, error_description: error.message }
  return sendRefusal(reply, error, { ...alike, ...errorBody(error) })
}

function sendRefusal(reply: FastifyReply, error: BrokerError, body: ErrorBody): FastifyReply {
  return sendJson(reply, STATUS[error.code], body, { ...(reply.getHeaders() as OutgoingHttpHeaders), ...waitHeaders(error) })
}

/** When to come again, where that is known. */
export function waitHeaders({ code, retryAfterMs }: BrokerError): Record<string, string> {
  if (retryAfterMs === null) return {}
  const seconds = String(Math.ceil(retryAfterMs / 1000))
  return { 'retry-after': seconds, ...(code === 'TOO_MANY_REQUESTS' && { 'ratelimit-reset': seconds }) }
}

/** Whatever was thrown, as one of ours. Details of a bug are for the operator's log, never for the caller. */
export function asBrokerError(thrown: unknown): BrokerError {
  if (thrown instanceof BrokerError) return thrown
  const { statusCode, code, validation } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as Record<
    string,
    unknown
  >
  if (validation !== undefined && thrown instanceof Error) return new BrokerError('INVALID_REQUEST', thrown.message)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new BrokerError('PAYLOAD_TOO_LARGE', 'the body is larger than this server takes')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new BrokerError(
      'UNSUPPORTED_MEDIA_TYPE',
      'send JSON as application/json; only /oauth2/token takes a form, as application/x-www-form-urlencoded',
    )
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new BrokerError('INVALID_REQUEST', 'the request cannot be read: its body or path is not well-formed')
  }
  return new BrokerError('INTERNAL', 'something went wrong on our side', { cause: thrown })
}
