/** The same questions to a small store and to a large one: what grows with the data must be the disk, and nothing else. */

import type { Figure } from './figures.ts'
import { load, median } from './load.ts'
import type { Filled, Kind, Served, Stage } from './stage.ts'
import { started } from './start.ts'
import { anyOf } from './token-path.ts'

export interface ScaleOptions {
  readonly small: number
  readonly large: number
  readonly rounds: number
  readonly seconds: number
}

export async function scale(stage: Stage, kind: Kind, { small, large, rounds, seconds }: ScaleOptions): Promise<Figure[]> {
  const began = performance.now()
  const stores = [await stage.filled(kind, small), await stage.filled(kind, large)] as const
  const filling = (performance.now() - began) / 1000
  const starts = await Promise.all(stores.map(async () => [] as number[]))
  for (let i = 0; i < rounds; i++) for (const [at, store] of stores.entries()) starts[at]?.push(await started(stage, store))

  const asked = [await asking(stage, stores[0]), await asking(stage, stores[1])] as const
  for (const one of asked) await one.round(3 * seconds)
  const times: [number[], number[]] = [[], []]
  for (let i = 0; i < rounds; i++) for (const at of [0, 1] as const) times[at].push((await asked[at].round(seconds)).p50Ms)
  const memory = [await asked[0].broker.state(), await asked[1].broker.state()].map(({ rss }) => rss / 1e6)
  for (const { broker } of asked) await broker.stop()

  const bytes = ((await stage.bytesOf(stores[1])) - (await stage.bytesOf(stores[0]))) / (large - small)
  const id = kind.toLowerCase()
  const [smallStart, largeStart] = starts.map(median)
  return [
    {
      id: `scale.${id}`,
      what: `p50 at ${large} connections to that at ${small}, ${kind}`,
      value: median(times[1].map((ms, i) => ms / (times[0][i] ?? ms))),
      unit: '',
      more: {
        smallP50Ms: median(times[0]),
        largeP50Ms: median(times[1]),
        smallStartMs: smallStart ?? Number.NaN,
        largeStartMs: largeStart ?? Number.NaN,
        smallResidentMb: memory[0] ?? Number.NaN,
        largeResidentMb: memory[1] ?? Number.NaN,
      },
      note: `filled in ${Math.round(filling)} s`,
    },
    { id: `bytes.${id}`, what: `a connection on disk, indexes included, ${kind}`, value: bytes, unit: 'bytes' },
  ]
}

async function asking(
  stage: Stage,
  store: Filled,
): Promise<{ broker: Served; round: (seconds: number) => ReturnType<typeof load> }> {
  const broker = await stage.broker(store)
  const path = anyOf(store.connections)
  const headers = { authorization: `Bearer ${broker.bearer}` }
  return { broker, round: (seconds) => load({ address: broker.address, connections: 16, seconds, headers, path }) }
}
