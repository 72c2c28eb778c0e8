/** Reads what the user's browser brings back to the application's callback. */

import { ArgumentError } from './arguments.ts'
import type { CallbackQuery } from './wire.ts'

const KEYS = ['session_id', 'completion_code', 'error', 'error_description'] as const

/**
 * Reads the query of a request to the app's callback.
 *
 * ```ts
 * const { session_id, completion_code, error } = readCallback(request.url)
 * if (error) return showThatItDidNotWork(error)
 * await api.complete({ session_id, completion_code, user_id: loggedInUser.id })
 * ```
 *
 * @param url a whole URL, or the path and query that server frameworks give
 * @throws ArgumentError when it is no callback: no URL, no `session_id`, or a key given twice
 */
export function readCallback(url: string | URL): CallbackQuery {
  const query = queryOf(url)
  const found: Partial<Record<(typeof KEYS)[number], string>> = {}
  for (const key of KEYS) {
    const [value, second] = query.getAll(key)
    // Which of two would be meant is anybody's guess, and guessing is how links are forged.
    if (second !== undefined) throw new ArgumentError(`readCallback: ${key} is there twice`)
    if (value) found[key] = value
  }
  const { session_id, ...rest } = found
  if (session_id === undefined)
    throw new ArgumentError(
      query.has('state')
        ? "readCallback: a provider sent the browser here, past the broker: register the broker's redirect URI there, not the app's callback"
        : 'readCallback: no session_id in the query, so this is not where a connection comes back to',
    )
  return { session_id, ...rest }
}

function queryOf(url: string | URL): URLSearchParams {
  if (url instanceof URL) return url.searchParams
  if (typeof url !== 'string') throw new ArgumentError('readCallback takes a URL, as URL or string')
  // Node's request.url has no origin; which one is put there makes no difference to the query.
  const origin = 'http://callback.invalid'
  if (!URL.canParse(url, origin)) throw new ArgumentError('readCallback: this is no URL')
  return new URL(url, origin).searchParams
}
