/** What the core needs from the outside world. Every other folder exists to provide one of these. */

import type { Ahead } from './ahead.ts'
import type { App, Registration } from './app.ts'
import type { Attempt, Stage } from './attempt.ts'
import type { CallerRecord } from './caller.ts'
import type { CallersSeen } from './callers-seen.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Account, Connection, Credentials, Glance, Health, Lease } from './connection.ts'
import type { About, ConnectionEvent, EventFilter, EventType, Message } from './event.ts'
import type { Flights } from './flights.ts'
import type { HandOuts } from './hand-outs.ts'
import type { Pacing } from './pacing.ts'
import type { Provider } from './provider.ts'
import type { Registry } from './registry.ts'
import type { RevocationEnd } from './revocation.ts'
import type { Secret } from './secret.ts'
import type { AppSetup, CallerSetup } from './setup.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'
import type { Unbegun } from './unbegun.ts'
import type { Unopened } from './unopened.ts'
import type { Usage } from './usage.ts'
import type { Delivery, SealedSigning, Sent, Settled, Webhook } from './webhook.ts'

export interface Ports {
  readonly store: Store
  readonly journal: Journal
  /** In memory: answers that neither the store nor the journal took. Nothing durable is in it, so nothing in it is handed out. */
  readonly stranded: Journal
  readonly seal: Seal
  readonly registry: Registry
  readonly modeOf: (provider: Provider) => Mode
  readonly courier: Courier
  /** Renewals under way in this process. */
  readonly flights: Flights
  /** Codes that are with their providers: each was spent by then, whether or not anybody waits for what comes of it. */
  readonly redemptions: Flights
  readonly pacing: Pacing
  /** Tokens that this process handed out, to be renewed before they end. */
  readonly ahead: Ahead
  /** Which connections were handed out today, as far as the store has not heard of it. */
  readonly usage: Usage
  /** For the metrics: how it ended with a grant that was to be taken back. */
  readonly revocationEnded: (how: RevocationEnd) => void
  /** What this process handed out, until it stands in the history. */
  readonly handOuts: HandOuts
  readonly unbegun: Unbegun
  readonly unopened: Unopened
  /** Signs what proves that the history is whole. */
  readonly notary: Notary
  /** When callers were last there, until it is written. */
  readonly callersSeen: CallersSeen
  /** Milliseconds since the epoch, by the clock that all servers on the store go by. */
  readonly now: () => number
  /** Looks at that clock. In between this machine's own goes on. */
  readonly followClock: () => Promise<void>
  /** Waits that many milliseconds. */
  readonly pause: (ms: number) => Promise<void>
  /** Does it then, unless the process is stopping by then. What it throws goes to the log. */
  readonly later: (ms: number, work: () => Promise<void>) => void
  /** Keyed hash of a caller's secret, which is all that is kept of it; and of an owner, which is all that is left of one that was erased. */
  readonly hashOf: (secret: Secret) => string
  /** Read definitions that came as a request, with the same checks as in a file. Throw `INVALID_REQUEST` with every mistake. */
  readonly checkApp: (definition: unknown) => Promise<AppSetup>
  readonly checkCaller: (definition: unknown) => Promise<CallerSetup>
  /** 0 up to 1, for jitter. */
  readonly chance: () => number
  readonly mark: Mark
  /** What was written before that moment, and not since, came with a backup that the store was put back from; null: no backup is known of. */
  readonly restored: number | null
  /** Names this process in leases. */
  readonly process: string
  /** No trailing slash. */
  readonly publicUrl: string
  /** For the operator. Fields outside the log's allow-list do not get through. */
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

// ── Store ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Something that happened, written in the same transaction as the change it tells of; `reason` holds no secret.
 * Audit and events are readings of these.
 */
export type Fact = ConnectionFact | HandOutFact | OtherFact

/** One that is an event. */
export interface ConnectionFact extends Told {
  readonly action: EventType
  readonly about: About
}

/** Access tokens that one caller was given, of one app and with the same scopes; `subject` is the app, `at` when the first was. */
export interface HandOutFact extends Told {
  readonly action: 'token.handed_out'
  readonly handedOut: HandedOutTokens
}

export interface HandedOutTokens {
  readonly scopes: readonly string[]
  /** Of which connection, when, and what for, in the caller's words. */
  readonly tokens: readonly (readonly [session: string, at: number, purpose: string | null])[]
}

export interface OtherFact extends Told {
  readonly action: Exclude<FactAction, EventType | 'token.handed_out'>
}

interface Told {
  readonly tenant: string
  readonly at: number
  /** The caller's name, `browser` or `broker`. */
  readonly actor: string
  readonly subject: string
  readonly reason: string | null
}

export type FactAction =
  | EventType
  | 'token.handed_out'
  | 'access.refused'
  | 'attempt.begun'
  | 'attempt.denied'
  | 'attempt.failed'
  | 'attempt.burned'
  | 'attempt.binding_mismatch'
  | 'connection.relabelled'
  | 'connection.deleted'
  | 'connection.revocation_ended'
  | 'connection.integrity_failure'
  | 'owner.exported'
  | 'owner.erased'
  | 'provider.applied'
  | 'provider.removed'
  | 'app.applied'
  | 'app.removed'
  | 'app.refused'
  | 'app.accepted'
  | 'caller.applied'
  | 'caller.disabled'
  | 'caller.enabled'
  | 'caller.removed'
  | 'issuer.applied'
  | 'issuer.removed'
  | 'webhook.created'
  | 'webhook.rotated'
  | 'webhook.replayed'
  | 'webhook.removed'
  | 'keys.resealed'
  | 'store.restored'
  | 'history.cut'
  | 'keys.signing_rotated'

/** Every write is durable before its promise resolves, and lands whole with its facts or not at all. */
export interface Store {
  readonly attempts: AttemptStore
  readonly connections: ConnectionStore
  readonly records: RecordStore
  readonly webhooks: WebhookStore
  readonly sealed: SealedStore
  readonly audit: AuditStore

