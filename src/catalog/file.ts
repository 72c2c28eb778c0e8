/** Reads `latchstring.yaml`. Nothing in it is believed before all of it was checked, and every mistake is told with its line. */

import { readFile } from 'node:fs/promises'
import { momentOf } from '../core/moment.ts'
import type { Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import type { AppSetup, CallerSetup, Setup } from '../core/setup.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import { fromEnvironment } from './environment.ts'
import { providerMistakes } from './load.ts'
import { CatalogError, type Mistake, type Path, type Source, throwIfAny, withoutLines } from './mistake.ts'
import { appRules, callerRules, duplicates, issuerRules, tenantOf } from './setup-rules.ts'
import {
  type AppDefinition,
  appSchema,
  type CallerDefinition,
  callerSchema,
  type IssuerDefinition,
  issuerSchema,
  setupSchema,
} from './setup-schema.ts'
import { shapeThen, validator } from './validate.ts'
import { readYaml } from './yaml.ts'

type Environment = Readonly<Record<string, string | undefined>>
type Catalog = ReadonlyMap<string, Provider>
/** null: there is one, and something is wrong with it. */
type Known = ReadonlyMap<string, Provider | null>

/** Items are checked one by one below, so that a mistake in one does not hide what is wrong with the next. */
const validateOutline = validator(outlineOf(setupSchema))
const validateApp = validator(appSchema)
const validateCaller = validator(callerSchema)
const validateIssuer = validator(issuerSchema)

/** Throws one `CatalogError` that names every mistake. */
export async function readSetup(path: string, env: Environment, catalog: Catalog): Promise<Setup> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read'
    throw new CatalogError([{ file: path, place: null, path: '', message: reason }])
  })
  return readSetupText(text, path, env, catalog)
}

export function readSetupText(text: string, name: string, env: Environment, catalog: Catalog): Setup {
  const { value, source, mistakes: unreadable, unresolved } = readYaml(text, name, fromEnvironment(env))
  const document = value ?? {}
  const outline = validateOutline(document, source)
  const providers = listed<Provider>(document, 'providers')
  const apps = listed<AppDefinition>(document, 'apps')
  const callers = listed<CallerDefinition>(document, 'callers')
  const issuers = listed<IssuerDefinition>(document, 'trusted_issuers')

  const wrong = providers.map((provider, index) => providerMistakes(provider, source, ['providers', index]))
  const own = providers.map((provider, index) => [idOf(provider), wrong[index]?.length === 0 ? provider : null] as const)
  const known = new Map<string, Provider | null>([...catalog, ...own])
  const found = [
    ...outline,
    ...wrong.flat(),
    ...apps.flatMap((app, index) => appMistakes(app, known, source, ['apps', index])),
    ...callers.flatMap((caller, index) => callerMistakes(caller, source, ['callers', index])),
    ...issuers.flatMap((issuer, index) => issuerMistakes(issuer, source, ['trusted_issuers', index])),
    ...repeated(providers, apps, callers, source),
    ...duplicates(
      issuers.map((issuer, index) => nameOf(issuer, 'issuer', index)),
      'the same issuer',
      source,
      (at) => ['trusted_issuers', at, 'issuer'],
    ),
  ]
  throwIfAny([...unreadable, ...found.filter(({ path }) => !unresolved.has(path))])
  return { providers, apps: apps.map((app) => appOf(app, known)), callers: callers.map(callerOf), issuers: issuers.map(issuerOf) }
}

/** An app from the body of a request; `name` is what to call that. Throws `CatalogError`. */
export function checkApp(definition: unknown, providers: Catalog, name: string): AppSetup {
  throwIfAny(appMistakes(definition, providers, withoutLines(name), []))
  return appOf(definition as AppDefinition, providers)
}

/** A caller from the body of a request. Throws `CatalogError`. */
export function checkCaller(definition: unknown, name: string): CallerSetup {
  throwIfAny(callerMistakes(definition, withoutLines(name), []))
  return callerOf(definition as CallerDefinition)
}

function appMistakes(definition: unknown, providers: Known, source: Source, base: Path): Mistake[] {
  return shapeThen<AppDefinition>(validateApp, definition, source, base, (sound) => appRules(sound, providers, source, base))
}

function callerMistakes(definition: unknown, source: Source, base: Path): Mistake[] {
  return shapeThen<CallerDefinition>(validateCaller, definition, source, base, (sound) => callerRules(sound, source, base))
}

