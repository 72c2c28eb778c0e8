/** The sample app's one page. It plays a customer's app, so it looks like nobody's but its own. */

import { html, type Markup } from '../../src/http/page-markup.ts'
import type { Connection, TokenGlimpse } from './sample-desk.ts'
import { type Notice, USERS, type Visitor } from './sample-visitors.ts'

export const APP_NAME = 'Harbour'

export interface View {
  readonly visitor: Visitor
  readonly notice: Notice | undefined
  readonly connection: Connection | undefined
  readonly providerName: string
  readonly now: Date
}

export function samplePage(view: View): string {
  const { visitor, notice } = view
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${APP_NAME}, a sample app</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/sample.css">
<script src="/sample.js" defer></script>
</head>
<body>
<header>
<p class="brand">${anchor}${APP_NAME}</p>
<form method="post" action="/login" class="who">${token(visitor)}<span id="who">Logged in as</span><span class="users" role="group" aria-labelledby="who">${USERS.map(
    ({ id, name }) => html`<button name="user" value="${id}" aria-pressed="${String(id === visitor.user.id)}">${name}</button>`,
  )}</span></form>
</header>
<main>
<h1>Good to see you, ${visitor.user.name}</h1>
<p class="lead">This is a small app that works with your ${view.providerName} account. It never sees your password: a broker keeps the connection, and hands out a token when one is needed.</p>
${notice && html`<div class="notice ${notice.kind}" role="${notice.kind === 'bad' ? 'alert' : 'status'}"><strong>${notice.title}</strong><p>${notice.text}</p></div>`}
<section class="berth" aria-labelledby="berth">
<h2 id="berth">${view.providerName}</h2>
${berth(view)}
</section>
</main>
<footer><p>A sample app of Latchstring. Ada and Grace are pretend users: switch between them to see that nobody gets somebody else’s connection.</p></footer>
</body>
</html>
`.text
}

function berth({ visitor, connection, providerName, now }: View): Markup {
  if (!connection) {
    return html`<p class="state">Not connected</p>
<p>Connect it, and ${APP_NAME} can work with it in your name until you say otherwise.</p>
${action('/connect', visitor, `Connect ${providerName}`, 'first')}`
  }
  if (connection.broken) {
    return html`<p class="state broken">Needs you</p>
<p>${providerName} no longer accepts this connection. Connecting again keeps everything else as it was.</p>
<div class="actions">${action('/connect', visitor, `Connect ${providerName} again`, 'first')}${action('/disconnect', visitor, 'Disconnect')}</div>`
  }
  return html`<p class="state live">Connected${connection.account && html` as <bdi>${connection.account}</bdi>`}</p>
${connection.token ? glimpse(connection.token, now) : html`<p>No token was fetched yet.</p>`}
<div class="actions">${action('/token', visitor, 'Get a token now', 'first')}${action('/disconnect', visitor, 'Disconnect')}</div>
<p class="aside">Connection <code>${connection.sessionId}</code></p>`
}

function glimpse({ shortened, fetchedAt, endsAt }: TokenGlimpse, now: Date): Markup {
  return html`<dl>
<div><dt>Token</dt><dd><code>${shortened}</code></dd></div>
<div><dt>Lasts</dt><dd>${endsAt ? countdown(fetchedAt, endsAt, now) : 'until it is revoked'}</dd></div>
</dl>`
}

/** Right without a script, as of this page; the script moves it on. */
function countdown(fetchedAt: Date, endsAt: Date, now: Date): Markup {
  const left = secondsBetween(now, endsAt)
  // A full bar is the life it had when it was fetched.
  const full = Math.max(1, secondsBetween(fetchedAt, endsAt))
  return html`<span data-left="${left}">${lifeLeft(left)}</span><progress max="${full}" value="${Math.min(left, full)}" aria-label="Life left in the token"></progress>`
}

function secondsBetween(earlier: Date, later: Date): number {
  return Math.max(0, Math.round((later.getTime() - earlier.getTime()) / 1000))
}

/** The script has the same sentence: it is given this function's source. */
export function lifeLeft(seconds: number): string {
  if (seconds <= 0) return 'It has ended. Ask for one, and the broker renews it.'
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const from = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(from, from + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

function action(path: string, visitor: Visitor, label: string, look = 'second'): Markup {
  return html`<form method="post" action="${path}">${token(visitor)}<button class="${look}">${label}</button></form>`
}

function token({ csrf }: Visitor): Markup {
  return html`<input type="hidden" name="csrf" value="${csrf}">`
}

const anchor = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"><circle cx="12" cy="4.8" r="2.3"/><path d="M12 7.1V21M8 11h8M4 13.5c0 4.5 3.4 7.5 8 7.5s8-3 8-7.5l-2 1.6M4 13.5l2 1.6"/></svg>`
