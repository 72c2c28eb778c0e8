/** The runtime's fetch, made to keep one promise everywhere: what may have been acted upon is not sent a second time. */

import type { Fetch } from './exchange.ts'

interface DenoRuntime {
  readonly createHttpClient?: (options: { readonly poolMaxIdlePerHost: number }) => object
}

/** Looked up at every call, so that instrumentation which replaces the global fetch is seen. */
export const runtimeFetch: Fetch = (url, init) => {
  return globalThis.fetch(url, onlyReads(init) ? init : { ...init, ...onItsOwnConnection() })
}

function onlyReads({ method = 'GET' }: RequestInit): boolean {
  return /^(get|head)$/i.test(method)
}

let setting: { readonly keepalive: false; readonly client?: object } | undefined

/**
 * When a connection that was kept from an earlier request dies under the next, Bun repeats a DELETE on another and Deno repeats
 * anything, since the server may never have seen it. It may have, though. On a connection of its own nothing is repeated
 * (in Deno since 2.9.6). Bun makes one with `keepalive: false`, which elsewhere is what counts anyway; Deno with a client that keeps none.
 */
function onItsOwnConnection(): { readonly keepalive: false; readonly client?: object } {
  const deno = (globalThis as { readonly Deno?: DenoRuntime }).Deno
  // One for the whole program: nobody would know when to close more.
  setting ??= { keepalive: false, ...(deno?.createHttpClient && { client: deno.createHttpClient({ poolMaxIdlePerHost: 0 }) }) }
  return setting
}
