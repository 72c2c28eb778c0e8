/** The only script a page of ours loads, and it may be missing: it keeps an impatient second click from sending the form twice. */

const SOURCE = `'use strict'
for (const form of document.querySelectorAll('form')) {
  const rest = (resting) => {
    form.toggleAttribute('data-sent', resting)
    for (const button of form.querySelectorAll('button')) button.disabled = resting
  }
  form.addEventListener('submit', (event) => {
    if (form.hasAttribute('data-sent')) return event.preventDefault()
    form.setAttribute('data-sent', '')
    // The browser reads the fields right after this: a button that is disabled by then does not send its name and value.
    setTimeout(rest, 0, true)
    // Whoever is still here had no luck with the network and may try again.
    setTimeout(rest, 10000, false)
  })
  // Coming back with the browser's Back button can show this very page again, as it was left.
  addEventListener('pageshow', (event) => event.persisted && rest(false))
}
`

export const connectScript = {
  /** Beside the page, so that whatever lets the page through lets it through, too. */
  path: '/connect/page.js',
  body: SOURCE,
  headers: {
    'content-type': 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=3600',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
  },
} as const
