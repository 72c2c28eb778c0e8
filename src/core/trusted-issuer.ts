/** Somebody else whose tokens are taken from callers, and what their claims mean here. */

import type { Scope } from './caller.ts'

export interface TrustedIssuer {
  /** As `iss` says it, character for character. */
  readonly issuer: string
  /** One of a token's `aud` must be this. */
  readonly audience: string
  /** null: its discovery document says. */
  readonly jwksUrl: string | null
  readonly algorithms: readonly SigningAlgorithm[]
  readonly clockToleranceS: number
  readonly scopeClaim: string
  /** What a word of the claim allows here; null: the words are our scopes. */
  readonly scopes: Readonly<Record<string, readonly Scope[]>> | null
  /** Whose connections its callers see: always the same, or what a claim says, and then a token without it is refused. */
  readonly tenant: { readonly named: string } | { readonly claim: string }
  readonly allowPrivateNetwork: boolean
}

/** Asymmetric, all of them: with a shared secret whoever checks a token could make one. */
export const SIGNING_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const

export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]
