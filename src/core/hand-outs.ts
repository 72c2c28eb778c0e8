/**
 * Remembers every access token that is handed out until it stands in the history. Handing out writes nothing: what was handed out is
 * gathered here and written by the clock, many at a time.
 */

import type { Caller } from './caller.ts'
import { BrokerError } from './errors.ts'
import type { Fact, HandOutFact, Ports } from './ports.ts'
import type { Wanted } from './renew.ts'
import { type HandedOut, token } from './token.ts'

/** With as many unwritten no more is handed out: a token that nobody will ever know of is worse than one that comes later. */
const WAITING_MAX = 50_000
/** Of one fact, so that reading a page of the history reads little more than the page. */
const TOKENS_MAX = 250
const GRANTS_MAX = 50_000
/** Connections that are looked up in one go, so that requests come in between. */
const LOOKED_UP_MAX = 100

interface Noted {
  readonly caller: Caller
  readonly session: string
  readonly issuedAt: number
  readonly at: number
  readonly purpose: string | null
}

/** What the tokens of a connection may be used for, as long as they are of that moment. */
interface Granted {
  readonly issuedAt: number
  readonly app: string
  readonly scopes: readonly string[]
  /** App and scopes as one text. */
  readonly kind: string
}

/** Of a connection that was removed before it could be looked at. */
const UNKNOWN: Omit<Granted, 'issuedAt'> = { app: '', scopes: [], kind: '' }

/** As `token`, and it is remembered who got it and what for. `purpose`: the caller's own words; null: it does not say. */
export function handOut(
  ports: Ports,
  caller: Caller,
  session: string,
  wanted: Wanted | undefined,
  purpose: string | null,
): HandedOut | Promise<HandedOut> {
  ports.handOuts.assertRoom()
  const noted = (handedOut: HandedOut): HandedOut => {
    ports.handOuts.note({ caller, session, issuedAt: handedOut.issuedAt, at: ports.now(), purpose })
    return handedOut
  }
  const handedOut = token(ports, caller, session, wanted)
  return handedOut instanceof Promise ? handedOut.then(noted) : noted(handedOut)
}

export class HandOuts {
  #waiting: Noted[] = []
  /** Of those that wait, as many are being written just now. */
  #writing: readonly Noted[] = []
  readonly #granted = new Map<string, Granted>()
  readonly #waitingMax: number

  constructor({ waitingMax = WAITING_MAX }: { waitingMax?: number } = {}) {
    this.#waitingMax = waitingMax
  }

  get size(): number {
    return this.#waiting.length + this.#writing.length
  }

  /** Throws `STORE_UNAVAILABLE` while the store has not taken what was handed out before. */
  assertRoom(): void {
    if (this.size < this.#waitingMax) return
    throw new BrokerError('STORE_UNAVAILABLE', 'what was handed out cannot be written down just now', { retryAfterMs: 1000 })
  }

  /** On the path that must be fast. */
  note(noted: Noted): void {
    this.#waiting.push(noted)
  }

  /** One call at a time. What the store does not take goes on waiting, and the failure is thrown. */
  async write(ports: Pick<Ports, 'store' | 'pause'>): Promise<void> {
    if (this.#waiting.length === 0) return
    this.#writing = this.#waiting
    this.#waiting = []
    try {
      await ports.store.record(await this.#factsOf(ports, this.#writing))
    } catch (error) {
      this.#waiting = [...this.#writing, ...this.#waiting]
      throw error
    } finally {
      this.#writing = []
    }
  }

  async #factsOf({ store, pause }: Pick<Ports, 'store' | 'pause'>, noted: readonly Noted[]): Promise<Fact[]> {
    const keys = noted.map(keyOf)
    const unknown = new Map<string, Noted>()
    for (const [at, one] of noted.entries())
      if (this.#granted.get(keys[at]!)?.issuedAt !== one.issuedAt) unknown.set(keys[at]!, one)
    const lookUp = [...unknown]
    for (let from = 0; from < lookUp.length; from += LOOKED_UP_MAX) {
      if (from > 0) await pause(0)
      await Promise.all(lookUp.slice(from, from + LOOKED_UP_MAX).map(([key, one]) => this.#learn(store, key, one)))
    }
    const facts = gathered(noted, (at) => this.#granted.get(keys[at]!) ?? UNKNOWN)
    // Only now: what this batch needs was not forgotten on the way.
    if (this.#granted.size > GRANTS_MAX) this.#granted.clear()
    return facts
  }

  /** Another token of the same connection may be for something else, so it is looked up anew. */
  async #learn(store: Ports['store'], key: string, { caller, session, issuedAt }: Noted): Promise<void> {
    const found = await store.connections.find(caller.tenant, session)
    if (!found) return
    const scopes = found.grantedScopes ?? found.requestedScopes
    this.#granted.set(key, { issuedAt, app: found.app, scopes, kind: JSON.stringify([found.app, scopes]) })
  }
}

function keyOf({ caller, session }: Noted): string {
  return `${caller.tenant}\u0000${session}`
}

type Tokens = [session: string, at: number, purpose: string | null][]

/** One fact for all that a caller got of one app and with the same scopes, in the order of time. */
function gathered(noted: readonly Noted[], grantedTo: (at: number) => Omit<Granted, 'issuedAt'>): HandOutFact[] {
  const open = new Map<Caller, Map<string, Tokens>>()
  const facts: HandOutFact[] = []
  for (const [position, { caller, session, at, purpose }] of noted.entries()) {
    const { app, scopes, kind } = grantedTo(position)
    let byKind = open.get(caller)
    if (!byKind) open.set(caller, (byKind = new Map()))
    let tokens = byKind.get(kind)
    if (!tokens || tokens.length === TOKENS_MAX) {
      byKind.set(kind, (tokens = []))
      const told = { tenant: caller.tenant, at, actor: caller.name, subject: app, reason: null }
      facts.push({ ...told, action: 'token.handed_out', handedOut: { scopes, tokens } })
    }
    tokens.push([session, at, purpose])
  }
  return facts
}
