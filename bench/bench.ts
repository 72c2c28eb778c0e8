/** `npm run bench`: what the broker does in a second, held against what the machine could do; `bench/README.md` says what each line compares. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort } from '../cli/port.ts'
import { connectFlows } from './connect-flow.ts'
import { type LoadResult, load, median } from './load.ts'
import { type Measured, startProcess } from './processes.ts'
import { renewals } from './renewals.ts'

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    flows: { type: 'string', default: '1000' },
    renewals: { type: 'string', default: '2000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `npm run bench -- [--connections 10000] [--rounds 5] [--seconds 3] [--flows 1000]
                 [--renewals 2000] [--json]

Everything runs on this machine and on loopback; it takes about two minutes. Read ratios: absolute figures are the machine's.
`

const SECRET = 'b'.repeat(44)
const progress = (text: string): void => void process.stderr.write(`${text}\n`)

interface Line {
  readonly what: string
  readonly figure: string
  readonly more: string
}

if (options.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-bench-'))
  try {
    const lines = [...(await run(folder)), dependencies()]
    const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`
    process.stdout.write(options.json ? `${JSON.stringify({ machine, lines }, null, 2)}\n` : `\n${machine}\n\n${table(lines)}\n`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function run(folder: string): Promise<Line[]> {
  const sandbox = await startProcess('sandbox-process.ts', [])
  const environment = await settings(folder, sandbox)
  progress(`filling a store with ${options.connections} connections …`)
  const seeding = await startProcess('broker-process.ts', [options.connections], environment)
  const { sessions } = seeding
  await seeding.stop()

  progress('starting …')
  const starts: number[] = []
  for (let i = 0; i < Number(options.rounds); i++) {
    const begin = performance.now()
    const started = await startProcess('broker-process.ts', [], environment)
    await fetch(`${started.address}/readyz`)
    starts.push(performance.now() - begin)
    await started.stop()
  }

  const broker = await startProcess('broker-process.ts', [], environment)
  const bearer = await callerToken(broker.address)
  const idle = (await broker.state()).rss
  const baseline = await startProcess('baseline-process.ts', [options.connections, bearer])
  const tokenLines = await tokenPath(broker, baseline, sessions, bearer)
  const loaded = (await broker.state()).rss
  await baseline.stop()

  progress('connect flows …')
  const flow = { address: broker.address, bearer, flows: Number(options.flows), atOnce: 16 }
  await connectFlows({ ...flow, flows: 100 })
  const connected = await connectFlows(flow)
  progress('renewals …')
  const renewing = { address: broker.address, provider: sandbox.address, bearer, count: Number(options.renewals), atOnce: 64 }
  await renewals({ ...renewing, count: 200 })
  const renewed = await renewals(renewing)
  await broker.stop()
  await sandbox.stop()
  return [
    ...tokenLines,
    { what: 'whole connect flows, 16 at once', figure: `${connected.flowsPerSecond.toFixed(0)} flows/s`, more: times(connected) },
    {
      what: 'renewals of expired tokens, 64 at once',
      figure: `${renewed.requestsPerSecond.toFixed(0)} /s`,
      more: `${times(renewed)}, ${renewed.upstream} requests upstream for each`,
    },
    { what: 'start to first answer', figure: `${median(starts).toFixed(0)} ms`, more: `median of ${starts.length}` },
    { what: 'memory, idle', figure: `${(idle / 1e6).toFixed(0)} MB`, more: 'resident' },
    { what: 'memory, after the token path', figure: `${(loaded / 1e6).toFixed(0)} MB`, more: 'resident' },
  ]
}

/** Both in turn, round by round, so that what the machine does meanwhile hits both. */
async function tokenPath(broker: Measured, baseline: Measured, sessions: readonly string[], bearer: string): Promise<Line[]> {
  const lines: Line[] = []
  for (const connections of [16, 64]) {
    const results: Record<'broker' | 'baseline', Round[]> = { broker: [], baseline: [] }
    for (let round = 0; round <= Number(options.rounds); round++) {
      progress(`token path, ${connections} connections, ${round === 0 ? 'warming up' : `round ${round}`} …`)
      for (const [name, target, ids] of [
        ['broker', broker, sessions],
        ['baseline', baseline, baseline.sessions],
      ] as const) {
        const path = () => `/api/v1/connected_apps/token?session_id=${ids[Math.floor(Math.random() * ids.length)]}`
        const headers = { authorization: `Bearer ${bearer}` }
        const before = await target.state()
        const result = await load({
          address: target.address,
          connections,
          seconds: round === 0 ? 10 : Number(options.seconds),
          headers,
          path,
        })
        const { cpu } = await target.state()
        if (result.failed > 0) throw new Error(`${name}: ${result.failed} answers were not 200`)
        const cpuMicros = (cpu.user + cpu.system - before.cpu.user - before.cpu.system) / result.requests
        if (round > 0) results[name].push({ ...result, cpuMicros })
      }
    }
    const ratio = median(
      results.broker.map((result, i) => result.requestsPerSecond / (results.baseline[i]?.requestsPerSecond ?? 0)),
    )
    const cpuRatio = median(results.broker.map(({ cpuMicros }, i) => (results.baseline[i]?.cpuMicros ?? 0) / cpuMicros))
    lines.push(
      {
        what: `token path, SQLite, ${connections} connections`,
        figure: perSecond(results.broker),
        more: times(typical(results.broker)),
      },
      { what: '  the same route without a store', figure: perSecond(results.baseline), more: times(typical(results.baseline)) },
      {
        what: '  ratio',
        figure: ratio.toFixed(2),
        more: `median of the rounds’ ratios; by processor time ${cpuRatio.toFixed(2)}`,
      },
    )
  }
  return lines
}