  /** Facts that change nothing else: refusals. */
  record(facts: readonly Fact[]): Promise<void>
  /** Newest first; `before` is the sequence number to go on from. */
  history(tenant: string | null, page: { before: number | null; limit: number }): Promise<(Fact & { readonly seq: number })[]>
  /** Oldest first, those after a sequence number. One that is written later never stands before one that was read: who goes on from the last misses none. */
  events(
    tenant: string,
    filter: EventFilter,
    page: { after: number; upTo?: number | null; limit: number },
  ): Promise<ConnectionEvent[]>
  /** The sequence number of the `count`-th event after one; null: there are fewer. */
  eventAfter(tenant: string, after: number, count: number): Promise<number | null>

  /** What time it is by its own clock, in milliseconds since the epoch; null: it has none but that of this machine. */
  clock(): Promise<number | null>
  /** Until when servers worked on it, and until when they had when it was last put back from a backup (0: it never was). */
  life(): Promise<{ readonly lived: number; readonly restored: number }>
  /** Neither moment goes back. */
  live(moments: { readonly lived?: number; readonly restored?: number }, facts: readonly Fact[]): Promise<void>

  /** Resolves when the store can be read and written; rejects with why not. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface AttemptStore {
  add(attempt: Attempt, facts: readonly Fact[]): Promise<void>
  /** The newest attempt of that session; resolves to null when there is none in that tenant. */
  find(tenant: string, session: string): Promise<Attempt | null>
  /** Those of that session at stage `held`, in any tenant: a completion must burn a foreign attempt rather than miss it. */
  held(session: string): Promise<Attempt[]>
  findByHandle(handleHash: string): Promise<Attempt | null>
  findByState(stateHash: string): Promise<Attempt | null>
  /** Those still on their way (`PENDING_STAGES`, not expired at `now`), newest first as connections are listed. */
  pending(
    tenant: string,
    filter: Pick<ConnectionFilter, 'userId' | 'orgCode' | 'app' | 'apps'>,
    now: number,
    page: { after: Cursor | null; limit: number },
  ): Promise<Attempt[]>
  /** Writes `next` only if the attempt is still at stage `from`; says whether it did. Of any number at once, one does. */
  move(from: Stage, next: Attempt, facts: readonly Fact[]): Promise<boolean>
  /**
   * As `move` to `connected`, together with the connection it made: new, or over the one with its id.
   * Over another it is a write like `save`, only if that one's version still is the one `seen`, and the whole row is replaced.
   */
  finish(from: Stage, next: Attempt, connection: Connection, facts: readonly Fact[], seen?: Connection | null): Promise<boolean>
  /** Takes from attempts that expired before the moment given all that could be opened or completed, oldest first, at most `limit`; resolves to how many. */
  empty(expiredBefore: number, limit: number): Promise<number>
  /** Deletes attempts that expired before the moment given, oldest first, at most `limit`; resolves to how many. */
  sweep(expiredBefore: number, limit: number): Promise<number>
  /** All of an owner, at whatever stage, newest first. */
  ofOwner(tenant: string, owner: OwnerFilter): Promise<Attempt[]>
  /** Deletes them; resolves to how many. */
  forget(tenant: string, owner: OwnerFilter): Promise<number>
}

/**
 * The store counts: `version` goes up by one with every write, fences only rise, and both go on counting when the id of a removed
 * connection is used again. Whatever `next` says of its version, lease and use is ignored. So is what it says of what a connection is and
 * whose: `settle` and `save` leave id, tenant, app, provider, owner and `createdAt` as they are.
 */
export interface ConnectionStore {
  /** The token path: one indexed read of what handing out a fresh token needs; null as `find` says it. Without a promise where the store can. */
  glance(tenant: string, id: string): Glance | null | Promise<Glance | null>
  /** Resolves to null when there is no such connection in that tenant. */
  find(tenant: string, id: string): Promise<Connection | null>
  /** Newest first (`createdAt`, then `id`, both descending), going on after the one named by `after`. */
  list(tenant: string, filter: ConnectionFilter, page: { after: Cursor | null; limit: number }): Promise<Connection[]>
  /**
   * Takes the lease, if the connection still is at the version seen and no lease is alive (its `until` lies after `now`); else resolves to null and nothing changed.
   * The returned connection carries the new lease; `overdue` tells that an earlier one was never given back, so its answer may be lost.
   * `dueAt` left out: it stays as it was.
   */
  claim(
    seen: Connection,
    lease: { holder: string; now: number; until: number; dueAt?: number | undefined },
  ): Promise<{ readonly connection: Connection; readonly overdue: Lease | null } | null>
  /** Writes what a renewal brought and gives the lease back, if its fence still is the row's; says whether it did. */
  settle(claimed: Claimed, next: Connection, facts: readonly Fact[]): Promise<boolean>
  /** Writes a change that is no renewal, if the version still is the one seen; says whether it did. Takes the lease from whoever holds it. */
  save(seen: Connection, next: Connection, facts: readonly Fact[]): Promise<boolean>
  /**
   * Takes connections of any tenant that are due, the longest overdue first, and makes them due again at `until`, should nothing come of it:
   * of any number of processes at once one gets each. No change of the connection: its version stays.
   */
  due(now: number, until: number, limit: number): Promise<Connection[]>
  /** Says whether there was one; only then the facts are written. */
  remove(tenant: string, id: string, facts: readonly Fact[]): Promise<boolean>
  /**
   * Revoked ones whose provider is to be asked (`retryAt` is not later than `now`) and that nobody holds a lease of, longest due first; none of
   * the providers in `except`. In any tenant.
   */
  toTakeBack(now: number, limit: number, except: readonly string[]): Promise<Connection[]>
  /** How many wait to be taken back by their providers, now or later. In any tenant. */
  countToTakeBack(): Promise<number>
  /** All of all tenants by tenant and id, going on after the one named. */
  walk(after: Pick<Connection, 'tenant' | 'id'> | null, limit: number): Promise<Connection[]>
  /**
   * Notes the day they were last handed out, unless a later one is noted. No write like the others: it counts no version and takes no
   * lease, so that it is in nobody's way. Ids of none are passed over.
   */
  noteUsed(used: readonly Pick<Connection, 'tenant' | 'id'>[], day: number): Promise<void>
  /**
   * For whoever brings many: writes those whose ids are not there yet, in one transaction with what is to be told of them, and leaves those that
   * are as they are. Resolves to those that were new.
   */
  addAll(
    connections: readonly Connection[],
    factsOf: (fresh: readonly Connection[]) => readonly Fact[],
  ): Promise<readonly Connection[]>
  /** How many there are of each state: what keeps an app from being removed, or sent elsewhere. */
  count(filter: { tenant?: string; app?: string; provider?: string }): Promise<Readonly<Record<Health['state'], number>>>
}

/** What a write under a lease needs to know of the row it is for. */
export type Claimed = Pick<Connection, 'tenant' | 'id' | 'lease'>

export interface ConnectionFilter {
  readonly userId?: string
  readonly orgCode?: string
  readonly app?: string
  /** Only those of one of these. */
  readonly apps?: readonly string[]
  readonly state?: Health['state']
  readonly label?: string
  /** The id of its account at the provider. No index serves it: to be given with what narrows better. */
  readonly account?: string
}

/** A user, an organisation with all in it, or a user within it. Without either it is nobody. */
export type OwnerFilter = Pick<ConnectionFilter, 'userId' | 'orgCode'>

export interface Cursor {
  readonly createdAt: number
  readonly id: string
}

/** What operators set up: few, small, read through a cache. */
export interface RecordStore {
  /** Changes with every write below, by any process. */
  version(): Promise<number>
  providers(): Promise<Provider[]>
  apps(tenant: string | null): Promise<App[]>
  app(tenant: string, keyCodeRef: string): Promise<App | null>
  callers(tenant: string | null): Promise<CallerRecord[]>
  caller(clientId: string): Promise<CallerRecord | null>
  trustedIssuers(): Promise<TrustedIssuer[]>
  /** Notes when callers were last there, if that is later than what is known. No change of what is set up: the version stays. */
  used(uses: readonly { readonly clientId: string; readonly at: number }[]): Promise<void>
  /**
   * All or nothing, and only if the version still is the one `seen`, where one is given; says whether it did. Rejects with `CONFLICT` when a caller is
   * put whose client id is taken in another tenant; removing what is not there is no failure.
   */
  change(changes: readonly RecordChange[], facts: readonly Fact[], seen?: number): Promise<boolean>
  keys(): Promise<BrokerKey[]>
  /** Adds the key unless there is one of its purpose already; resolves to the one that stands. */
  addKey(key: BrokerKey): Promise<BrokerKey>
  /** Adds the key beside those of its purpose, and removes others of its purpose. */
  rotateKey(key: BrokerKey, remove: readonly string[], facts: readonly Fact[]): Promise<void>
}

/** Where events go, and those on their way there. An event becomes a delivery of a webhook once, and stays one until it is delivered. */
export interface WebhookStore {
  /** In the order of their ids; null: of all tenants. */
  list(tenant: string | null): Promise<Webhook[]>
  find(tenant: string, id: string): Promise<Webhook | null>
  /** It is given the events that are written from now on. */
  add(webhook: Webhook, facts: readonly Fact[]): Promise<void>
  /** Writes what it signs with, if that still is what was seen; says whether it did. */
  reseal(seen: Webhook, sealed: SealedSigning, facts: readonly Fact[]): Promise<boolean>
  /** With its deliveries. Says whether there was one; only then the facts are written. */
  remove(tenant: string, id: string, facts: readonly Fact[]): Promise<boolean>

