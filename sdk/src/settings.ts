/** What a client is made with: where the broker is, and who is asking. Checked once, so that a mistake shows at the start. */

import { ArgumentError, type Checked, check, field, text } from './arguments.ts'
import { isProvingPair, type Prove, type ProvingPair, prover } from './dpop.ts'
import type { Fetch } from './exchange.ts'
import { TIMEOUT_MS, type Timeout, timeout } from './options.ts'
import { runtimeFetch } from './runtime-fetch.ts'

type Tokens = string | (() => string | Promise<string>)

/** Where the broker is. */
interface Place {
  /** `https://connect.example.com`; a path before `/api/v1` and trailing slashes are welcome. Default: `https://app.kinde.com`. */
  readonly host?: string | undefined
  /** Instead of `host`: `acme` means `https://acme.kinde.com`. */
  readonly businessName?: string | undefined
}

/** With a bearer token from elsewhere: the token, or a function that is asked for one before every request. */
interface WithToken {
  readonly accessToken: Tokens
  readonly clientId?: undefined
  readonly clientSecret?: undefined
  readonly scopes?: undefined
  readonly audience?: undefined
  readonly dpop?: undefined
}

/** With credentials of its own: the client fetches its bearer token from `/oauth2/token` and renews it. */
interface WithClientCredentials {
  readonly clientId: string
  readonly clientSecret: string
  /** Default: all that the caller has. */
  readonly scopes?: readonly string[] | undefined
  /** `<issuer>/api`. A Latchstring broker needs none. */
  readonly audience?: string | undefined
  /**
   * Binds the bearer token to a key, so that whoever copies it cannot use it (RFC 9449); a caller with `dpop: required` must. `true`: to one that this client
   * makes and nobody can take out of it; or an ECDSA pair on P-256 of your own. Default: false.
   */
  readonly dpop?: boolean | ProvingPair | undefined
  readonly accessToken?: undefined
}

interface Manner {
  /** For calls that do not say otherwise. Default: 30 seconds for the whole call. */
  readonly timeout?: Timeout | undefined
  /** How often a GET, or the fetching of a bearer, that got no connection is tried again. Default: 3. POST, PATCH and DELETE are sent once. */
  readonly retries?: number | undefined
  /** Sends the requests instead of the global `fetch`, those to providers too. */
  readonly fetch?: Fetch | undefined
}

export type Configuration = Place & (WithToken | WithClientCredentials) & Manner

export type Credentials = { readonly kind: 'token'; readonly token: Tokens } | ClientCredentials

export interface ClientCredentials {
  readonly kind: 'client'
  readonly id: string
  readonly secret: string
  /** Separated by spaces. */
  readonly scope: string | undefined
  readonly audience: string | undefined
  /** null: the token is not bound to a key. */
  readonly prove: Prove | null
}

export interface Settings {
  /** No trailing slash. */
  readonly host: string
  readonly credentials: Credentials
  readonly timeout: Timeout
  readonly retries: number
  readonly fetch: Fetch
}

const HOST = 'https://app.kinde.com'
const RETRIES = 3

const SHAPE = {
  host: text,
  businessName: text,
  accessToken: field(
    'a string or a function that gives one',
    (v): v is Tokens => typeof v === 'function' || typeof v === 'string',
  ),
  clientId: text,
  clientSecret: text,
  scopes: field(
    'a list of scopes',
    (v): v is readonly string[] => Array.isArray(v) && v.every((s) => typeof s === 'string' && /^[!#-[\]-~]+$/.test(s)),
  ),
  audience: text,
  dpop: field(
    'true, or a key pair of ECDSA on P-256',
    (v): v is boolean | ProvingPair => typeof v === 'boolean' || isProvingPair(v),
  ),
  timeout,
  retries: field('a whole number from 0 to 10', (v): v is number => Number.isInteger(v) && Number(v) >= 0 && Number(v) <= 10),
  fetch: field('a function like fetch', (v): v is Fetch => typeof v === 'function'),
}

export function settingsOf(configuration: Configuration): Settings {
  const given = check('ConnectedAppsApi', SHAPE, configuration)
  return {
    host: hostOf(given.host, given.businessName),
    credentials: credentialsOf(given),
    timeout: given.timeout ?? TIMEOUT_MS,
    retries: given.retries ?? RETRIES,
    fetch: given.fetch ?? runtimeFetch,
  }
}

function hostOf(host: string | undefined, businessName: string | undefined): string {
  if (businessName !== undefined) {
    if (host !== undefined) throw new ArgumentError('ConnectedAppsApi takes host or businessName, not both')
    if (!/^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i.test(businessName))
      throw new ArgumentError('ConnectedAppsApi: businessName must be the acme of https://acme.kinde.com')
    return `https://${businessName}.kinde.com`
  }
  if (host === undefined) return HOST
  const url = URL.canParse(host) ? new URL(host) : undefined
  const plain = url && !url.username && !url.password && /^https?:[^?#]*$/.test(url.href)
  if (!plain)
    throw new ArgumentError(
      'ConnectedAppsApi: host must look like https://connect.example.com, with neither user, query nor fragment',
    )
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

function credentialsOf({ accessToken, clientId, clientSecret, scopes, audience, dpop }: Checked<typeof SHAPE>): Credentials {
  if (accessToken !== undefined) {
    const mixed = [clientId, clientSecret, scopes, audience, dpop].some((value) => value !== undefined)
    if (mixed)
      throw new ArgumentError(
        'ConnectedAppsApi takes accessToken or clientId and clientSecret (with scopes, audience and dpop), not both',
      )
    return { kind: 'token', token: accessToken }
  }
  if (clientId === undefined || clientSecret === undefined)
    throw new ArgumentError('ConnectedAppsApi needs accessToken, or clientId and clientSecret')
  const prove = dpop ? prover(dpop === true ? null : dpop, Date.now) : null
  return { kind: 'client', id: clientId, secret: clientSecret, scope: scopes?.join(' '), audience, prove }
}