/** Processor time a request is what a noisy machine changes least. */
interface Round extends LoadResult {
  readonly cpuMicros: number
}

function perSecond(results: readonly LoadResult[]): string {
  return `${median(results.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0)} req/s`
}

function typical(results: readonly Round[]): Pick<Round, 'p50Ms' | 'p99Ms' | 'cpuMicros'> {
  const middle = (of: (round: Round) => number): number => median(results.map(of))
  return {
    p50Ms: middle(({ p50Ms }) => p50Ms),
    p99Ms: middle(({ p99Ms }) => p99Ms),
    cpuMicros: middle(({ cpuMicros }) => cpuMicros),
  }
}

function times({ p50Ms, p99Ms, cpuMicros }: { p50Ms: number; p99Ms: number; cpuMicros?: number }): string {
  const cpu = cpuMicros === undefined ? '' : `, ${cpuMicros.toFixed(0)} µs of processor a request`
  return `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms${cpu}`
}

/** What `npm ci --omit=dev` brings. */
function dependencies(): Line {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
  })
  const packages = new Set(listed.split('\n').filter((line) => line.includes('node_modules')))
  return { what: 'production dependencies', figure: `${packages.size} packages`, more: 'server and command line' }
}

async function settings(folder: string, sandbox: Measured): Promise<Record<string, string>> {
  const { provider, app } = sandbox.extra as { provider: object; app: object }
  const setup = {
    providers: [provider],
    apps: [{ ...app, key_code_ref: 'bench', callback_url: 'http://127.0.0.1:9/callback', user_binding: 'none' }],
    callers: [{ client_id: 'bench', client_secret: SECRET, scopes: ['read:connected_apps'], owner: 'bench@example.com' }],
  }
  const file = join(folder, 'latchstring.yaml')
  await writeFile(file, JSON.stringify(setup)) // JSON is YAML
  const port = await freePort('127.0.0.1')
  return {
    LATCHSTRING_PORT: String(port),
    LATCHSTRING_PUBLIC_URL: `http://127.0.0.1:${port}`,
    LATCHSTRING_DATABASE_URL: `sqlite:${join(folder, 'bench.db')}`,
    LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
    LATCHSTRING_CONFIG: file,
  }
}

async function callerToken(address: string): Promise<string> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'bench', client_secret: SECRET })
  const answer = (await (await fetch(`${address}/oauth2/token`, { method: 'POST', body: form })).json()) as {
    access_token: string
  }
  return answer.access_token
}

function table(lines: readonly Line[]): string {
  const [first, second] = [
    Math.max(...lines.map(({ what }) => what.length)),
    Math.max(...lines.map(({ figure }) => figure.length)),
  ]
  return lines.map(({ what, figure, more }) => `${what.padEnd(first)}  ${figure.padStart(second)}  ${more}`).join('\n')
}
