/** The pages a user sees between an app and a provider. Each is a whole document and the headers it must carry; no page needs a script. */

import { icon, mark, pair, sign } from './page-drawings.ts'
import { type FormTargets, pageHeaders } from './page-headers.ts'
import { html, Markup } from './page-markup.ts'
import { connectScript } from './page-script.ts'
import { STYLE } from './page-style.ts'
import { clean, DESCRIPTION_MAX } from './page-text.ts'

export interface Page {
  readonly html: string
  readonly headers: Readonly<Record<string, string>>
}

/** The names of the form's fields, for whoever reads the POST. */
export const FORM = { csrf: 'csrf', decision: 'decision', goOn: 'continue', cancel: 'cancel' } as const

export interface Confirmation extends FormTargets {
  readonly appName: string
  readonly providerName: string
  /** Whom the connection is for: a user, an organisation, or a user acting for one. */
  readonly userId: string | null
  readonly orgCode: string | null
  readonly scopes: readonly string[]
  /** The path that both buttons post to. */
  readonly action: string
  readonly csrf: string
  /** The button was pressed, and it did not count. */
  readonly again?: boolean | undefined
  readonly expiresInMinutes: number
}

/** The one page on which the user decides. Its first words must make sense to somebody who was sent the link by a stranger. */
export function confirmPage(asked: Confirmation): Page {
  if (!/^\/(?![/\\])/.test(asked.action)) throw new TypeError('the form posts to a path of our own')
  const app = clean(asked.appName) || 'an unnamed app'
  const provider = clean(asked.providerName) || 'the provider'
  const { sentence, doubt } = ownerInWords(asked)
  const body = html`
${pair(app, provider)}
<h1>Connect your ${name(provider)} account to ${name(app)}</h1>
<p class="owner">For ${sentence} of ${name(app)}</p>
${accessAsked(app, provider, asked.scopes)}
<div class="care" role="note">${sign.care}<p><strong>Did you start this in ${name(app)} yourself?</strong> If not, or if ${doubt}, close this page. Whoever sent you here would get to use your ${name(provider)} account.</p></div>
${asked.again && html`<p role="status"><strong>That did not get through.</strong> Another of these pages was opened at the same moment. Please press once more.</p>`}
<form class="buttons" method="post" action="${asked.action}">
<input type="hidden" name="${FORM.csrf}" value="${asked.csrf}">
<button class="go" name="${FORM.decision}" value="${FORM.goOn}">Continue to ${name(provider)}</button>
<button class="stay" name="${FORM.decision}" value="${FORM.cancel}">Cancel</button>
</form>
<p class="after soft small">Nothing is connected before you continue. This page works for ${minutes(asked.expiresInMinutes)}.</p>`
  return page({ title: `Connect ${provider} to ${app}`, look: 'confirm', body, targets: asked })
}

function ownerInWords({ userId, orgCode }: Confirmation): { sentence: Markup; doubt: Markup } {
  const user = html`<bdi class="id">${clean(userId ?? '') || '(blank)'}</bdi>`
  const org = html`<bdi class="id">${clean(orgCode ?? '') || '(blank)'}</bdi>`
  if (orgCode === null) return { sentence: html`the user ${user}`, doubt: html`${user} is not you` }
  const notOurs = html`${org} is not your organisation`
  if (userId === null) return { sentence: html`the organisation ${org}`, doubt: notOurs }
  return { sentence: html`the user ${user} (organisation ${org})`, doubt: html`${user} is not you, or ${notOurs}` }
}

export function connectedPage(made: { appName: string; providerName: string; accountLabel: string | null }): Page {
  const account = clean(made.accountLabel ?? '')
  const body = html`
<div class="emblem good">${sign.done}</div>
<h1>Connected</h1>
<p>Your ${name(clean(made.providerName) || 'chosen')} account${account && html` ${name(account)}`} is connected to ${name(clean(made.appName) || 'the app')}.</p>
<p class="soft">You can close this page.</p>`
  return page({ title: 'Connected', body })
}

export interface Failure {
  readonly title?: string | undefined
  /** What happened, in one sentence of ours. */
  readonly what: string
  /** What the reader can do now. */
  readonly remedy: string
  /** The provider's own words. They are shown as a quotation, because anybody can write them into a link. */
  readonly said?: { readonly by: string; readonly words: string } | undefined
  /** A code to quote to whoever helps. */
  readonly reference?: string | undefined
  /** What we saw ourselves, for the same people. */
  readonly seen?: string | undefined
}

