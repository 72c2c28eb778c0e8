/** Runs an example as its reader would: in a folder of its own, with the client as it is published, in a process of its own. */

import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const ROOT = resolve(import.meta.dirname, '..')
const TSC = join(ROOT, 'node_modules/@typescript/native/bin/tsc')

export interface Example {
  /** The next line of its output that has this in it. Rejects with all it said when it ends without. */
  says(pattern: RegExp): Promise<string>
  /** How it ended by itself. */
  readonly ended: Promise<number | null>
  close(): Promise<void>
}

/** `folder` is one of `examples`; `packages` are those that it imports besides ours. */
export async function runExample(
  folder: string,
  file: string,
  env: Readonly<Record<string, string>>,
  packages: readonly string[] = [],
): Promise<Example> {
  const home = await mkdtemp(join(tmpdir(), 'latchstring-example-'))
  await cp(join(ROOT, 'examples', folder), home, { recursive: true, filter: (path) => !path.endsWith('.test.ts') })
  if (packages.length > 0) await install(home, packages)

  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    cwd: home,
    env: { ...process.env, ...env },
  })
  const said: string[] = []
  child.stderr.on('data', (chunk) => said.push(String(chunk)))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ended = new Promise<number | null>((end, fail) => child.once('error', fail).once('close', end))
  return {
    async says(pattern) {
      for (;;) {
        const { done, value } = await lines.next()
        if (done) throw new Error(`${folder} ended without saying ${String(pattern)}:\n${said.join('\n')}`)
        said.push(value)
        if (pattern.test(value)) return value
      }
    },
    ended,
    async close() {
      child.kill()
      await ended
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** What `npm install` would put there, without asking a registry for what is here. */
async function install(home: string, packages: readonly string[]): Promise<void> {
  const sdk = join(home, 'node_modules/@latchstring/sdk')
  await mkdir(sdk, { recursive: true })
  await cp(join(ROOT, 'sdk/package.json'), join(sdk, 'package.json'))
  await promisify(execFile)(process.execPath, [
    TSC,
    '--project',
    join(ROOT, 'sdk/tsconfig.build.json'),
    '--outDir',
    join(sdk, 'dist'),
  ])
  for (const name of packages) await symlink(join(ROOT, 'node_modules', name), join(home, 'node_modules', name))
}
