/** A service that can be connected, as its catalogue file describes it: data only, names as they stand in the YAML. */

export interface Provider {
  readonly id: string
  readonly name: string
  readonly mode: 'oauth2'

  /** The pages that the values come from, and the day they were compared with them (YYYY-MM-DD). */
  readonly docs?: readonly string[]
  readonly checked?: string

  /** The authorization server's issuer. Alone it is enough: the rest comes from discovery (OpenID Connect Discovery, RFC 8414). */
  readonly issuer?: string
  /** Whether every authorization answer carries `iss` (RFC 9207). When sent it is compared in any case. */
  readonly iss?: 'required' | 'optional'
  readonly authorize_url?: string
  readonly token_url?: string
  /** Where renewals go, when it is not `token_url`. */
  readonly refresh_url?: string
  readonly revoke_url?: string
  /** Pushed authorization requests (RFC 9126): the endpoint, and whether the provider takes nothing else. */
  readonly par_url?: string
  readonly require_par?: boolean
  readonly jwks_url?: string
  /** Private and loopback addresses are refused unless this says otherwise. */
  readonly allow_private_network?: boolean

  /**
   * Values an app must give for the `{name}` placeholders in URLs and hosts. `{client_id}` is the app's own and never declared here.
   * `provider-url.ts` fills them in.
   */
  readonly config?: Readonly<Record<string, ConfigField>>

  /** `basic` is raw, as most servers expect it; `basic_encoded` is percent-encoded, as RFC 6749 section 2.3.1 says. Default: `basic`. */
  readonly client_auth?: ClientAuth
  /** PKCE S256 is always sent unless the provider breaks on it. Default: true. */
  readonly pkce?: boolean
  readonly scopes?: {
    readonly separator?: ' ' | ',' | '+'
    /** Asked for when the app names none. */
    readonly default?: readonly string[]
    /** Always asked for, because without them there is no refresh token. */
    readonly offline?: readonly string[]
    /** Whether a new consent of an account adds to what it consented to before. Default: `replaces`. */
    readonly reconnect?: 'replaces' | 'adds'
  }
  /** Fixed parameters added to the authorization, token and renewal requests. */
  readonly authorize_params?: Readonly<Record<string, string>>
  readonly token_params?: Readonly<Record<string, string>>
  readonly refresh_params?: Readonly<Record<string, string>>
  readonly token_headers?: Readonly<Record<string, string>>
  /** Headers that every request to the provider's API needs: they are sent with revocations, `identity` and `probe`. */
  readonly api_headers?: Readonly<Record<string, string>>
  /** How the token request's parameters travel. Default: `form`. */
  readonly token_body?: 'form' | 'json' | 'query'
  /** Standard parameter name to the provider's own, such as `{ client_id: client_key }`. */
  readonly param_names?: Readonly<Record<string, string>>

  /** Dotted path of the object that holds the token, such as `authed_user`. An answer without that object is read as if there were no path. */
  readonly answer_at?: string
  /** Further tokens of the same answer: our name for each, to its dotted path. */
  readonly also?: Readonly<Record<string, string>>
  /** Dotted path of the error code in an answer that is one whatever its status. `error` is always looked at. */
  readonly error_at?: string
  readonly expires?: {
    /** Seconds, when the answer does not say. */
    readonly default?: number
    /** The answer's `expires_in` counts these. Default: seconds. */
    readonly unit?: 'seconds' | 'milliseconds'
    /** Dotted path of the moment of expiry (epoch seconds, epoch milliseconds or ISO 8601) instead of a duration. */
    readonly at?: string
  }
  /** Fields of the token answer (dotted paths), and of the callback's query, that are needed later (`instance_url`, `realmId`). */
  readonly keep_from_answer?: readonly string[]
  readonly keep_from_callback?: readonly string[]

  /** How many renewals it is asked for at once, by each process. Default: 16. */
  readonly concurrency?: number
  readonly rotation?: {
    /**
     * How long a spent refresh token still gets its successor: `300s`, `until_next_use` (until the successor is used, or for good where
     * refresh tokens are not rotated) or `none`. Left out: nobody says.
     */
    readonly window?: string
  }
  /** Days (`60d`) after which a refresh token that was not used is dead. */
  readonly refresh_token_idle?: string
  /** The provider's own words for what went wrong, by who can act on it. They win over the built-in judgement. */
  readonly errors?: {
    readonly permanent?: readonly string[]
    readonly transient?: readonly string[]
    readonly app?: readonly string[]
    readonly unclear?: readonly string[]
  }
  /** How to revoke, where it is not RFC 7009 with the refresh token first. */
  readonly revoke?: {
    readonly method?: 'POST' | 'DELETE'
    readonly body?: 'form' | 'json' | 'query' | 'none'
    /** Name of the parameter that carries the token. Default: `token`; `none`: it is not in the body. */
    readonly token_param?: string
    /** As `param_names` above, for the client's own parameters of this request. */
    readonly param_names?: Readonly<Record<string, string>>
    /** How the request authenticates. Default: as the token endpoint does. */
    readonly auth?: 'client' | 'bearer' | 'none'
    /** With `auth: client`, how the client authenticates here, where that is not `client_auth` above. */
    readonly client_auth?: ClientAuth
    /**
     * Which token is sent. Default: the refresh token if there is one, else the access token. `both`: the one after the other, because neither
     * takes the other along; it is gone when both are.
     */
    readonly token?: 'refresh' | 'access' | 'both'
    /** Statuses that mean it is gone. Default: 200 to 299. */
    readonly ok?: readonly number[]
    /** Error codes of its answer, whatever the status, that mean it was gone already. Any other error code is a failure, even with 200. */
    readonly gone?: readonly string[]
  }
  /**
   * Where to read the connected account's stable id and a name a person knows it by: a GET with the access token, or a POST with the JSON
   * that stands under `post`. `id` and `label` are dotted paths; a number in them is a place in a list.
   */
  readonly identity?: { readonly url: string; readonly post?: string; readonly id: string; readonly label?: string }
  /** The same, where the answer to the code tells it (dotted paths from its top): nobody needs to be asked. Wins over `identity`. */
  readonly account_at?: { readonly id: string; readonly label?: string }
  /** A harmless request, GET unless there is something to `post`, that proves a token lives or is dead. */
  readonly probe?: { readonly url: string; readonly post?: string; readonly dead?: readonly number[] }
  /** Hosts an access token may be sent to: exact names, or `*.` and a domain for everything below it. */
  readonly hosts?: readonly string[]
}

export type ClientAuth = 'basic' | 'basic_encoded' | 'post' | 'none' | 'private_key_jwt'

export interface ConfigField {
  readonly title: string
  /** A regular expression that the whole value must match. */
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly default?: string
  readonly example?: string
}
