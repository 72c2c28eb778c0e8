/**
 * What goes over the wire: every request and answer of the Connected Apps API and of Latchstring's additions, as types.
 *
 * Nothing here exists at run time. The broker imports these types too, so that the compiler holds it to what is published.
 * Moments are RFC 3339 strings in UTC (`2026-01-31T12:00:00.000Z`). Ids of users and organisations are text even when they are all digits.
 */

// ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Every code a Latchstring broker answers with. `docs/errors.md` says what to do about each. */
export type ErrorCode =
  | 'INVALID_CREDENTIALS'
  | 'INSUFFICIENT_SCOPE'
  | 'OUTSIDE_PINS'
  | 'INVALID_REQUEST'
  | 'MISSING_OWNER'
  | 'INVALID_CALLBACK_URL'
  | 'APP_NOT_FOUND'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'MISDIRECTED_REQUEST'
  | 'CONFLICT'
  | 'INVALID_SESSION'
  | 'SESSION_PENDING'
  | 'SESSION_EXPIRED'
  | 'ACCESS_DENIED'
  | 'CONNECT_FAILED'
  | 'ACCOUNT_MISMATCH'
  | 'RECONNECT_REQUIRED'
  | 'MIN_TTL_NOT_MET'
  | 'INVALID_COMPLETION'
  | 'PROVIDER_UNAVAILABLE'
  | 'APP_CREDENTIALS_REJECTED'
  | 'TOO_MANY_REQUESTS'
  | 'PAYLOAD_TOO_LARGE'
  | 'URI_TOO_LONG'
  | 'HEADERS_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'ISSUER_UNAVAILABLE'
  | 'STORE_UNAVAILABLE'
  | 'KEY_SERVICE_UNAVAILABLE'
  | 'INTEGRITY_FAILURE'
  | 'INTERNAL'

/** A code as a client must expect it: one of ours, or one that a newer or another broker made up. */
export type AnyErrorCode = ErrorCode | (string & {})

export interface ErrorItem<Code extends string = ErrorCode> {
  readonly code: Code
  /** For people. Its wording may change; programs look at `code`. */
  readonly message: string
}

/** The body of every answer that is not a success; at `/oauth2/token` only beside {@link CallerTokenError}, and where that has no code for it. */
export interface ErrorBody<Code extends string = ErrorCode> {
  /** The first error's message: the oldest clients read nothing else. */
  readonly result: string
  readonly errors: readonly ErrorItem<Code>[]
}

/** What a change without anything to show for it answers. */
export interface ResultAnswer {
  readonly result: string
  readonly message: 'Success'
  readonly code: 'OK'
}

// ── /api/v1/connected_apps ───────────────────────────────────────────────────────────────────────────────────────────

/** `GET /api/v1/connected_apps/auth_url`. Needs `read:connected_apps`. Neither `user_id` nor `org_code`: `MISSING_OWNER`. */
export interface AuthUrlQuery {
  /** The app to connect, by the name it was registered under. */
  readonly key_code_ref: string
  /** Whom the connection will belong to, in the application's own words. */
  readonly user_id?: string
  readonly org_code?: string
  /** Where the browser goes afterwards: character for character one that the app lists. */
  readonly override_callback_url?: string
  /** A broken connection to connect again under the same `session_id`. */
  readonly session_id?: string
  /** With `session_id`: another account at the provider than before will do. */
  readonly allow_account_change?: boolean
}

export interface AuthUrlAnswer {
  /** Where to send the user's browser. */
  readonly url: string
  /** Names the connection from now on. Under `user_binding: callback` the one that the browser brings back takes its place. */
  readonly session_id: string
}

/** `GET /api/v1/connected_apps/token`. Needs `read:connected_apps`. */
export interface TokenQuery {
  /** What the token is for, in your words: it stands in the audit for ever, so name nobody in it. */
  readonly purpose?: string
  readonly session_id: string
  /** Seconds: the token lives at least so long, or there is an error (`MIN_TTL_NOT_MET`, `PROVIDER_UNAVAILABLE`). */
  readonly min_ttl?: number
  /** A new token, because the old one was refused. One that came in the last 30 seconds counts as new. */
  readonly force_refresh?: boolean
}

export interface TokenAnswer {
  /** The provider's own token. */
  readonly access_token: string
  /** When it ends; left out when it does not, or the provider never said. */
  readonly access_token_expiry?: string
  /** The token works, and the last attempt to renew it did not: it may be the last one. The connection says why. */
  readonly warning?: 'refresh_failed'
}

