/** GET /authorize, POST /login and POST /consent: a user says yes or no, and the browser goes back to the app (RFC 6749 4.1). */

import { type Answer, OAuthError } from './answer.ts'
import { type AuthorizationRequest, Returnable, readAuthorizationRequest } from './authorization-request.ts'
import { consentPage, loginPage, mistakePage, page } from './pages.ts'
import type { Realm, User } from './realm.ts'
import type { Request } from './request.ts'
import { sessionCookie, sessionOf, userNamed } from './session.ts'

/** Added to the address after a login, so that `prompt=login` is not asked for ever. */
const SIGNED_IN = 'sandbox_signed_in'

/** `atOnce`: a script wants to change the answer, so the user is taken to have said yes. */
export function authorize(realm: Realm, request: Request, atOnce: boolean): Answer {
  return carryBack(realm, () => {
    const asked = readAuthorizationRequest(realm, request.query)
    const session = sessionOf(realm, request)
    if (atOnce || realm.switches.auto_approve !== false) return approve(realm, asked, obligingUser(realm, asked, session?.user))

    const signedIn =
      session && (request.query.has(SIGNED_IN) || !asked.prompt.some((p) => p === 'login' || p === 'select_account'))
    if (asked.prompt.includes('none')) {
      throw new Returnable(signedIn ? 'consent_required' : 'login_required', 'prompt=none, but the user must be asked', asked)
    }
    const query = request.query.toString()
    if (!signedIn) return page(200, loginPage({ query, client: asked.client, users: realm.users, hint: asked.loginHint }))
    return page(200, consentPage({ query, asked, user: session.user, formKey: session.formKey }))
  })
}

/** A chosen or typed account: a cookie, and on to the consent page. */
export function login(realm: Realm, request: Request): Answer {
  const form = request.form
  // The button of an account, or the name that was typed.
  const user = userNamed(realm, form.get('account') || form.get('name') || '')
  const query = new URLSearchParams(form.get('query') ?? '')
  if (!user) return page(400, mistakePage('Pick an account, or type a name.', `/authorize?${query.toString()}`))
  query.set(SIGNED_IN, '1')
  return {
    status: 303,
    redirect: { to: `/authorize?${query.toString()}`, params: {} },
    headers: { 'set-cookie': sessionCookie(realm, user) },
  }
}

/** Allow or Deny. */
export function consent(realm: Realm, request: Request): Answer {
  return carryBack(realm, () => {
    const form = request.form
    const session = sessionOf(realm, request)
    if (!session || form.get('form_key') !== session.formKey) {
      throw new OAuthError('invalid_request', 'This form was not made for your session. Go back to the app and start again.')
    }
    const asked = readAuthorizationRequest(realm, new URLSearchParams(form.get('query') ?? ''))
    if (form.get('decision') === 'allow') return approve(realm, asked, session.user)
    if (asked.pushedAs !== null) realm.pushed.delete(asked.pushedAs)
    throw new Returnable('access_denied', 'The user said no', asked)
  })
}

function approve(realm: Realm, asked: AuthorizationRequest, user: User): Answer {
  if (asked.pushedAs !== null) realm.pushed.delete(asked.pushedAs) // RFC 9126 4: good once
  const { refresh_tokens: when } = realm.switches
  const grant = realm.grants.open({
    clientId: asked.client.client_id,
    user,
    scope: asked.scope,
    renewable: when === 'always' || (when === 'offline' && asked.offline),
    code: { redirectUri: asked.named ? asked.redirectUri : null, challenge: asked.challenge, nonce: asked.nonce },
  })
  return back(realm, asked, { code: realm.grants.printCode(grant) })
}

function obligingUser(realm: Realm, asked: AuthorizationRequest, signedIn: User | undefined): User {
  const { auto_approve: who } = realm.switches
  const named = typeof who === 'string' ? who : asked.loginHint
  return (named && userNamed(realm, named)) || signedIn || realm.users[0]!
}

/** Mistakes go to the app where that is safe, and to the person otherwise. */
function carryBack(realm: Realm, work: () => Answer): Answer {
  try {
    return work()
  } catch (error) {
    if (error instanceof Returnable) return back(realm, error.request, { error: error.code, error_description: error.message })
    if (error instanceof OAuthError) return page(400, mistakePage(error.message))
    throw error
  }
}

type Destination = Pick<AuthorizationRequest, 'redirectUri' | 'state'>

function back(realm: Realm, { redirectUri, state }: Destination, outcome: Record<string, string>): Answer {
  const issuer = { off: null, missing: null, on: realm.url, unadvertised: realm.url, wrong: 'https://wrong.example' }[
    realm.switches.iss
  ]
  const params = { ...outcome, ...(state !== null && { state }), ...(issuer !== null && { iss: issuer }) }
  return { status: 303, redirect: { to: redirectUri, params } }
}
