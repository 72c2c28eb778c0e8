/** The strings behind the stage: what a test may order, turn, look up and wait for, in process. */

import type { Gate } from './gate.ts'
import type { Journal, RequestRecord } from './journal.ts'
import type { PresetName } from './presets.ts'
import type { Client, Realm } from './realm.ts'
import type { Endpoint, Script, Scripted } from './script.ts'
import { type Switches, turned } from './switches.ts'

export interface Control {
  readonly switches: Switches
  /** Turns switches; those not named stay. */
  set(changes: Partial<Switches>): void
  /** Orders the next answers of one endpoint, replacing what was ordered before. Without answers it behaves again. */
  script(endpoint: Endpoint, ...answers: (PresetName | Scripted)[]): void
  /** The answers still to come. */
  readonly scripted: Readonly<Partial<Record<Endpoint, readonly Scripted[]>>>
  /** Lets go of every answer that waits with `hold`, and says how many those were. */
  release(): number
  /** The answers that wait so. */
  readonly held: number
  /** Registers an app, or changes one: its secret, its callbacks. */
  register(client: Client): void

  /** Requests to one endpoint so far, scripted or not. */
  count(endpoint: Endpoint): number
  readonly counters: Readonly<Record<Endpoint, number>>
  /** The latest thousand, oldest first. */
  readonly requests: readonly RequestRecord[]
  /** Resolves to the first request, past or to come, that fits; rejects after `timeout_ms` (5000). */
  waitFor(wants: (request: RequestRecord) => boolean, options?: { timeout_ms?: number }): Promise<RequestRecord>

  /** Whether an access token works, or a refresh token is the current one of its family. */
  alive(token: string): boolean
  /** Consents that still hold. */
  readonly grants: number
  /** As when a provider is breached: every code and token is dead. Says how many consents that were. */
  revokeEverything(): number
  /** Every access token so far is over; refresh tokens stay good. */
  expireAccessTokens(): void
  /** Moves the sandbox's clock on. */
  advance(seconds: number): void
  /** Back to how it was started, with counters at zero. Consents stay, and time does not run backwards. */
  reset(): void
}

interface Backstage {
  readonly realm: Realm
  readonly script: Script
  readonly journal: Journal
  readonly gate: Gate
  readonly advance: (seconds: number) => void
}

export function createControl({ realm, script, journal, gate, advance }: Backstage): Control {
  const started = { switches: realm.switches, clients: [...realm.clients.values()] }
  return {
    get switches() {
      return realm.switches
    },
    get scripted() {
      return script.toJSON()
    },
    get counters() {
      return journal.counters
    },
    get requests() {
      return journal.requests
    },
    get grants() {
      return realm.grants.size
    },
    set(changes) {
      realm.switches = turned(realm.switches, changes)
    },
    script: (endpoint, ...answers) => script.order(endpoint, answers),
    release: () => gate.open(),
    get held() {
      return gate.held
    },
    register: (client) => void realm.clients.set(client.client_id, client),
    count: (endpoint) => journal.count(endpoint),
    waitFor: (wants, { timeout_ms = 5000 } = {}) => journal.waitFor(wants, timeout_ms),
    alive: (token) => realm.grants.alive(token),
    revokeEverything: () => realm.grants.revokeEverything(),
    expireAccessTokens: () => realm.grants.expireAccessTokens(),
    advance,
    reset() {
      script.clear()
      gate.open()
      journal.clear()
      realm.switches = started.switches
      realm.clients.clear()
      for (const client of started.clients) realm.clients.set(client.client_id, client)
    },
  }
}
