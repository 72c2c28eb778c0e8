/** What must be true of a provider beyond the shape of its file: URLs that lead where they should, placeholders that are declared. */

import { isDay } from '../core/moment.ts'
import type { ConfigField, Provider } from '../core/provider.ts'
import { CLIENT_ID, fieldProblem, placeholderProblem, placeholders, urlProblem } from '../core/provider-url.ts'
import { type Mistake, mistakeAt, mistakeAtKey, nearest, type Path, type Source } from './mistake.ts'

const ENDPOINTS = ['issuer', 'authorize_url', 'token_url', 'refresh_url', 'revoke_url', 'par_url', 'jwks_url'] as const
export const LINKED: ReadonlySet<string> = new Set([...ENDPOINTS, 'identity', 'probe', 'hosts', 'config'])
const HOST = /^(?:\*\.)?(?:[A-Za-z0-9-]+|\{[a-z][a-z0-9_]*\})(?:\.(?:[A-Za-z0-9-]+|\{[a-z][a-z0-9_]*\}))*(?::[1-9][0-9]{0,4})?$/
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const PLACEHOLDER_NAME = /^[a-z][a-z0-9_]*$/
const WINDOW_SECONDS_MAX = 30 * 24 * 3600

/** Parameters that Latchstring computes for each request: a fixed value would break the flow or its safety. */
const COMPUTED = [
  'state',
  'redirect_uri',
  'client_id',
  'nonce',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'refresh_token',
]
const STANDARD = [...COMPUTED, 'client_secret', 'response_type', 'scope', 'grant_type']
/** At the end of a path, whatever leads there; and of a callback. */
const SECRETS = /(?:^|[._])(?:token|secret)$/
const CALLBACK_SECRETS = /^(?:code|state)$/
const HEADERS_OF_OURS = ['authorization', 'content-type', 'content-length', 'host', 'connection', 'transfer-encoding', 'cookie']

interface Told {
  readonly path: Path
  readonly message: string
  readonly key?: true
}

export function providerRules(provider: Partial<Provider>, source: Source, base: Path): Mistake[] {
  const told = [...endpoints(provider), ...configs(provider), ...requests(provider), ...details(provider)]
  return told.map(({ path, message, key }) => (key ? mistakeAtKey : mistakeAt)(source, [...base, ...path], message))
}

/** Every URL of a provider, by its path in the file. */
export function urlsOf(provider: Partial<Provider>): { path: Path; url: string }[] {
  const further = [
    { path: ['identity', 'url'], url: provider.identity?.url },
    { path: ['probe', 'url'], url: provider.probe?.url },
  ]
  return [...ENDPOINTS.map((name) => ({ path: [name], url: provider[name] })), ...further].filter(
    (found): found is { path: string[]; url: string } => found.url !== undefined,
  )
}

function endpoints(provider: Partial<Provider>): Told[] {
  const told: Told[] = []
  for (const { path, url } of urlsOf(provider)) {
    const problem = urlProblem(url)
    if (problem) told.push({ path, message: problem })
  }
  const { issuer, authorize_url, token_url } = provider
  if (issuer?.includes('?')) told.push({ path: ['issuer'], message: 'must not have a query (?…)' })
  if (issuer?.includes('/.well-known/')) {
    told.push({ path: ['issuer'], message: 'is where its discovery document is: the issuer is what that says under issuer' })
  }
  if (issuer === undefined) {
    const instead = 'is missing: give authorize_url and token_url, or issuer alone'
    if (authorize_url === undefined) told.push({ path: ['authorize_url'], message: instead })
    if (token_url === undefined) told.push({ path: ['token_url'], message: instead })
    if (provider.iss === 'required') told.push({ path: ['iss'], message: 'needs issuer, to compare with' })
    if (provider.require_par && !provider.par_url) told.push({ path: ['require_par'], message: 'needs par_url' })
    if (provider.revoke && !provider.revoke_url) told.push({ path: ['revoke'], message: 'needs revoke_url' })
  }
  for (const [index, page] of (provider.docs ?? []).entries()) {
    if (URL.parse(page)?.protocol !== 'https:') told.push({ path: ['docs', index], message: 'must be an https:// URL' })
  }
  for (const [index, host] of (provider.hosts ?? []).entries()) {
    if (!HOST.test(host))
      told.push({ path: ['hosts', index], message: 'must be a host name, or *. and a domain, without https://' })
  }
  return told
}

