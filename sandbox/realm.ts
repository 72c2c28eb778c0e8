/** Everything one sandbox knows. Endpoints are functions over it; nothing lives in a module, so many sandboxes share a process. */

import type { JWK } from 'jose'
import type { Bounded } from './bounded.ts'
import type { Grants } from './grants.ts'
import type { Signer } from './signer.ts'
import type { Switches } from './switches.ts'
import type { TokenPress } from './tokens.ts'

/** The broker's words for the ways an app can prove itself, plus nothing. */
export type ClientAuth = 'basic' | 'basic_encoded' | 'post' | 'none' | 'private_key_jwt'

/** An app that is registered here. */
export interface Client {
  readonly client_id: string
  readonly client_secret?: string
  readonly name?: string
  /** Compared to the letter. Left out: any http or https address will do. */
  readonly redirect_uris?: readonly string[]
  /** Left out: every way for which it holds a credential. */
  readonly auth?: readonly ClientAuth[]
  /** Its public key, for `private_key_jwt`. */
  readonly jwk?: JWK
  /** The scopes it may ask for. Left out: any. */
  readonly scopes?: readonly string[]
}

/** Somebody with an account here. */
export interface User {
  readonly id: string
  readonly name: string
  readonly email: string
}

export interface Realm {
  /** Where this sandbox answers, and its issuer. */
  readonly url: string
  readonly users: readonly User[]
  readonly clients: Map<string, Client>
  readonly grants: Grants
  readonly tokens: TokenPress
  readonly signer: Signer
  /** Requests pushed to `/par`, by the last part of their `request_uri`. */
  readonly pushed: Bounded<PushedRequest>
  /** Ids of client assertions already seen: each is good once. */
  readonly assertions: Bounded<true>
  switches: Switches
  /** Milliseconds since 1970, by the sandbox's own clock. */
  now(): number
}

export interface PushedRequest {
  readonly clientId: string
  readonly params: string
  readonly expiresAt: number
}
