/** The set-up that the examples' READMEs start a broker with. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSetup } from '../src/catalog/file.ts'

const FILE = join(import.meta.dirname, 'latchstring.yaml')

test('the set-up of the examples is right, and has what each of them asks for by default', async () => {
  const [, secret = ''] = /CLIENT_SECRET=(\w+)/.exec(await readFile(join(import.meta.dirname, 'express/README.md'), 'utf8')) ?? []
  const { apps, callers } = await readSetup(FILE, { CLIENT_SECRET: secret }, new Map())
  for (const [program, binding] of [
    ['express/app.ts', 'complete'],
    ['fetch/connect.ts', 'confirm'],
  ] as const) {
    const source = await readFile(join(import.meta.dirname, program), 'utf8')
    const app = apps.find(({ keyCodeRef }) => keyCodeRef === defaultOf('KEY_CODE_REF', source))
    assert.equal(app?.userBinding, binding, program)
    assert.equal(callers[0]?.clientId, defaultOf('CLIENT_ID', source), program)
    if (app?.callbackUrl) assert.equal(app.callbackUrl, `http://127.0.0.1:${defaultOf('PORT', source)}/callback`)
  }
})

function defaultOf(variable: string, source: string): string | undefined {
  return new RegExp(`\\b${variable} = '([^']*)'`).exec(source)?.[1]
}
