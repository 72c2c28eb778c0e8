/** `npm run bench`: what the broker does in a second, held against what the machine could do; `bench/README.md` says what each line compares. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connectFlows } from './connect-flow.ts'
import { type Figure, plain, type Run, table } from './figures.ts'
import { load } from './load.ts'
import type { Measured } from './processes.ts'
import { startProcess } from './processes.ts'
import { renewals, sameMinute } from './renewals.ts'
import { scale } from './scale.ts'
import { type Filled, type Kind, Stage } from './stage.ts'
import { installed, startAndIdle } from './start.ts'
import { anyOf, tokenPath } from './token-path.ts'

const PARTS = ['token', 'flows', 'renewals', 'minute', 'scale', 'start', 'size'] as const
type Part = (typeof PARTS)[number]
/** HTTP connections at once, each with one request under way. */
const CONNECTIONS = [1, 16, 64]

const HELP = `npm run bench -- [options]

  --quick               a short look at everything; its results go to artefacts/ and not to bench/results/
  --only PART,PART      of ${PARTS.join(', ')}
  --stores NAME,NAME    sqlite, postgres; default: both
  --rounds N            of which the medians are taken; default 5
  --seconds N           a round of the token path; default 3
  --scale N             connections of the large store; default 1000000
  --minute N            tokens that end at once; default 100000
  --renewals N          default 5000
  --flows N             default 1000
  --profile             where the token path spends its time, on the stores named, and nothing else
  --json                what is written, on standard output too

Everything runs on this machine and on loopback; all of it takes about half an hour. Read ratios: absolute figures are the machine's.
node scripts/run.mjs bench/publish.ts writes the newest results into the documents.
`

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
    stores: { type: 'string', default: 'sqlite,postgres' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    scale: { type: 'string' },
    minute: { type: 'string' },
    renewals: { type: 'string' },
    flows: { type: 'string' },
    profile: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const { quick } = given
const count = (name: 'rounds' | 'seconds' | 'scale' | 'minute' | 'renewals' | 'flows', usual: number, short: number): number =>
  Number(given[name] ?? (quick ? short : usual))
const options = {
  small: 10_000,
  rounds: count('rounds', 5, 1),
  seconds: count('seconds', 3, 1),
  scale: count('scale', 1_000_000, 30_000),
  minute: count('minute', 100_000, 3000),
  renewals: count('renewals', 5000, 1000),
  flows: count('flows', 1000, 200),
}
const NAMED: Readonly<Record<string, Kind>> = { sqlite: 'SQLite', postgres: 'PostgreSQL' }
const kinds = given.stores.split(',').map((name) => NAMED[name] ?? wrong(`--stores ${name}`))
const parts = given.only.split(',').map((name) => PARTS.find((part) => part === name) ?? wrong(`--only ${name}`))
const progress = (text: string): void => void process.stderr.write(`${text}\n`)

if (given.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const stage = await Stage.open()
  try {
    if (given.profile) return await profile(stage)
    const figures: Figure[] = []
    const stores = await Promise.all(parts.some(needsStores) ? kinds.map((kind) => stage.filled(kind, options.small)) : [])
    for (const part of parts) {
      progress(`${part} …`)
      figures.push(...(await measured(part, stage, stores)))
    }
    await tell({ at: new Date().toISOString(), machine: machine(), versions: await versions(), options, figures })
  } finally {
    await stage.close()
  }
}

function needsStores(part: Part): boolean {
  return part === 'token' || part === 'flows' || part === 'start'
}

async function measured(part: Part, stage: Stage, stores: readonly Filled[]): Promise<Figure[]> {
  const { rounds, seconds } = options
  switch (part) {
    case 'token':
      return tokenPath(stage, stores, { connections: CONNECTIONS, rounds, seconds, warmSeconds: quick ? 2 : 10, progress })
    case 'flows':
      return each(stores, (store) => flows(stage, store))
    case 'renewals':
      return each(kinds, async (kind) => [await renewals(stage, kind, options.renewals)])
    case 'minute':
      return each(kinds, async (kind) => [await sameMinute(stage, kind, options.minute)])
    case 'scale':
      return each(kinds, (kind) =>
        scale(stage, kind, { small: options.small, large: options.scale, connections: CONNECTIONS, rounds, seconds }),
      )
    case 'start':
      return each(stores, (store) => startAndIdle(stage, store, rounds))
    case 'size':
      return installed()
  }
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<Figure[]>): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const item of items) figures.push(...(await work(item)))
  return figures
}

