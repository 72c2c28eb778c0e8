/** Makes a provider's own words fit to be stored, logged and shown: short, printable, and without any token in them. */

import type { Secret } from '../core/secret.ts'

const TEXT_LENGTH_MAX = 300
const REDACTED = '[redacted]'
/** Shorter ones are words: taking them out would only mangle the text, and they protect nothing. */
const SECRET_LENGTH_MIN = 4

/** A run of characters that tokens are made of, long enough to be one. */
const TOKEN_LIKE = /[A-Za-z0-9_~+/=%.-]{20,}/g
const PLAIN_WORD_MAX = 48

/** `secrets`: what was sent, because some servers quote it back. What merely looks like a token goes too. Null when nothing is left. */
export function redacted(text: string, secrets: readonly (Secret | string)[]): string | null {
  const known = withoutSecrets(text, secrets)
  const printable = known.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  const clean = withoutSecrets(printable, secrets).replace(TOKEN_LIKE, (run) => (looksLikeToken(run) ? REDACTED : run))
  if (clean === '') return null
  return clean.length > TEXT_LENGTH_MAX ? `${clean.slice(0, TEXT_LENGTH_MAX - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : clean
}

function withoutSecrets(text: string, secrets: readonly (Secret | string)[]): string {
  let clean = text
  for (const secret of secrets) {
    const value = typeof secret === 'string' ? secret : secret.reveal()
    if (value.length < SECRET_LENGTH_MIN) continue
    clean = clean.replaceAll(value, REDACTED).replaceAll(encodeURIComponent(value.toWellFormed()), REDACTED)
  }
  return clean
}

/** Letters and digits mixed, or longer than anybody's words: `refresh_token_expired_or_revoked` stays, an opaque token does not. */
function looksLikeToken(run: string): boolean {
  return run.length > PLAIN_WORD_MAX || (/\d/.test(run) && /[A-Za-z]/.test(run))
}
