/** What operators set up, remembered between requests: providers, apps and callers, until a change by any process shows. */

import type { App } from './app.ts'
import type { CallerRecord } from './caller.ts'
import type { RecordStore } from './ports.ts'
import type { Provider } from './provider.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

/** Entries remembered of each kind; past it, all are forgotten and read again. */
const ENTRIES_MAX = 10_000

export class Registry {
  readonly #records: RecordStore
  readonly #catalog: ReadonlyMap<string, Provider>
  #memory = emptyMemory()
  #version = -1
  readonly #watchers: (() => Promise<void>)[] = []
  readonly #tellOthers: () => Promise<void>

  /** `tellOthers` resolves when the other processes that can be told have forgotten, too. */
  constructor(
    records: RecordStore,
    catalog: ReadonlyMap<string, Provider>,
    tellOthers: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#records = records
    this.#catalog = catalog
    this.#tellOthers = tellOthers
  }

  /** One's own provider of an id comes before the catalogue's. */
  async provider(id: string): Promise<Provider | null> {
    return (await this.#ownProviders()).get(id) ?? this.#catalog.get(id) ?? null
  }

  async providers(): Promise<Provider[]> {
    return [...new Map([...this.#catalog, ...(await this.#ownProviders())]).values()]
  }

  app(tenant: string, keyCodeRef: string): App | null | Promise<App | null> {
    return remembered(this.#memory.apps, `${tenant}\u0000${keyCodeRef}`, () => this.#records.app(tenant, keyCodeRef))
  }

  /** Answers without a promise when remembered, which is what the token path needs. */
  caller(clientId: string): CallerRecord | null | Promise<CallerRecord | null> {
    return remembered(this.#memory.callers, clientId, () => this.#records.caller(clientId))
  }

  /** As `iss` says it. Asked only for tokens that are not our own. */
  async trustedIssuer(issuer: string): Promise<TrustedIssuer | null> {
    const memory = this.#memory
    memory.issuers ??= this.#records.trustedIssuers().then((all) => new Map(all.map((one) => [one.issuer, one])))
    memory.issuers.catch(() => (memory.issuers = null))
    return (await memory.issuers).get(issuer) ?? null
  }

  /** Forgets everything if any process has changed anything since the last call. */
  async refresh(): Promise<void> {
    const version = await this.#records.version()
    if (version === this.#version) return
    this.forget()
    for (const changed of this.#watchers) await changed()
    // Not before: a watcher that fails, because a key service is away, is told again the next time. One of them forgets keys that leaked.
    this.#version = version
  }

  /** Called whenever any process has changed anything. */
  watch(changed: () => Promise<void>): void {
    this.#watchers.push(changed)
  }

  /** This process changed something. */
  async changed(): Promise<void> {
    this.forget()
    await this.#tellOthers()
  }

  /** Reads that began before this put what they find into the memory that was thrown away. */
  forget(): void {
    this.#memory = emptyMemory()
  }

  #ownProviders(): Promise<ReadonlyMap<string, Provider>> {
    const memory = this.#memory
    memory.own ??= this.#records.providers().then((own) => new Map(own.map((provider) => [provider.id, provider])))
    // A failed read must not be remembered as the answer.
    memory.own.catch(() => (memory.own = null))
    return memory.own
  }
}

interface Memory {
  readonly apps: Map<string, App>
  readonly callers: Map<string, CallerRecord>
  own: Promise<ReadonlyMap<string, Provider>> | null
  issuers: Promise<ReadonlyMap<string, TrustedIssuer>> | null
}

function emptyMemory(): Memory {
  return { apps: new Map(), callers: new Map(), own: null, issuers: null }
}

function remembered<T>(entries: Map<string, T>, key: string, read: () => Promise<T | null>): T | Promise<T | null> {
  return entries.get(key) ?? readInto(entries, key, read)
}

/** What is not there is not remembered: guesses must not fill the memory. */
async function readInto<T>(entries: Map<string, T>, key: string, read: () => Promise<T | null>): Promise<T | null> {
  const found = await read()
  if (!found) return null
  if (entries.size >= ENTRIES_MAX) entries.clear()
  entries.set(key, found)
  return found
}
