/** What must be true of apps and callers beyond their shape. */

import { createPrivateKey, type JsonWebKey } from 'node:crypto'
import { isManaging } from '../core/caller.ts'
import { momentOf } from '../core/moment.ts'
import { rangeProblem } from '../core/pins.ts'
import type { Provider } from '../core/provider.ts'
import { fieldProblem, isLoopback, placeholderProblem } from '../core/provider-url.ts'
import { callbackUrlProblem, DEFAULT_TENANT } from '../core/setup.ts'
import { type Mistake, mistakeAt, mistakeAtKey, nearest, type Path, type Source } from './mistake.ts'
import { urlsOf } from './provider-rules.ts'
import type { AppDefinition, CallerDefinition, IssuerDefinition } from './setup-schema.ts'

/** A provider that is null is there, but wrong: nothing can be said of what an app gives to it. */
export function appRules(
  app: Partial<AppDefinition>,
  providers: ReadonlyMap<string, Provider | null>,
  source: Source,
  base: Path,
): Mistake[] {
  const told = callbacks(app, source, base)
  if (app.provider === undefined) return told
  const provider = providers.get(app.provider)
  if (provider === null) return told
  if (provider) return [...told, ...secrets(app, provider, source, base), ...configValues(app, provider, source, base)]
  const meant = nearest(app.provider, [...providers.keys()])
  const hint = meant ? `did you mean ${meant}?` : 'put it under providers, or take one of the catalogue'
  return [...told, mistakeAt(source, [...base, 'provider'], `is neither in the catalogue nor under providers: ${hint}`)]
}

/** Who else acts, in the history: a caller of that name could not be told from them. */
const NOT_CALLERS = ['browser', 'broker', 'operator']

export function callerRules(caller: Partial<CallerDefinition>, source: Source, base: Path): Mistake[] {
  const name = NOT_CALLERS.includes(caller.client_id ?? '')
    ? [mistakeAt(source, [...base, 'client_id'], `must not be one of ${NOT_CALLERS.join(', ')}: the history calls others so`)]
    : []
  const ranges = (caller.pins?.ip ?? []).flatMap((range, index) => {
    const problem = rangeProblem(range)
    return problem ? [mistakeAt(source, [...base, 'pins', 'ip', index], problem)] : []
  })
  return [...name, ...ranges, ...endRules(caller, source, base)]
}

export function issuerRules(issuer: Partial<IssuerDefinition>, source: Source, base: Path): Mistake[] {
  const { allow_private_network: near = false, tenant, tenant_claim } = issuer
  const told = (['issuer', 'jwks_url'] as const).flatMap((field) => {
    const url = issuer[field]
    const problem = url === undefined ? null : issuerUrlProblem(url, near)
    return problem ? [mistakeAt(source, [...base, field], problem)] : []
  })
  if (tenant !== undefined && tenant_claim !== undefined) {
    told.push(mistakeAtKey(source, [...base, 'tenant_claim'], 'stands beside tenant: whose connections are meant is said once'))
  }
  return told
}

function issuerUrlProblem(text: string, near: boolean): string | null {
  const url = URL.parse(text)
  if (!url || /[\s\\]/.test(text)) return 'must be an absolute URL, https://…'
  if (url.username || url.password || url.hash) return 'must have no user and no fragment'
  if (url.protocol === 'https:' || (url.protocol === 'http:' && near && isLoopback(url.hostname))) return null
  return 'must begin with https:// (http:// only for loopback addresses, with allow_private_network: true)'
}

function endRules(caller: Partial<CallerDefinition>, source: Source, base: Path): Mistake[] {
  if (caller.expires === undefined) {
    const operator = caller.scopes?.find(isManaging)
    return operator
      ? [mistakeAt(source, [...base, 'expires'], `is missing: a caller with the scope ${operator} must expire some day`)]
      : []
  }
  return momentOf(caller.expires) === null
    ? [
        mistakeAt(
          source,
          [...base, 'expires'],
          'must be a day that exists, such as 2027-06-01, or a moment, such as 2027-06-01T12:00:00Z',
        ),
      ]
    : []
}

