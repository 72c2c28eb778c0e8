/** The headers every page carries: nothing may frame it, nothing is remembered or passed on, and only what we wrote runs in it. */

import { STYLE_HASH } from './page-style.ts'

export interface FormTargets {
  /** Where "Continue" leads: the origin (or any URL) of the provider's authorization page. */
  readonly providerOrigin: string
  /** Where "Cancel" leads, and "Continue" too for a user who consented long ago: the origin (or any URL) of the app's callback. */
  readonly returnOrigin?: string | undefined
}

/** With form targets: the headers of a page that has our form and our script. Without: of a page that only tells something. */
export function pageHeaders(targets: Partial<FormTargets> = {}): Record<string, string> {
  const policy = {
    'default-src': "'none'",
    'style-src': `'${STYLE_HASH}'`,
    'img-src': 'data:',
    ...(targets.providerOrigin !== undefined && { 'script-src': "'self'" }),
    'form-action': targets.providerOrigin === undefined ? "'none'" : formAction([targets.providerOrigin, targets.returnOrigin]),
    'base-uri': "'none'",
    'frame-ancestors': "'none'",
  }
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': Object.entries(policy)
      .map(([directive, sources]) => `${directive} ${sources}`)
      .join('; '),
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()',
    'x-robots-tag': 'noindex, nofollow',
  }
}

/**
 * Chromium holds every redirect that follows a form's POST against this list, not only the first: the provider's authorization page,
 * whatever hosts the provider hands the user on to for signing in, our callback, and the app's. Nobody can name the hosts in the middle,
 * hence `https:`; plain http, which is for development, has to be named.
 */
function formAction(targets: readonly (string | undefined)[]): string {
  const named = targets.filter((target) => target !== undefined).map(source)
  return ["'self'", ...new Set(named), 'https:'].join(' ')
}

function source(target: string): string {
  const { protocol, origin, host } = new URL(target)
  if (protocol !== 'https:' && protocol !== 'http:') return protocol // com.example.app:/callback has no origin
  // The grammar of a policy knows no IPv6 address. Anything stranger would be a way to write a directive of one's own.
  if (host.startsWith('[')) return protocol
  if (!/^[a-z0-9._-]+(:\d+)?$/.test(host)) throw new TypeError(`not a host that a policy can name: ${host}`)
  return origin
}
