/** Secrets that are used once: states, handles, verifiers, completion codes. We keep their hashes, the world keeps them. */

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { Secret } from './secret.ts'

/** 256 bits from the system's generator, base64url: 43 characters, which is what PKCE wants too (RFC 7636 section 4.1). */
export function mint(): Secret {
  return new Secret(randomBytes(32).toString('base64url'))
}

/** For rows. 144 bits: in `callback` binding whoever knows a session id may use it, so it must not be guessable. */
export function mintId(): string {
  const id = randomBytes(18).toString('base64url')
  // On the command line it would be taken for an option.
  return id.startsWith('-') ? mintId() : id
}

/** Compares without telling by its time where the difference is. */
export function sameDigest(a: string | null, b: string | null): boolean {
  if (a === null || b === null) return false
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
