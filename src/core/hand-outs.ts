/**
 * Remembers every access token that is handed out until it stands in the history. Handing out writes nothing: what was handed out is
 * gathered here and written by the clock, many at a time.
 */

import type { Caller } from './caller.ts'
import { BrokerError } from './errors.ts'
import type { HandOutFact, Ports } from './ports.ts'
import type { Wanted } from './renew.ts'
import { type HandedOut, token } from './token.ts'

/** With as many unwritten no more is handed out: a token that nobody will ever know of is worse than one that comes later. */
const WAITING_MAX = 50_000
/** Of one fact, so that reading a page of the history reads little more than the page. */
const TOKENS_MAX = 250

interface Noted {
  readonly caller: Caller
  readonly session: string
  readonly at: number
  readonly purpose: string | null
  readonly app: string
  readonly scopes: readonly string[]
}

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
    ports.handOuts.note({
      caller,
      at: ports.now(),
      purpose,
      session: handedOut.session,
      app: handedOut.app,
      scopes: handedOut.scopes,
    })
    return handedOut
  }
  const handedOut = token(ports, caller, session, wanted)
  return handedOut instanceof Promise ? handedOut.then(noted) : noted(handedOut)
}

export class HandOuts {
  #waiting: Noted[] = []
  /** Of those that wait, as many are being written just now. */
  #writing = 0
  /** Ends when nobody writes any more; never rejects. */
  #written: Promise<void> = Promise.resolve()
  readonly #waitingMax: number

  constructor({ waitingMax = WAITING_MAX }: { waitingMax?: number } = {}) {
    this.#waitingMax = waitingMax
  }

  get size(): number {
    return this.#waiting.length + this.#writing
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

  /** One after the other: when it resolves, all that was noted before the call is written. What the store does not take goes on waiting, and the failure is thrown. */
  write(ports: Pick<Ports, 'store'>): Promise<void> {
    const turn = this.#written.then(() => this.#write(ports))
    this.#written = turn.catch(() => {})
    return turn
  }

  async #write({ store }: Pick<Ports, 'store'>): Promise<void> {
    const writing = this.#waiting
    if (writing.length === 0) return
    this.#waiting = []
    this.#writing = writing.length
    try {
      await store.record(gathered(writing))
    } catch (error) {
      this.#waiting = [...writing, ...this.#waiting]
      throw error
    } finally {
      this.#writing = 0
    }
  }
}

type Tokens = [session: string, at: number, purpose: string | null][]

/** One fact for all that a caller got of one app and with the same scopes, in the order of time. */
function gathered(noted: readonly Noted[]): HandOutFact[] {
  const open = new Map<Caller, Map<string, Map<string, Tokens>>>()
  const facts: HandOutFact[] = []
  for (const { caller, session, at, purpose, app, scopes } of noted) {
    const byScopes = within(within(open, caller), app)
    const text = textOf(scopes)
    let tokens = byScopes.get(text)
    if (!tokens || tokens.length === TOKENS_MAX) {
      byScopes.set(text, (tokens = []))
      const told = { tenant: caller.tenant, at, actor: caller.name, subject: app, reason: null }
      facts.push({ ...told, action: 'token.handed_out', handedOut: { scopes, tokens } })
    }
    tokens.push([session, at, purpose])
  }
  return facts
}

/** Of lists that come again and again, which those of fresh tokens are. */
const texts = new WeakMap<readonly string[], string>()

function textOf(scopes: readonly string[]): string {
  let text = texts.get(scopes)
  if (text === undefined) texts.set(scopes, (text = JSON.stringify(scopes)))
  return text
}

function within<Outer, Key, Value>(maps: Map<Outer, Map<Key, Value>>, key: Outer): Map<Key, Value> {
  let inner = maps.get(key)
  if (!inner) maps.set(key, (inner = new Map<Key, Value>()))
  return inner
}
