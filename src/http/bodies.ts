/** How bodies are read: JSON (an empty one is none, as old clients send), forms, and nothing else. */

import type { FastifyInstance } from 'fastify'
import { BrokerError } from '../core/errors.ts'

/** Nothing that is asked here needs more: what is deeper was written to tire somebody. */
const DEPTH_MAX = 16

export function readBodies(app: FastifyInstance): void {
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
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, new URLSearchParams(body as string))
  })
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