/** `POST /api/v1/connected_apps/revoke`, in the query; there is no body. Needs `create:connected_apps`. */
export interface RevokeQuery {
  readonly session_id: string
}

export type RevokeAnswer = ResultAnswer

/**
 * `POST /api/v1/connected_apps/complete`, as JSON: finishes a connection of an app with `user_binding: complete`.
 * Needs `create:connected_apps`. Answers the connection. Whatever does not match burns the attempt.
 */
export type CompleteRequest = {
  readonly session_id: string
  /** As the browser brought it to the app's callback; good once. */
  readonly completion_code: string
} & (
  | { /** The user who is logged in where the browser arrived. */ readonly user_id: string; readonly org_code?: string }
  | { /** The organisation, exactly as `auth_url` was given it. */ readonly org_code: string; readonly user_id?: string }
)

/** What the browser brings to the app's callback, in the query. */
export interface CallbackQuery {
  readonly session_id: string
  /** Only with `user_binding: complete`. */
  readonly completion_code?: string
  /** An OAuth error code, `access_denied` when the user said no. */
  readonly error?: string
  readonly error_description?: string
}

// ── /api/v1/connections ──────────────────────────────────────────────────────────────────────────────────────────────

/**
 * pending: the user has not finished · connected: works · failing: renewals do not work at the moment; its token may still do
 * · broken: the user must connect again · revoked: over.
 */
export type ConnectionState = 'pending' | 'connected' | 'failing' | 'broken' | 'revoked'

export interface ConnectionItem {
  readonly session_id: string
  readonly key_code_ref: string
  readonly provider: string
  /** The owner: at least one of these two is set. */
  readonly user_id: string | null
  readonly org_code: string | null
  /** The application's own note about it. */
  readonly label: string | null
  readonly state: ConnectionState
  /** Why it is failing or broken; null while all is well. */
  readonly reason: string | null
  /** The provider's own words for why it broke: show them as text. */
  readonly detail: string | null
  /** How it stands with taking the grant back at the provider; null unless revoked. */
  readonly revocation: RevocationItem | null
  readonly granted_scopes: readonly string[]
  /** Asked for and not granted. */
  readonly missing_scopes: readonly string[]
  /** Who it is at the provider, where the provider says so. */
  readonly account: AccountItem | null
  /** null: it does not end, or the provider never said. */
  readonly access_token_expiry: string | null
  readonly created_at: string
  /** null while pending. */
  readonly connected_at: string | null
  readonly last_renewed_at: string | null
  /** The day (UTC) on which a token was last handed out; null: none since it was connected. */
  readonly last_used_on: string | null
  /**
   * What requests to the provider's API need besides the token, by the names of the provider's file: where the API of this account is, which
   * company it is of. Of `complete` and of reading one connection; lists leave it out. What came with the browser (`realmId`) proves nothing.
   */
  readonly kept?: Readonly<Record<string, string>>
}

/**
 * upstream: pending: the provider is being asked · confirmed: it took the grant back · unsupported: it has no way to · failed: it did not;
 * with `retry_at` it is asked again · superseded: a newer connection of the same owner has the grant now.
 */
export interface RevocationItem {
  readonly upstream: 'pending' | 'confirmed' | 'unsupported' | 'failed' | 'superseded'
  /** When the dead token was shown to the provider and was dead; null: there is only the provider's word. */
  readonly proved_at: string | null
  readonly attempts: number
  /** Why the last attempt failed. */
  readonly reason: string | null
  /** null: the provider is not asked any more, unless somebody revokes it again. */
  readonly retry_at: string | null
}

export interface AccountItem {
  readonly id: string
  /** A name that a person knows the account by. */
  readonly label: string | null
}

/** How to walk a list: `next_token` of one answer asks for the next page. */
export interface PageQuery {
  readonly page_size?: number
  readonly next_token?: string
}

/** `GET /api/v1/connections`, newest first. Needs `read:connections`. Filters narrow each other. */
export interface ConnectionListQuery extends PageQuery {
  readonly user_id?: string
  readonly org_code?: string
  readonly key_code_ref?: string
  readonly state?: ConnectionState
  readonly label?: string
}

export interface ConnectionListAnswer {
  readonly connections: readonly ConnectionItem[]
  /** null: this was the last page. */
  readonly next_token: string | null
}

/** `PATCH /api/v1/connections/{session_id}`, as JSON. Needs `write:connections`. Answers the connection. */
export interface ConnectionChange {
  /** null takes the label away. */
  readonly label: string | null
}

