/** The one error the broker throws on purpose, and the closed list of what can go wrong. */

/** Every code a caller can receive, as it stands on the wire. `docs/errors.md` says what to do about each. */
export type ErrorCode =
  // Who is asking
  | 'INVALID_CREDENTIALS' // no bearer, or not one of ours, or its caller is disabled or expired
  | 'INSUFFICIENT_SCOPE' // we know who asks, and they may not
  | 'OUTSIDE_PINS' // they may, but not this app, or not from there
  // What they sent
  | 'INVALID_REQUEST' // something we cannot read, or a field we do not know
  | 'MISSING_OWNER' // neither user_id nor org_code: a connection belongs to somebody
  | 'INVALID_CALLBACK_URL' // not one that the app lists, character for character
  | 'APP_NOT_FOUND'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'MISDIRECTED_REQUEST' // by its Host it was meant for another server
  | 'CONFLICT' // what was asked cannot be done while something else stands
  | 'PAYLOAD_TOO_LARGE'
  | 'URI_TOO_LONG'
  | 'HEADERS_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'TOO_MANY_REQUESTS'
  // Where the connection stands
  | 'INVALID_SESSION' // no such connection in this tenant, or revoked
  | 'SESSION_PENDING' // the user has not finished consenting
  | 'SESSION_EXPIRED' // the attempt died before it was finished
  | 'ACCESS_DENIED' // the user said no
  | 'CONNECT_FAILED' // the provider did not give us credentials
  | 'ACCOUNT_MISMATCH' // connected again with another account at the provider; the old connection stays
  | 'INVALID_COMPLETION' // wrong completion code or wrong user; the attempt is burned
  | 'RECONNECT_REQUIRED' // only the end user can mend this; retrying cannot
  | 'MIN_TTL_NOT_MET' // the provider's tokens do not live as long as the caller wants
  // Who else must act
  | 'PROVIDER_UNAVAILABLE' // retrying later may help
  | 'APP_CREDENTIALS_REJECTED' // the provider refuses the app's client id or secret: the operator must act
  | 'ISSUER_UNAVAILABLE' // the keys of a trusted issuer cannot be had: retrying later may help
  | 'STORE_UNAVAILABLE' // what the broker keeps cannot be read or written: retrying soon may help
  | 'KEY_SERVICE_UNAVAILABLE' // the service that holds the master key does not answer, or refuses: nothing is opened meanwhile
  | 'INTEGRITY_FAILURE' // what is stored does not open: the operator must act
  | 'INTERNAL'

export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: ErrorCode
  /** How long the caller should wait before asking again, in milliseconds. */
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryAfterMs?: number | null }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfterMs = options?.retryAfterMs ?? null
  }
}
