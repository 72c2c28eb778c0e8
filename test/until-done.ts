/** Things that a test opens and that close with it. `await using` says it shorter, but not every Node that we run on can read it. */

import type { TestContext } from 'node:test'

export async function untilDone<T extends AsyncDisposable>(t: TestContext, opening: T | Promise<T>): Promise<T> {
  const opened = await opening
  t.after(() => opened[Symbol.asyncDispose]())
  return opened
}
