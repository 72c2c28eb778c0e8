/** The cookie that tells one browser from another, so that the one that comes back is the one that left. It says nothing of a user. */

import type { FastifyReply, FastifyRequest } from 'fastify'
import { mint } from '../core/one-time.ts'
import { Secret } from '../core/secret.ts'

export interface BrowserCookie {
  /** The secret this browser already holds. */
  read(request: FastifyRequest): Secret | null
  /** That secret, or a new one that goes out with the answer. */
  ensure(request: FastifyRequest, reply: FastifyReply): Secret
}

/** Over https the `__Host-` prefix keeps other hosts of the same site from planting it. Browsers refuse that prefix over plain http. */
export function browserCookie(publicUrl: string): BrowserCookie {
  const secure = publicUrl.startsWith('https:')
  const name = secure ? '__Host-latchstring' : 'latchstring'
  // Lax, not Strict: Strict would be left behind when the provider sends the user back to us.
  const options = { path: '/', httpOnly: true, sameSite: 'lax', secure, maxAge: 3600 } as const
  const read = (request: FastifyRequest): Secret | null => {
    const value = request.cookies[name]
    return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? new Secret(value) : null
  }
  return {
    read,
    ensure(request, reply) {
      const secret = read(request) ?? mint()
      reply.setCookie(name, secret.reveal(), options)
      return secret
    },
  }
}

/** Only a page that this browser got from us can know it: it needs the cookie and the link both. */
export function csrfToken(browser: Secret, handle: Secret): string {
  return Secret.ofJson(['csrf', browser, handle]).digest()
}