export function failedPage({ title, what, remedy, said, reference, seen }: Failure): Page {
  const headline = clean(title ?? '') || 'That did not work'
  const words = clean(said?.words ?? '', DESCRIPTION_MAX)
  const code = clean(reference ?? '')
  const sight = clean(seen ?? '', DESCRIPTION_MAX)
  const body = html`
<div class="emblem bad">${sign.failed}</div>
<h1>${headline}</h1>
<p>${clean(what, DESCRIPTION_MAX)}</p>
${words && html`<blockquote><p class="soft small">${name(clean(said?.by ?? '') || 'The provider')} said:</p><p><bdi>${words}</bdi></p></blockquote>`}
<p>${clean(remedy, DESCRIPTION_MAX)}</p>
${code && html`<p class="soft small">Reference: <code>${code}</code>${sight && html` (${sight})`}</p>`}`
  return page({ title: headline, body })
}

/** Too old or used: the reader cannot tell and need not know. Nothing on it leads on. */
export function expiredPage({ appName }: { appName?: string | null } = {}): Page {
  const app = clean(appName ?? '')
  const body = html`
<div class="emblem">${sign.expired}</div>
<h1>This link has expired</h1>
<p>A link like this works once, and only for a few minutes. This one was used before, or is too old.</p>
<p>Go back to ${app ? name(app) : 'the app you came from'} and start again there.</p>`
  return page({ title: 'This link has expired', body })
}

export function notFoundPage(): Page {
  const body = html`
<div class="emblem">${sign.lost}</div>
<h1>There is no page here</h1>
<p>This address only helps apps to connect accounts. There is nothing to see or to do without one.</p>
<p>Go back to the app you came from and start again there.</p>`
  return page({ title: 'There is no page here', body })
}

/** From where the page is: the public URL may have a path of its own. */
const SCRIPT = connectScript.path.slice('/connect/'.length)

const SCOPES_SHOWN = 6
const SCOPES_MAX = 60

function accessAsked(app: string, provider: string, scopes: readonly string[]): Markup {
  const named = scopes
    .slice(0, SCOPES_MAX)
    .map((scope) => clean(scope, 200))
    .filter(Boolean)
  if (named.length === 0) {
    return html`<section class="asked"><h2>Access ${name(app)} asks for</h2><p>Nothing in particular: ${name(provider)} decides what it covers.</p></section>`
  }
  // One more line costs less than hiding the last one.
  const shown = named.length <= SCOPES_SHOWN + 1 ? named : named.slice(0, SCOPES_SHOWN)
  const rest = named.slice(shown.length)
  const unnamed = Math.max(0, scopes.length - SCOPES_MAX)
  return html`<section class="asked"><h2>Access ${name(app)} asks for</h2><ul>${shown.map(scopeLine)}</ul>${
    rest.length > 0 &&
    html`<details><summary>and ${rest.length + unnamed} more</summary><ul>${rest.map(scopeLine)}${unnamed > 0 && html`<li>and ${unnamed} more</li>`}</ul></details>`
  }</section>`
}

/** Many scopes are long addresses that differ in the last word: all of it is shown, and that word stands out. */
function scopeLine(scope: string): Markup {
  const [, address = '', word = scope] = /^(https?:\/\/\S*\/)([^/]+)\/?$/.exec(scope) ?? []
  return html`<li><code><bdi>${address && html`<span>${address}</span><wbr>`}${word}</bdi></code></li>`
}

/** Somebody's name inside a sentence of ours: set apart to the eye, and unable to turn the words around it. */
function name(cleaned: string): Markup {
  return html`<bdi>${cleaned}</bdi>`
}

function minutes(count: number): string {
  const whole = Math.max(1, Math.floor(count))
  return whole === 1 ? 'one minute' : `${whole} minutes`
}

function page({ title, body, look, targets }: { title: string; body: Markup; look?: string; targets?: FormTargets }): Page {
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<title>${title}</title>
<link rel="icon" href="${icon}">
<style>${new Markup(STYLE)}</style>
${targets && html`<script src="${SCRIPT}" defer></script>`}
</head>
<body>
<main class="${look ?? 'told'}">${body}
</main>
<footer>${mark}<span>Latchstring connects accounts to apps</span></footer>
</body>
</html>
`
  return { html: document.text, headers: pageHeaders(targets) }
}