function configs(provider: Partial<Provider>): Told[] {
  const declared = provider.config ?? {}
  const texts = [
    ...urlsOf(provider),
    ...(provider.hosts ?? []).map((host, index) => ({ path: ['hosts', index], url: `https://${host}` })),
  ]
  const told: Told[] = []
  for (const { path, url } of texts) {
    for (const name of placeholders(url)) {
      if (name === CLIENT_ID || Object.hasOwn(declared, name)) continue
      const meant = nearest(name, Object.keys(declared))
      told.push({
        path,
        message: `has the placeholder {${name}}, which config does not declare${meant ? `: did you mean {${meant}}?` : ''}`,
      })
    }
  }
  const used = new Set(texts.flatMap(({ url }) => placeholders(url)))
  for (const [name, field] of Object.entries(declared)) {
    const path = ['config', name]
    if (name === CLIENT_ID) told.push({ path, key: true, message: 'is always the client id of the app: take it out' })
    else if (!PLACEHOLDER_NAME.test(name)) told.push({ path, key: true, message: 'must be small letters, digits and _' })
    else if (!used.has(name))
      told.push({ path, key: true, message: `is in no URL: write {${name}} where it belongs, or take it out` })
    told.push(...samples(name, field, texts))
  }
  return told
}

/** The default and the example must be values that an app could give. */
function samples(name: string, field: ConfigField, texts: readonly { url: string }[]): Told[] {
  if (field.pattern !== undefined && !compiles(field.pattern)) {
    return [{ path: ['config', name, 'pattern'], message: 'is no regular expression' }]
  }
  const told: Told[] = []
  for (const kind of ['default', 'example'] as const) {
    const value = field[kind]
    if (value === undefined) continue
    const problem =
      fieldProblem(field, value) ?? texts.map(({ url }) => placeholderProblem(url, name, value)).find((found) => found !== null)
    if (problem) told.push({ path: ['config', name, kind], message: problem })
  }
  return told
}

function requests(provider: Partial<Provider>): Told[] {
  const told: Told[] = []
  for (const field of ['authorize_params', 'token_params', 'refresh_params'] as const) {
    for (const name of Object.keys(provider[field] ?? {})) {
      if (COMPUTED.includes(name))
        told.push({ path: [field, name], key: true, message: 'is computed for every request: take it out' })
    }
  }
  for (const field of ['token_headers', 'api_headers'] as const) {
    for (const name of Object.keys(provider[field] ?? {})) {
      if (!HEADER_NAME.test(name)) told.push({ path: [field, name], key: true, message: 'is no header name' })
      if (HEADERS_OF_OURS.includes(name.toLowerCase()))
        told.push({ path: [field, name], key: true, message: 'is set for every request: take it out' })
    }
  }
  const renamings = [
    { at: ['param_names'], names: provider.param_names },
    { at: ['revoke', 'param_names'], names: provider.revoke?.param_names },
  ]
  for (const { at, names = {} } of renamings) {
    for (const name of Object.keys(names)) {
      const meant = nearest(name, STANDARD)
      if (STANDARD.includes(name)) continue
      told.push({ path: [...at, name], key: true, message: `is no standard parameter${meant ? `: did you mean ${meant}?` : ''}` })
    }
  }
  return told
}

function details(provider: Partial<Provider>): Told[] {
  const told: Told[] = []
  const seconds = Number(/^(\d+)s$/.exec(provider.rotation?.window ?? '')?.[1] ?? 0)
  if (seconds > WINDOW_SECONDS_MAX)
    told.push({ path: ['rotation', 'window'], message: 'must be 30 days at most: until_next_use has no end' })
  for (const field of ['keep_from_answer', 'keep_from_callback'] as const) {
    for (const [index, path] of (provider[field] ?? []).entries()) {
      if (SECRETS.test(path) || (field === 'keep_from_callback' && CALLBACK_SECRETS.test(path)))
        told.push({ path: [field, index], message: 'is a secret, and applications read what is kept: it stays with us' })
    }
  }
  for (const field of ['identity', 'probe'] as const) {
    const post = provider[field]?.post
    if (post !== undefined && !isJson(post)) told.push({ path: [field, 'post'], message: 'must be JSON, in quotes' })
  }
  if (provider.checked !== undefined && !isDay(provider.checked))
    told.push({ path: ['checked'], message: 'must be a day that exists' })
  return told
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function compiles(pattern: string): boolean {
  try {
    new RegExp(`^(?:${pattern})$`, 'u')
    return true
  } catch {
    return false
  }
}
