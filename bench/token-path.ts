/** `GET /api/v1/connected_apps/token` of fresh tokens, held against what the machine could do; all variants take turns. */

import { seededSession } from '../cli/seed.ts'
import type { State } from './answering.ts'
import type { Figure } from './figures.ts'
import { type LoadResult, load, median } from './load.ts'
import { type Measured, startProcess } from './processes.ts'
import type { Filled, Stage } from './stage.ts'

export interface TokenPathOptions {
  readonly connections: readonly number[]
  readonly rounds: number
  readonly seconds: number
  readonly warmSeconds: number
  readonly progress: (text: string) => void
}

interface Variant {
  readonly id: string
  readonly what: string
  readonly address: string
  readonly bearer: string
  readonly state: () => Promise<State>
  /** Of the database beside it. */
  readonly databaseState: () => Promise<State>
  readonly stop: () => Promise<void>
}

interface Round extends LoadResult {
  readonly cpuMicros: number
  readonly databaseMicros: number
  readonly rss: number
}

const PATH = '/api/v1/connected_apps/token?session_id='
const NOTHING: State = { rss: 0, cpu: 0 }

/** Which connection is asked for, at random; all have been asked for by the time that the warming is over, or there are too many. */
export function anyOf(connections: number): () => string {
  // Made before: naming one takes longer than asking, and only where there are many would it be done meanwhile.
  const sessions = Array.from({ length: connections }, (_, index) => seededSession('bench', index))
  return () => `${PATH}${sessions[Math.floor(Math.random() * connections)]}`
}

export async function tokenPath(stage: Stage, stores: readonly Filled[], options: TokenPathOptions): Promise<Figure[]> {
  const variants = await variantsOf(stage, stores, options)
  const path = anyOf(Math.min(...stores.map(({ connections }) => connections)))
  const figures: Figure[] = []
  try {
    for (const variant of variants) await round(variant, 16, options.warmSeconds, path)
    for (const connections of options.connections) {
      options.progress(`token path, ${connections} connections …`)
      const rounds = new Map<Variant, Round[]>(variants.map((variant) => [variant, []]))
      for (const variant of variants) await round(variant, connections, options.warmSeconds / 4, path)
      for (let i = 0; i < options.rounds; i++)
        for (const variant of variants) rounds.get(variant)?.push(await round(variant, connections, options.seconds, path))
      figures.push(...variants.map((variant) => figureOf(variant, connections, rounds.get(variant) ?? [])))
      figures.push(...ratiosOf(connections, rounds))
    }
  } finally {
    for (const variant of variants) await variant.stop()
  }
  return figures
}

async function variantsOf(stage: Stage, stores: readonly Filled[], { progress }: TokenPathOptions): Promise<Variant[]> {
  const none = async (): Promise<State> => NOTHING
  const bare = await startProcess('bare-process.ts', [])
  const connections = String(stores[0]?.connections ?? 0)
  const route = await startProcess('baseline-process.ts', [connections])
  const fastify = await startProcess('baseline-process.ts', [connections, 'plain'])
  const bearerOf = ({ extra }: Measured): string => (extra as { bearer: string }).bearer
  const variants: Variant[] = [
    { ...bare, id: 'bare', what: '(a) bare node:http', bearer: '', databaseState: none },
    { ...route, id: 'route', what: '(b) the route without a store', bearer: bearerOf(route), databaseState: none },
    { ...fastify, id: 'fastify', what: '(c) (b), but Fastify replies', bearer: bearerOf(fastify), databaseState: none },
  ]
  for (const store of stores) {
    const databaseState = (): Promise<State> => stage.databaseState(store.kind)
    const id = store.kind.toLowerCase()
    variants.push({ ...(await stage.broker(store)), id, what: store.kind, databaseState })
    const two = await stage.command(store, 2)
    if (two) variants.push({ ...two, id: `${id}-2`, what: `${store.kind}, 2 workers`, databaseState })
    else progress('two workers are left out: this version of the command does not know --workers')
  }
  return variants
}

async function round(variant: Variant, connections: number, seconds: number, path: () => string): Promise<Round> {
  const [before, databaseBefore] = [await variant.state(), await variant.databaseState()]
  const headers = { authorization: `Bearer ${variant.bearer}` }
  const result = await load({ address: variant.address, connections, seconds, headers, path })
  const [after, databaseAfter] = [await variant.state(), await variant.databaseState()]
  if (result.failed > 0) throw new Error(`${variant.what}: ${result.failed} answers were not 200`)
  return {
    ...result,
    cpuMicros: (after.cpu - before.cpu) / result.requests,
    databaseMicros: (databaseAfter.cpu - databaseBefore.cpu) / result.requests,
    rss: after.rss,
  }
}

function figureOf({ id, what }: Variant, connections: number, rounds: readonly Round[]): Figure {
  const middle = (of: (one: Round) => number): number => median(rounds.map(of))
  const databaseMicros = middle((one) => one.databaseMicros)
  return {
    id: `token.${id}.${connections}`,
    what: `token path, ${connections} connections, ${what}`,
    value: middle((one) => one.requestsPerSecond),
    unit: 'req/s',
    more: {
      p50Ms: middle((one) => one.p50Ms),
      p99Ms: middle((one) => one.p99Ms),
      processorMicros: middle((one) => one.cpuMicros),
      ...(databaseMicros > 0 && { databaseMicros }),
      residentMb: middle((one) => one.rss) / 1e6,
      loadShare: middle((one) => one.ownShare),
    },
  }
}

/** Round by round, so that what the machine does meanwhile hits both. */
function ratiosOf(connections: number, rounds: ReadonlyMap<Variant, Round[]>): Figure[] {
  const of = (id: string): Round[] => [...rounds].find(([variant]) => variant.id === id)?.[1] ?? []
  const pairs = [
    ['sqlite', 'bare', 'SQLite to (a)'],
    ['sqlite', 'route', 'SQLite to (b)'],
    ['sqlite', 'fastify', 'SQLite to (c)'],
    ['postgresql', 'sqlite', 'PostgreSQL to SQLite'],
    ['sqlite-2', 'sqlite', '2 workers to 1, SQLite'],
    ['postgresql-2', 'postgresql', '2 workers to 1, PostgreSQL'],
  ] as const
  return pairs.flatMap(([one, other, what]): Figure[] => {
    const [mine, theirs] = [of(one), of(other)]
    if (mine.length === 0 || theirs.length === 0) return []
    const ratio = (value: (round: Round) => number): number =>
      median(mine.map((round, i) => value(round) / value(theirs[i] ?? round)))
    return [
      {
        id: `ratio.${one}.${other}.${connections}`,
        what: `  ratio, ${what}`,
        value: ratio((round) => round.requestsPerSecond),
        unit: '',
        more: { byProcessorRatio: 1 / ratio((round) => round.cpuMicros) },
      },
    ]
  })
}
