/** That memory is given back, and nothing else changes. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { giveBackMemory } from './give-back.ts'

test('what is not needed any more is given back, and nobody else gets at the collector', async (t) => {
  let needed: { i: number }[] | null = Array.from({ length: 1_000_000 }, (_, i) => ({ i }))
  const before = process.memoryUsage().heapUsed
  assert(needed.length > 0)
  needed = null
  giveBackMemory()
  await t.waitFor(() => assert(process.memoryUsage().heapUsed < before - 20_000_000), { interval: 50, timeout: 10_000 })
  assert.equal(globalThis.gc, undefined)
})

test('from then on garbage is collected earlier than the engine does by itself', () => {
  const [early, byItself] = [collections(''), collections("setFlagsFromString('--heap-growing-percent=0')")]
  assert(byItself > 0 && early > byItself, `${early} times instead of ${byItself}`)
})

/** How often the engine collects what a program leaves lying about after it has given back its memory, and then done something. */
function collections(something: string): number {
  const program = `
    import { setFlagsFromString } from 'node:v8'
    import { giveBackMemory } from ${JSON.stringify(join(import.meta.dirname, 'give-back.ts'))}
    globalThis.setTimeout = (run) => (run(), { unref() {} })
    giveBackMemory()
    ${something}
    const kept = Array.from({ length: 300_000 }, (_, i) => ({ i }))
    const lying = Array.from({ length: 100_000 }, () => null)
    for (let i = 0; i < 3_000_000; i++) lying[i % lying.length] = { i, more: [i] }
    console.log(kept.length)`
  // What the engine does beside the program makes the number a matter of luck.
  const alike = ['--single-threaded', '--no-opt', '--max-semi-space-size=4']
  const how = ['--trace-gc', '--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
  const { stdout, stderr } = spawnSync(process.execPath, [...alike, ...how], { encoding: 'utf8', env: {} })
  assert(stdout.includes('300000\n'), stderr)
  return stdout.split('Mark-Compact').length - 1
}
