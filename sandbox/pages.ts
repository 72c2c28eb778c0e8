/** The pages a person sees: sign in, allow or deny, and what went wrong. They work on a phone, in the dark, and without scripts. */

import { createHash } from 'node:crypto'
import type { Answer } from './answer.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import type { Client, User } from './realm.ts'

/** What well-known scopes mean; others are shown as they are. */
const MEANINGS: Readonly<Record<string, string>> = {
  openid: 'Know who you are',
  profile: 'See your name',
  email: 'See your e-mail address',
  offline_access: 'Keep access while you are away',
}

const STYLE = `
:root { color-scheme: light dark; --page: #f3f1ec; --card: #fff; --ink: #1d2430; --soft: #5d6675; --line: #dedbd3; --own: #0f6b5c; --on-own: #fff; --note: #fbf3d9; --note-ink: #6a5312 }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --card: #1d232b; --ink: #eceff3; --soft: #a2acb9; --line: #343d48; --own: #4fbfa9; --on-own: #08231e; --note: #332c17; --note-ink: #ecd68f } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; place-items: center; padding: 24px 16px; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 420px; background: var(--card); border: 1px solid var(--line); border-radius: 16px; overflow: hidden }
header { display: flex; align-items: center; gap: 10px; padding: 20px 24px 0; font-weight: 650 }
header svg { width: 28px; height: 28px; flex: none }
.in { padding: 16px 24px 24px }
h1 { margin: 0 0 4px; font-size: 22px; line-height: 1.3; overflow-wrap: anywhere }
p { margin: 0 0 16px; color: var(--soft); overflow-wrap: anywhere }
b { color: var(--ink); font-weight: 600 }
ul { list-style: none; margin: 0 0 20px; padding: 0; border: 1px solid var(--line); border-radius: 12px }
li { display: flex; gap: 12px; padding: 12px 16px; overflow-wrap: anywhere }
li + li { border-top: 1px solid var(--line) }
li::before { content: '✓'; color: var(--own); font-weight: 700 }
li > span { min-width: 0 }
code { display: block; font: 13px/1.4 ui-monospace, monospace; color: var(--soft) }
button, input { font: inherit; color: inherit; width: 100%; min-height: 48px; border-radius: 12px; border: 1px solid var(--line); background: transparent; padding: 8px 16px }
button { cursor: pointer; font-weight: 600 }
button:hover, input:hover { border-color: var(--own) }
:focus-visible { outline: 3px solid var(--own); outline-offset: 2px }
.main { background: var(--own); border-color: var(--own); color: var(--on-own) }
.account { display: flex; align-items: center; gap: 12px; text-align: left; margin-bottom: 8px; font-weight: 400 }
.account i { flex: none; width: 36px; height: 36px; border-radius: 50%; display: grid; place-items: center; background: var(--own); color: var(--on-own); font-style: normal; font-weight: 650 }
.account small { display: block; color: var(--soft); font-size: 14px }
.row { display: flex; gap: 12px }
label { display: block; margin: 16px 0 6px; font-size: 14px; color: var(--soft) }
.row + p, form + p { margin: 16px 0 0; font-size: 14px }
a { color: var(--own) }
footer { padding: 12px 24px; background: var(--note); color: var(--note-ink); font-size: 14px }
`

const LOGO = `<svg viewBox="0 0 28 28" aria-hidden="true"><rect width="28" height="28" rx="8" fill="#0f6b5c"/><path d="M6 19h16M8 19l2-8h8l2 8M12 11V8h4v3" fill="none" stroke="#fff" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"/></svg>`

/**
 * `form-action` is deliberately absent: browsers apply it to every redirect that follows the form, so it would have to name
 * not only the app's callback but wherever that sends the user next.
 */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

export function page(status: number, html: string): Answer {
  return {
    status,
    body: html,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    },
  }
}

interface Login {
  readonly query: string
  readonly client: Client
  readonly users: readonly User[]
  readonly hint: string | null
}