async function flows(stage: Stage, store: Filled): Promise<Figure[]> {
  const broker = await stage.broker(store)
  const flow = { address: broker.address, bearer: broker.bearer, atOnce: 16 }
  await connectFlows({ ...flow, flows: 100 })
  const before = await broker.state()
  const { flowsPerSecond, p50Ms, p99Ms } = await connectFlows({ ...flow, flows: options.flows })
  const processorMicros = ((await broker.state()).cpu - before.cpu) / options.flows
  await broker.stop()
  const what = `whole connect flows, 16 at once, ${store.kind}`
  return [
    { id: `flows.${store.kind.toLowerCase()}`, what, value: flowsPerSecond, unit: '/s', more: { p50Ms, p99Ms, processorMicros } },
  ]
}

/** The token path of each store, and the route that it is held against, once they are warm. */
async function profile(stage: Stage): Promise<void> {
  const seconds = options.seconds
  const path = anyOf(options.small)
  const show = async (what: string, target: Measured, bearer: string): Promise<void> => {
    const ask = (howLong: number) =>
      load({ address: target.address, connections: 16, seconds: howLong, headers: { authorization: `Bearer ${bearer}` }, path })
    await ask(3 * seconds)
    let requests = 0
    const spent = await target.profiled(async () => ({ requests } = await ask(seconds)))
    const lines = spent.slice(0, 40).map(({ where, micros, share }) => {
      const each = `${(micros / requests).toFixed(2).padStart(8)} µs`
      return `${(share * 100).toFixed(1).padStart(6)} %${each}  ${where}`
    })
    process.stdout.write(
      `\n${what}: ${plain(requests / seconds)} req/s while profiled; by a function itself, for one request\n${lines.join('\n')}\n`,
    )
    await target.stop()
  }
  const route = await startProcess('baseline-process.ts', [String(options.small)])
  await show('(b) the route without a store', route, (route.extra as { bearer: string }).bearer)
  for (const kind of kinds) {
    const broker = await stage.broker(await stage.filled(kind, options.small))
    await show(kind, broker, broker.bearer)
  }
}

async function tell(run: Run): Promise<void> {
  const text = `${JSON.stringify(run, null, 2)}\n`
  const folder = join(import.meta.dirname, '..', quick ? 'artefacts' : 'bench/results')
  await mkdir(folder, { recursive: true })
  const name = run.machine
    .split(',')
    .slice(0, 2)
    .join(' ')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
  const file = join(folder, `${run.at.slice(0, 16).replace(':', '')}-${name}.json`)
  await writeFile(file, text)
  process.stdout.write(given.json ? text : `\n${run.machine}\n\n${table(run.figures)}\n\n${file}\n`)
}

function machine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${memory}, ${process.platform} ${process.arch}`
}

async function versions(): Promise<Record<string, string>> {
  const manifest = JSON.parse(await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
    version: string
    dependencies: Record<string, string>
  }
  const { fastify = '', pg = '' } = manifest.dependencies
  return { latchstring: manifest.version, node: process.versions.node, sqlite: process.versions['sqlite'] ?? '', fastify, pg }
}

function wrong(what: string): never {
  process.stderr.write(`${what} is not known here\n${HELP}`)
  process.exit(2)
}
