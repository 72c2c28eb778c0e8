/** OAuth 2: the authorization code flow with PKCE, renewal by refresh token, and revocation, with any provider that a file can describe. */

import type { Mode, Net } from '../core/ports.ts'
import { askAccount } from './account.ts'
import { authorizationParams, authorizationUrl, issuerRequired, mustPush, push } from './authorization.ts'
import { endpointsOf } from './endpoints.ts'
import { exchangeCode } from './exchange.ts'
import { createIdTokenJudge } from './id-token.ts'
import { createMetadataSource } from './metadata.ts'
import { probe } from './probe.ts'
import { prepareRenewal } from './renewal.ts'
import { revoke } from './revocation.ts'
import type { Means } from './token-endpoint.ts'

export interface OAuth2Options {
  readonly net: Net
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Of everything but documents (metadata, key sets): no answer about one token needs more, and reading one keeps everybody else waiting. */
const ANSWER_BYTES_MAX = 262_144

export function createOAuth2Mode({ net, now }: OAuth2Options): Mode {
  const means: Means = {
    net: { request: (request) => net.request({ ...request, bodyBytesMax: ANSWER_BYTES_MAX }) },
    now,
    metadataOf: createMetadataSource({ net, now }),
    judgeIdToken: createIdTokenJudge({ net, now }),
  }

  return {
    async begin(registration, request) {
      const endpoints = await endpointsOf(registration, means.metadataOf, ['authorize_url'])
      const params = await authorizationParams(registration, request, endpoints)
      const carried = mustPush(registration, endpoints) ? await push(means, registration, params) : params
      const url = authorizationUrl(registration, endpoints, carried)
      return { url, issuer: endpoints.issuer, issuerRequired: issuerRequired(registration, endpoints) }
    },

    async pushes(registration) {
      return mustPush(registration, await endpointsOf(registration, means.metadataOf, ['authorize_url']))
    },

    async authorizeOrigin(registration) {
      const endpoints = await endpointsOf(registration, means.metadataOf, ['authorize_url'])
      return new URL(authorizationUrl(registration, endpoints, {})).origin
    },

    account: (registration, { accessToken }) => askAccount(means.net, registration, accessToken),
    exchange: (registration, answer) => exchangeCode(means, registration, answer),
    prepareRenewal: (registration, credentials) => prepareRenewal(means, registration, credentials),
    revoke: (registration, credentials) => revoke(means, registration, credentials),
    probe: (registration, credentials) => probe(means.net, registration, credentials),
  }
}
