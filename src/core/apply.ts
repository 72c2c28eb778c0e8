/** Makes providers, apps and callers as a setup says: all or nothing, the same setup twice changes nothing. */

import { randomInt } from 'node:crypto'
import type { App } from './app.ts'
import type { CallerRecord } from './caller.ts'
import { BrokerError } from './errors.ts'
import { clientChanges, hostChanges } from './grant-hosts.ts'
import { sameDigest } from './one-time.ts'
import type { Fact, Ports, RecordChange } from './ports.ts'
import type { Provider } from './provider.ts'
import { changeRecords } from './records.ts'
import { appRow } from './registration.ts'
import { Secret } from './secret.ts'
import type { AppSetup, CallerSetup, Setup } from './setup.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

export interface Applied {
  readonly changes: readonly AppliedChange[]
  /** Secrets that were generated, by client id: this is the only time that they can be seen. */
  readonly generated: ReadonlyMap<string, Secret>
}

export interface AppliedChange {
  readonly kind: 'provider' | 'app' | 'caller' | 'issuer'
  readonly id: string
  readonly tenant: string
  readonly change: 'created' | 'updated' | 'unchanged'
  /** Names of the fields that differ; values may be secret. */
  readonly fields: readonly string[]
}

export interface ApplyOptions {
  /** Providers by id, whose connections the operator agrees to send to new hosts. */
  readonly allowHostChange?: readonly string[]
  /** Apps by `key_code_ref`, whose connections the operator agrees to leave to another client than they were granted to. */
  readonly allowClientChange?: readonly string[]
  /** Throws where it may not be made so, by what stands there. */
  readonly check?: () => Promise<void>
}

/**
 * Throws `INVALID_REQUEST` when an app names a provider that is nowhere, `CONFLICT` when a client id belongs to another tenant, or when connections
 * would be sent to a host, or left to a client, that nobody agreed to.
 */
export async function apply(
  ports: Ports,
  actor: string,
  setup: Setup,
  { allowHostChange = [], allowClientChange = [], check = async () => {} }: ApplyOptions = {},
): Promise<Applied> {
  return changeRecords(ports, async () => {
    await check()
    const hosts = await hostChanges(ports, setup, allowHostChange)
    const clients = await clientChanges(ports, setup, allowClientChange)
    const wanted = [
      ...(await wantedProviders(ports, setup.providers, hosts)),
      ...(await wantedApps(ports, setup, hosts, clients)),
      ...(await wantedCallers(ports, setup.callers)),
      ...(await wantedIssuers(ports, setup.issuers ?? [])),
    ]
    const changed = wanted.filter(({ report }) => report.change !== 'unchanged')
    return {
      changes: changed.map(({ record }) => record),
      facts: changed.map((one) => factOf(ports, actor, one)),
      result: {
        changes: wanted.map(({ report }) => report),
        generated: new Map(wanted.flatMap(({ report, generated }) => (generated ? [[report.id, generated] as const] : []))),
      },
    }
  })
}

interface Wanted {
  readonly record: RecordChange
  readonly report: AppliedChange
  readonly generated?: Secret
  /** For the history, beside what changed. */
  readonly note?: string | undefined
}

type HostChanges = Awaited<ReturnType<typeof hostChanges>>

type ClientChanges = Awaited<ReturnType<typeof clientChanges>>

function approvalNote(...changes: readonly (string | undefined)[]): string | undefined {
  const what = changes.filter(Boolean).join(', ')
  return what && `approved: ${what}`
}

async function wantedProviders(ports: Ports, providers: readonly Provider[], hosts: HostChanges): Promise<Wanted[]> {
  const known = new Map((await ports.store.records.providers()).map((provider) => [provider.id, provider]))
  return providers.map((provider) => ({
    record: { put: 'provider', provider },
    note: approvalNote(hosts.get(provider.id)),
    report: report('provider', provider.id, '*', known.get(provider.id) ?? null, provider),
  }))
}

async function wantedApps(
  ports: Ports,
  { apps, providers }: Setup,
  hosts: HostChanges,
  clients: ClientChanges,
): Promise<Wanted[]> {
  const offered = new Set([...(await ports.registry.providers()), ...providers].map(({ id }) => id))
  return Promise.all(
    apps.map(async (app): Promise<Wanted> => {
      if (!offered.has(app.provider)) {
        throw new BrokerError(
          'INVALID_REQUEST',
          `the app ${app.keyCodeRef} names the provider ${app.provider}, which is not there`,
        )
      }
      const known = await ports.store.records.app(app.tenant, app.keyCodeRef)
      const sealed = await sealedSecrets(ports, app, known)
      const { clientSecret: _, privateKey: __, ...plain } = app
      const now = ports.now()
      const next: App = { ...plain, sealed: sealed.secrets, createdAt: known?.createdAt ?? now, updatedAt: now }
      return {
        record: { put: 'app', app: next },
        // How sure we are of who finishes is the operator's choice, and stands in the history whenever it is made.
        note: [`user_binding ${next.userBinding}`, approvalNote(hosts.get(next.provider), clients.get(app))]
          .filter(Boolean)
          .join(' '),
        report: report('app', app.keyCodeRef, app.tenant, known && comparable(known), comparable(next), sealed.changed),
      }
    }),
  )
}

