/** What others need to verify our caller tokens: the key set at both paths that clients look at, and discovery. */

import type { FastifyInstance } from 'fastify'
import { exportJWK } from 'jose'
import { SCOPES } from '../core/caller.ts'
import type { Ports } from '../core/ports.ts'
import type { CallerTokens } from './caller-token.ts'
import { PROOF_ALGORITHMS } from './dpop.ts'
import { sendJson } from './reply.ts'

const KEY_SET_PATHS = ['/.well-known/jwks', '/.well-known/jwks.json'] as const
const DISCOVERY_PATH = '/.well-known/openid-configuration'
export const PUBLISHED_PATHS = [...KEY_SET_PATHS, DISCOVERY_PATH] as const

/** Anybody may read these, and whether they are there too. */
const AND_HEAD = { exposeHeadRoute: true }

export function wellKnown(app: FastifyInstance, { publicUrl }: Ports, tokens: CallerTokens): void {
  for (const path of KEY_SET_PATHS)
    app.get(path, AND_HEAD, async (_request, reply) => sendJson(reply, 200, { keys: await keySetOf(tokens) }))

  const discovery = {
    issuer: publicUrl,
    token_endpoint: `${publicUrl}/oauth2/token`,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: SCOPES,
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
  }
  app.get(DISCOVERY_PATH, AND_HEAD, async (_request, reply) => sendJson(reply, 200, discovery))
}

/** The newest first: it is the one that is asked for most, or soon will be. */
async function keySetOf({ published }: CallerTokens): Promise<object[]> {
  return Promise.all(
    published
      .toReversed()
      .map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' })),
  )
}
