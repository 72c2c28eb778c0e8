/** `latchstring sandbox`: what it prints can be pasted. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shell } from './shell.ts'

test('the sandbox prints a latchstring.yaml that apply takes, and ends when asked', async (t) => {
  const here = shell(t)
  const sandbox = here.start('sandbox', '--port', '0')
  const [, url] = await sandbox.waitFor(/listening on (http:\S+)[^]*scopes:\n.*\n/)
  assert.equal((await fetch(`${url}/control`)).status, 200)
  here.write('latchstring.yaml', sandbox.said.stdout.slice(sandbox.said.stdout.indexOf('# latchstring.yaml')))
  const { code, stdout } = await here.run('apply', '-f', 'latchstring.yaml')
  assert.equal(code, 0)
  assert.match(stdout, /provider +sandbox +- +created.*\napp +sandbox +default +created/)
  sandbox.signal('SIGTERM')
  assert.equal((await sandbox.ended).code, 0)
})
