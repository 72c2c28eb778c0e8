/**
 * Tokens that say what they are: `sbx_<kind>_<grant>.<serial>.<expires>.<scope>.<mac><suffix>`.
 *
 * Because a token carries its own facts under a MAC, a sandbox remembers grants and not tokens: its memory does not grow
 * with every renewal, and it recognises a refresh token that was spent fifty rotations ago.
 */

import { createHmac, randomBytes } from 'node:crypto'

const MAC_LENGTH = 22 // base64url characters: 132 bits

export type TokenKind = 'code' | 'at' | 'rt'

export interface TokenFacts {
  readonly kind: TokenKind
  readonly grant: string
  /** An access token's number in the sandbox; a refresh token's generation in its family. */
  readonly serial: number
  /** Milliseconds since 1970; 0 when it does not expire by itself. */
  readonly expires: number
  /** Set where a renewal asked for less than the user allowed. */
  readonly narrowed: string
}

export class TokenPress {
  readonly #key = randomBytes(32)

  /** Bound to this sandbox: what another one signed means nothing here. */
  mac(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url').slice(0, MAC_LENGTH)
  }

  print({ kind, grant, serial, expires, narrowed }: TokenFacts, suffix: string): string {
    const scope = narrowed && Buffer.from(narrowed).toString('base64url')
    const facts = `sbx_${kind}_${grant}.${serial.toString(36)}.${expires.toString(36)}.${scope}`
    return `${facts}.${this.mac(`${facts}\n${suffix}`)}${suffix}`
  }

  /** Null for anything that this sandbox did not print, to the byte. */
  read(token: string): TokenFacts | null {
    const match = /^(sbx_(code|at|rt)_([\w-]+)\.([a-z\d]+)\.([a-z\d]+)\.([\w-]*))\.([\w-]{22})/.exec(token)
    if (!match) return null
    const [whole, facts, kind, grant, serial, expires, scope, mac] = match as unknown as string[]
    if (this.mac(`${facts}\n${token.slice(whole!.length)}`) !== mac) return null
    return {
      kind: kind as TokenKind,
      grant: grant!,
      serial: Number.parseInt(serial!, 36),
      expires: Number.parseInt(expires!, 36),
      narrowed: scope ? Buffer.from(scope, 'base64url').toString() : '',
    }
  }
}
