/** The client: one method for each thing a program can ask the broker. */

// In the declarations too, for programs whose own lib does not have it.
/// <reference lib="esnext.disposable" preserve="true" />

import type { ApiResponse, ApiResponseWithoutDeserialization } from './answer.ts'
import { Calls } from './calls.ts'
import { ApiException } from './errors.ts'
import type { Fetch } from './exchange.ts'
import type { AuthUrlArguments, CompleteArguments, ConnectionListArguments, EventListArguments, Operation } from './operations.ts'
import * as operations from './operations.ts'
import type { CallOptions } from './options.ts'
import { providerFetch } from './provider-fetch.ts'
import { type Configuration, settingsOf } from './settings.ts'
import type {
  AuthUrlAnswer,
  ConnectionDeleteAnswer,
  ConnectionItem,
  ConnectionListAnswer,
  EventItem,
  EventListAnswer,
  RevokeAnswer,
  RevokeQuery,
  TokenAnswer,
  TokenQuery,
} from './wire.ts'

/** The form of a result: with `stream` the body is a stream of bytes, with `skipDeserialization` there is only `response`. */
export type Answer<Body, Options extends CallOptions> = Options extends { readonly skipDeserialization: true }
  ? ApiResponseWithoutDeserialization
  : Options extends { readonly stream: true }
    ? ApiResponse<ReadableStream<Uint8Array<ArrayBuffer>>>
    : ApiResponse<Body>

/** Pages are read whole. */
export type PagingOptions = Omit<CallOptions, 'stream' | 'skipDeserialization'>

/**
 * A client of a Connected Apps API: a Latchstring broker, or any other that speaks the contract.
 *
 * ```ts
 * await using api = new ConnectedAppsApi({ host: 'https://connect.example.com', clientId, clientSecret })
 * const { body } = await api.getConnectedAppToken({ session_id })
 * ```
 *
 * Every method rejects with
 * - {@link ApiException} when the broker answers anything but a success,
 * - `ArgumentError` when an argument is missing, unknown or of the wrong kind; nothing was sent then,
 * - `TimeoutError` when `timeout` ran out, `ConnectionError` when there was no answer for another reason,
 * - the reason of `signal`, when that was aborted.
 *
 * A GET that got no connection is tried again, after a jittered pause, and so is the fetching of a bearer. Everything else is sent once. Redirects are not
 * followed.
 */
export class ConnectedAppsApi implements AsyncDisposable {
  /** Where this client's requests go. */
  readonly host: string
  // Private at run time too: what a program prints of a client must not hold its secrets.
  readonly #calls: Calls
  readonly #fetch: Fetch

  /** @throws ArgumentError when the configuration is not one */
  constructor(configuration: Configuration) {
    const settings = settingsOf(configuration)
    this.host = settings.host
    this.#calls = new Calls(settings)
    this.#fetch = settings.fetch
  }

  /**
   * Begins a connection: where to send the user's browser, and the `session_id` that names the connection from now on.
   * Scope `read:connected_apps`.
   *
   * Codes: `APP_NOT_FOUND` (404) · `MISSING_OWNER`, `INVALID_CALLBACK_URL` (400) · `PROVIDER_UNAVAILABLE` (503).
   */
  getConnectedAppAuthUrl<const O extends CallOptions = CallOptions>(
    query: AuthUrlArguments,
    options?: O,
  ): Promise<Answer<AuthUrlAnswer, O>> {
    return this.#make(operations.AUTH_URL, query, options)
  }

  /**
   * An access token that works now; renewed first where it must be. `access_token_expiry` is an RFC 3339 moment, left out when there is none.
   * Scope `read:connected_apps`.
   *
   * Codes (400): `INVALID_SESSION` (unknown or revoked) · `SESSION_PENDING` · `SESSION_EXPIRED` · `ACCESS_DENIED` · `RECONNECT_REQUIRED`:
   * only the user can help · 503 `PROVIDER_UNAVAILABLE`: try again after `retryAfter` seconds.
   */
  getConnectedAppToken<const O extends CallOptions = CallOptions>(
    query: TokenQuery,
    options?: O,
  ): Promise<Answer<TokenAnswer, O>> {
    return this.#make(operations.TOKEN, query, options)
  }