  /** Makes deliveries of the events that webhooks have not been given yet, at most `limit` events for each; resolves to how many it made. */
  spread(now: number, limit: number): Promise<number>
  /**
   * Takes deliveries that wait, whose time has come, that nobody holds, and that no earlier event of the same connection waits before.
   * Of any number of processes at once one gets each.
   */
  claim(webhook: Webhook, lease: { holder: string; now: number; until: number }, limit: number): Promise<Delivery[]>
  /** Writes what became of one and gives it back, if its fence still is the row's; says whether it did. */
  settle(claimed: Delivery, settled: Settled): Promise<boolean>
  /** In the order of their events, those after the sequence number of one. */
  deliveries(webhook: Webhook, state: Delivery['state'], page: { after: number; limit: number }): Promise<Delivery[]>
  /** Makes deliveries once more of events that the webhook was given, dead ones included; those that wait go on waiting. Resolves to how many. */
  replay(webhook: Webhook, from: { after: number; since?: number }, now: number, facts: readonly Fact[]): Promise<number>
  /** Deletes all deliveries, of any webhook, that are about that connection; resolves to how many. */
  forget(tenant: string, session: string): Promise<number>
}

/** The history as what is proved: facts as they stand, and the chain of checkpoints over them. */
export interface AuditStore {
  /**
   * In the order of their sequence numbers, of all tenants, those after one number and up to another; `-Infinity`: from the first, `Infinity`: to
   * the end. Rejects when one has a number that cannot be counted on from: whoever put it there would hide all that comes after it.
   */
  rows(range: { after: number; upTo: number; limit: number }): Promise<HistoryRow[]>
  /** The newest checkpoint. */
  head(): Promise<Checkpoint | null>
  /** Oldest first, those after a number; `-Infinity`: from the first. */
  checkpoints(page: { after: number; limit: number }): Promise<Checkpoint[]>
  /** Adds it unless there is one of that number; says whether it did. Of any number of processes at once, one does. */
  append(checkpoint: Checkpoint): Promise<boolean>
  /** Puts others in place of whom events are about: all that is ever changed in the history. */
  retell(tenant: string, events: readonly Pick<ConnectionEvent, 'seq' | 'about'>[], facts: readonly Fact[]): Promise<void>
  /** Takes what was deleted out of the store's own files, as far as the store can; says whether it could. It may take long, and others wait. */
  shred(): Promise<boolean>
}

/** A fact as the store holds it; `about` and `handedOut` are the JSON that stands there. */
export interface HistoryRow {
  readonly seq: number
  readonly tenant: string
  readonly at: number
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string | null
  readonly about: string | null
  readonly handedOut: string | null
}

/** Rows with sealed columns, whatever they hold: what it takes to put them under another master key. */
export interface SealedStore {
  /** Those of a table that have a data key, in the order of their keys, going on after one. */
  page(table: SealedTable, page: { after: Pick<Row, 'tenant' | 'id'> | null; limit: number }): Promise<WrappedRow[]>
  /** null: there is no such row, or nothing sealed in it. */
  find(row: Row): Promise<SealedRow | null>
  /** Writes other bytes for the same secrets if the row, as far as they go, is what was seen; says whether it did. A lease and its fence stay as they are. */
  replace(seen: SealedRow, next: Pick<SealedRow, 'dataKey' | 'fields'>): Promise<boolean>
}

export interface WrappedRow {
  readonly row: Row
  readonly dataKey: Uint8Array
}

export interface SealedRow extends WrappedRow {
  /** By the name that each was sealed for. */
  readonly fields: Readonly<Record<string, Uint8Array | null>>
  /** Of a connection; null of all else. */
  readonly version: number | null
  /** Until when somebody is, or was, spending its refresh token; null: nobody. */
  readonly leaseUntil: number | null
}

export type RecordChange =
  | { readonly put: 'provider'; readonly provider: Provider }
  | { readonly put: 'app'; readonly app: App }
  | { readonly put: 'caller'; readonly caller: CallerRecord }
  | { readonly put: 'issuer'; readonly issuer: TrustedIssuer }
  | { readonly remove: 'provider'; readonly id: string }
  | { readonly remove: 'app'; readonly tenant: string; readonly keyCodeRef: string }
  | { readonly remove: 'caller'; readonly clientId: string }
  | { readonly remove: 'issuer'; readonly issuer: string }

/** A secret of the broker's own: what it signs caller tokens with, what it hashes caller secrets with, what it signs checkpoints with. */
export interface BrokerKey {
  readonly purpose: 'sign' | 'hash' | 'audit'
  readonly id: string
  readonly dataKey: Uint8Array
  readonly sealed: Uint8Array
  readonly createdAt: number
}

// ── Journal ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a renewal brought while the store could not take it, sealed as it will stand in the row. */
export interface JournalEntry {
  readonly claimed: Claimed
  /** The refresh token that was sent for it, sealed as it stood in the row. */
  readonly exchanged?: Uint8Array | null
  readonly next: Connection
  readonly facts: readonly Fact[]
}

/** Where answers wait until the store takes them. On this machine, apart from the store; another process may read and remove them. */
export interface Journal {
  /** Durable when it resolves. */
  add(entry: JournalEntry): Promise<void>
  /** The one that was got under that lease. */
  find(claimed: Claimed): Promise<JournalEntry | null>
  /** Those that are whole; what a crash tore off is no entry. */
  entries(): Promise<JournalEntry[]>
  /** That it is gone already is no failure. */
  remove(claimed: Claimed): Promise<void>
}

/** On this machine, apart from the store: until when servers were seen to work on it. */
export interface Mark {
  /** null: they never were, or it was another store. */
  read(): Promise<number | null>
  /** Durable when it resolves. */
  write(lived: number): Promise<void>
}

// ── Seal ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A row that sealed fields belong to. What is sealed for one row, tenant or field does not open for another. */
export interface Row {
  readonly tenant: string
  readonly table: SealedTable
  readonly id: string
}

/** Every table with sealed columns. */
export const SEALED_TABLES = ['connections', 'attempts', 'apps', 'webhooks', 'broker_keys'] as const
export type SealedTable = (typeof SEALED_TABLES)[number]

/** Says nothing of the key itself. */
export interface MasterKeyInfo {
  readonly id: string
  /** What the operator calls it, of a key in a service; null: the process holds it. */
  readonly service: string | null
  /** The primary seals what is new. A staged one is here to be known everywhere before it becomes the primary. */
  readonly role: 'primary' | 'staged' | 'opens'
}

export interface Seal {
  readonly masterKeys: readonly MasterKeyInfo[]
  /** Id of the master key that a data key is wrapped by; null: this is no wrapped data key. */
  masterKeyOf(dataKey: Uint8Array): string | null
  /** A new data key for a row, wrapped by the primary master key. Throws `KEY_SERVICE_UNAVAILABLE` when the service that holds it does not answer. */
  create(row: Row): Promise<RowSeal>
  /** The data key a row has. Throws `INTEGRITY_FAILURE` when it is not that row's, or its master key is not here; `KEY_SERVICE_UNAVAILABLE` as `create`. */
  load(row: Row, dataKey: Uint8Array): RowSeal | Promise<RowSeal>
}

/** Everything that can fail, such as asking a key service, was done to get one: sealing with it cannot. */
export interface RowSeal {
  /** Wrapped, to be stored with the row. */
  readonly dataKey: Uint8Array
  seal(field: string, secret: Secret): Uint8Array
  /** Throws `INTEGRITY_FAILURE` on anything that is not exactly what was sealed for this row and field. */
  open(field: string, sealed: Uint8Array): Secret
}

// ── Mode ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How a provider hands out credentials. Outcomes are values; only a mistake in the set-up throws (`CONNECT_FAILED`, `PROVIDER_UNAVAILABLE`). */
export interface Mode {
  /** Where the browser is sent. May ask the provider for its metadata, or push the request (RFC 9126). */
  begin(registration: Registration, request: AuthorizationRequest): Promise<Authorization>
  /** Whether the URL that `begin` makes lives so briefly that it must be made when the browser leaves. */
  pushes(registration: Registration): Promise<boolean>
  /** Scheme, host and port of the authorization endpoint, which our page must allow its form to lead to. */
  authorizeOrigin(registration: Registration): Promise<string>
  /** Redeems a code. Codes are single use, so it is sent once. */
  exchange(registration: Registration, answer: AuthorizationAnswer): Promise<Exchanged>
  /**
   * Does everything that can fail before the refresh token is spent, and returns the function that spends it, once.
   * That function never throws. Throws `PROVIDER_UNAVAILABLE` when the preparation fails: nothing was spent.
   */
  prepareRenewal(registration: Registration, credentials: Credentials): Promise<() => Promise<Renewed>>
  /** Whose account it is, by asking the provider's API. null: its file does not say how, or it does not tell just now. Never throws. */
  account(registration: Registration, credentials: Credentials): Promise<Account | null>
  /** Refresh token first (RFC 7009). Never throws. */
  revoke(registration: Registration, credentials: Credentials): Promise<Revoked>
  /** Shows an access token to the provider's `probe`. Never throws. */
  probe(registration: Registration, credentials: Credentials): Promise<Liveness>
}

export interface AuthorizationRequest {
  readonly state: Secret
  readonly codeVerifier: Secret
  readonly nonce: Secret
  readonly redirectUri: string
  readonly scopes: readonly string[]
}

export interface Authorization {
  readonly url: string
  /** What `iss` must be in the answer, character for character; null: unknown. */
  readonly issuer: string | null
  /** An answer without `iss` is to be refused. */
  readonly issuerRequired: boolean
}

export interface AuthorizationAnswer {
  readonly code: Secret
  readonly codeVerifier: Secret
  readonly nonce: Secret
  readonly redirectUri: string
  /** The issuer that the attempt began with; null: unknown. */
  readonly issuer: string | null
  /** Fields of the callback's query that the provider's file keeps. */
  readonly kept: Readonly<Record<string, string>>
}

/** What a provider granted. */
export interface Grant {
  readonly credentials: Credentials
  readonly tokenType: string
  readonly expiresAt: number | null
  readonly grantedScopes: readonly string[] | null
  readonly account: Account | null
}

export type Exchanged =
  | { readonly outcome: 'granted'; readonly grant: Grant }
  | {
      readonly outcome: 'refused' // the provider, or our checks, said no
      readonly reason: string
      readonly detail: string | null
      /** The detail is the provider's own words; else it is ours. */
      readonly quoted?: boolean
      /** What the provider gave before our checks said no, for whom it claims. It must not stay alive unused. */
      readonly granted?: Grant
    }
  | {
      readonly outcome: 'uncertain' // the code may have been spent
      readonly reason: string
      readonly detail: string | null
      readonly quoted?: boolean
    }

/** A provider's answer to a renewal, sorted by who can act on it. `detail` is the provider's own text, shortened, no secret in it. */
export type Renewed =
  | { readonly outcome: 'renewed'; readonly grant: Grant } // refreshToken null: the old one stays
  | { readonly outcome: 'rejected'; readonly reason: string; readonly detail: string | null } // the user must reconnect
  | { readonly outcome: 'app_rejected'; readonly reason: string; readonly detail: string | null } // the operator must act
  | {
      readonly outcome: 'unavailable' // try again later
      readonly reason: string
      readonly detail: string | null
      readonly retryAfterMs: number | null
      /** A refusal that we do not know to be final. */
      readonly unclear: boolean
      readonly fate: Fate
    }

/**
 * What became of the refresh token that was sent. `kept`: the provider did not take it. `spent`: tokens were on their way in exchange, and
 * did not arrive. `unknown`: nobody said.
 */
export type Fate = 'kept' | 'unknown' | 'spent'

/** What a provider said when it was to take a grant back. */
export type Revoked =
  | { readonly outcome: 'confirmed' } // it says that it did, or that there was nothing left
  | { readonly outcome: 'unsupported' } // there is nobody to ask
  | {
      readonly outcome: 'failed'
      readonly reason: string
      readonly retryAfterMs: number | null
      /** Asking again would get the same answer. */
      readonly final: boolean
    }

/** `unknown`: the provider's file has no probe, or its answer proves nothing. */
export type Liveness = 'alive' | 'dead' | 'unknown'
// ── Notary ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Signs with a key that is used for nothing else, so that nobody without the master key can make a checkpoint. */
export interface Notary {
  /** A compact JWS. */
  sign(claims: object): string
  /** What was signed; null: not by this key. */
  verify(jws: string): unknown
  /** As a JWK, for whoever verifies elsewhere. */
  readonly publicKey: Readonly<Record<string, string>>
}

// ── Courier ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes messages to webhooks, signed. */
export interface Courier {
  /** Once, and it never throws. */
  send(webhook: Webhook, message: Message | TestMessage): Promise<Sent>
}

export interface TestMessage extends Pick<Message, 'id' | 'timestamp'> {
  readonly type: 'webhook.test'
  readonly data: Readonly<Record<string, never>>
}

// ── Net ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The one way out. No redirects, no decoding, bounded in size and time, to addresses that were checked and then pinned. */
export interface Net {
  request(request: NetRequest): Promise<NetAnswer>
}

export interface NetRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly allowPrivateNetwork: boolean
  /** Only the status is of interest: whatever the body is, there is an answer. */
  readonly ignoreBody?: true
  /** From the call to the last byte of the answer, instead of the usual. */
  readonly timeoutMs?: number
  /** How long the answer's body may be, instead of the usual. */
  readonly bodyBytesMax?: number
}

export interface NetAnswer {
  readonly status: number
  /** Lower-case names; of repeated fields, the first. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Why there is no whole answer. */
export class NetError extends Error {
  override readonly name = 'NetError'
  readonly reason: 'address_refused' | 'unreachable' | 'timeout' | 'reset' | 'too_large' | 'encoded' | 'invalid_url'
  /** The request may have reached the provider and been acted upon. */
  readonly sent: boolean
  /** Of the answer whose head came, and that broke off after it; null: nothing came. */
  readonly status: number | null

  constructor(
    reason: NetError['reason'],
    message: string,
    sent: boolean,
    { status = null, cause }: { status?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause })
    this.reason = reason
    this.sent = sent
    this.status = status
  }
}
