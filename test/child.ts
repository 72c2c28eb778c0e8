/** A process beside the tests, which runs what it is given, talks by messages and ends with the test. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Starting takes a third of the time. */
const COMPILED = join(import.meta.dirname, '..', 'node_modules', '.cache', 'latchstring-tests')

/** `program` is TypeScript; it finds `given` in `process.argv[1]` and sends a message when it is ready, which is waited for. */
export async function startChild(t: TestContext, program: string, given: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program, given], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { NODE_COMPILE_CACHE: COMPILED },
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await once(child, 'message')
  return child
}
