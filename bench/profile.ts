/** Where a process spent its time: functions by what they used themselves, summed over everywhere they were called from. */

/** As the inspector gives it. */
export interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples?: readonly number[] | undefined
  readonly timeDeltas?: readonly number[] | undefined
}

export interface Spent {
  readonly where: string
  readonly micros: number
  /** Of the time that the process did anything. */
  readonly share: number
}

const IDLE = '(idle)'
/** Starting it takes a moment, too. */
const PROFILER = ' node:inspector:'

export function spent({ nodes, samples = [], timeDeltas = [] }: Profile): Spent[] {
  const own = new Map<number, number>()
  for (const [i, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[i] ?? 0))
  const places = new Map<string, number>()
  for (const { id, callFrame } of nodes) {
    const where = placeOf(callFrame)
    places.set(where, (places.get(where) ?? 0) + (own.get(id) ?? 0))
  }
  for (const where of places.keys()) if (where === IDLE || where.includes(PROFILER)) places.delete(where)
  const total = [...places.values()].reduce((sum, micros) => sum + micros, 0)
  return [...places].map(([where, micros]) => ({ where, micros, share: micros / total })).toSorted((a, b) => b.micros - a.micros)
}

/** `find src/store/sqlite-connections.ts:51`, from the root of the project or of the package. */
function placeOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const name = functionName || '(anonymous)'
  if (url === '') return name
  const file = url
    .replace(/^file:\/\//, '')
    .replace(`${ROOT}/`, '')
    .replace(/^.*node_modules\//, '')
  return `${name} ${file}:${lineNumber + 1}`
}

const ROOT = new URL('..', import.meta.url).pathname.replace(/\/$/, '')
