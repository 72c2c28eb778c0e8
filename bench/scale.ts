/** The same questions to a small store and to a large one: what grows with the data must be the disk, and nothing else. */

import type { Figure } from './figures.ts'
import { load, median } from './load.ts'
import type { Filled, Kind, Served, Stage } from './stage.ts'
import { started } from './start.ts'
import { anyOf } from './token-path.ts'

const MORE_ROUNDS = 5

export interface ScaleOptions {
  readonly small: number
  readonly large: number
  /** HTTP connections, each with one request under way: with one there is no queue, with many the broker has no rest. */
  readonly connections: readonly number[]
  readonly rounds: number
  readonly seconds: number
}

interface Asked {
  readonly broker: Served
  readonly round: (connections: number, seconds: number) => Promise<Round>
}

interface Round {
  readonly p50Ms: number
  readonly cpuMicros: number
}

export async function scale(stage: Stage, kind: Kind, options: ScaleOptions): Promise<Figure[]> {
  const { small, large, rounds, seconds } = options
  // Shorter rounds, and more: of two that follow close on each other the machine treats both alike, and one that it does not is one of many.
  const turns = { rounds: MORE_ROUNDS * rounds, seconds: seconds / MORE_ROUNDS }
  const began = performance.now()
  const stores = [await stage.filled(kind, small), await stage.filled(kind, large)] as const
  const filling = (performance.now() - began) / 1000
  const starts: [number[], number[]] = [[], []]
  for (let i = 0; i < rounds; i++) for (const at of [0, 1] as const) starts[at].push(await started(stage, stores[at]))

  const asked = [await asking(stage, stores[0]), await asking(stage, stores[1])] as const
  for (const one of asked) await one.round(16, 3 * seconds)
  const id = kind.toLowerCase()
  const ratios: Figure[] = []
  for (const connections of options.connections) {
    const measured: [Round[], Round[]] = [[], []]
    for (let i = 0; i < turns.rounds; i++)
      for (const at of [0, 1] as const) measured[at].push(await asked[at].round(connections, turns.seconds))
    ratios.push({
      id: `scale.${id}.${connections}`,
      what: `p50 at ${large} connections to that at ${small}, ${connections} at once, ${kind}`,
      ...ratioOf(measured),
    })
  }
  const memory = [await asked[0].broker.state(), await asked[1].broker.state()].map(({ rss }) => rss / 1e6)
  for (const { broker } of asked) await broker.stop()

  const bytes = ((await stage.bytesOf(stores[1])) - (await stage.bytesOf(stores[0]))) / (large - small)
  const [smallStart, largeStart] = starts.map(median)
  return [
    ...ratios,
    {
      id: `large.${id}`,
      what: `memory with ${large} connections, ${kind}`,
      value: memory[1] ?? Number.NaN,
      unit: 'MB',
      more: {
        smallResidentMb: memory[0] ?? Number.NaN,
        smallStartMs: smallStart ?? Number.NaN,
        largeStartMs: largeStart ?? Number.NaN,
      },
      note: `filled in ${Math.round(filling)} s`,
    },
    { id: `bytes.${id}`, what: `a connection on disk, indexes included, ${kind}`, value: bytes, unit: 'bytes' },
  ]
}

/** Round by round, so that what the machine does meanwhile hits both. */
function ratioOf([small, large]: readonly [Round[], Round[]]): Pick<Figure, 'value' | 'unit' | 'more'> {
  const ratio = (of: (round: Round) => number): number => median(large.map((round, i) => of(round) / of(small[i] ?? round)))
  return {
    value: ratio(({ p50Ms }) => p50Ms),
    unit: '',
    more: {
      smallP50Ms: median(small.map(({ p50Ms }) => p50Ms)),
      largeP50Ms: median(large.map(({ p50Ms }) => p50Ms)),
      byProcessorRatio: ratio(({ cpuMicros }) => cpuMicros),
    },
  }
}

async function asking(stage: Stage, store: Filled): Promise<Asked> {
  const broker = await stage.broker(store)
  const path = anyOf(store.connections)
  const headers = { authorization: `Bearer ${broker.bearer}` }
  return {
    broker,
    async round(connections, seconds) {
      const before = await broker.state()
      const { p50Ms, requests, failed } = await load({ address: broker.address, connections, seconds, headers, path })
      if (failed > 0) throw new Error(`${store.connections} connections: ${failed} answers were not 200`)
      return { p50Ms, cpuMicros: ((await broker.state()).cpu - before.cpu) / requests }
    },
  }
}
