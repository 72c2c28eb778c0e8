/** The demo as newcomers run it, and that it says so when something does not work. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import type { Control } from '../sandbox/sandbox.ts'
import type { Narrator } from './demo/narrator.ts'
import { openStage } from './demo/stage.ts'
import type { Step } from './demo/walk.ts'
import { perform } from './demo.ts'
import { shell } from './shell.ts'

const STEPS = ['auth_url', 'consent', 'token', 'renew', 'revoke']

describe('latchstring demo', { concurrency: 4 }, () => {
  test('once: it walks all five steps, leaves nothing behind and ends well', async (t) => {
    const { run, folder } = shell(t)
    const { code, stdout, stderr } = await run('demo', '--once')
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(
      [...stdout.matchAll(/^\d (\w+) /gm)].map(([, name]) => name),
      STEPS,
    )
    assert.match(stdout, /master key/)
    assert.match(stdout, /GET \/api\/v1\/connected_apps\/auth_url\?key_code_ref=sandbox&user_id=ada +\d+ ms\n +200 url /)
    assert.match(stdout, /access_token sbx_at_[\w-]{4}…/)
    assert.match(stdout, /INVALID_COMPLETION/, 'what the user binding did')
    assert.doesNotMatch(stdout, /sbx_(at|rt|code)_[\w-]{12}|eyJ[\w-]{40}/, 'no whole secret')
    assert.ok(!stdout.includes('\u001b'), 'no colour where nobody looks on')
    assert.deepEqual(readdirSync(folder), [])
  })

  test('it stays up until it is told to stop, with addresses that answer, and then leaves nothing behind', async (t) => {
    const here = shell(t)
    const demo = here.start('demo', '--json')
    const [line] = await demo.waitFor(/\{"event":"staying".*\}(?=\n)/)
    const addresses = JSON.parse(line) as Record<'sample_app' | 'broker' | 'sandbox', string>
    for (const url of [addresses.sample_app, addresses.broker, addresses.sandbox])
      assert.equal((await fetch(url)).status, 200, url)
    demo.signal('SIGINT')
    const { code, stdout } = await demo.ended
    assert.equal(code, 0)
    const events = stdout
      .trim()
      .split('\n')
      .map((event) => JSON.parse(event) as { event: string; step?: string; ok?: boolean })
    assert.deepEqual(
      events.filter(({ event }) => event === 'step').map(({ step, ok }) => [step, ok]),
      STEPS.map((name) => [name, true]),
    )
    assert.deepEqual(readdirSync(here.folder), [])
    await assert.rejects(fetch(addresses.broker))
  })

  test('a provider that refuses the renewal makes the step renew fail, and the demo with it', async (t) => {
    const { code, steps } = await performed(t, ({ control }) => control.script('refresh', 'invalid_grant'))
    assert.equal(code, 1)
    assert.deepEqual(
      steps.map(({ name }) => name),
      STEPS.slice(0, 4),
    )
    assert.match(String(steps.at(-1)?.failure?.got), /RECONNECT_REQUIRED/)
  })

  test('a provider that only says that it revoked makes the step revoke fail', async (t) => {
    const { code, steps } = await performed(t, ({ control }) => control.script('revoke', { status: 200, times: 'forever' }))
    assert.equal(code, 1)
    assert.deepEqual(steps.at(-1)?.failure, { what: 'the token is dead at the provider', expected: 401, got: 200 })
  })

  test('a provider that renews with a token which it does not take makes the step renew fail', async (t) => {
    const stillborn = { edit: { set: { access_token: 'never-heard-of' } } }
    const { code, steps } = await performed(t, ({ control }) => control.script('refresh', stillborn))
    assert.equal(code, 1)
    assert.deepEqual(steps.at(-1)?.failure, { what: 'the provider takes it', expected: 200, got: 401 })
  })
})

/** The walk, at a provider that was told to misbehave. */
async function performed(
  t: TestContext,
  misbehave: (sandbox: { control: Control }) => void,
): Promise<{ code: number; steps: Step[] }> {
  const stage = await openStage()
  t.after(() => stage.close())
  misbehave(stage.sandbox)
  const steps: Step[] = []
  const silent: Narrator = { prepared: () => {}, step: (step) => void steps.push(step), finished: () => {}, staying: () => {} }
  return { code: await perform(stage, silent, { once: true, stopped: new Promise(() => {}) }), steps }
}
