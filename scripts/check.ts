/** npm run check: everything about the code that a machine can judge without running it as a user would. All steps run, even when one fails. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

interface Step {
  readonly name: string
  readonly promise: string // what is true when the step passes
  readonly remedy: string
  readonly run: readonly string[] // a file and its arguments, for Node
}

interface Outcome {
  readonly step: Step
  readonly ok: boolean
  readonly seconds: number
  readonly output: string
}

const STEPS: readonly Step[] = [
  {
    name: 'types',
    promise: 'the compiler agrees with every type',
    remedy: 'node node_modules/@typescript/native/bin/tsc says the same again',
    run: ['node_modules/@typescript/native/bin/tsc', '--pretty', 'false'],
  },
  {
    name: 'lint',
    promise: 'no promise is forgotten, and nothing looks like a mistake',
    remedy: 'npm run fix mends some of it',
    run: ['node_modules/oxlint/bin/oxlint', '--no-error-on-unmatched-pattern', '--deny-warnings', '--format=unix', '.'],
  },
  {
    name: 'format',
    promise: 'every file is laid out the same way, imports in order',
    remedy: 'npm run fix',
    run: ['node_modules/@biomejs/biome/bin/biome', 'check', '--colors=off', '--reporter=summary', '.'],
  },
  {
    name: 'dead code',
    promise: 'no file, export or dependency is left unused',
    remedy: 'delete it; with the code go all references to it',
    run: ['node_modules/knip/bin/knip.js', '--no-progress', '--no-config-hints'],
  },
  {
    name: 'tidy',
    promise: 'the rules of the house hold',
    remedy: 'each rule says what to do',
    run: ['scripts/test.ts', 'test/tidy.test.ts'],
  },
  {
    name: 'docs',
    promise: 'what the documents list is what the code does',
    remedy: 'node scripts/run.mjs scripts/docs.ts writes them again',
    run: ['scripts/docs.ts', '--check'],
  },
  {
    name: 'sdk',
    promise: 'the SDK builds into a package that others can install',
    remedy: 'node scripts/run.mjs scripts/build-sdk.ts shows how it fails',
    run: ['scripts/build-sdk.ts'],
  },
]

const steps = STEPS.filter(({ run }) => existsSync(resolve(ROOT, run[0] ?? '')))
const outcomes = await atMost(availableParallelism(), steps, async (step) => {
  const outcome = await perform(step)
  if (!outcome.ok) console.log(`\n── ${step.name} ──\n${outcome.output.trim()}\n`)
  return outcome
})

console.log(outcomes.map(row).join('\n'))
const failed = outcomes.filter(({ ok }) => !ok)
console.log(failed.length === 0 ? 'All is well.' : `${failed.length} of ${outcomes.length} failed.`)
process.exitCode = failed.length === 0 ? 0 : 1

function perform(step: Step): Promise<Outcome> {
  const started = performance.now()
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...step.run], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1' },
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (code) => done({ step, ok: code === 0, seconds: (performance.now() - started) / 1000, output }))
  })
}

function row({ step, ok, seconds }: Outcome): string {
  const verdict = ok ? step.promise : `FAILED: ${step.remedy}`
  return `${ok ? '✔' : '✖'} ${step.name.padEnd(10)} ${seconds.toFixed(1).padStart(5)} s   ${verdict}`
}

/** The results in the order of the items, with no more than `limit` at work at a time. */
async function atMost<Item, Result>(
  limit: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const queue = items.entries()
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return results
}
