/** `latchstring serve` in a process of its own, which can be killed at an instant that is known exactly. */

import { type ChildProcess, fork } from 'node:child_process'
import { on } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Agent, request } from 'undici'

const ROOT = join(import.meta.dirname, '..', '..')
const LATCHSTRING = join(ROOT, 'cli', 'latchstring.ts')
const CLOCK = join(import.meta.dirname, 'shifted-clock.ts')
/** Starting takes a third of the time. */
const COMPILED = join(ROOT, 'node_modules', '.cache', 'latchstring-tests')
const START_MS_MAX = 30_000
const STOP_MS_MAX = 1000

export interface Answered {
  readonly status: number
  readonly location: string | null
  readonly text: string
}

export interface Asking {
  readonly method?: 'GET' | 'POST'
  readonly bearer?: string
  readonly form?: Readonly<Record<string, string>>
}

export class BrokerProcess {
  readonly address: string
  readonly #child: ChildProcess
  readonly #agent = new Agent({ connections: 64 })

  private constructor(child: ChildProcess, address: string) {
    this.#child = child
    this.address = address
  }

  static async start(setupFile: string, variables: Readonly<Record<string, string>>, aheadMs: number): Promise<BrokerProcess> {
    const child = fork(LATCHSTRING, ['serve', '--config', setupFile], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--import', CLOCK],
      env: { NODE_COMPILE_CACHE: COMPILED, FAULTS_CLOCK_AHEAD_MS: String(aheadMs), ...variables },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    return new BrokerProcess(child, await addressOf(child))
  }

  /** Sets its clock, and resolves when it goes by it. */
  async setClock(aheadMs: number): Promise<void> {
    if (!this.#child.connected) return
    this.#child.send(aheadMs)
    for await (const [ahead] of on(this.#child, 'message', { close: ['exit'] })) if (ahead === aheadMs) return
  }

  async ask(path: string, { method = 'GET', bearer, form }: Asking = {}): Promise<Answered> {
    const { statusCode, headers, body } = await request(new URL(path, this.address), {
      dispatcher: this.#agent,
      method: form ? 'POST' : method,
      headers: {
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form && { body: new URLSearchParams(form).toString() }),
    })
    const location = headers['location']
    return { status: statusCode, location: typeof location === 'string' ? location : null, text: await body.text() }
  }

  /**
   * As `kill -9`, in two steps: it does nothing more from the first on, so that `look` sees what had reached it by then. Nothing of this
   * process runs in between either.
   */
  kill(look: () => void = () => {}): Promise<void> {
    const { pid } = this.#child
    const ended = this.#ended()
    if (pid !== undefined && this.#child.exitCode === null) {
      this.#child.kill('SIGSTOP')
      untilStopped(pid)
      look()
      this.#child.kill('SIGKILL')
    }
    void this.#agent.destroy()
    return ended
  }

  #ended(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => this.#child.once('close', () => resolve()))
  }
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    let complaints = ''
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`the broker did not listen within ${START_MS_MAX / 1000} seconds: ${complaints}`))
    }, START_MS_MAX)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints = (complaints + text).slice(-4000)))
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const address = /listening on (http:\/\/[\d.]+:\d+)/.exec(said)?.[1]
      if (address === undefined) return
      clearTimeout(late)
      resolve(address)
    })
    child.once('exit', (code, signal) => {
      clearTimeout(late)
      reject(new Error(`the broker ended with ${code ?? signal} before it listened: ${complaints}`))
    })
  })
}

/** The signal is on its way when `kill` returns. Elsewhere than on Linux there is nothing to look at, and the two signals simply follow each other. */
function untilStopped(pid: number): void {
  const deadline = performance.now() + STOP_MS_MAX
  while (performance.now() < deadline) {
    try {
      // The state comes after the command's name, which is in parentheses and may hold anything.
      const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.[0]
      if (state === 'T' || state === 'Z') return
    } catch {
      return
    }
  }
}
