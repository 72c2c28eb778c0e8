/** A shell in a folder of its own, for the tests: runs the real command line as whoever installed it would. */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that has not ended. */
export interface Running {
  /** What it has said so far. */
  readonly said: { stdout: string; stderr: string }
  /** Resolves to the first match in what it says on standard output; rejects when it ends without. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>
  /** The same for standard error. */
  waitForLog(pattern: RegExp): Promise<RegExpExecArray>
  readonly pid: number
  signal(signal: NodeJS.Signals): void
  /** As somebody who presses Ctrl-C until it ends. */
  insist(signal: NodeJS.Signals): void
  /** Whoever reads its log ends; the file that it goes to is on a full disk. */
  deafen(): void
  readonly ended: Promise<Ended>
}

export interface Shell {
  readonly folder: string
  write(name: string, text: string): string
  run(...args: string[]): Promise<Ended>
  /** As `run`, for a command that must succeed and print JSON. */
  json<T = unknown>(...args: string[]): Promise<T>
  start(...args: string[]): Running
}

const LATCHSTRING = join(import.meta.dirname, 'latchstring.ts')
/** Starting takes a third of the time. */
const COMPILED = join(import.meta.dirname, '..', 'node_modules', '.cache', 'latchstring-tests')

/** With a master key and a port of its own, and nothing of this process's environment; what is still running is ended with the test. */
export function shell(t: { after(end: () => unknown): void }, variables: Readonly<Record<string, string>> = {}): Shell {
  const folder = mkdtempSync(join(tmpdir(), 'latchstring-cli-'))
  const children = new Set<ChildProcess>()
  t.after(() => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  const env = {
    LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
    LATCHSTRING_PORT: '0',
    TMPDIR: folder,
    NODE_COMPILE_CACHE: COMPILED,
    ...variables,
  }

  const start = (...args: string[]): Running => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', LATCHSTRING, ...args], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    return running(child)
  }
  const run = (...args: string[]): Promise<Ended> => start(...args).ended
  return {
    folder,
    start,
    run,
    write(name, text) {
      writeFileSync(join(folder, name), text)
      return name
    },
    async json<T>(...args: string[]): Promise<T> {
      const { code, stdout, stderr } = await run(...args, '--json')
      if (code !== 0) throw new Error(`latchstring ${args.join(' ')} ended with ${code}: ${stderr}`)
      return JSON.parse(stdout) as T
    },
  }
}

function running(child: ChildProcess): Running {
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.setEncoding('utf8').on('data', (text: string) => (said[stream] += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve({ code, ...said }))
  })
  const saying = (where: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((found, missed) => {
      const look = (): void => {
        const match = pattern.exec(said[where])
        if (match) found(match)
      }
      look()
      child[where]?.on('data', look)
      ended.then(({ code, stderr }) => missed(new Error(`ended with ${code} before it said ${pattern}: ${stderr}`)), missed)
    })
  return {
    said,
    ended,
    pid: child.pid ?? Number.NaN,
    signal: (signal) => void child.kill(signal),
    insist(signal) {
      const pressing = setInterval(() => child.kill(signal), 100)
      child.once('exit', () => clearInterval(pressing))
    },
    deafen: () => void child.stderr?.destroy(),
    waitFor: (pattern) => saying('stdout', pattern),
    waitForLog: (pattern) => saying('stderr', pattern),
  }
}
