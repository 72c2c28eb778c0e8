/** Where to speak to a provider: what its file says, and what discovery says of the rest. */

import type { Registration } from '../core/app.ts'
import { BrokerError } from '../core/errors.ts'
import { CLIENT_ID, expandUrl } from '../core/provider-url.ts'
import type { Metadata, MetadataSource } from './metadata.ts'

export type Endpoint = 'authorize_url' | 'token_url' | 'refresh_url' | 'revoke_url' | 'par_url' | 'jwks_url'

export interface Endpoints {
  /** null: unknown, so nothing can be compared with it. */
  readonly issuer: string | null
  /** null when it was not needed: the provider's file says everything. */
  readonly metadata: Metadata | null
  /** null: the provider has none that we know of. */
  find(endpoint: Endpoint): string | null
  /** Throws `CONNECT_FAILED` when there is none. */
  need(endpoint: Endpoint): string
}

const METADATA_FIELD = {
  authorize_url: 'authorization_endpoint',
  token_url: 'token_endpoint',
  revoke_url: 'revocation_endpoint',
  par_url: 'pushed_authorization_request_endpoint',
  jwks_url: 'jwks_uri',
} as const satisfies Record<Exclude<Endpoint, 'refresh_url'>, keyof Metadata>

/**
 * Whoever names where browsers go and where codes are redeemed depends on no discovery document, unless the file lacks one of `wanted`. All others are
 * described by theirs, also where a URL is named: how clients authenticate there, and what an answer has to carry, stands in it.
 */
export async function endpointsOf(
  { provider, clientId, config }: Registration,
  metadataOf: MetadataSource,
  wanted: readonly Endpoint[],
): Promise<Endpoints> {
  const values = { ...config, [CLIENT_ID]: clientId }
  const issuer = provider.issuer === undefined ? null : expandUrl(provider, provider.issuer, values)
  const needed: readonly Endpoint[] = ['authorize_url', 'token_url', ...wanted]
  const complete = needed.every((endpoint) => provider[endpoint] !== undefined)
  const metadata = issuer === null || complete ? null : await metadataOf(issuer, provider.allow_private_network ?? false)

  const find = (endpoint: Endpoint): string | null => {
    const own = provider[endpoint]
    if (own !== undefined) return expandUrl(provider, own, values)
    const discovered = endpoint === 'refresh_url' ? undefined : metadata?.[METADATA_FIELD[endpoint]]
    return typeof discovered === 'string' ? discovered : null
  }
  const whyNot = (endpoint: Endpoint): string => {
    if (metadata === null || endpoint === 'refresh_url') return 'no issuer to discover it from'
    return `the discovery document of ${issuer} has no ${METADATA_FIELD[endpoint]}: name its ${endpoint}`
  }
  return {
    issuer,
    metadata,
    find,
    need(endpoint) {
      const url = find(endpoint)
      if (url === null) throw new BrokerError('CONNECT_FAILED', `${provider.name} has no ${endpoint}, and ${whyNot(endpoint)}`)
      return url
    },
  }
}