/** Sealed bytes differ each time, so secrets are compared opened; unchanged ones are left as they lie. */
async function sealedSecrets(
  ports: Ports,
  app: AppSetup,
  known: App | null,
): Promise<{ secrets: App['sealed']; changed: string[] }> {
  const old = known && (await openable(ports, known))
  const changed = [
    ...(sameSecret(old?.clientSecret ?? null, app.clientSecret) ? [] : ['client_secret']),
    ...(sameSecret(old?.privateKey ?? null, app.privateKey) ? [] : ['private_key']),
  ]
  if (known && old && changed.length === 0) return { secrets: known.sealed, changed }
  const row = await ports.seal.create(appRow(app))
  const secrets = {
    dataKey: row.dataKey,
    clientSecret: app.clientSecret && row.seal('client_secret', app.clientSecret),
    privateKey: app.privateKey && row.seal('private_key', app.privateKey),
  }
  return { secrets, changed }
}

/** null: what is stored does not open any more. Giving the secrets anew is how an operator mends that. */
async function openable(ports: Ports, app: App): Promise<Pick<AppSetup, 'clientSecret' | 'privateKey'> | null> {
  const { dataKey, clientSecret, privateKey } = app.sealed
  try {
    const row = await ports.seal.load(appRow(app), dataKey)
    return {
      clientSecret: clientSecret && row.open('client_secret', clientSecret),
      privateKey: privateKey && row.open('private_key', privateKey),
    }
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'INTEGRITY_FAILURE') return null
    throw error
  }
}

function sameSecret(a: Secret | null, b: Secret | null): boolean {
  return a === null || b === null ? a === b : sameDigest(a.digest(), b.digest())
}

async function wantedCallers(ports: Ports, callers: readonly CallerSetup[]): Promise<Wanted[]> {
  return Promise.all(
    callers.map(async ({ clientSecret, ...plain }): Promise<Wanted> => {
      const known = await ports.store.records.caller(plain.clientId)
      if (known && known.tenant !== plain.tenant) {
        throw new BrokerError('CONFLICT', `the client id ${plain.clientId} belongs to another tenant already`)
      }
      const generated = clientSecret === null && !known ? generateSecret() : null
      const secret = clientSecret ?? generated
      const next: CallerRecord = {
        ...plain,
        secretHash: secret ? ports.hashOf(secret) : known!.secretHash,
        disabled: known?.disabled ?? false,
        createdAt: known?.createdAt ?? ports.now(),
        lastUsedAt: known?.lastUsedAt ?? null,
      }
      const { secretHash: before, ...knownPlain } = known ?? { secretHash: null }
      const { secretHash: after, ...nextPlain } = next
      return {
        record: { put: 'caller', caller: next },
        report: report(
          'caller',
          next.clientId,
          next.tenant,
          known && knownPlain,
          nextPlain,
          sameDigest(before, after) ? [] : ['client_secret'],
        ),
        ...(generated && { generated }),
      }
    }),
  )
}

async function wantedIssuers(ports: Ports, issuers: readonly TrustedIssuer[]): Promise<Wanted[]> {
  const known = new Map((await ports.store.records.trustedIssuers()).map((issuer) => [issuer.issuer, issuer]))
  return issuers.map((issuer) => ({
    record: { put: 'issuer', issuer },
    report: report('issuer', issuer.issuer, '*', known.get(issuer.issuer) ?? null, issuer),
  }))
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 48 letters and digits (285 bits): one stock client refuses anything but 40 to 60 of them. */
export function generateSecret(): Secret {
  return new Secret(Array.from({ length: 48 }, () => ALPHABET[randomInt(ALPHABET.length)]).join(''))
}

/** Without what differs by nature. */
function comparable({ sealed: _, createdAt: __, updatedAt: ___, ...app }: App): object {
  return app
}

function report(
  kind: AppliedChange['kind'],
  id: string,
  tenant: string,
  before: object | null,
  after: object,
  secretFields: readonly string[] = [],
): AppliedChange {
  if (!before) return { kind, id, tenant, change: 'created', fields: [] }
  const fields = [...differing(before, after).map(asWritten), ...secretFields]
  return { kind, id, tenant, change: fields.length > 0 ? 'updated' : 'unchanged', fields }
}

function differing(before: object, after: object): string[] {
  const old: Readonly<Record<string, unknown>> = { ...before }
  const next: Readonly<Record<string, unknown>> = { ...after }
  return [...new Set([...Object.keys(old), ...Object.keys(next)])].filter((key) => canonical(old[key]) !== canonical(next[key]))
}

/** The field's name in a file and on the wire. */
function asWritten(field: string): string {
  return field === 'expiresAt' ? 'expires' : field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** JSON with sorted keys: the order that a store or a file happens to give means nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function factOf({ now }: Ports, actor: string, { report, note }: Wanted): Fact {
  const { kind, id, tenant, change, fields } = report
  const reason = [change, ...fields, ...(note ? [note] : [])].join(' ')
  return { tenant, at: now(), actor, action: `${kind}.applied`, subject: id, reason }
}
