/** What an authorization server says about itself (OpenID Connect Discovery, RFC 8414), fetched by issuer and remembered for an hour. */

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
const ENTRIES_MAX = 500

interface Entry {
  readonly found: Metadata | BrokerError
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
    const entry: Entry = { found, until: now() + (found instanceof BrokerError ? FAILURE_LIFE_MS : LIFE_MS) }
    entries.delete(key)
    const [oldest] = entries.keys()
    if (entries.size >= ENTRIES_MAX && oldest !== undefined) entries.delete(oldest)
    entries.set(key, entry)
    return entry
  }
}

async function discover(net: Net, issuer: string, allowPrivateNetwork: boolean): Promise<Metadata> {
  const url = URL.parse(issuer)
  if (!url) throw new BrokerError('CONNECT_FAILED', 'the issuer is not a URL')
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    const response = await oauth.discoveryRequest(url, {
      algorithm,
      [oauth.customFetch]: netFetch(net, allowPrivateNetwork),
      // Whether http will do is decided where the request goes out.
      [oauth.allowInsecureRequests]: true,
    })
    if (response.status === 200) return processed(url, issuer, response)
    if (response.status >= 500 || response.status === 429) throw unavailable(issuer, `answered ${response.status}`)
  }
  throw new BrokerError(
    'CONNECT_FAILED',
    `${issuer} has no discovery document: check the issuer, or name authorize_url and token_url`,
  )
}

async function processed(url: URL, issuer: string, response: Response): Promise<Metadata> {
  const metadata = await oauth.processDiscoveryResponse(url, response)
  // The library compares URLs, which are normalised; an issuer is a plain string (RFC 8414 section 3.3).
  if (metadata.issuer !== issuer) throw new BrokerError('CONNECT_FAILED', otherIssuer(issuer))
  return metadata
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
    return new BrokerError('CONNECT_FAILED', otherIssuer(issuer))
  }
  return unavailable(issuer, 'it is not what a discovery document should be', error)
}

function otherIssuer(issuer: string): string {
  return `the discovery document at ${issuer} is another issuer's: the two must be the same, character for character`
}

function unavailable(issuer: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('PROVIDER_UNAVAILABLE', `the discovery document of ${issuer} cannot be had: ${why}`, { cause })
}