/** The second of two with the same name, told with the line of the first. */
export function duplicates(names: readonly string[], what: string, source: Source, pathOf: (index: number) => Path): Mistake[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name)
    if (first === index) return []
    const line = source.valueAt(pathOf(first))?.line
    return [mistakeAt(source, pathOf(index), `is ${what} as the one ${line === undefined ? 'before' : `on line ${line}`}`)]
  })
}

function callbacks(app: Partial<AppDefinition>, source: Source, base: Path): Mistake[] {
  const further = (app.allowed_callback_urls ?? []).map((url, index) => ({ path: ['allowed_callback_urls', index], url }))
  const all = app.callback_url === undefined ? further : [{ path: ['callback_url'], url: app.callback_url }, ...further]
  const told = all.flatMap(({ path, url }) => {
    const problem = callbackUrlProblem(url)
    return problem ? [mistakeAt(source, [...base, ...path], problem)] : []
  })
  const needed = app.user_binding === 'callback' || app.user_binding === 'complete'
  if (needed && all.length === 0) {
    told.push(
      mistakeAt(source, [...base, 'callback_url'], `is missing: user_binding: ${app.user_binding} ends at the app's callback`),
    )
  }
  return told
}

function secrets(app: Partial<AppDefinition>, { id, client_auth = 'basic' }: Provider, source: Source, base: Path): Mistake[] {
  const told: Mistake[] = []
  const wantsKey = client_auth === 'private_key_jwt'
  if (app.client_secret === undefined && !wantsKey && client_auth !== 'none') {
    told.push(
      mistakeAt(source, [...base, 'client_secret'], `is missing: ${id} authenticates its clients (client_auth: ${client_auth})`),
    )
  }
  if (wantsKey && app.private_key === undefined) {
    told.push(mistakeAt(source, [...base, 'private_key'], `is missing: ${id} wants private_key_jwt`))
  }
  if (!wantsKey && app.private_key !== undefined) {
    told.push(
      mistakeAtKey(source, [...base, 'private_key'], `is of no use: ${id} has client_auth: ${client_auth}, not private_key_jwt`),
    )
  }
  if (app.private_key !== undefined && !isKey(app.private_key)) {
    told.push(
      mistakeAt(
        source,
        [...base, 'private_key'],
        'must be PKCS #8 PEM (-----BEGIN PRIVATE KEY-----, all of its lines) or a private JWK as JSON',
      ),
    )
  }
  return told
}

function configValues(app: Partial<AppDefinition>, provider: Provider, source: Source, base: Path): Mistake[] {
  const told: Mistake[] = []
  const given = app.config ?? {}
  const declared = provider.config ?? {}
  for (const [name, value] of Object.entries(given)) {
    const path = [...base, 'config', name]
    const field = Object.hasOwn(declared, name) ? declared[name] : undefined
    if (!field) {
      const meant = nearest(name, Object.keys(declared))
      told.push(mistakeAtKey(source, path, `is unknown to ${provider.id}${meant ? `: did you mean ${meant}?` : ''}`))
      continue
    }
    const texts = [...urlsOf(provider).map(({ url }) => url), ...(provider.hosts ?? []).map((host) => `https://${host}`)]
    const problem =
      texts.map((url) => placeholderProblem(url, name, value)).find((found) => found !== null) ?? fieldProblem(field, value)
    if (problem) told.push(mistakeAt(source, path, problem))
  }
  for (const [name, { title, default: otherwise, example }] of Object.entries(declared)) {
    if (otherwise !== undefined || Object.hasOwn(given, name)) continue
    told.push(mistakeAt(source, [...base, 'config', name], `is missing: ${title}${example ? `, such as ${example}` : ''}`))
  }
  return told
}

export function tenantOf({ tenant }: { tenant?: string }): string {
  return tenant ?? DEFAULT_TENANT
}

/** Read as whoever signs with it reads it: a key that lost its lines on the way through the environment would else be found out by users. */
function isKey(text: string): boolean {
  const written = text.trim()
  try {
    if (written.startsWith('{')) createPrivateKey({ key: JSON.parse(written) as JsonWebKey, format: 'jwk' })
    else if (written.startsWith('-----BEGIN PRIVATE KEY-----')) createPrivateKey(written)
    else return false
    return true
  } catch {
    return false
  }
}
