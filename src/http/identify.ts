/** Who is asking: the token that a request shows, the proof that it may need, and how much more of its caller is taken. */

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../core/caller.ts'
import { BrokerError } from '../core/errors.ts'
import { type CallerTokens, refused, type Shown } from './caller-token.ts'
import type { Proofs } from './dpop.ts'
import type { NoteFailure } from './guesses.ts'
import { type RateLimit, rateLimitHeaders, tooMany } from './rate-limit.ts'

interface Tools {
  readonly tokens: CallerTokens
  readonly proofs: Proofs
}

export type Identify = (request: FastifyRequest, reply: FastifyReply) => Caller | Promise<Caller>

/** A missing bearer is answered like a wrong one, and so is one whose proof is missing or wrong. */
export function identifier({ tokens, proofs }: Tools, noteFailed: NoteFailure, limit: RateLimit): Identify {
  const failed = (request: FastifyRequest) => async (error: unknown) => {
    throw (error instanceof BrokerError && error.code === 'INVALID_CREDENTIALS' && (await noteFailed(request.ip))) || error
  }
  /** Whoever has it may use it only if it is bound to no key; whoever says that it is bound must prove it. */
  const proven = async (request: FastifyRequest, token: string, scheme: string, shown: Shown): Promise<Shown> => {
    if (scheme === 'bearer' && shown.jkt === null) return shown
    if (scheme === 'bearer' || shown.jkt === null) throw refused()
    const proof = request.headers['dpop']
    const jkt = await proofs.thumbprint({ proof, method: request.method, path: request.url, token })
    if (jkt !== shown.jkt) throw refused()
    return shown
  }
  /** The same caller while it asks from the same address: hand-outs are gathered by it. */
  const latest = new WeakMap<Shown, Caller>()
  const from = (address: string, shown: Shown): Caller => {
    const before = latest.get(shown)
    if (before?.address === address) return before
    const caller = { ...shown, address }
    latest.set(shown, caller)
    return caller
  }
  const known = (request: FastifyRequest, reply: FastifyReply, shown: Shown): Caller => {
    if (shown.rateLimit !== null) {
      const refusal = limited(request, reply, limit.take(shown.name, shown.rateLimit), 'of this caller')
      if (refusal) throw refusal
    }
    return shown.bounds?.addresses ? from(request.ip, shown) : shown
  }
  return (request, reply) => {
    const { scheme, token } = presented(request.headers.authorization)
    try {
      if (token === '') throw refused()
      const shown = tokens.verify(token)
      if (!(shown instanceof Promise) && scheme === 'bearer' && shown.jkt === null) return known(request, reply, shown)
      return Promise.resolve(shown)
        .then((found) => proven(request, token, scheme, found))
        .catch(failed(request))
        .then((found) => known(request, reply, found))
    } catch (error) {
      return failed(request)(error)
    }
  }
}

function presented(header: string | undefined): { scheme: 'bearer' | 'dpop'; token: string } {
  if (header !== undefined && /^bearer /i.test(header)) return { scheme: 'bearer', token: header.slice(7).trim() }
  return { scheme: 'dpop', token: header !== undefined && /^dpop /i.test(header) ? header.slice(5).trim() : '' }
}

/** Says in the headers what is left; an error, when that is less than nothing. */
export function limited(
  request: FastifyRequest,
  reply: FastifyReply,
  allowance: ReturnType<RateLimit['take']>,
  whose: string,
): BrokerError | undefined {
  request.limited = true
  // Past the framework, as the answer is.
  for (const [name, value] of Object.entries(rateLimitHeaders(allowance))) reply.raw.setHeader(name, value)
  return allowance.spent ? tooMany(whose, allowance) : undefined
}
