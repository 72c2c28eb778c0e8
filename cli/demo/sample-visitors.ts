/** Who is at the sample app's door: one record for each browser, found by a cookie that no script can read. */

import { randomBytes, timingSafeEqual } from 'node:crypto'

export interface User {
  readonly id: string
  readonly name: string
}

export const USERS: readonly [User, User] = [
  { id: 'ada', name: 'Ada' },
  { id: 'grace', name: 'Grace' },
]

/** Something to say once, on the next page. */
export interface Notice {
  readonly kind: 'good' | 'bad'
  readonly title: string
  readonly text: string
}

export interface Visitor {
  readonly id: string
  readonly csrf: string
  user: User
  /** The connection this browser went off to make, and for whom. */
  pending: { readonly sessionId: string; readonly userId: string } | undefined
  notice: Notice | undefined
}

const COOKIE = 'harbour_session'
const VISITORS_MAX = 1000

export class Visitors {
  readonly #known = new Map<string, Visitor>()

  /** The visitor whose cookie this is, or a new one: an id that we did not give out opens nothing. */
  of(cookies: string | undefined): Visitor {
    const id = cookies
      ?.split(';')
      .map((cookie) => cookie.trim())
      .find((cookie) => cookie.startsWith(`${COOKIE}=`))
      ?.slice(COOKIE.length + 1)
    return this.#known.get(id ?? '') ?? this.#welcome()
  }

  #welcome(): Visitor {
    const visitor: Visitor = { id: secret(), csrf: secret(), user: USERS[0], pending: undefined, notice: undefined }
    this.#known.set(visitor.id, visitor)
    const [oldest] = this.#known.keys()
    if (this.#known.size > VISITORS_MAX && oldest !== undefined) this.#known.delete(oldest)
    return visitor
  }
}

/** Lax, not Strict: a Strict cookie would not come along when the provider's site sends the user back here, and Ada would arrive as nobody. */
export function cookieOf(visitor: Visitor): string {
  return `${COOKIE}=${visitor.id}; HttpOnly; SameSite=Lax; Path=/`
}

/** Whether a form was filled in on a page of ours, for this very browser. */
export function isOwnForm(visitor: Visitor, csrf: string | null): boolean {
  const [given, expected] = [Buffer.from(csrf ?? ''), Buffer.from(visitor.csrf)]
  return given.length === expected.length && timingSafeEqual(given, expected)
}

function secret(): string {
  return randomBytes(24).toString('base64url')
}
