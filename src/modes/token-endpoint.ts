/** Speaking to a token endpoint: what both the exchange of a code and the renewal of a token are made of. */

import type { Registration } from '../core/app.ts'
import type { Credentials } from '../core/connection.ts'
import type { Grant, Net, NetRequest } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { clientAuthOf, proveClient } from './client-auth.ts'
import type { Endpoints } from './endpoints.ts'
import type { IdTokenJudge } from './id-token.ts'
import type { MetadataSource } from './metadata.ts'
import type { Tokens } from './oauth2-answer.ts'
import { type Params, tokenRequest } from './token-request.ts'

/** What the mode works with. */
export interface Means {
  readonly net: Net
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly metadataOf: MetadataSource
  readonly judgeIdToken: IdTokenJudge
}

export async function authenticatedRequest(
  { now }: Means,
  registration: Registration,
  { issuer, metadata, find }: Endpoints,
  url: string,
  params: Params,
  fixed: Params = {},
): Promise<NetRequest> {
  const audience = issuer ?? find('token_url') ?? url
  const proof = await proveClient(registration, clientAuthOf(registration, metadata), audience, now(), metadata)
  return tokenRequest(registration, url, params, fixed, proof)
}

/** What an answer leaves out of its further tokens and kept fields stays as it was. */
export function grantOf(tokens: Tokens, before: Pick<Credentials, 'also' | 'kept'>): Grant {
  const { accessToken, refreshToken, tokenType, expiresAt, scopes } = tokens
  const also = { ...before.also, ...tokens.also }
  const kept = { ...before.kept, ...tokens.kept }
  return {
    credentials: { kind: 'oauth2', accessToken, refreshToken, also, kept },
    tokenType,
    expiresAt,
    grantedScopes: scopes,
    account: null,
  }
}

export function present(...secrets: readonly (Secret | null)[]): Secret[] {
  return secrets.filter((secret) => secret !== null)
}
