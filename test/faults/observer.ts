/** Looks at the rows between any two steps, and at the end at the provider, and notes what must not be. */

import type { Connection } from '../../src/core/connection.ts'
import type { VirtualGrant } from './virtual-provider.ts'
import { opened, type VirtualWorld } from './virtual-world.ts'

export class Observer {
  /** What must not be, and was. */
  readonly wrong = new Set<string>()
  /** What a newer consent took the place of. It is not revoked: many providers know one grant for each account and app. */
  readonly letGo = new Set<VirtualGrant>()
  readonly #stored = new Set<VirtualGrant>()
  /** Of which grant a session last had the refresh token. */
  readonly #held = new Map<string, VirtualGrant>()
  readonly #over = new Set<string>()
  readonly #broken = new Set<string>()
  readonly #world: VirtualWorld

  constructor(world: VirtualWorld) {
    this.#world = world
  }

  rows(): Promise<Connection[]> {
    return this.#world.store.connections.list('acme', {}, { after: null, limit: 100 })
  }

  async isAnyThere(): Promise<boolean> {
    return (await this.rows()).some(({ health }) => health.state !== 'revoked')
  }

  async look(): Promise<void> {
    const rows = await this.rows()
    for (const id of this.#held.keys()) if (!rows.some((row) => row.id === id)) this.#over.add(id)
    for (const row of rows) this.#lookAt(row)
  }

  #lookAt(row: Connection): void {
    const { id, health } = row
    const before = this.#held.get(id)
    const held = this.#grantOf(row) ?? before
    if (held) {
      this.#held.set(id, held)
      this.#stored.add(held)
    }
    if (health.state === 'revoked') {
      this.#over.add(id)
      if (health.upstream === 'superseded' && held) this.letGo.add(held)
      if (health.upstream === 'confirmed' && held && this.#isWronglyAlive(held)) this.wrong.add(`${held.name} is said to be dead`)
      return
    }
    if (this.#over.has(id)) this.wrong.add(`${id} was over`)
    if (before && held !== before) this.letGo.add(before)
    // A consent that brings no refresh token mends it for as long as its access token lives.
    if (this.#broken.has(id) && before && !row.sealed?.refreshToken) this.letGo.add(before)
    if (health.state === 'broken') this.#broken.add(id)
  }

  /** Where a spent refresh token ends nothing, and the access token is over, nobody can tell. */
  #isWronglyAlive(grant: VirtualGrant): boolean {
    return grant.alive && !this.letGo.has(grant) && !this.#world.traits.forgetsSpent
  }

  /** When nothing fails any more, and all had time. `mayBeLost`: an answer may have come too late, or never. */
  async end(mayBeLost: boolean): Promise<void> {
    const kept = new Set<VirtualGrant | null>()
    for (const row of await this.rows()) {
      const { id, health } = row
      const grant = this.#grantOf(row)
      if (health.state !== 'revoked' || health.revocation?.retryAt) kept.add(grant)
      if (health.state === 'broken') {
        const lost = health.reason === 'no_refresh_token' ? this.#isMended(row) : health.reason === 'rotation_response_lost'
        if (!lost || !mayBeLost) this.wrong.add(`${id} is broken: ${health.reason}`)
      } else if (health.state !== 'revoked' && !(grant?.alive && grant.current === tokenOf(row)))
        this.wrong.add(`${id} is connected, and does not work`)
    }
    for (const grant of this.#world.provider.grants) {
      // There is nothing to ask again with for what was never stored.
      const isAskedOnce = !this.#stored.has(grant) && this.#world.provider.keptAlive.has(grant)
      if (grant.alive && !kept.has(grant) && !this.letGo.has(grant) && !isAskedOnce) this.wrong.add(`${grant.name} lives on`)
    }
  }

  #isMended({ id }: Connection): boolean {
    const held = this.#held.get(id)
    return held !== undefined && this.letGo.has(held)
  }

  #grantOf(row: Connection): VirtualGrant | null {
    const token = tokenOf(row)
    return token === null ? null : this.#world.provider.grantOf(token)
  }
}

function tokenOf({ sealed }: Connection): string | null {
  return sealed?.refreshToken ? opened(sealed.refreshToken).reveal() : null
}
