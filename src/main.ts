/** Builds every port from the config and introduces them to each other; starts http and jobs, and stops them in reverse. */

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { DestinationStream } from 'pino'
import { checkApp, checkCaller, readSetup } from './catalog/file.ts'
import { loadCatalog } from './catalog/load.ts'
import { CatalogError } from './catalog/mistake.ts'
import { type Config, ConfigError } from './config.ts'
import { Ahead } from './core/ahead.ts'
import { type Applied, type ApplyOptions, apply } from './core/apply.ts'
import { CallersSeen } from './core/callers-seen.ts'
import { BrokerError } from './core/errors.ts'
import { Flights } from './core/flights.ts'
import { HandOuts } from './core/hand-outs.ts'
import { Pacing } from './core/pacing.ts'
import type { Journal, Mark, Mode, Net, Ports, RecordStore, Store } from './core/ports.ts'
import type { Provider } from './core/provider.ts'
import { Registry } from './core/registry.ts'
import { giveBackUnbegun } from './core/renew.ts'
import { lookForRestore, noteLife } from './core/restored.ts'
import { Secret } from './core/secret.ts'
import { settleJournal, settleStranded } from './core/settle.ts'
import { Unbegun } from './core/unbegun.ts'
import { Unopened } from './core/unopened.ts'
import { noteUsage, Usage } from './core/usage.ts'
import { createCourier } from './events/courier.ts'
import { Dispatcher } from './events/dispatcher.ts'
import { CallerTokens } from './http/caller-token.ts'
import { Proofs, UsedProofs } from './http/dpop.ts'
import { Guesses } from './http/guesses.ts'
import { createServer } from './http/server.ts'
import { TrustedIssuers } from './http/trusted-issuers.ts'
import { startJobs } from './jobs/jobs.ts'
import { syncFolder } from './journal/durable.ts'
import { openJournal } from './journal/journal.ts'
import { markIn } from './journal/mark.ts'
import { memoryJournal } from './journal/memory.ts'
import { laterOn } from './later.ts'
import { createLog } from './log.ts'
import { createMetrics, type Metrics, type Shown } from './metrics.ts'
import { createOAuth2Mode } from './modes/oauth2.ts'
import { createNet, type NetOptions } from './net/fetch.ts'
import { nameServers } from './net/lookup.ts'
import { AWS_METADATA } from './seal/aws-credentials.ts'
import { awsKmsKey } from './seal/aws-kms.ts'
import { type BrokerKeys, loadBrokerKeys } from './seal/broker-keys.ts'
import { createSeal } from './seal/envelope.ts'
import { gcpKmsKey } from './seal/gcp-kms.ts'
import type { KeyFile } from './seal/key-file.ts'
import type { KeyServiceParts } from './seal/key-service.ts'
import { type Keyring, type KeyServices, parseMasterKeys } from './seal/keyring.ts'
import type { MasterKey } from './seal/master-key.ts'
import { transitKey } from './seal/transit.ts'
import { SharedClock } from './shared-clock.ts'
import { memoryStore } from './store/memory.ts'
import { openSqliteStore } from './store/sqlite.ts'

export const PROVIDERS_FOLDER = join(import.meta.dirname, '..', 'providers')

/** Everything but the server: for commands that work on the store, and for `serve`. */
export interface Broker {
  readonly ports: Ports
  readonly keys: BrokerKeys
  readonly metrics: Metrics
  readonly net: Net
  /** Where the master keys are read from; null: from the environment. */
  readonly keyFile: KeyFile | null
  /**
   * Makes the setup file so; null: none is configured. Throws `CatalogError` with every mistake before anything is changed.
   * `dryRun` only tells what would change.
   */
  applySetup(path?: string, options?: ApplyOptions & { dryRun?: boolean }): Promise<Applied | null>
  close(): Promise<void>
}

export interface BrokerOptions {
  /** Instead of the clock that servers on the store share, for tests. */
  readonly now?: () => number
  /** Where the log goes. Default: standard error. */
  readonly logTo?: DestinationStream
  /** Told after a change of providers, apps or callers; resolves when those who can be told know. Others notice within a second. */
  readonly tellOthers?: () => Promise<void>
}

