/** The processes that a benchmark measures: started, asked how they are, stopped. */

import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Question, State } from './answering.ts'
import { type Spent, spent } from './profile.ts'

export interface Measured {
  readonly address: string
  /** Whatever else the process said when it was ready. */
  readonly extra: unknown
  state(): Promise<State>
  /** Where its time went while `work` ran. */
  profiled(work: () => Promise<unknown>): Promise<Spent[]>
  stop(): Promise<void>
}

/** As `bin/latchstring` has it. */
export const NURSERY = ['--min-semi-space-size=4', '--max-semi-space-size=4']

export async function startProcess(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Measured> {
  // By the launcher, as users start it.
  const child = fork(join(import.meta.dirname, '..', 'scripts', 'run.mjs'), [join(import.meta.dirname, file), ...args], {
    env: { ...process.env, ...environment },
    execArgv: NURSERY,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ask = async <T>(question: Question): Promise<T> => {
    const answer = message<T>(child)
    child.send(question)
    return answer
  }
  const ready = await message<{ address: string }>(child)
  return {
    address: ready.address,
    extra: ready,
    state: () => ask('state'),
    async profiled(work) {
      await ask('profile')
      await work()
      return spent(await ask('profiled'))
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.send('stop' satisfies Question)
      await ended
    },
  }
}

function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null): void => reject(new Error(`the process ended with ${code} before it answered`))
    child.once('exit', gone)
    child.once('message', (answer) => {
      child.off('exit', gone)
      resolve(answer as T)
    })
  })
}
