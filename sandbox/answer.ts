/** What an endpoint answers, kept as data until the last moment so that a script can still change it. */

import type { OutgoingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Exactly one of these three, or none for an empty body. */
  readonly json?: Readonly<Record<string, unknown>>
  readonly redirect?: { readonly to: string; readonly params: Readonly<Record<string, unknown>> }
  readonly body?: string | Uint8Array
}

/** A refusal in the words of RFC 6749 5.2. */
export class OAuthError extends Error {
  readonly code: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(code: string, description: string, status = 400, headers: Readonly<Record<string, string>> = {}) {
    super(description)
    this.code = code
    this.status = status
    this.headers = headers
  }
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' } as const

export function json(
  status: number,
  body: Readonly<Record<string, unknown>>,
  headers?: Readonly<Record<string, string>>,
): Answer {
  return { status, json: body, headers: headers ? { ...NO_STORE, ...headers } : NO_STORE }
}

export function refusal(error: OAuthError): Answer {
  return json(error.status, { error: error.code, error_description: error.message }, error.headers)
}

/** An answer as bytes on the wire. */
export interface Rendered {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: string | Uint8Array
}

export function render({ status, headers, json, redirect, body = '' }: Answer): Rendered {
  if (json) {
    const text = JSON.stringify(json)
    return { status, headers: { 'content-type': 'application/json', ...headers }, body: text }
  }
  if (redirect) return { status, headers: { ...NO_STORE, ...headers, location: locationOf(redirect) }, body }
  return { status, headers: { ...headers }, body }
}

function locationOf({ to, params }: NonNullable<Answer['redirect']>): string {
  const query = new URLSearchParams()
  // A list is sent as a repeated parameter: one of the things a callback must refuse.
  for (const [name, value] of Object.entries(params)) for (const one of [value].flat()) query.append(name, String(one))
  if (query.size === 0) return to
  // The registered query is kept to the letter; parsing and printing it again would change its encoding.
  return `${to}${to.includes('?') ? '&' : '?'}${query.toString()}`
}
