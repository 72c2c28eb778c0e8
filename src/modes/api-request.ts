/** A harmless question to a provider's API, with an access token and the headers that every request to it needs. */

import type { Registration } from '../core/app.ts'
import type { NetRequest } from '../core/ports.ts'
import { CLIENT_ID, expandUrl } from '../core/provider-url.ts'
import type { Secret } from '../core/secret.ts'
import { lowerCased } from './token-request.ts'

export function apiRequest(
  { provider, clientId, config }: Registration,
  { url, post }: { readonly url: string; readonly post?: string },
  accessToken: Secret,
): NetRequest {
  return {
    method: post === undefined ? 'GET' : 'POST',
    url: expandUrl(provider, url, { ...config, [CLIENT_ID]: clientId }),
    headers: {
      accept: 'application/json',
      ...(post !== undefined && { 'content-type': 'application/json' }),
      ...lowerCased(provider.api_headers),
      authorization: `Bearer ${accessToken.reveal()}`,
    },
    ...(post !== undefined && { body: post }),
    allowPrivateNetwork: provider.allow_private_network ?? false,
  }
}