/** `DELETE /api/v1/connections/{session_id}`. Needs `write:connections`. */
export type ConnectionDeleteAnswer = ResultAnswer

// ── /api/v1/events ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * connected: the user has consented, for the first time or again · renewal_failing: renewals do not work at the moment · recovered: they work again
 * · broken: only the user can help · revoked: over · revocation_failed: its provider did not take it back, and is not asked any more.
 */
export type EventType =
  | 'connection.connected'
  | 'connection.renewal_failing'
  | 'connection.recovered'
  | 'connection.broken'
  | 'connection.revoked'
  | 'connection.revocation_failed'

/** One change of one connection. */
export interface EventItem {
  /** The same however often it is read or sent: whoever has seen it has seen it. */
  readonly id: string
  readonly type: EventType
  readonly timestamp: string
  readonly data: EventData
}

export interface EventData {
  readonly session_id: string
  readonly key_code_ref: string
  readonly provider: string
  readonly user_id: string | null
  readonly org_code: string | null
  /** Why; `docs/events.md` says what it can be for each type. */
  readonly reason: string | null
}

/** What a webhook is sent: events, and whatever somebody tries it out with. */
export type WebhookMessage = EventItem | WebhookTestMessage

/** Of `POST /api/v1/webhooks/{webhook_id}/test`. */
export interface WebhookTestMessage {
  readonly id: string
  readonly type: 'webhook.test'
  readonly timestamp: string
  readonly data: Readonly<Record<string, never>>
}

/** `GET /api/v1/events`, oldest first. Needs `read:events`. Filters narrow each other. */
export interface EventListQuery extends PageQuery {
  readonly type?: EventType
  readonly session_id?: string
  /** The id of the last event that was seen, or a moment to begin at. */
  readonly after?: string
}

export interface EventListAnswer {
  readonly events: readonly EventItem[]
  /** null: this is all there is so far. Ask again later with `after`. A page may be short, or empty, while there is more. */
  readonly next_token: string | null
}

// ── /api/v1/audit ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the audit can tell; `docs/audit.md` says what each is. */
export type AuditAction =
  | EventType
  | 'token.handed_out'
  | 'access.refused'
  | 'attempt.begun'
  | 'attempt.denied'
  | 'attempt.failed'
  | 'attempt.burned'
  | 'attempt.binding_mismatch'
  | 'connection.relabelled'
  | 'connection.deleted'
  | 'connection.revocation_ended'
  | 'connection.integrity_failure'
  | 'owner.exported'
  | 'owner.erased'
  | 'provider.applied'
  | 'provider.removed'
  | 'app.applied'
  | 'app.removed'
  | 'app.refused'
  | 'app.accepted'
  | 'caller.applied'
  | 'caller.disabled'
  | 'caller.enabled'
  | 'caller.removed'
  | 'issuer.applied'
  | 'issuer.removed'
  | 'webhook.created'
  | 'webhook.rotated'
  | 'webhook.replayed'
  | 'webhook.removed'
  | 'keys.resealed'
  | 'keys.signing_rotated'
  | 'store.restored'
  | 'history.cut'

/** One thing that somebody did. What does not apply is null. */
export interface AuditItem {
  /** The same however often it is read. */
  readonly id: string
  readonly timestamp: string
  /** A caller; or `browser`, `broker` or `operator`. */
  readonly actor: string
  readonly action: AuditAction
  /** What was done to: a session_id, a key_code_ref, a client_id and so on. */
  readonly subject: string
  readonly reason: string | null
  readonly key_code_ref: string | null
  readonly provider: string | null
  /** null, too, when its owner was erased. */
  readonly user_id: string | null
  readonly org_code: string | null
  /** What the token may be used for that was handed out. */
  readonly scopes: readonly string[] | null
  /** What it was for, as the caller said. */
  readonly purpose: string | null
}

/** `GET /api/v1/audit`, newest first. Needs `read:audit`. Filters narrow each other. */
export interface AuditListQuery extends PageQuery {
  readonly action?: AuditAction
  readonly actor?: string
  readonly subject?: string
}

export interface AuditListAnswer {
  readonly entries: readonly AuditItem[]
  /** The newest signed checkpoint, a JWS. Kept elsewhere, it proves later that nothing was taken away. null: there is none yet. */
  readonly head: string | null
  /** null: this is the last page. A page may be short, or empty, and not the last. */
  readonly next_token: string | null
}