function issuerMistakes(definition: unknown, source: Source, base: Path): Mistake[] {
  return shapeThen<IssuerDefinition>(validateIssuer, definition, source, base, (sound) => issuerRules(sound, source, base))
}

function repeated(
  providers: readonly Provider[],
  apps: readonly AppDefinition[],
  callers: readonly CallerDefinition[],
  source: Source,
): Mistake[] {
  const refs = apps.map((app, index) => `${tenantOf(app ?? {})}\u0000${nameOf(app, 'key_code_ref', index)}`)
  const ids = providers.map((provider, index) => nameOf(provider, 'id', index))
  const clients = callers.map((caller, index) => nameOf(caller, 'client_id', index))
  return [
    ...duplicates(ids, 'the same provider', source, (at) => ['providers', at, 'id']),
    ...duplicates(refs, 'the same key_code_ref of the same tenant', source, (at) => ['apps', at, 'key_code_ref']),
    ...duplicates(clients, 'the same client_id', source, (at) => ['callers', at, 'client_id']),
  ]
}

function appOf(app: AppDefinition, providers: Known): AppSetup {
  return {
    tenant: tenantOf(app),
    keyCodeRef: app.key_code_ref,
    provider: app.provider,
    name: app.name ?? providers.get(app.provider)?.name ?? app.provider,
    clientId: app.client_id,
    clientSecret: secretOf(app.client_secret),
    privateKey: secretOf(app.private_key),
    scopes: app.scopes ?? [],
    callbackUrl: app.callback_url ?? null,
    allowedCallbackUrls: app.allowed_callback_urls ?? [],
    userBinding: app.user_binding ?? 'confirm',
    config: app.config ?? {},
    onePerOwner: app.one_per_owner ?? false,
    onePerAccount: app.one_per_account ?? false,
    allowAccountChange: app.allow_account_change ?? false,
    requiredScopes: app.required_scopes ?? [],
    sharedRedirectUri: app.shared_redirect_uri ?? false,
    revokeWhenUnused: app.revoke_when_unused === undefined ? null : Number.parseInt(app.revoke_when_unused, 10),
  }
}

function callerOf(caller: CallerDefinition): CallerSetup {
  return {
    clientId: caller.client_id,
    tenant: tenantOf(caller),
    clientSecret: secretOf(caller.client_secret),
    scopes: caller.scopes,
    owner: caller.owner,
    expiresAt: caller.expires === undefined ? null : momentOf(caller.expires),
    pins: caller.pins ?? {},
    dpop: caller.dpop === 'required',
    rateLimit: caller.rate_limit === undefined ? null : Number.parseInt(caller.rate_limit, 10),
  }
}

function issuerOf(issuer: IssuerDefinition): TrustedIssuer {
  return {
    issuer: issuer.issuer,
    audience: issuer.audience,
    jwksUrl: issuer.jwks_url ?? null,
    algorithms: issuer.algorithms ?? ['RS256', 'PS256', 'ES256', 'EdDSA'],
    clockToleranceS: issuer.clock_tolerance ?? 30,
    scopeClaim: issuer.scope_claim ?? 'scope',
    scopes: issuer.scopes ?? null,
    tenant: issuer.tenant_claim === undefined ? { named: tenantOf(issuer) } : { claim: issuer.tenant_claim },
    allowPrivateNetwork: issuer.allow_private_network ?? false,
  }
}

function secretOf(text: string | undefined): Secret | null {
  return text === undefined ? null : new Secret(text)
}

/** What has no name is like nothing else. */
function nameOf(thing: object | null, field: string, index: number): string {
  const name = (thing as Readonly<Record<string, unknown>> | null)?.[field]
  return typeof name === 'string' ? name : `\u0000${index}`
}

/** The items of a list of the document, if it is one; what it is instead was told already. */
function listed<Item>(document: unknown, field: string): Item[] {
  const items = (document as Readonly<Record<string, unknown>>)[field]
  return Array.isArray(items) ? items : []
}

function idOf(provider: Provider | null): string {
  return String(provider?.id)
}

function outlineOf(schema: typeof setupSchema): typeof setupSchema {
  const properties = Object.fromEntries(Object.entries(schema.properties).map(([name, list]) => [name, { ...list, items: {} }]))
  return { ...schema, properties } as unknown as typeof setupSchema
}
