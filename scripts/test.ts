/**
 * npm test: every *.test.ts of the house, in one process of node:test.
 *
 *   npm test                                      all of them
 *   npm test -- src/store sdk                     those whose path contains one of these
 *   npm test -- --test-name-pattern=S-13          what starts with a dash goes to Node
 */

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve, sep } from 'node:path'
import type { Verdict } from './test-verdict.ts'

const ROOT = resolve(import.meta.dirname, '..')
const FOLDERS = ['src', 'sdk', 'sandbox', 'cli', 'console', 'test', 'examples', 'bench', 'scripts']
const ONE_TEST_LIMIT_MS = 120_000

const args = process.argv.slice(2)
const flags = args.filter((arg) => arg.startsWith('-'))
const files = testFiles(args.filter((arg) => !arg.startsWith('-')))
if (files.length === 0) {
  console.error(`No test file matches. They are the *.test.ts in ${FOLDERS.join(', ')}.`)
  process.exit(1)
}

mkdirSync(join(ROOT, 'artefacts'), { recursive: true })
const notes = mkdtempSync(join(tmpdir(), 'latchstring-test-'))
try {
  const code = await run(join(notes, 'verdicts'))
  process.exitCode = code === 0 ? judge(join(notes, 'verdicts')) : code
} finally {
  rmSync(notes, { recursive: true, force: true })
}

function testFiles(wanted: readonly string[]): string[] {
  return FOLDERS.filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)))
    .map((path) => path.replaceAll(sep, '/'))
    .filter((path) => path.endsWith('.test.ts') && !/\/(node_modules|dist)\//.test(path))
    .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part.replace(/^\.\//, ''))))
    .sort()
}

function run(verdicts: string): Promise<number> {
  const options = [
    '--test',
    Number.parseInt(process.versions.node) < 24 ? '--experimental-test-isolation=none' : '--test-isolation=none',
    '--disable-warning=ExperimentalWarning',
    `--test-timeout=${ONE_TEST_LIMIT_MS}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(ROOT, 'scripts/test-verdict.ts')}`,
    `--test-reporter-destination=${verdicts}`,
  ]
  const env = { ...process.env, LATCHSTRING_TEST_FILES: JSON.stringify(files) }
  const child = spawn(process.execPath, [...options, ...flags, 'scripts/every-test.ts'], { cwd: ROOT, env, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('exit', (code) => done(code ?? 1))
  })
}

/** Where Node found nothing to complain about, we may. */
function judge(path: string): number {
  const verdicts = readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line): Verdict => JSON.parse(line))
  if (verdicts.some(({ what }) => what === 'failed')) return 1

  // A machine of CI has everything, so there a skipped test is a lost one, unless it is about another platform.
  const lost = verdicts.filter(({ what, reason }) => what === 'skipped' && !/^platform\b/.test(reason))
  if (process.env['CI'] !== 'true' || lost.length === 0) return 0
  const list = lost.map(({ name, reason }) => `\n  ${name}: ${reason || 'no reason given'}`)
  console.error(`\nWith CI=true no test may be skipped, unless its reason starts with "platform":${list.join('')}`)
  return 1
}
