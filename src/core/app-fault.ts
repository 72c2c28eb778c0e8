/** Which refusals of a consent are about the app as its operator set it up: its users may start again as often as they like. */

import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import type { Provider } from './provider.ts'

/** RFC 6749 sections 4.1.2.1 and 5.2, GitHub's name for the last of them, and one of ours. Not `invalid_request`, which is said of anything. */
const OF_THE_APP: ReadonlySet<string | null> = new Set([
  'unauthorized_client',
  'unsupported_response_type',
  'invalid_scope',
  'invalid_client',
  'incorrect_client_credentials',
  'app_misconfigured',
])

/** The provider's file knows more words for it. */
export function isOfTheApp(reason: string | null, provider: Provider | null): boolean {
  return OF_THE_APP.has(reason) || (provider?.errors?.app?.some((listed) => listed === reason) ?? false)
}

interface Failed {
  readonly provider: string
  readonly reason: string | null
  readonly detail?: string | null
}

/** Told to the application, with who can do something about it. */
export async function connectFailed({ registry }: Ports, { provider, reason, detail }: Failed): Promise<BrokerError> {
  const remedy = isOfTheApp(reason, await registry.provider(provider))
    ? ': the provider refuses the app as it is set up, which an operator must correct before anybody starts again with auth_url'
    : '; start again with auth_url'
  const why = `${reason ?? 'unknown'}${detail ? `: ${detail}` : ''}`
  return new BrokerError('CONNECT_FAILED', `connecting failed (${why})${remedy}`)
}
