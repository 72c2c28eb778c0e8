/**
 * The one file that node:test is given: it loads every file named in its environment, into one process.
 * Given the files themselves, `--test-isolation=none` loses an error thrown while one of them loads, and ends with success.
 */

import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const files: string[] = JSON.parse(process.env['LATCHSTRING_TEST_FILES'] ?? '[]')
const CLOSED_WITHIN_MS = 5_000

for (const file of files) {
  try {
    await import(pathToFileURL(file).href)
  } catch (error) {
    test(`${file} loads`, () => {
      throw error
    })
  }
}

// Registered last, so it runs after every other hook. What a test left open would keep the whole run from ending, without a word.
after(async () => {
  const deadline = Date.now() + CLOSED_WITHIN_MS
  while (leftOpen().length > 0 && Date.now() < deadline) await sleep(20)
  const kinds = leftOpen()
  if (kinds.length === 0) return
  void endAnyway()
  throw new Error(
    `Something was left open: ${kinds.join(', ')}. To see whose it is, try "npm test -- FOLDER" for one folder at a time.`,
  )
})

/** What keeps the process alive, except for its own input and output. */
function leftOpen(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap' && kind !== 'TTYWrap')
}

/** node:test prints its closing lines when the process is about to end by itself, which is what we then pretend. */
async function endAnyway(): Promise<void> {
  await sleep(500)
  process.emit('beforeExit', 1)
  await sleep(500)
  process.exit(1)
}