// ── /api/v1/webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Where events are sent, as Standard Webhooks has it. Secrets are shown once. */
export interface WebhookItem {
  readonly id: string
  readonly url: string
  /** null: all. */
  readonly types: readonly EventType[] | null
  /** An operator lets it lead to private and loopback addresses, and over http. */
  readonly allow_private_network: boolean
  /** Until then the secret before the present one signs too; null: it does not any more, or there was none. */
  readonly previous_secret_until: string | null
  readonly created_at: string
}

export interface WebhookListAnswer {
  readonly webhooks: readonly WebhookItem[]
  readonly next_token: string | null
}

/** `POST /api/v1/webhooks`, as JSON. Needs `write:events`. */
export interface WebhookRequest {
  readonly url: string
  /** Left out: all. */
  readonly types?: readonly EventType[]
  /** `whsec_` and 24 to 64 bytes in base64. Left out: the broker makes one, which the answer shows this once. */
  readonly secret?: string
}

export interface WebhookAnswer extends WebhookItem {
  /** Only in the answer that made it, and only when the broker did. */
  readonly secret?: string
}

/** `POST /api/v1/webhooks/{webhook_id}/rotate`, as JSON. Needs `write:events`. For a day both secrets sign. */
export interface WebhookRotateRequest {
  readonly secret?: string
}

/** `POST /api/v1/webhooks/{webhook_id}/test`. Needs `write:events`. Sends one of type `webhook.test`, now. */
export interface WebhookTestAnswer {
  readonly delivered: boolean
  /** Why it was not. */
  readonly reason: string | null
}

/** waiting: it is tried again by itself · dead: it was tried for a day. What is delivered is no delivery any more. */
export type DeliveryState = 'waiting' | 'dead'

/** `GET /api/v1/webhooks/{webhook_id}/deliveries`, in the order of the events. Needs `read:events`. */
export interface DeliveryListQuery extends PageQuery {
  /** Left out: dead. */
  readonly state?: DeliveryState
}

export interface DeliveryItem {
  readonly event: EventItem
  readonly state: DeliveryState
  readonly attempts: number
  /** Why the last attempt failed; null before the first. */
  readonly reason: string | null
  /** null when dead. */
  readonly retry_at: string | null
}

export interface DeliveryListAnswer {
  readonly deliveries: readonly DeliveryItem[]
  readonly next_token: string | null
}

/** `POST /api/v1/webhooks/{webhook_id}/replay`, as JSON. Needs `write:events`. */
export interface ReplayRequest {
  /** The id of an event, to go on after it, or a moment to begin at. */
  readonly from: string
}

export interface ReplayAnswer {
  /** How many events are sent again. */
  readonly queued: number
}

// ── /api/v1/apps, /api/v1/providers, /api/v1/callers ─────────────────────────────────────────────────────────────────

/** How the broker makes sure that the browser that finishes belongs to the user who started; weakest first. */
export type UserBinding = 'none' | 'confirm' | 'callback' | 'complete'

/** A registration at a provider. Secrets go in and never come out. */
export interface AppItem {
  readonly key_code_ref: string
  readonly tenant: string
  readonly provider: string
  readonly name: string
  readonly client_id: string
  readonly scopes: readonly string[]
  /** Where browsers go afterwards; null: they stay on a page of the broker. */
  readonly callback_url: string | null
  readonly allowed_callback_urls: readonly string[]
  readonly user_binding: UserBinding
  /** Values for the placeholders in the provider's URLs. */
  readonly config: Readonly<Record<string, string>>
  /** A new connection ends the earlier ones of the same owner; or of the same owner and account. */
  readonly one_per_owner: boolean
  readonly one_per_account: boolean
  /** A connection may be connected again with another account than before. */
  readonly allow_account_change: boolean
  /** Without these there is no connection. */
  readonly required_scopes: readonly string[]
  /** The redirect URI is the same for all apps that say so. */
  readonly shared_redirect_uri: boolean
  /** How many days without a hand-out end a connection, such as `180d`; null: none do. */
  readonly revoke_when_unused: string | null
  /** What to register at the provider as redirect URI. */
  readonly redirect_uri: string
  readonly created_at: string
  readonly updated_at: string
}

export interface AppListAnswer {
  readonly apps: readonly AppItem[]
  readonly next_token: string | null
}

