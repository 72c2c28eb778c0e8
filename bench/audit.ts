/** What it costs the token path that every token is written into the history: the same broker with and without, in turn, round by round. */

import { parseArgs } from 'node:util'
import { type LoadResult, load, median } from './load.ts'
import { type Filled, type Served, Stage } from './stage.ts'
import { anyOf } from './token-path.ts'

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '4' },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `node scripts/run.mjs bench/audit.ts [--connections 10000] [--rounds 7] [--seconds 4]
`
const AT_ONCE = 16
const path = anyOf(Number(options.connections))
const progress = (text: string): void => void process.stderr.write(`${text}\n`)

interface Round extends LoadResult {
  /** Processor time a request is what a noisy machine changes least. */
  readonly cpuMicros: number
}

if (options.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const stage = await Stage.open()
  try {
    const store = async (): Promise<Filled> => stage.filled('SQLite', Number(options.connections))
    progress(`filling two stores with ${options.connections} connections each …`)
    const sides = { with: await stage.broker(await store()), without: await stage.broker(await store(), { audited: false }) }
    const results: Record<keyof typeof sides, Round[]> = { with: [], without: [] }
    for (let round = 0; round <= Number(options.rounds); round++) {
      progress(round === 0 ? 'warming up …' : `round ${round} …`)
      // Who goes first changes, too.
      for (const name of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        const result = await asked(sides[name], round === 0 ? 10 : Number(options.seconds))
        if (round > 0) results[name].push(result)
      }
    }
    for (const { stop } of Object.values(sides)) await stop()
    tell(results)
  } finally {
    await stage.close()
  }
}

async function asked(target: Served, seconds: number): Promise<Round> {
  const before = await target.state()
  const result = await load({
    address: target.address,
    connections: AT_ONCE,
    seconds,
    headers: { authorization: `Bearer ${target.bearer}` },
    path,
  })
  // What was handed out is written within a second: that belongs to the round.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const { cpu } = await target.state()
  if (result.failed > 0) throw new Error(`${result.failed} answers were not 200`)
  return { ...result, cpuMicros: (cpu - before.cpu) / result.requests }
}

function tell(results: Readonly<Record<'with' | 'without', readonly Round[]>>): void {
  const middle = (rounds: readonly Round[], of: (round: Round) => number) => median(rounds.map(of))
  for (const [name, rounds] of Object.entries(results))
    process.stdout.write(
      `${name.padEnd(8)} ${middle(rounds, (r) => r.requestsPerSecond).toFixed(0)} req/s, p50 ${middle(rounds, (r) => r.p50Ms).toFixed(2)} ms, ` +
        `p99 ${middle(rounds, (r) => r.p99Ms).toFixed(2)} ms, ${middle(rounds, (r) => r.cpuMicros).toFixed(1)} µs of processor a request\n`,
    )
  const ratio = (of: (round: Round) => number) => median(results.with.map((one, i) => of(one) / of(results.without[i]!)))
  process.stdout.write(
    `ratio    ${ratio((r) => r.requestsPerSecond).toFixed(3)} of the requests, ${ratio((r) => r.cpuMicros).toFixed(3)} of the processor time, medians of the rounds’ ratios\n`,
  )
}
