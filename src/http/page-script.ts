/** The only script a page of ours loads, and it may be missing: it keeps clicks from the form that nobody meant for it. */

const SOURCE = `'use strict'
for (const form of document.querySelectorAll('form')) {
  const buttons = form.querySelectorAll('button')
  const rest = (resting) => {
    form.toggleAttribute('data-sent', resting)
    for (const button of buttons) button.disabled = resting
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

  // Somebody else's window can lie above this one and close at the first half of a double click, so that the second half lands here, unseen.
  // For half a second after the page, or its window, came to the front a pointer presses nothing. A key has to be on the button first.
  let settling
  const settled = () => {
    settling = undefined
    for (const button of buttons) button.removeAttribute('aria-disabled')
  }
  const settle = () => {
    clearTimeout(settling)
    settling = setTimeout(settled, 500)
    for (const button of buttons) button.setAttribute('aria-disabled', 'true')
  }
  form.addEventListener('click', (event) => {
    if (settling !== undefined && event.detail > 0) event.preventDefault()
  })
  addEventListener('focus', settle)
  settle()
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
