/** What our pages draw: the mark (a door's latch, and the string that lifts it from outside) and a few small signs. */

import { html, type Markup } from './page-markup.ts'

const LATCH = 'M5.5 8.2h13M18.5 5.4v5.6'
const STRING = 'M9.4 8.2v2.4c0 2.4 3.2 1.6 3.2 4'

export const mark = html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${parts()}</svg>`

/** The mark as the page's icon: a data URL, so that no second request is made and the policy needs no host. */
export const icon = `data:image/svg+xml,${encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" color="#1f5c4d" stroke="#fff" fill="#fff">${parts().text}</svg>`,
)}`

/** The lines and the knot take their colour from around them: the style sheet's inside a page, the icon's own inside the icon. */
function parts(): Markup {
  return html`<rect x="1.5" y="1.5" width="21" height="21" rx="6" fill="currentColor" stroke="none"/><g fill="none" stroke-linecap="round"><path d="${LATCH}" stroke-width="2"/><path d="${STRING}" stroke-width="1.4"/></g><circle cx="12.6" cy="16.4" r="1.9" stroke="none"/>`
}

/** Two ends and the string between them. It says nothing that the heading does not say, so readers of the page aloud are spared it. */
export function pair(one: string, other: string): Markup {
  return html`<div class="pair" aria-hidden="true"><span class="tile">${initial(one)}</span><svg viewBox="0 0 112 48" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" focusable="false"><path d="M4 24c20 0 28 16 52 16s32-16 52-16"/><circle cx="4" cy="24" r="3" fill="currentColor" stroke="none"/><circle cx="108" cy="24" r="3" fill="currentColor" stroke="none"/><circle cx="56" cy="40" r="4" fill="currentColor" stroke="none"/></svg><span class="tile">${initial(other)}</span></div>`
}

export const sign = {
  care: drawn('M12 3.5 22 20.5H2ZM12 10v4.5M12 17.4v.2'),
  done: drawn('m4.5 12.5 5 5 10-11'),
  failed: drawn('M6 6l12 12M18 6 6 18'),
  expired: drawn('M12 6.5V12l3.5 2.5M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z'),
  lost: drawn('M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2.1M12 17.4v.2'),
} as const

function drawn(path: string): Markup {
  return html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"><path d="${path}"/></svg>`
}

function initial(name: string): string {
  const letter = /[\p{L}\p{N}]/u.exec(name)?.[0] ?? '·'
  return letter.toLocaleUpperCase('en')
}
