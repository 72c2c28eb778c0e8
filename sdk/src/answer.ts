/** Judges what the broker answered: a result in the form that was asked for, or the exception it means. */

import { ApiException } from './errors.ts'

export interface ApiResponse<Body> {
  /** As `fetch` gave it; its body has been read. With `stream`, `body` is the one of this. */
  readonly response: Response
  readonly status: number
  readonly headers: Headers
  readonly body: Body
}

export interface ApiResponseWithoutDeserialization {
  /** Its body has not been read: read it to its end, or cancel it. */
  readonly response: Response
  readonly status?: undefined
  readonly headers?: undefined
  readonly body?: undefined
}

/** Throws ApiException unless the body is JSON and an object with the keys that were promised. */
export function parsed(
  response: Response,
  text: string,
  { promises, silent }: { readonly promises: readonly string[]; readonly silent?: true },
): unknown {
  if (text === '' && silent) return undefined
  const body = fromJson(text)
  const kept = typeof body === 'object' && body !== null && promises.every((key) => key in body)
  if (kept) return body
  const missing = promises.length > 0 ? ` with ${promises.join(' and ')}` : ''
  // A success may hold a token even where it is garbled, so nothing of it goes into the exception.
  throw new ApiException(response.status, response.statusText, undefined, response.headers, {
    message: `${response.status}, but the answer is no JSON object${missing}: is this the address of a broker?`,
  })
}

/** What an answer that is no success means. A server that echoes what it was sent must not put secrets into an exception. */
export function exception(response: Response, text: string, secrets: readonly string[]): ApiException {
  const clean = secrets.reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), text)
  const { status, statusText, headers } = response
  const message = redirect(response)
  return new ApiException(
    status,
    statusText,
    fromJson(clean) ?? (clean || undefined),
    headers,
    message === null ? {} : { message },
  )
}

/** What leads elsewhere is seldom more than a host that was written wrongly: http for https, say. */
function redirect({ status, statusText, headers, url }: Response): string | null {
  const location = headers.get('location')
  if (status < 300 || status > 399 || location === null || !URL.canParse(location, url)) return null
  const { origin } = new URL(location, url)
  return `${`${status} ${statusText}`.trim()}: it leads to ${origin} and is not followed: is host the address of the broker?`
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