export async function openBroker(
  config: Config,
  { now: given, logTo = process.stderr, tellOthers }: BrokerOptions = {},
): Promise<Broker> {
  const log = createLog(config.logLevel, logTo)
  const clock = new SharedClock(log)
  const now = given ?? clock.now
  // What can be wrong with the set-up is found before the store is opened, and so before it is made.
  const keyNet = createNet(keyNetOptions(config))
  const services = keyServices({ net: keyNet, environment: config.environment, now })
  const masterKeys = masterKeysOf(config, services)
  const catalog = await loadCatalog(PROVIDERS_FOLDER)
  const store = await openStore(config, log)
  try {
    await clock.follow(store)
    const seal = createSeal({ masterKeys, now })
    const registry = new Registry(store.records, catalog, tellOthers)
    const keys = await loadBrokerKeys(store.records, seal, now)
    registry.watch(() => keys.refresh())
    const name = `${process.pid}-${randomBytes(6).toString('base64url')}`
    const [flights, redemptions] = [new Flights(), new Flights()]
    const metrics = createMetrics(
      () => flights.size,
      () => store.connections.countToTakeBack(),
    )
    const later = laterOn(log)
    const way = config.httpsProxy === null ? {} : { proxy: config.httpsProxy }
    const net = createNet(way)
    // Any tenant may name a webhook, and make name servers silent: that must keep no provider from being found.
    const hooksNet = createNet({ ...way, publicLookup: nameServers() })
    const oauth2 = createOAuth2Mode({ net, now })
    const modes = new Map<string, Mode>()
    const journal = openJournalFor(config, keys.installation, log)
    const mark = openMarkFor(config, keys.installation, keys.hashOf)
    const restored = await lookForRestore(store, mark, now())
    if (restored.newly) log('error', 'the database was put back from a backup: refresh tokens in it may have been spent since')
    const ports: Ports = {
      store,
      journal,
      stranded: memoryJournal(),
      mark,
      restored: restored.at,
      seal,
      registry,
      courier: createCourier({ net: hooksNet, seal, now }),
      modeOf: (provider) => remembered(modes, provider.id, () => metrics.counted(oauth2, provider)),
      flights,
      redemptions,
      ahead: new Ahead(Math.random),
      usage: new Usage(now),
      revocationEnded: metrics.revocationEnded,
      handOuts: new HandOuts(),
      unbegun: new Unbegun(name),
      unopened: new Unopened(),
      notary: keys.notary,
      callersSeen: new CallersSeen(),
      pacing: new Pacing({ now, chance: Math.random }),
      now,
      followClock: () => clock.follow(store),
      pause: (ms) => pause(ms),
      later: later.do,
      hashOf: keys.hashOf,
      checkApp: async (definition) => asRequest(async () => checkApp(definition, await providersById(registry), 'body')),
      checkCaller: async (definition) => asRequest(async () => checkCaller(definition, 'body')),
      chance: Math.random,
      process: name,
      publicUrl: config.publicUrl,
      log,
    }
    return {
      ports,
      keys,
      metrics,
      net,
      keyFile: config.masterKeyFile === null ? null : { path: config.masterKeyFile, services, syncFolder },
      async applySetup(path = config.setupFile ?? undefined, { dryRun = false, ...options } = {}) {
        if (path === undefined) return null
        const setup = await readSetup(path, config.environment, catalog)
        if (!dryRun) return apply(ports, 'operator', setup, options)
        const dry = { ...ports, store: { ...store, records: withoutPen(store.records) } }
        const { changes } = await apply(dry, 'operator', setup, options)
        return { changes, generated: new Map() }
      },
      async close() {
        await redemptions.landed()
        await later.stop()
        await flights.landed()
        await settleStranded(ports, true)
        await giveBackUnbegun(ports).catch(() => {})
        await net.close()
        await hooksNet.close()
        await keyNet.close()
        await store.close()
      },
    }
  } catch (error) {
    await keyNet.close()
    await store.close()
    throw error
  }
}

/** Each makes a master key of what follows its name. */
const KEY_SERVICES: Readonly<Record<string, (reference: string, parts: KeyServiceParts) => MasterKey>> = {
  'aws-kms': awsKmsKey,
  'gcp-kms': gcpKmsKey,
  transit: transitKey,
}

function keyServices(parts: KeyServiceParts): KeyServices {
  return (scheme, reference) => KEY_SERVICES[scheme]?.(reference, parts) ?? null
}

