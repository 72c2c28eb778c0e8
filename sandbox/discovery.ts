/** GET /.well-known/openid-configuration, /.well-known/oauth-authorization-server (RFC 8414) and /jwks. */

import type { Answer } from './answer.ts'
import type { Realm } from './realm.ts'

export function discovery(realm: Realm): Answer {
  const { url, switches } = realm
  const ways = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
  const document = {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    revocation_endpoint: `${url}/revoke`,
    introspection_endpoint: `${url}/introspect`,
    userinfo_endpoint: `${url}/userinfo`,
    pushed_authorization_request_endpoint: `${url}/par`,
    require_pushed_authorization_requests: switches.require_par,
    jwks_uri: `${url}/jwks`,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    claims_supported: ['iss', 'aud', 'sub', 'exp', 'iat', 'nonce', 'name', 'email', 'email_verified'],
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    token_endpoint_auth_methods_supported: [...ways, 'none'],
    token_endpoint_auth_signing_alg_values_supported: ['RS256', 'ES256', 'EdDSA'],
    revocation_endpoint_auth_methods_supported: [...ways, 'none'],
    introspection_endpoint_auth_methods_supported: ways,
    ...(switches.pkce !== 'refused' && { code_challenge_methods_supported: ['S256'] }),
    authorization_response_iss_parameter_supported: ['on', 'wrong', 'missing'].includes(switches.iss),
  }
  return { status: 200, json: document }
}

export async function jwks(realm: Realm): Promise<Answer> {
  return { status: 200, json: await realm.signer.jwks() }
}
