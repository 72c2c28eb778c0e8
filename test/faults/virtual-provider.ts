/** A provider for tests that try orders: what it knows of the grants that it gave. A refresh token that comes back when it should not ends its grant. */

export interface VirtualGrant {
  readonly name: string
  /** The refresh token that works. */
  current: string
  alive: boolean
  /** The one before, which some providers answer again. */
  spent: { readonly token: string; readonly at: number } | null
  given: number
}

export interface Traits {
  /** As a provider's file says it; null: it does not rotate. */
  readonly window: string | null
  /** It knows one grant for each account: any token ends all of them. */
  readonly onePerAccount?: boolean
  /** To it a refresh token that was spent is none any more, and ends nothing. */
  readonly forgetsSpent?: boolean
}

export class VirtualProvider {
  readonly grants: VirtualGrant[] = []
  /** What came twice, although somebody has had its successor. */
  readonly reused: string[] = []
  /** Refresh tokens whose successor was lost on its way. */
  readonly unheard = new Set<string>()
  /** It was to end them, and was down. */
  readonly keptAlive = new Set<VirtualGrant>()
  /** What came of which code. */
  readonly redeemed = new Map<string, VirtualGrant>()
  readonly #traits: Traits
  readonly #now: () => number

  constructor(traits: Traits, now: () => number) {
    this.#traits = traits
    this.#now = now
  }

  open(): VirtualGrant {
    const name = `grant-${this.grants.length + 1}`
    const grant: VirtualGrant = { name, current: `${name}.0`, alive: true, spent: null, given: 0 }
    this.grants.push(grant)
    return grant
  }

  /** Of a code that begins with `adds` comes the newest that lives, and no refresh token: the account has consented before. */
  redeem(code: string): { readonly name: string; readonly isNew: boolean } {
    const living = code.startsWith('adds') ? this.grants.findLast(({ alive }) => alive) : undefined
    const grant = living ?? this.open()
    if (!living) this.redeemed.set(code, grant)
    return { name: grant.name, isNew: !living }
  }

  /** Whose token it is, access tokens included. */
  grantOf(token: string): VirtualGrant {
    return this.grants.find(({ name }) => token.startsWith(`${name}.`))!
  }

  /** The grant whose `current` is the answer; null: it is refused. */
  spend(token: string): VirtualGrant | null {
    const grant = this.grantOf(token)
    if (!grant.alive) return null
    if (grant.current !== token) {
      if (this.#isGivenAgain(grant, token)) return grant
      if (!this.unheard.has(token)) this.reused.push(token)
      grant.alive = false
      return null
    }
    if (this.#traits.window === null) return grant
    grant.spent = { token, at: this.#now() }
    grant.current = `${grant.name}.${++grant.given}`
    return grant
  }

  revoke(token: string): void {
    const grant = this.grantOf(token)
    const isSpent = !token.endsWith('.access') && token !== grant.current
    if (!grant.alive || (isSpent && this.#traits.forgetsSpent)) return
    for (const one of this.#traits.onePerAccount ? this.grants : [grant]) one.alive = false
  }

  #isGivenAgain({ spent }: VirtualGrant, token: string): boolean {
    const { window } = this.#traits
    if (spent?.token !== token || window === null) return false
    return window === 'until_next_use' || this.#now() - spent.at < Number.parseInt(window, 10) * 1000
  }
}
