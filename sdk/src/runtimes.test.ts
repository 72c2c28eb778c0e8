/** The suite beside this file, once more in Bun and in Deno as npm has them: the client promises to work there too. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runtime } from '../../scripts/runtimes.mjs'

const LIMIT_MS = 90_000

const files = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts') && name !== 'runtimes.test.ts')
  .map((name) => `./src/${name}`)

const NODE = ['--test', '--test-reporter=tap', '--disable-warning=ExperimentalWarning']
// What Deno is not allowed is part of the promise: no environment, no files but its own, no network but the test's server.
const DENO = [
  'test',
  '--allow-net=127.0.0.1',
  '--allow-read=.',
  '--no-check',
  '--no-config',
  '--no-remote',
  '--no-npm',
  '--no-lock',
]

const RUNTIMES = [
  { name: 'bun', title: 'Bun', flags: ['test'], passed: /^ *(\d+) pass$/m, skipped: /^ *(\d+) skip$/m },
  { name: 'deno', title: 'Deno', flags: DENO, passed: /\| (\d+) passed \|/, skipped: /\| (\d+) ignored/ },
] as const

let inNode: Promise<number> | undefined

for (const { name, title, flags, passed, skipped } of RUNTIMES) {
  test(`the client passes in ${title} every test that it passes in Node`, async (t) => {
    const program = await runtime(name).catch((error: Error) => error)
    if (program instanceof Error) {
      // Anything else, such as a registry that cannot be reached, is a failure and no excuse.
      if (!program.message.startsWith('The npm registry has no')) throw program
      return t.skip(`platform: ${program.message}`)
    }
    inNode ??= output(process.execPath, NODE).then((text) => numberIn(text, /^# pass (\d+)$/m) ?? 0)
    const text = await output(program, flags)
    const left = numberIn(text, skipped) ?? 0
    if (left > 0) t.diagnostic(`${left} skipped: this ${title} cannot do what they ask for`)
    // A runner that overlooks a file, or a test in it, fails nothing.
    assert.equal((numberIn(text, passed) ?? 0) + left, await inNode)
  })
}

/** Rejects, with all that was printed, unless the suite passes. */
async function output(program: string, flags: readonly string[]): Promise<string> {
  const cache = mkdtempSync(join(tmpdir(), 'latchstring-sdk-'))
  // A proxy that somebody set for npm must not come between the tests and their own server.
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NO_COLOR: '1',
    NO_PROXY: '127.0.0.1',
    DENO_DIR: cache,
    DENO_NO_UPDATE_CHECK: '1',
  }
  // Node would take itself for a part of this very run, and report in a form that is not for reading.
  delete env['NODE_TEST_CONTEXT']
  const options = { cwd: join(import.meta.dirname, '..'), env, timeout: LIMIT_MS }
  try {
    const { failed, text } = await new Promise<{ failed: boolean; text: string }>((resolve) => {
      execFile(program, [...flags, ...files], options, (error, stdout, stderr) =>
        resolve({ failed: error !== null, text: stdout + stderr }),
      )
    })
    if (!failed) return text
    const failures = text.split('\n').filter((line) => !/^\(pass\)|^ok |\.\.\. ok /.test(line))
    throw new Error(`the suite failed in ${program}:\n${failures.join('\n')}`)
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

function numberIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}
