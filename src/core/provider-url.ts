/** Fills the `{name}` placeholders of a provider's URLs, so that no value can lead anywhere but where the URL was meant to lead. */

import { BrokerError } from './errors.ts'
import type { ConfigField, Provider } from './provider.ts'

const PLACEHOLDER = /\{([a-z][a-z0-9_]*)\}/g
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const HOST = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`)
const HOST_AND_PORT = new RegExp(`^(?=.{1,259}$)${LABEL}(?:\\.${LABEL})*(?::[1-9][0-9]{0,4})?$`)
const SEGMENT = /^(?=.{1,255}$)[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*$/

/** The placeholder that is the app's client id wherever it stands: it is never declared as `config`. */
export const CLIENT_ID = 'client_id'

/** Names of the placeholders in a URL or host, each once. */
export function placeholders(text: string): string[] {
  return [...new Set([...text.matchAll(PLACEHOLDER)].map(([, name]) => name ?? ''))]
}

/**
 * The URL with every placeholder filled from the app's `config`, or from the field's default. Give `client_id` along with the config
 * where the URL may ask for it. Throws `CONNECT_FAILED` when a value is missing or could change where the URL leads.
 */
export function expandUrl(provider: Provider, url: string, config: Readonly<Record<string, string>>): string {
  return url.replace(PLACEHOLDER, (_, name: string, at: number) => {
    const value = own(config, name) ?? own(provider.config ?? {}, name)?.default
    if (value === undefined)
      throw new BrokerError('CONNECT_FAILED', `the app does not say what ${name} is in the URLs of ${provider.name}`)
    const problem = valueProblem(url, at, value)
    if (problem) throw new BrokerError('CONNECT_FAILED', `the app's ${name} for ${provider.name} ${problem}`)
    return value
  })
}

/** As `expandUrl`, for the provider's `hosts`. */
export function expandHosts(provider: Provider, config: Readonly<Record<string, string>>): string[] {
  return (provider.hosts ?? []).map((host) => expandUrl(provider, `https://${host}`, config).slice('https://'.length))
}

/** What is wrong with a value for a placeholder of this name in this URL, or null. */
export function placeholderProblem(url: string, name: string, value: string): string | null {
  for (const found of url.matchAll(PLACEHOLDER)) {
    const problem = found[1] === name ? valueProblem(url, found.index, value) : null
    if (problem) return problem
  }
  return null
}

/** What is wrong with a value by what its field says of it, or null. */
export function fieldProblem(field: ConfigField, value: string): string | null {
  if (field.enum && !field.enum.includes(value)) return `must be one of ${field.enum.join(', ')}`
  if (field.pattern && !new RegExp(`^(?:${field.pattern})$`, 'u').test(value)) {
    return `must match ${field.pattern}${field.example ? `, such as ${field.example}` : ''}`
  }
  return null
}

/** What is wrong with a URL of a provider that may hold placeholders, or null. S-37: nothing but https leaves this machine. */
export function urlProblem(url: string): string | null {
  if (/[{}]/.test(url.replace(PLACEHOLDER, '')))
    return 'has a brace that is no placeholder: write {name}, in small letters, digits and _'
  if (/[\s\p{Cc}]/u.test(url)) return 'must not contain spaces or control characters'
  const parsed = URL.parse(url.replace(PLACEHOLDER, 'placeholder'))
  if (!parsed || !/^https?:\/\/[^/?#\\]/i.test(url)) return 'must be an absolute URL, https://…'
  if (parsed.username || parsed.password || /^[^/]*\/\/[^/?#]*@/.test(url)) return 'must not carry a user name or password'
  if (url.includes('#')) return 'must not have a fragment (#…)'
  if (parsed.protocol === 'https:') return null
  return isLoopback(parsed.hostname) ? null : 'must begin with https:// (http:// is for loopback addresses only)'
}

/** Whether a host, as `URL.hostname` writes it, is this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

/** The place decides: a whole authority may have a port, a part of one is host labels, and behind it a single path segment. */
function valueProblem(url: string, at: number, value: string): string | null {
  const begin = url.indexOf('://') + '://'.length
  const end = begin + url.slice(begin).search(/[/?#]|$/)
  if (at >= end) return SEGMENT.test(value) ? null : 'must be letters, digits, - and _, with single dots between them'
  const whole = at === begin && url.indexOf('}', at) === end - 1
  if ((whole ? HOST_AND_PORT : HOST).test(value)) return null
  return `must be a host name: letters, digits and -, with single dots between them${whole ? ', and a port if need be' : ''}`
}

/** Not `object[name]`: that finds `constructor`, too. */
function own<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined
}
