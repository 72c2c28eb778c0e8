/** How bodies are read: JSON, forms where they are expected, and nothing else. An empty one is none, whatever it says it is. */

import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { BrokerError } from '../core/errors.ts'

/** Nothing that is asked here needs more: what is deeper was written to tire somebody. */
const DEPTH_MAX = 16

export function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  // Refuses __proto__ and constructor keys instead of dropping them.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Stock clients name a JSON body and then send none, on POST too.
    if (body === '') done(null, undefined)
    else if (depthOf(body as string) > DEPTH_MAX)
      done(new BrokerError('INVALID_REQUEST', `the body is nested more than ${DEPTH_MAX} deep`))
    else void parseJson(request, body as string, done)
  })
}

export function readForms(app: FastifyInstance): void {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, new URLSearchParams(body as string))
  })
}

/** HTTP libraries name a type for a body that they were not given (`axios.post(url, null)`, `curl -d ''`), and each another one. */
export function forgetTypeOfNoBody(headers: IncomingHttpHeaders): void {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers
  if (length === '0' && encoding === undefined) delete headers['content-type']
}

/** How deep its brackets go, without building anything. */
function depthOf(text: string): number {
  let [depth, deepest, quoted] = [0, 0, false]
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (quoted) {
      if (character === '\\') at += 1
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
}
