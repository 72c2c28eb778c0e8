/** The script saves a user from an impatient second click, and from nothing else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { connectScript } from './page-script.ts'
import { confirmPage } from './pages.ts'

test('a second click sends the form no second time, and the first keeps the name and value of its button', () => {
  const { form, buttons, later } = runConnectScript()
  const first = form.submit()
  assert.deepEqual(
    [first.prevented, buttons.map(({ disabled }) => disabled)],
    [false, [false, false]],
    'while the browser reads the fields',
  )
  later(0)
  assert.deepEqual(
    buttons.map(({ disabled }) => disabled),
    [true, true],
  )
  assert.equal(form.submit().prevented, true)
  later(10_000)
  assert.deepEqual(
    buttons.map(({ disabled }) => disabled),
    [false, false],
    'still here: the network failed',
  )
  assert.equal(form.submit().prevented, false)
})

test('the script is served as one, from an address of ours that the page names', () => {
  const page = confirmPage({
    appName: 'My App',
    providerName: 'GitHub',
    userId: 'kp_123',
    orgCode: null,
    scopes: [],
    action: '/connect/h4ndle',
    csrf: 'c5rf',
    providerOrigin: 'https://github.com',
    expiresInMinutes: 10,
  })
  const [, source = ''] = /<script src="([^"]*)" defer><\/script>/.exec(page.html) ?? []
  assert.equal(new URL(source, 'https://broker.example/connect/h4ndle').pathname, connectScript.path)
  assert.match(connectScript.headers['content-type'], /^text\/javascript/)
})

/** The script on a page of two buttons, with a clock that moves when told. */
function runConnectScript() {
  const buttons = [{ disabled: false }, { disabled: false }]
  const attributes = new Set<string>()
  const timers: { due: number; run: () => void }[] = []
  const listeners: ((event: { preventDefault(): void }) => void)[] = []
  const form = {
    hasAttribute: (key: string) => attributes.has(key),
    setAttribute: (key: string) => void attributes.add(key),
    toggleAttribute: (key: string, on: boolean) => void (on ? attributes.add(key) : attributes.delete(key)),
    querySelectorAll: () => buttons,
    addEventListener: (_: string, listener: (typeof listeners)[number]) => listeners.push(listener),
    submit: () => {
      const event = { prevented: false, preventDefault: () => void (event.prevented = true) }
      for (const listener of listeners) listener(event)
      return event
    },
  }
  const setTimeout = (run: (flag: boolean) => void, due: number, flag: boolean) => timers.push({ due, run: () => run(flag) })
  runInNewContext(connectScript.body, { document: { querySelectorAll: () => [form] }, setTimeout, addEventListener: () => {} })
  const later = (moment: number) => {
    for (const { run } of timers.filter(({ due }) => due === moment)) run()
  }
  return { form, buttons, later }
}

test('S-38 no page of ours speaks to another window, or listens to one', () => {
  assert.doesNotMatch(connectScript.body, /postMessage|onmessage|["']message["']|opener|parent\b|BroadcastChannel|localStorage/)
})
