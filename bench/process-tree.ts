/** What a process and all that it has started use, as Linux tells it. */

import { readFileSync } from 'node:fs'
import type { State } from './answering.ts'

/** Linux counts in hundredths of a second. */
const TICK_MICROS = 10_000

export function treeState(root: number): State {
  const states = descendants(root).map(one)
  return {
    rss: states.reduce((sum, { rss }) => sum + rss, 0),
    cpu: states.reduce((sum, { cpu }) => sum + cpu, 0),
  }
}

function descendants(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(/\s+/).filter(Boolean).map(Number)
  return [pid, ...children.flatMap(descendants)]
}

function one(pid: number): State {
  // What stands in brackets is a name, which may hold anything; user and system time are the twelfth and thirteenth word behind it.
  const words = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ')
  const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)
  return { rss: rssKb * 1024, cpu: (Number(words[11] ?? 0) + Number(words[12] ?? 0)) * TICK_MICROS }
}

/** Empty for one that has just ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