export function loginPage({ query, client, users, hint }: Login): string {
  const accounts = users.map(
    ({ id, name, email }) => `
    <button class="account" name="account" value="${escaped(id)}"><i aria-hidden="true">${escaped([...name][0] ?? '?')}</i><span>${escaped(name)}<small>${escaped(email)}</small></span></button>`,
  )
  return layout(
    'Sign in to Sandbox',
    `<h1>Sign in</h1>
    <p>to continue to <b>${escaped(nameOf(client))}</b></p>
    <form method="post" action="/login">
    <input type="hidden" name="query" value="${escaped(query)}">${accounts.join('')}
    </form>
    <form method="post" action="/login">
    <input type="hidden" name="query" value="${escaped(query)}">
    <label for="name">Or be anybody you like</label>
    <div class="row"><input id="name" name="name" value="${escaped(hint ?? '')}" placeholder="A name" maxlength="80" autocomplete="off" required><button>Continue</button></div>
    </form>`,
  )
}

interface Consent {
  readonly query: string
  readonly asked: AuthorizationRequest
  readonly user: User
  readonly formKey: string
}

export function consentPage({ query, asked, user, formKey }: Consent): string {
  const app = escaped(nameOf(asked.client))
  const other = new URLSearchParams(query)
  other.delete('sandbox_signed_in')
  // A pushed request carries its own prompt, and nothing in the address overrides it.
  other.set('prompt', 'select_account')
  return layout(
    `${nameOf(asked.client)} wants access`,
    `<h1>${app} wants to use your Sandbox account</h1>
    <p>You are <b>${escaped(user.name)}</b> (${escaped(user.email)}).${asked.pushedAs === null ? ` <a href="/authorize?${escaped(other.toString())}">Not you?</a>` : ''}</p>
    ${scopeList(asked.scope)}
    <form method="post" action="/consent">
    <input type="hidden" name="query" value="${escaped(query)}">
    <input type="hidden" name="form_key" value="${escaped(formKey)}">
    <div class="row"><button name="decision" value="deny">Deny</button><button class="main" name="decision" value="allow">Allow</button></div>
    </form>
    <p>Either way you go back to ${escaped(new URL(asked.redirectUri).host)}.</p>`,
  )
}

export function mistakePage(message: string, backTo?: string): string {
  const again = backTo === undefined ? '' : `<p><a href="${escaped(backTo)}">Back</a></p>`
  return layout('Sandbox: something is wrong', `<h1>This cannot go on</h1><p role="alert">${escaped(message)}</p>${again}`)
}

/** What somebody sees who opens the sandbox's own address. */
export function frontPage(url: string): string {
  const rows = ['/.well-known/openid-configuration', '/control'].map(
    (path) => `<li><span><a href="${path}">${path}</a></span></li>`,
  )
  return layout(
    'Sandbox',
    `<h1>An OAuth 2 provider to practise on</h1><p>Apps connect to <b>${escaped(url)}</b>.</p><ul>${rows.join('')}</ul>`,
  )
}

function scopeList(scope: readonly string[]): string {
  if (scope.length === 0) return '<ul><li><span>Connect, and nothing more</span></li></ul>'
  const items = scope.map((one) => {
    const meaning = Object.hasOwn(MEANINGS, one) ? escaped(MEANINGS[one]!) : ''
    return `<li><span>${meaning ? `${meaning}<code>${escaped(one)}</code>` : escaped(one)}</span></li>`
  })
  return `<ul aria-label="It will be able to">${items.join('')}</ul>`
}

function layout(title: string, inner: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title><style>${STYLE}</style></head>
<body><main>
  <header>${LOGO}Sandbox</header>
  <div class="in">${inner}</div>
  <footer>This is a test provider. Nothing here is real: no account, no password, no data.</footer>
</main></body>
</html>
`
}

const nameOf = (client: Client): string => client.name ?? client.client_id

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!)
