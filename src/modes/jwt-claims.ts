/** The claims inside a JWT, read without any check: good for an expiry or a first look, never for who somebody is. */

import { decodeJwt, type JWTPayload } from 'jose'

/** Null when it is no JWT. */
export function unverifiedClaims(token: string): JWTPayload | null {
  if (token.split('.', 4).length !== 3) return null
  try {
    return decodeJwt(token)
  } catch {
    return null
  }
}
