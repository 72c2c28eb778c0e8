/** What an operator wants to be so, as `latchstring.yaml` says it: providers, apps and callers, before anything is stored or sealed. */

import type { App } from './app.ts'
import type { Scope } from './caller.ts'
import type { Pins } from './pins.ts'
import type { Provider } from './provider.ts'
import { isLoopback } from './provider-url.ts'
import type { Secret } from './secret.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

export interface Setup {
  /** One's own, besides the catalogue. */
  readonly providers: readonly Provider[]
  readonly apps: readonly AppSetup[]
  readonly callers: readonly CallerSetup[]
  readonly issuers?: readonly TrustedIssuer[]
}

export interface AppSetup extends Omit<App, 'sealed' | 'createdAt' | 'updatedAt'> {
  readonly clientSecret: Secret | null
  /** PKCS #8 PEM or a JWK as JSON, for `private_key_jwt`. */
  readonly privateKey: Secret | null
}

export interface CallerSetup {
  readonly clientId: string
  readonly tenant: string
  /** null: one is generated, once. */
  readonly clientSecret: Secret | null
  readonly scopes: readonly Scope[]
  readonly owner: string
  readonly expiresAt: number | null
  readonly pins: Pins
  readonly dpop: boolean
  readonly rateLimit: number | null
}

export const DEFAULT_TENANT = 'default'

const URL_CHARACTERS_MAX = 2048

/** What is wrong with a URL that browsers are sent to at the end of a connection, or null. */
export function callbackUrlProblem(url: string): string | null {
  if (url.length > URL_CHARACTERS_MAX) return `must be ${URL_CHARACTERS_MAX} characters at most`
  if (/[\s\\\p{Cc}]/u.test(url)) return 'must not contain spaces, backslashes or control characters'
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:\/\/[^/?#]/i.test(url)) return 'must be an absolute URL, https://…'
  if (/^[^/]*\/\/[^/?#]*@/.test(url)) return 'must not carry a user name or password'
  if (url.includes('#')) return 'must not have a fragment (#…)'
  if (parsed.hostname.includes('*')) return 'must not have a wildcard: it is compared character for character'
  if (parsed.protocol === 'https:' || isLoopback(parsed.hostname)) return null
  return 'must begin with https://, because over http:// anybody on the way can take the connection (http:// is for loopback addresses only)'
}
