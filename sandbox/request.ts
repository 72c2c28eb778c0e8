/** A request as the endpoints see it: read whole, within a limit, its parameters already parsed. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

const BODY_BYTES_MAX = 256 * 1024

export interface Request {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly remote: string
  readonly body: string
  /** The body as a form, parsed once. Shared: copy it before changing it. */
  readonly form: URLSearchParams
}

export class BodyTooLarge extends Error {}

export async function readRequest(message: IncomingMessage): Promise<Request> {
  const url = message.url ?? '/'
  const mark = url.indexOf('?')
  const body = message.method === 'GET' ? '' : await bodyOf(message)
  let form: URLSearchParams | null = null
  return {
    method: message.method ?? 'GET',
    path: mark === -1 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1)),
    headers: message.headers,
    remote: message.socket.remoteAddress ?? '',
    body,
    get form() {
      return (form ??= new URLSearchParams(body))
    },
  }
}

/** Events rather than `for await`: an async iterator costs more than the rest of a token request. */
function bodyOf(message: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    message.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > BODY_BYTES_MAX) reject(new BodyTooLarge())
      else chunks.push(chunk)
    })
    message.on('end', () => resolve((chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString('utf8')))
    message.on('error', reject)
    message.on('close', () => reject(new Error('the client went away')))
  })
}

/** RFC 6749 3.1: a parameter given twice is an invalid request. */
export function repeatedIn(params: URLSearchParams): string | null {
  const seen = new Set<string>()
  for (const name of params.keys()) {
    if (seen.has(name)) return name
    seen.add(name)
  }
  return null
}
