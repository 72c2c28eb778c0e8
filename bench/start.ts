/** From nothing to the first answer, what an idle broker keeps, and what is installed for it. */

import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Figure } from './figures.ts'
import { median } from './load.ts'
import type { Filled, Stage } from './stage.ts'

/** An idle server is one that was left alone for a while. */
const IDLE_AFTER_MS = 3000
const ROOT = join(import.meta.dirname, '..')
/** Of our own, what runs. */
const OURS = ['bin', 'cli', 'src', 'sdk/src', 'providers', 'sandbox', 'scripts']

/** Milliseconds from starting the command to the answer of `/readyz`. */
export async function started(stage: Stage, store: Filled): Promise<number> {
  return (await startedOnce(stage, store)).ms
}

export async function startAndIdle(stage: Stage, store: Filled, rounds: number): Promise<Figure[]> {
  const starts: Awaited<ReturnType<typeof startedOnce>>[] = []
  for (let i = 0; i <= rounds; i++) starts.push(await startedOnce(stage, store))
  const warm = starts.slice(1) // the first compiles
  const id = store.kind.toLowerCase()
  return [
    { id: `start.${id}`, what: `start to first answer, ${store.kind}`, value: median(warm.map(({ ms }) => ms)), unit: 'ms' },
    { id: `idle.${id}`, what: `memory, idle, ${store.kind}`, value: median(warm.map(({ rss }) => rss)) / 1e6, unit: 'MB' },
  ]
}

async function startedOnce(stage: Stage, store: Filled): Promise<{ ms: number; rss: number }> {
  const served = await stage.command(store, 1)
  if (!served) throw new Error('the command did not start')
  // What starting needed is given back by then.
  await pause(IDLE_AFTER_MS)
  const { rss } = await served.state()
  await served.stop()
  return { ms: served.startMs, rss }
}

/** What `npm ci --omit=dev` brings, and what it takes up. */
export function installed(): Figure[] {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: ROOT, encoding: 'utf8' })
  const packages = [...new Set(listed.split('\n').filter((line) => line.includes('/node_modules/')))].filter(
    (path) => !path.endsWith('/@latchstring/sdk'),
  )
  const megabytes = (folders: readonly string[]): number => folders.reduce((sum, folder) => sum + bytesIn(folder), 0) / 1e6
  return [
    { id: 'packages', what: 'production packages', value: packages.length, unit: '', note: 'server and command line' },
    {
      id: 'installed',
      what: 'installed for production',
      value: megabytes(packages),
      unit: 'MB',
      more: { oursMb: megabytes(OURS.map((folder) => join(ROOT, folder))) },
    },
  ]
}

/** Packages that lie in a package are listed by themselves. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? sum : sum + bytesIn(path)
    return entry.isFile() ? sum + statSync(path).size : sum
  }, 0)
}
