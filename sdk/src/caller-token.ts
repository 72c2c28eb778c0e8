/** Fetches a bearer token with client credentials (RFC 6749 section 4.4). */

import { exception, parsed } from './answer.ts'
import { type Granted, isSendable } from './bearer.ts'
import { readText } from './body.ts'
import { ApiException } from './errors.ts'
import { exchange, type Outgoing } from './exchange.ts'
import { Leash } from './leash.ts'
import { limitsOf } from './options.ts'
import type { ClientCredentials, Settings } from './settings.ts'
import type { CallerTokenAnswer, CallerTokenRequest } from './wire.ts'

/** Seconds that a token is kept whose answer does not say how long it lasts. One that ends sooner is refused, and then fetched anew. */
const LIFETIME_UNSAID = 300

/** Serves every call that waits for a token, so the limits are the client's and no single call's signal ends it. */
export async function fetchCallerToken(
  settings: Settings,
  { id, secret, scope, audience, prove }: ClientCredentials,
  closed: AbortSignal,
): Promise<Granted> {
  // Id and secret go into the form: servers disagree about how HTTP Basic is to encode them.
  const form: CallerTokenRequest = {
    grant_type: 'client_credentials',
    client_id: id,
    client_secret: secret,
    ...(audience !== undefined && { audience }),
    ...(scope !== undefined && { scope }),
  }
  const url = `${settings.host}/oauth2/token`
  const outgoing: Outgoing = {
    method: 'POST',
    url,
    title: 'POST /oauth2/token',
    // A token that nobody uses harms nobody.
    repeatable: true,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ ...form }).toString(),
    ...(prove && { proof: () => prove({ method: 'POST', url, token: null }) }),
  }
  const limits = limitsOf(settings.timeout)
  const leash = new Leash([closed])
  leash.limitTotal(limits.total)
  try {
    return await exchange(settings, outgoing, leash, limits, async (response) => {
      const text = await readText(response, { title: outgoing.title, leash, silence: limits.silence })
      if (!response.ok) throw exception(response, text, [secret])
      return granted(
        response,
        parsed(response, text, { promises: ['access_token'] }) as Unchecked<CallerTokenAnswer>,
        prove !== null,
      )
    })
  } finally {
    leash.release()
  }
}

/** What a server sent, and whether it means by it what it should. */
type Unchecked<T> = { readonly [K in keyof T]?: unknown }

function granted(
  response: Response,
  { access_token, expires_in, token_type }: Unchecked<CallerTokenAnswer>,
  bound: boolean,
): Granted {
  if (!isSendable(access_token)) throw unusable(response, 'its access_token is no token')
  // What is not bound would be shown with proofs that nobody asks for, and be worth as much to whoever copies it.
  if (bound && !(typeof token_type === 'string' && token_type.toLowerCase() === 'dpop'))
    throw unusable(response, 'it gave a token that is not bound to a key: this server knows no DPoP')
  // Some servers send the number as text.
  const lifetime = Number(expires_in ?? LIFETIME_UNSAID)
  return { token: access_token, lifetime: Number.isFinite(lifetime) ? Math.max(0, lifetime) : LIFETIME_UNSAID }
}

function unusable({ status, statusText, headers }: Response, why: string): ApiException {
  return new ApiException(status, statusText, undefined, headers, { message: `POST /oauth2/token: ${why}` })
}
