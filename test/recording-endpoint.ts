/** A token endpoint that writes down what it is sent, and hands it on or refuses it: what stands there is what a thief would have. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface RecordingEndpoint extends AsyncDisposable {
  readonly url: string
  /** The forms it was sent, oldest first. */
  readonly received: readonly URLSearchParams[]
  /** Whoever answers in its place. null, as at the start: every code is refused. */
  passOnTo: string | null
}

export async function startRecordingEndpoint(): Promise<RecordingEndpoint> {
  const received: URLSearchParams[] = []
  const server = createServer((request, response) => {
    void text(request).then(async (body) => {
      received.push(new URLSearchParams(body))
      const { passOnTo } = endpoint
      const { authorization = '', 'content-type': type = '' } = request.headers
      const answer =
        passOnTo === null
          ? Response.json({ error: 'invalid_grant' }, { status: 400 })
          : await fetch(passOnTo, { method: 'POST', body, headers: { authorization, 'content-type': type } })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint: RecordingEndpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    received,
    passOnTo: null,
    [Symbol.asyncDispose]() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return endpoint
}
