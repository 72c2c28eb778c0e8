/** How an app proves to a provider that it is itself: in a header, in the parameters, with a signature, or not at all. */

import { createPrivateKey, type KeyObject } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import type { Registration } from '../core/app.ts'
import { BrokerError } from '../core/errors.ts'
import type { ClientAuth } from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import type { Metadata } from './metadata.ts'

export interface ClientProof {
  readonly headers: Readonly<Record<string, string>>
  readonly params: Readonly<Record<string, string>>
}

/** What the provider's file says; else what the app's credentials and the server's metadata leave. */
export function clientAuthOf({ provider, clientSecret, privateKey }: Registration, metadata: Metadata | null): ClientAuth {
  if (provider.client_auth) return provider.client_auth
  if (!clientSecret) return privateKey ? 'private_key_jwt' : 'none'
  const supported = metadata?.token_endpoint_auth_methods_supported
  if (!supported || supported.includes('client_secret_basic')) return 'basic'
  return supported.includes('client_secret_post') ? 'post' : 'basic'
}

/**
 * `audience`: the issuer where it is known, else the token endpoint. Throws `CONNECT_FAILED` when the app lacks what the method needs.
 * The token endpoint's clock judges assertions, so `now` should be right.
 */
export async function proveClient(
  registration: Registration,
  method: ClientAuth,
  audience: string,
  now: number,
  metadata: Metadata | null = null,
): Promise<ClientProof> {
  const { clientId } = registration
  switch (method) {
    case 'none':
      return { headers: {}, params: { client_id: clientId } }
    case 'post':
      return { headers: {}, params: { client_id: clientId, client_secret: secretOf(registration).reveal() } }
    case 'basic':
      return { headers: basic(clientId, secretOf(registration).reveal()), params: {} }
    case 'basic_encoded':
      return { headers: basic(formEncoded(clientId), formEncoded(secretOf(registration).reveal())), params: {} }
    case 'private_key_jwt':
      return { headers: {}, params: await assertion(registration, audience, now, metadata) }
  }
}

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

/** RFC 6749 appendix B: as a form's value is encoded. */
function formEncoded(value: string): string {
  return new URLSearchParams({ _: value }).toString().slice('_='.length)
}

/** RFC 7523. The audience is one string and never a list: with a list, one server could play the assertion to another. */
async function assertion({ clientId, privateKey }: Registration, audience: string, now: number, metadata: Metadata | null) {
  if (!privateKey) throw new BrokerError('CONNECT_FAILED', 'the app has no private key, and its provider wants private_key_jwt')
  const params = new URLSearchParams()
  const client = { client_id: clientId, [oauth.clockSkew]: Math.floor(now / 1000) - Math.floor(Date.now() / 1000) }
  const sign = oauth.PrivateKeyJwt(signingKey(privateKey, metadata?.token_endpoint_auth_signing_alg_values_supported))
  await sign({ issuer: audience }, client, params, new Headers())
  return Object.fromEntries(params)
}

const HASHES = { '256': 'SHA-256', '384': 'SHA-384', '512': 'SHA-512' } as const
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }

/** The key decides the algorithm: a JWK by its `alg`, an RSA key by what the server takes, RS256 if it does not say. */
function signingKey(privateKey: Secret, supported: unknown): oauth.PrivateKey {
  const { key, alg, kid } = readKey(privateKey)
  const usages = ['sign'] as const
  const named = kid === undefined ? {} : { kid }
  if (key.asymmetricKeyType === 'ec') {
    const namedCurve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
    if (namedCurve) return { key: key.toCryptoKey({ name: 'ECDSA', namedCurve }, false, usages), ...named }
  }
  if (key.asymmetricKeyType === 'ed25519') return { key: key.toCryptoKey('Ed25519', false, usages), ...named }
  if (key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss') {
    const wanted = alg ?? rsaAlgorithm(key, supported)
    const name = wanted.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5'
    const hash = HASHES[wanted.slice(2) as keyof typeof HASHES] ?? 'SHA-256'
    return { key: key.toCryptoKey({ name, hash }, false, usages), ...named }
  }
  throw new BrokerError(
    'CONNECT_FAILED',
    "the app's private key is of a kind that cannot sign assertions: use RSA, P-256 or Ed25519",
  )
}

function rsaAlgorithm(key: KeyObject, supported: unknown): string {
  if (key.asymmetricKeyType === 'rsa-pss') return 'PS256'
  return Array.isArray(supported) && !supported.includes('RS256') && supported.includes('PS256') ? 'PS256' : 'RS256'
}

function readKey(privateKey: Secret): { key: KeyObject; alg?: string | undefined; kid?: string | undefined } {
  const text = privateKey.reveal().trim()
  try {
    if (!text.startsWith('{')) return { key: createPrivateKey(text) }
    const jwk = JSON.parse(text) as { alg?: string; kid?: string }
    return { key: createPrivateKey({ key: jwk, format: 'jwk' }), alg: jwk.alg, kid: jwk.kid }
  } catch {
    // What the parser says may quote what it read.
    throw new BrokerError('CONNECT_FAILED', "the app's private key cannot be read: it must be PKCS #8 in PEM, or a private JWK")
  }
}

function secretOf({ clientSecret }: Registration): Secret {
  if (clientSecret) return clientSecret
  throw new BrokerError(
    'CONNECT_FAILED',
    'the app has no client secret, and its provider wants one (client_auth: none is for apps without)',
  )
}
