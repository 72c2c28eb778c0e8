/** A proxy in front of a provider that keeps what passes in both directions, and answers in its place when it is told to. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly authorization: string
  readonly body: string
}

export interface Wiretap extends AsyncDisposable {
  /** No trailing slash. */
  readonly url: string
  readonly heard: readonly (Asked & { readonly answer: string })[]
  /** What is answered to the next request of that path instead of the provider's answer. */
  answerNext(path: string, answer: (asked: Asked) => Response): void
}

export async function startWiretap(provider: string): Promise<Wiretap> {
  const heard: (Asked & { answer: string })[] = []
  const next = new Map<string, (asked: Asked) => Response>()

  async function answerTo({ method, url, authorization, body }: Asked, contentType: string): Promise<Response> {
    const path = url.split('?', 1)[0] ?? ''
    const instead = next.get(path)
    next.delete(path)
    if (instead) return instead({ method, url, authorization, body })
    const headers = { ...(authorization && { authorization }), ...(contentType && { 'content-type': contentType }) }
    return fetch(provider + url, { method, headers, ...(method === 'POST' && { body }) })
  }

  const server = createServer((request, response) => {
    void text(request).then(async (body) => {
      const { method = '', url = '', headers } = request
      const asked = { method, url, authorization: headers.authorization ?? '', body }
      const answered = await answerTo(asked, headers['content-type'] ?? '')
      const answer = await answered.text()
      heard.push({ ...asked, answer })
      response.writeHead(answered.status, { 'content-type': answered.headers.get('content-type') ?? '' }).end(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    answerNext: (path, answer) => void next.set(path, answer),
    [Symbol.asyncDispose]() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
