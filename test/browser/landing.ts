/** The place of an app that users come back to: a real server, which remembers what each browser brought. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { html } from '../../src/http/page-markup.ts'

export interface Arrival {
  readonly query: URLSearchParams
  readonly referrer: string | null
}

export interface Landing {
  /** To be listed as the app's `callback_url`. */
  readonly callbackUrl: string
  readonly arrivals: readonly Arrival[]
  /** A page that shows another one in a frame, or tries to. */
  framing(url: string): string
  close(): Promise<void>
}

export async function startLanding(): Promise<Landing> {
  const arrivals: Arrival[] = []
  const server = createServer((request, response) => {
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://landing.invalid')
    if (pathname === '/callback') arrivals.push({ query, referrer: request.headers.referer ?? null })
    const inner =
      pathname === '/frame'
        ? html`<iframe src="${query.get('of') ?? ''}" width="600" height="600"></iframe>`
        : html`<h1>Back in the app</h1>`
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    response.end(html`<!doctype html><html lang="en"><title>An app</title><link rel="icon" href="data:,">${inner}</html>`.text)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    callbackUrl: `${url}/callback`,
    arrivals,
    framing: (of) => `${url}/frame?${new URLSearchParams({ of }).toString()}`,
    async close() {
      server.closeAllConnections()
      await new Promise<void>((closed) => server.close(() => closed()))
    },
  }
}
