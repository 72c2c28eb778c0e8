/** Which refusals of a consent are about the app as its operator set it up: its users may start again as often as they like. */

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
