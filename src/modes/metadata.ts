/** What an authorization server says about itself (OpenID Connect Discovery, RFC 8414), fetched by issuer and remembered for an hour, in an outage for a day. */

import * as oauth from 'oauth4webapi'
import { BrokerError } from '../core/errors.ts'
import { Flights } from '../core/flights.ts'
import { type Net, NetError } from '../core/ports.ts'
import { netFetch } from './net-fetch.ts'

export type Metadata = oauth.AuthorizationServer

/** Throws `PROVIDER_UNAVAILABLE` when it cannot be had now, and `CONNECT_FAILED` when it is not there or not the issuer's. */
export type MetadataSource = (issuer: string, allowPrivateNetwork: boolean) => Promise<Metadata>

const LIFE_MS = 3_600_000
/** So that an outage is not made worse, and its end not missed. */
const FAILURE_LIFE_MS = 5_000
/** While it cannot be had, what was said last stands so long: renewals need no discovery document, but where to go. */
const KEPT_MS = 24 * 3_600_000
const ENTRIES_MAX = 500

interface Entry {
  readonly found: Metadata | BrokerError
  readonly foundAt: number
  readonly until: number
}

export function createMetadataSource({ net, now }: { readonly net: Net; readonly now: () => number }): MetadataSource {
  const entries = new Map<string, Entry>()
  const flights = new Flights()

  return async (issuer, allowPrivateNetwork) => {
    const key = JSON.stringify([issuer, allowPrivateNetwork])
    const known = entries.get(key)
    const entry = known && known.until > now() ? known : await flights.join(key, () => look(key, issuer, allowPrivateNetwork))
    // A new error each time: one that was thrown before would tell of the place where it was thrown first.
    if (entry.found instanceof BrokerError) throw new BrokerError(entry.found.code, entry.found.message, { cause: entry.found })
    return entry.found
  }

  async function look(key: string, issuer: string, allowPrivateNetwork: boolean): Promise<Entry> {
    const found = await discover(net, issuer, allowPrivateNetwork).catch((error: unknown) => asBrokerError(issuer, error))
    const at = now()
    const before = entries.get(key)
    const entry: Entry =
      before && isAway(found) && !(before.found instanceof BrokerError) && at - before.foundAt < KEPT_MS
        ? { ...before, until: at + FAILURE_LIFE_MS }
        : { found, foundAt: at, until: at + (found instanceof BrokerError ? FAILURE_LIFE_MS : LIFE_MS) }
    entries.delete(key)
    const [oldest] = entries.keys()
    if (entries.size >= ENTRIES_MAX && oldest !== undefined) entries.delete(oldest)
    entries.set(key, entry)
    return entry
  }
}

/**
 * It says nothing now, and one that was there an hour ago is hardly gone for good: what stands in front of a server asks for a login, and
 * deployments fail. A document that says something else is another matter.
 */
function isAway(found: Metadata | BrokerError): boolean {
  return found instanceof NoDocument || (found instanceof BrokerError && found.code === 'PROVIDER_UNAVAILABLE')
}

class NoDocument extends BrokerError {}

async function discover(net: Net, issuer: string, allowPrivateNetwork: boolean): Promise<Metadata> {
  const url = URL.parse(issuer)
  if (!url) throw new BrokerError('CONNECT_FAILED', 'the issuer is not a URL')
  const answered: string[] = []
  let unreadable: unknown = null
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    let place = ''
    const response = await oauth.discoveryRequest(url, {
      algorithm,
      [oauth.customFetch]: (asked, init) => {
        place = new URL(asked).pathname
        return netFetch(net, allowPrivateNetwork)(asked, init)
      },
      // Whether http will do is decided where the request goes out.
      [oauth.allowInsecureRequests]: true,
    })
    if (response.status >= 500 || response.status === 429) throw unavailable(issuer, `answered ${response.status}`)
    answered.push(`${place} answered ${response.status}`)
    if (response.status !== 200) continue
    try {
      return await processed(url, issuer, response)
    } catch (error) {
      // The page that a server has for every path: what is looked for may stand in the other place.
      if (!isNoDocument(error)) throw error
      unreadable ??= error
    }
  }
  if (unreadable !== null) throw unreadable
  throw new NoDocument(
    'CONNECT_FAILED',
    `${issuer} has no discovery document (${answered.join(', ')}): check the issuer, or name authorize_url and token_url`,
  )
}

async function processed(url: URL, issuer: string, response: Response): Promise<Metadata> {
  const metadata = await oauth.processDiscoveryResponse(url, response)
  // The library compares URLs, which are normalised; an issuer is a plain string (RFC 8414 section 3.3).
  if (metadata.issuer !== issuer) throw new BrokerError('CONNECT_FAILED', otherIssuer(issuer, metadata.issuer))
  return metadata
}

function isNoDocument(error: unknown): boolean {
  return error instanceof oauth.OperationProcessingError && error.code === oauth.PARSE_ERROR
}

function asBrokerError(issuer: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error
  if (error instanceof NetError) {
    const mistaken = error.reason === 'address_refused' || error.reason === 'invalid_url'
    return mistaken
      ? new BrokerError('CONNECT_FAILED', error.message, { cause: error })
      : unavailable(issuer, error.message, error)
  }
  if (error instanceof oauth.OperationProcessingError && error.code === oauth.JSON_ATTRIBUTE_COMPARISON) {
    const { body } = (error.cause ?? {}) as { body?: { issuer?: unknown } }
    return new BrokerError('CONNECT_FAILED', otherIssuer(issuer, body?.issuer))
  }
  return unavailable(issuer, 'it is not what a discovery document should be', error)
}

/** What it says is shown where it could be written into a file, and as nothing but a URL. */
function otherIssuer(issuer: string, said: unknown): string {
  const named =
    typeof said === 'string' && /^https?:\/\/[\w.:/~%@+-]{1,200}$/.test(said)
      ? `says that it is of ${said}`
      : "is another issuer's"
  return `the discovery document at ${issuer} ${named}: the two must be the same, character for character`
}

function unavailable(issuer: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('PROVIDER_UNAVAILABLE', `the discovery document of ${issuer} cannot be had: ${why}`, { cause })
}
