/** The processes that a benchmark measures: started, asked how they are, stopped. */

import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

export interface Measured {
  readonly address: string
  /** Ids of connections that can be asked for. */
  readonly sessions: readonly string[]
  /** Whatever else the process said when it was ready. */
  readonly extra: unknown
  state(): Promise<{ readonly rss: number; readonly cpu: NodeJS.CpuUsage }>
  stop(): Promise<void>
}

export async function startProcess(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Measured> {
  // By the launcher, as users start it.
  const child = fork(join(import.meta.dirname, '..', 'scripts', 'run.mjs'), [join(import.meta.dirname, file), ...args], {
    env: { ...process.env, ...environment },
    execArgv: ['--max-semi-space-size=4'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ready = await message<{ address: string; sessions: string[] }>(child)
  return {
    address: ready.address,
    sessions: ready.sessions,
    extra: ready,
    async state() {
      const answer = message<{ rss: number; cpu: NodeJS.CpuUsage }>(child)
      child.send('memory')
      return answer
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.send('stop')
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
