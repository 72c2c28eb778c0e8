/** Reads what an app asks of a user (RFC 6749 4.1.1, RFC 7636 4.3, RFC 9126 4), and judges it. Used by every page that acts on it. */

import { OAuthError } from './answer.ts'
import type { Client, Realm } from './realm.ts'
import { repeatedIn } from './request.ts'
import { scopesIn } from './scopes.ts'

export const REQUEST_URI = 'urn:ietf:params:oauth:request_uri:'

export interface AuthorizationRequest {
  readonly client: Client
  readonly redirectUri: string
  /** Whether the request named the address itself; then the token request must name it too. */
  readonly named: boolean
  readonly state: string | null
  readonly scope: readonly string[]
  readonly prompt: readonly string[]
  readonly loginHint: string | null
  readonly nonce: string | null
  readonly challenge: string | null
  /** Whether the app asked to act while the user is away. */
  readonly offline: boolean
  readonly pushedAs: string | null
}

/** A mistake that the browser may carry back to the app, because the address to carry it to is known to be the app's. */
export class Returnable extends Error {
  readonly code: string
  readonly request: Pick<AuthorizationRequest, 'redirectUri' | 'state'>

  constructor(code: string, description: string, request: Returnable['request']) {
    super(description)
    this.code = code
    this.request = request
  }
}

/** Throws an `OAuthError` that only the person may see, or a `Returnable` that the app may see too. */
export function readAuthorizationRequest(realm: Realm, query: URLSearchParams): AuthorizationRequest {
  const client = realm.clients.get(query.get('client_id') ?? '')
  if (!client) throw new OAuthError('invalid_client', 'This app is not registered here: its client_id is unknown.')
  const { params, pushedAs } = unpushed(realm, client, query)
  return { client, pushedAs, ...judge(realm, client, params) }
}

/** The part that `/par` checks as well. */
export function judge(realm: Realm, client: Client, params: URLSearchParams): Omit<AuthorizationRequest, 'client' | 'pushedAs'> {
  const redirectUri = redirectUriFor(client, params)
  const state = params.get('state')
  const no = (code: string, why: string): Returnable => new Returnable(code, why, { redirectUri, state })

  const repeated = repeatedIn(params)
  if (repeated) throw no('invalid_request', `${repeated} was sent more than once`)
  const type = params.get('response_type')
  if (!type) throw no('invalid_request', 'response_type is missing')
  if (type !== 'code') throw no('unsupported_response_type', 'only response_type=code is supported')
  if ((params.get('response_mode') ?? 'query') !== 'query') throw no('invalid_request', 'only response_mode=query is supported')

  const scope = scopesIn(realm, params.get('scope'))
  const foreign = client.scopes && scope.find((one) => !client.scopes!.includes(one))
  if (foreign !== undefined) throw no('invalid_scope', `${foreign} is not for this app`)
  const prompt = (params.get('prompt') ?? '').split(' ').filter(Boolean)
  if (prompt.includes('none') && prompt.length > 1) throw no('invalid_request', 'prompt=none stands alone')

  return {
    redirectUri,
    named: params.has('redirect_uri'),
    state,
    scope,
    prompt,
    loginHint: params.get('login_hint'),
    nonce: params.get('nonce'),
    challenge: challengeIn(realm, client, params, no),
    offline: scope.includes('offline_access') || params.get('access_type') === 'offline',
  }
}

/** The parameters that count: those in the address, or those pushed before. */
function unpushed(realm: Realm, client: Client, query: URLSearchParams): { params: URLSearchParams; pushedAs: string | null } {
  const uri = query.get('request_uri')
  if (uri === null) {
    if (!realm.switches.require_par) return { params: query, pushedAs: null }
    throw new OAuthError('invalid_request', 'This app must push its request to /par first.')
  }
  const pushedAs = uri.startsWith(REQUEST_URI) ? uri.slice(REQUEST_URI.length) : ''
  const pushed = realm.pushed.get(pushedAs)
  if (!pushed || pushed.clientId !== client.client_id || pushed.expiresAt <= realm.now()) {
    throw new OAuthError('invalid_request_uri', 'The pushed request is unknown, used, too old or of another app.')
  }
  return { params: new URLSearchParams(pushed.params), pushedAs }
}

function redirectUriFor(client: Client, params: URLSearchParams): string {
  const [asked, ...more] = params.getAll('redirect_uri')
  const registered = client.redirect_uris
  if (more.length > 0) throw new OAuthError('invalid_request', 'redirect_uri was sent more than once.')
  if (asked === undefined) {
    if (registered?.length === 1) return registered[0]!
    throw new OAuthError('invalid_request', 'redirect_uri is missing.')
  }
  // RFC 9700 2.1: to the letter. Anything cleverer has been an open redirect somewhere.
  if (registered ? !registered.includes(asked) : !isWebAddress(asked)) {
    throw new OAuthError('invalid_request', 'This redirect_uri is not one that the app has registered.')
  }
  return asked
}

function isWebAddress(text: string): boolean {
  return /^https?:\/\/[^\s#]+$/.test(text) && URL.canParse(text)
}

type No = (code: string, why: string) => Returnable

function challengeIn(realm: Realm, client: Client, params: URLSearchParams, no: No): string | null {
  const challenge = params.get('code_challenge')
  const { pkce } = realm.switches
  if (challenge === null) {
    const isPublic = client.client_secret === undefined && client.jwk === undefined
    if (pkce === 'required' || (pkce === 'optional' && isPublic))
      throw no('invalid_request', 'code_challenge is missing: PKCE is required')
    return null
  }
  if (pkce === 'refused') throw no('invalid_request', 'unknown parameter: code_challenge')
  // Without a method the default is `plain`, which proves nothing to anyone who sees the address.
  if (params.get('code_challenge_method') !== 'S256') throw no('invalid_request', 'code_challenge_method must be S256')
  if (!/^[\w-]{43}$/.test(challenge)) throw no('invalid_request', 'code_challenge is not the base64url of a SHA-256')
  return challenge
}