/** Makes an app so, or changes it to be so: what is left out is not as it was before, but as it is for a new one. */
export interface AppRequest {
  readonly key_code_ref: string
  readonly provider: string
  readonly name?: string
  readonly client_id: string
  /** Needed unless the provider's `client_auth` does without one. */
  readonly client_secret?: string
  /** PKCS #8 PEM or a JWK, for `client_auth: private_key_jwt`. */
  readonly private_key?: string
  readonly scopes?: readonly string[]
  /** null, as it is read where there is none, is as good as leaving it out. */
  readonly callback_url?: string | null
  readonly allowed_callback_urls?: readonly string[]
  /** Left out: `confirm`. */
  readonly user_binding?: UserBinding
  /** Values for the placeholders in the provider's URLs. */
  readonly config?: Readonly<Record<string, string>>
  /** A newly connected account takes the place of its owner's earlier ones. Left out: it does not. */
  readonly one_per_owner?: boolean
  /** The same, of its owner's earlier connections of that account. */
  readonly one_per_account?: boolean
  /** A connection may be connected again with another account. Left out: it may not. */
  readonly allow_account_change?: boolean
  /** Without which a grant is refused. */
  readonly required_scopes?: readonly string[]
  /** The provider sends browsers to the plain `/connected_apps/callback`. */
  readonly shared_redirect_uri?: boolean
  /** `180d`: connections that nobody was handed a token of for so long are revoked. Left out, or null: none are. */
  readonly revoke_when_unused?: string | null
}

/** A service that can be connected. */
export interface ProviderItem {
  readonly id: string
  readonly name: string
  /** How it hands out credentials: `oauth2` … */
  readonly mode: string
  /** Its own pages about it. */
  readonly docs: readonly string[]
}

export interface ProviderListAnswer {
  readonly providers: readonly ProviderItem[]
  readonly next_token: string | null
}

/** Somebody who may ask the broker. */
export interface CallerItem {
  readonly client_id: string
  readonly tenant: string
  readonly scopes: readonly string[]
  /** The person or team that answers for it. */
  readonly owner: string
  /** null: never. */
  readonly expires: string | null
  readonly disabled: boolean
  readonly pins: CallerPins
  readonly dpop: 'required' | 'optional'
  /** Requests a minute to each process, `1000/min`; null: no limit. */
  readonly rate_limit: string | null
  readonly created_at: string
  /** To the minute; null: never, as far as is known. */
  readonly last_used_at: string | null
}

/** null: not pinned. */
export interface CallerPins {
  /** The only apps it may use, by their `key_code_ref`. */
  readonly apps: readonly string[] | null
  /** Addresses and ranges that it may ask from. */
  readonly ip: readonly string[] | null
}

export interface CallerListAnswer {
  readonly callers: readonly CallerItem[]
  readonly next_token: string | null
}

/** Makes a caller so, or changes it to be so. */
export interface CallerRequest {
  readonly client_id: string
  /** 40 to 60 letters and digits. Left out: a new caller gets one, which the answer shows this once. */
  readonly client_secret?: string
  readonly scopes: readonly string[]
  readonly owner: string
  /** A date or a moment. */
  readonly expires?: string | null
  readonly pins?: { readonly apps?: readonly string[]; readonly ip?: readonly string[] }
  /** `required`: only tokens that are bound to a key of its own (RFC 9449). */
  readonly dpop?: 'required' | 'optional'
  /** `1000/min`. */
  readonly rate_limit?: string
}

/** `PATCH /api/v1/callers/{client_id}`, as JSON. Needs `write:callers`. */
export interface CallerChange {
  /** With every token that it holds, at once. */
  readonly disabled: boolean
}

export interface CallerAnswer extends CallerItem {
  /** Only in the answer that made it, and only when the broker did. */
  readonly client_secret?: string
}

// ── /oauth2/token ────────────────────────────────────────────────────────────────────────────────────────────────────

/** `POST /oauth2/token`, form-encoded. Id and secret travel here or as HTTP Basic. */
export interface CallerTokenRequest {
  readonly grant_type: 'client_credentials'
  readonly client_id?: string
  readonly client_secret?: string
  /** `<issuer>/api`. */
  readonly audience?: string
  /** Separated by spaces; left out or empty: all that the caller has. */
  readonly scope?: string
}

export interface CallerTokenAnswer {
  readonly access_token: string
  readonly token_type: string
  /** Seconds. */
  readonly expires_in: number
  readonly scope?: string
}

/** RFC 6749 section 5.2. */
export type CallerTokenErrorCode =
  | 'invalid_client'
  | 'unauthorized_client'
  | 'invalid_scope'
  | 'invalid_request'
  | 'unsupported_grant_type'
  | 'invalid_grant'
  /** RFC 9449 section 5. */
  | 'invalid_dpop_proof'
  | 'temporarily_unavailable'
  | 'server_error'

export interface CallerTokenError<Code extends string = CallerTokenErrorCode> {
  readonly error: Code
  readonly error_description?: string
}
