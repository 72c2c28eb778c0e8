/** Our registration at a provider: client id, secret, scopes and callbacks, known by its `key_code_ref`. */

import type { Provider } from './provider.ts'
import type { Secret } from './secret.ts'

/** How sure we are that the browser that finishes belongs to the user who started; weakest first. */
export type UserBinding = 'none' | 'confirm' | 'callback' | 'complete'

export interface App {
  readonly tenant: string
  readonly keyCodeRef: string
  readonly provider: string
  readonly name: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** Where the browser goes when the provider is done with it; null: it stays on a page of ours. */
  readonly callbackUrl: string | null
  readonly allowedCallbackUrls: readonly string[]
  readonly userBinding: UserBinding
  /** Values for the placeholders in the provider's URLs. */
  readonly config: Readonly<Record<string, string>>
  /** A newly connected account replaces the owner's earlier ones of the same app. */
  readonly onePerOwner: boolean
  /** The same for earlier ones of the same account at the provider. */
  readonly onePerAccount: boolean
  /** A connection may be connected again with another account than before. */
  readonly allowAccountChange: boolean
  /** What a grant must have to become a connection, as the provider names it. */
  readonly requiredScopes: readonly string[]
  /** Come back to the plain `/connected_apps/callback`, for registrations made with it elsewhere. */
  readonly sharedRedirectUri: boolean
  /** Days without a hand-out after which its connections are revoked; null: never. */
  readonly revokeWhenUnused: number | null
  readonly sealed: SealedAppSecrets
  readonly createdAt: number
  readonly updatedAt: number
}

/** What a store holds of an app's secrets; the app's row key is bound in. */
export interface SealedAppSecrets {
  readonly dataKey: Uint8Array
  readonly clientSecret: Uint8Array | null
  readonly privateKey: Uint8Array | null
}

/** An app with its secrets opened and its provider looked up: what a mode needs to speak to the provider. */
export interface Registration {
  readonly provider: Provider
  readonly clientId: string
  readonly clientSecret: Secret | null
  /** PKCS #8 PEM or a JWK as JSON, for `private_key_jwt`. */
  readonly privateKey: Secret | null
  readonly config: Readonly<Record<string, string>>
}

/** What users are asked for: what the app names, or else what the provider's file does. */
export function scopesAskedFor({ scopes }: Pick<App, 'scopes'>, provider: Provider): readonly string[] {
  return scopes.length > 0 ? scopes : (provider.scopes?.default ?? [])
}