  /**
   * A request to the provider's API, as the runtime's `fetch` makes it, with the connection's token as its bearer. When the provider refuses the token (401),
   * the broker is asked for another one, once, and the request is sent again if its body can be: not if it is a stream. Any other answer is yours as it
   * is, and so is a 401 from where a redirect led, or where there is no other token: one that never ends has no successor, and the
   * user must connect again. Rejects as {@link getConnectedAppToken} does, and as `fetch`.
   *
   * The token goes wherever `url` says: **never take that from outside**. The client's `timeout` is for the broker; give the request a `signal` of its own.
   *
   * ```ts
   * const response = await api.fetch(session_id, 'https://api.github.com/user/repos')
   * ```
   */
  fetch(session_id: string, url: string | URL, init: RequestInit = {}): Promise<Response> {
    const options = init.signal ? { signal: init.signal } : {}
    const tokenOf = async (another: boolean): Promise<string> => {
      const { body } = await this.getConnectedAppToken({ session_id, ...(another && { force_refresh: true }) }, options)
      return body.access_token
    }
    return providerFetch(this.#fetch, tokenOf, url, init)
  }

  /**
   * Ends a connection. No token is handed out any more, and a Latchstring broker revokes it at the provider. Doing so twice is fine.
   * Scope `create:connected_apps`.
   *
   * Codes: `INVALID_SESSION` (400) for one that never was.
   */
  revokeConnectedAppToken<const O extends CallOptions = CallOptions>(
    query: RevokeQuery,
    options?: O,
  ): Promise<Answer<RevokeAnswer, O>> {
    return this.#make(operations.REVOKE, query, options)
  }

  /**
   * Finishes a connection of an app with `user_binding: complete`, in the request that the browser makes to the app's callback: take `session_id` and
   * `completion_code` from `readCallback`, and the user or organisation **from the login of that very request**, never from the URL.
   * The body is the connection. Scope `create:connected_apps`.
   *
   * Codes: `INVALID_COMPLETION` when they do not belong together: the attempt is over then, and the user begins again.
   */
  complete<const O extends CallOptions = CallOptions>(
    request: CompleteArguments,
    options?: O,
  ): Promise<Answer<ConnectionItem, O>> {
    return this.#make(operations.COMPLETE, request, options)
  }

  /** One page of connections, newest first; `next_token` of the body asks for the next. Filters narrow each other. Scope `read:connections`. */
  listConnections<const O extends CallOptions = CallOptions>(
    query: ConnectionListArguments = {},
    options?: O,
  ): Promise<Answer<ConnectionListAnswer, O>> {
    return this.#make(operations.LIST, query, options)
  }

  /**
   * All connections, fetching page after page as they are read. `page_size` says how many at a time, `next_token` where to begin.
   *
   * ```ts
   * for await (const { session_id, state } of api.allConnections({ user_id: 'u1' })) …
   * ```
   */
  allConnections(
    query: ConnectionListArguments = {},
    options: PagingOptions = {},
  ): AsyncGenerator<ConnectionItem, void, undefined> {
    return pages(
      (next_token) => this.listConnections({ ...query, next_token }, options),
      query.next_token,
      ({ connections }) => connections,
    )
  }

  /** A connection as it stands; its token is not asked for. Scope `read:connections`. Codes: `NOT_FOUND` (404). */
  getConnection<const O extends CallOptions = CallOptions>(session_id: string, options?: O): Promise<Answer<ConnectionItem, O>> {
    return this.#make(operations.READ, { session_id }, options)
  }

  /** Gives a connection another label, or with null none. The body is the connection. Scope `write:connections`. Codes: `NOT_FOUND` (404). */
  relabelConnection<const O extends CallOptions = CallOptions>(
    session_id: string,
    label: string | null,
    options?: O,
  ): Promise<Answer<ConnectionItem, O>> {
    return this.#make(operations.RELABEL, { session_id, label }, options)
  }

  /** Revokes a connection and forgets all that is known of it. To end one and keep that, revoke it. Scope `write:connections`. Codes: `NOT_FOUND` (404). */
  deleteConnection<const O extends CallOptions = CallOptions>(
    session_id: string,
    options?: O,
  ): Promise<Answer<ConnectionDeleteAnswer | undefined, O>> {
    return this.#make(operations.DELETE, { session_id }, options)
  }

  /**
   * One page of what happened to connections, oldest first; `next_token` of the body asks for the next. `after` takes the id of the last event
   * that was seen, or a moment to begin at. Filters narrow each other. Scope `read:events`.
   */
  listEvents<const O extends CallOptions = CallOptions>(
    query: EventListArguments = {},
    options?: O,
  ): Promise<Answer<EventListAnswer, O>> {
    return this.#make(operations.EVENTS, query, options)
  }

  /**
   * All events so far, fetching page after page as they are read. Keep the `id` of the last to go on `after` it another time.
   *
   * ```ts
   * for await (const { id, type, data } of api.allEvents({ after })) …
   * ```
   */
  allEvents(query: EventListArguments = {}, options: PagingOptions = {}): AsyncGenerator<EventItem, void, undefined> {
    return pages(
      (next_token) => this.listEvents({ ...query, next_token }, options),
      query.next_token,
      ({ events }) => events,
    )
  }

  /** Ends what is under way with the broker and refuses what comes after, both with a `ConnectionError`. Twice is fine. A provider is not hung up on. */
  close(): void {
    this.#calls.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  // The one place where an answer gets its type: `operation` promises `Body`, `options` choose the form.
  #make<Body, O extends CallOptions>(operation: Operation, given: unknown, options: O | undefined): Promise<Answer<Body, O>> {
    return this.#calls.make(operation, given, options ?? {}) as Promise<Answer<Body, O>>
  }
}

async function* pages<Body extends { readonly next_token: string | null }, Item>(
  fetchPage: (next_token: string | undefined) => Promise<ApiResponse<Body>>,
  first: string | undefined,
  itemsOf: (body: Body) => readonly Item[],
): AsyncGenerator<Item, void, undefined> {
  let next_token = first
  while (true) {
    const { body, status, headers } = await fetchPage(next_token)
    yield* itemsOf(body)
    if (!body.next_token) return
    if (body.next_token === next_token) {
      throw new ApiException(status, '', undefined, headers, {
        message: 'the list goes in a circle: a page named itself as the next',
      })
    }
    next_token = body.next_token
  }
}
