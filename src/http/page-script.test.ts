/** The script saves a user from an impatient second click, and from one that was lured here. */

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

test('S-07 a click that lands just as the page or its window comes to the front presses nothing, a key does', () => {
  const { form, buttons, later, focus } = runConnectScript()
  const seen = () => [form.click(1).prevented, form.click(0).prevented, ...buttons.map(({ ariaDisabled }) => ariaDisabled)]
  assert.deepEqual(seen(), [true, false, 'true', 'true'])
  later(500)
  assert.deepEqual(seen(), [false, false, null, null])
  focus()
  assert.deepEqual(seen(), [true, false, 'true', 'true'], 'a window that lay above it was closed')
  later(500)
  assert.deepEqual(seen(), [false, false, null, null])
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
  const buttons = [new Button(), new Button()]
  const attributes = new Set<string>()
  const timers = new Map<number, { due: number; run: () => void }>()
  const listeners: { type: string; listener: (event: object) => void }[] = []
  const addEventListener = (type: string, listener: (event: object) => void) => listeners.push({ type, listener })
  const fire = (type: string, detail = 0) => {
    const event = { detail, prevented: false, preventDefault: () => void (event.prevented = true) }
    for (const each of listeners) if (each.type === type) each.listener(event)
    return event
  }
  const form = {
    hasAttribute: (key: string) => attributes.has(key),
    setAttribute: (key: string) => void attributes.add(key),
    toggleAttribute: (key: string, on: boolean) => void (on ? attributes.add(key) : attributes.delete(key)),
    querySelectorAll: () => buttons,
    addEventListener,
    submit: () => fire('submit'),
    click: (detail: number) => fire('click', detail),
  }
  const setTimeout = (run: (flag: boolean) => void, due: number, flag: boolean) => {
    timers.set(timers.size + 1, { due, run: () => run(flag) })
    return timers.size
  }
  const clearTimeout = (timer: number | undefined) =>
    void (timer !== undefined && timers.set(timer, { due: Infinity, run: () => {} }))
  runInNewContext(connectScript.body, {
    document: { querySelectorAll: () => [form] },
    setTimeout,
    clearTimeout,
    addEventListener,
  })
  const later = (moment: number) => {
    for (const { run } of [...timers.values()].filter(({ due }) => due === moment)) run()
  }
  return { form, buttons, later, focus: () => void fire('focus') }
}

class Button {
  disabled = false
  ariaDisabled: string | null = null

  setAttribute(key: string, value: string): void {
    assert.equal(key, 'aria-disabled')
    this.ariaDisabled = value
  }

  removeAttribute(key: string): void {
    assert.equal(key, 'aria-disabled')
    this.ariaDisabled = null
  }
}

test('S-38 no page of ours speaks to another window, or listens to one', () => {
  assert.doesNotMatch(connectScript.body, /postMessage|onmessage|["']message["']|opener|parent\b|BroadcastChannel|localStorage/)
})