/** A way out of its own, since it leads where no provider may: to what hands out this machine's credentials. Callers wait for it, so it is not given long. */
function keyNetOptions({ keyServiceCa }: Config): NetOptions {
  return {
    ...{ beyond: AWS_METADATA, connectTimeoutMs: 2_000, timeoutMs: 5_000 },
    ...(keyServiceCa !== null && { ca: keyServiceCa }),
  }
}

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:4400`. */
  readonly address: string
  /** Refuses what is new, lets what runs finish, renewals included, then closes the store. However often it is asked to, it stops once. */
  stop(): Promise<void>
}

/** What is one for all processes that serve on one port. */
export interface Machine {
  /** Counts a failed guess from an address; resolves to how long to wait, in milliseconds, when there were too many. */
  failedGuess(address: string): Promise<number | null>
  /** Whether a proof that somebody holds a key is used for the first time. */
  isFirst(proof: string): Promise<boolean>
  showMetrics(): Promise<Shown>
}

export interface ServeOptions {
  /** Without it only callers cause renewals. */
  readonly ahead?: boolean
  /** Default: this process serves alone. */
  readonly machine?: Machine
}

type ServeConfig = Pick<
  Config,
  'host' | 'port' | 'failedGuessesPerMinute' | 'requestsPerMinute' | 'trustedProxies' | 'allowedHosts'
>

/** Listens. Everything that could be wrong with the set-up was wrong before this. */
export async function serve(
  broker: Broker,
  config: ServeConfig,
  { ahead = true, machine = alone(broker, config) }: ServeOptions = {},
): Promise<RunningServer> {
  const { ports, keys, metrics, net } = broker
  const readiness = { accepting: true }
  const { publicUrl: issuer, registry, now, callersSeen, log } = ports
  const tokens = new CallerTokens(keys.signing, {
    issuer,
    registry,
    now,
    callersSeen,
    trusted: new TrustedIssuers({ net, now, log }),
  })
  const proofs = new Proofs({ publicUrl: issuer, now, isFirst: (proof) => machine.isFirst(proof) })
  // Before anybody asks for what an earlier process got and could not write.
  await settleJournal(ports).catch((error: unknown) =>
    ports.log('error', 'what waits in the journal could not be written', { error }),
  )
  await noteLife(ports.store, ports.mark, ports.now()).catch((error: unknown) =>
    ports.log('warn', 'the database was not told that it is worked on', { error }),
  )
  const meter = { answers: metrics.answers, show: () => machine.showMetrics() }
  const failedGuess = (address: string): Promise<number | null> => machine.failedGuess(address)
  const server = await createServer(ports, { ...config, tokens, proofs, readiness, meter, failedGuess })
  const address = await server.listen({ host: config.host, port: config.port })
  const jobs = startJobs(ports, { ahead })
  const dispatcher = new Dispatcher(ports, { count: metrics.delivered })
  const stop = async () => {
    readiness.accepting = false
    await server.close()
    await dispatcher.stop()
    await jobs.stop()
    await noteUsage(ports, ports.usage).catch((error: unknown) =>
      ports.log('warn', 'what was used could not be noted', { error }),
    )
    await ports.callersSeen
      .write(ports.store.records)
      .catch((error: unknown) => ports.log('warn', 'when callers were last there could not be written', { error }))
    await broker.close()
  }
  let stopped: Promise<void> | null = null
  return {
    address,
    stop() {
      stopped ??= stop()
      return stopped
    },
  }
}

function alone({ ports, metrics }: Broker, { failedGuessesPerMinute }: Pick<Config, 'failedGuessesPerMinute'>): Machine {
  const guesses = new Guesses(failedGuessesPerMinute, ports.now)
  const proofs = new UsedProofs(ports.now)
  return {
    failedGuess: async (address) => guesses.failed(address),
    isFirst: async (proof) => proofs.isFirst(proof),
    showMetrics: () => metrics.show(),
  }
}

function masterKeysOf({ masterKeys }: Config, services: KeyServices): Keyring {
  try {
    return parseMasterKeys(masterKeys, services)
  } catch (error) {
    throw new ConfigError([(error as Error).message])
  }
}

/** The same records, to be read only: a dry run goes the whole way of a real one and writes nothing. */
function withoutPen(records: RecordStore): RecordStore {
  return {
    version: () => records.version(),
    providers: () => records.providers(),
    apps: (tenant) => records.apps(tenant),
    app: (tenant, keyCodeRef) => records.app(tenant, keyCodeRef),
    callers: (tenant) => records.callers(tenant),
    trustedIssuers: () => records.trustedIssuers(),
    caller: (clientId) => records.caller(clientId),
    keys: () => records.keys(),
    addKey: (key) => records.addKey(key),
    used: async () => {},
    rotateKey: async () => {},
    change: async () => true,
  }
}

async function openStore({ database }: Config, log: Ports['log']): Promise<Store> {
  // Its driver is loaded by those who need it.
  if (database.kind === 'postgres') return (await import('./store/postgres.ts')).openPostgresStore(database.url)
  if (database.kind === 'memory') return memoryStore()
  return openSqliteStore(database.path, (message) => log('info', message))
}

function openJournalFor(config: Config, store: string, log: Ports['log']): Journal {
  const folder = journalFolderOf(config)
  if (folder === null) return memoryJournal()
  const damaged = (file: string) => log('error', 'a file in the journal is damaged and left alone', { reason: file })
  const foreign = (file: string) => log('warn', 'a file in the journal is for another database and left alone', { reason: file })
  return openJournal(folder, { store, damaged, foreign })
}

/** Beside the journal, whose folder is there by now. */
function openMarkFor(config: Config, store: string, hashOf: Ports['hashOf']): Mark {
  const folder = journalFolderOf(config)
  if (folder === null) return { read: async () => null, write: async () => {} }
  return markIn(folder, { store, proofOf: (text) => hashOf(new Secret(text)) })
}

/** What a process that is told to stop, or dies, could not write is on the same disk as the SQLite file, or in `data` where the database is elsewhere, unless told otherwise. */
function journalFolderOf({ database, journalFolder }: Config): string | null {
  if (journalFolder === null && database.kind === 'memory') return null
  return journalFolder ?? join(database.kind === 'sqlite' ? dirname(database.path) : 'data', 'journal')
}

async function providersById(registry: Registry): Promise<ReadonlyMap<string, Provider>> {
  return new Map((await registry.providers()).map((provider) => [provider.id, provider]))
}

/** Mistakes in a request's body are the caller's to read. */
async function asRequest<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    if (error instanceof CatalogError) throw new BrokerError('INVALID_REQUEST', error.message)
    throw error
  }
}

function remembered<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known) return known
  const made = make()
  map.set(key, made)
  return made
}
